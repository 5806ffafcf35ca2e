"""One process at a time works on a mailbox: an flock on a file of the instance.

The lease only saves work; that nothing is done twice is kept by the ledger's unique keys. It vanishes
with the process, however that ends. The parser process is started by exec and so cannot inherit it.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RETRY_SECONDS = 0.5


class LeaseBusy(Exception):
    """Another process is polling this mailbox."""

    def __init__(self) -> None:
        super().__init__("Another process is polling this mailbox. Try again in a few minutes.")


@contextmanager
def lease(instance: Path, mailbox_id: int, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the mailbox's lease. Raises LeaseBusy when it is not free within `wait` seconds."""
    end = time.monotonic() + wait
    with (instance / f"mailbox-{mailbox_id}.lock").open("w") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() >= end:
                raise LeaseBusy
            time.sleep(RETRY_SECONDS)
        yield  # closing the file gives the lease back


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
