"""Word to the service manager that started this process (systemd's sd_notify protocol; nothing without one).

`READY=1` once it serves, `STOPPING=1` when it ends, and `WATCHDOG=1` for as long as it proves to be alive: a
process that hangs is then ended and started again, which this program is made for.
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)


def tell(state: str, environ: Mapping[str, str] | None = None) -> bool:
    """Send `state` ("READY=1") to the service manager; whether there is one. Never raises."""
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # Linux's abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode(), address)
    except OSError as error:
        logger.warning("the service manager cannot be told %s: %s", state, error.strerror or error)
        return False
    return True


def watchdog_seconds(environ: Mapping[str, str] | None = None) -> float | None:
    """How long the service manager waits for a sign of life; None where it does not watch this process."""
    environ = os.environ if environ is None else environ
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdigit() and int(text) > 0 else None


class Watchdog:
    """Says that this process is alive, thrice in the time there is, as long as `is_alive` says so."""

    def __init__(self, is_alive: Callable[[], bool], seconds: float | None) -> None:
        self._is_alive, self._seconds = is_alive, seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)

    def start(self) -> None:
        if self._seconds is not None:
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _work(self) -> None:
        assert self._seconds is not None
        while not self._stopping.wait(self._seconds / 3):
            if self._is_alive():
                tell("WATCHDOG=1")
            else:
                logger.error("a part of this process does not go on: no sign of life is given")
