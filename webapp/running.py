"""Who uses an instance right now: many at once, or one alone.

A shared flock on a file of the instance; it vanishes with the process, however that ends. It says nothing
about other machines: on PostgreSQL `restore` asks the server about those.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StillRunning(Exception):
    """The service desk is running, and what was asked for needs it stopped."""

    def __init__(self) -> None:
        super().__init__("The service desk is still running on this instance. Stop it first.")


@contextmanager
def in_use(instance: Path) -> Iterator[None]:
    """This process works with the instance until the block ends."""
    with (instance / "in-use.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(instance: Path) -> Iterator[None]:
    """Nobody else does until the block ends. Raises StillRunning."""
    with (instance / "in-use.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StillRunning from None
        yield
