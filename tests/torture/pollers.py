"""Parsers that are started quickly and killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.inbound.accounting import environment
from tests.rig.dovecot import DovecotMailbox
from tests.rig.places import Place
from webapp.config import CHECKOUT
from webapp.instance import Instance


class Pollers:
    """Starts parsers and kills them, by pid."""

    def __init__(self, instance: Instance, mailbox: Place) -> None:
        self._mailbox, self._instance = mailbox, instance.settings.instance
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.poller"],
            cwd=CHECKOUT,
            env=environment(instance, mailbox),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def start(self, point: str = "-") -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{point}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def kill(self, pid: int) -> bool:
        """Whether it was still at work."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return self.was_killed(pid)

    def was_killed(self, pid: int) -> bool:
        return self.wait(pid, 30) and not (self._instance / f"ended-{pid}").exists()

    def wait(self, pid: int, seconds: float) -> bool:
        """Whether it ended by itself in that time."""
        end = time.monotonic() + seconds
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def kill_a_server_child(self, dice: random.Random) -> bool:
        """One of this Dovecot's own imap processes: children of its master, known by name."""
        assert isinstance(self._mailbox, DovecotMailbox)
        children = Path(f"/proc/{self._mailbox.server.process.pid}/task")
        pids = [int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()]
        sessions = [pid for pid in pids if _name_of(pid) == "imap"]
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(dice.choice(sessions), signal.SIGKILL)
            return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
