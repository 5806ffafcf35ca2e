"""One process at a time works on a mailbox: an flock on a file, or an advisory lock of PostgreSQL.

The lease only saves work; that nothing is done twice is kept by the ledger's unique keys. It vanishes
with the process, however that ends, or with its connection to PostgreSQL. The parser process is started by
exec and so cannot inherit it.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from webapp.database import MAILBOX_LOCK
from webapp.instance import Instance

RETRY_SECONDS = 0.5


class LeaseBusy(Exception):
    """Another process is polling this mailbox."""

    def __init__(self) -> None:
        super().__init__("Another process is polling this mailbox. Try again in a few minutes.")


@contextmanager
def lease(instance: Instance, mailbox_id: int, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the mailbox's lease. Raises LeaseBusy when it is not free within `wait` seconds."""
    end = time.monotonic() + wait
    locking = _file_lock if instance.settings.is_sqlite else _advisory_lock
    with locking(instance, mailbox_id) as try_lock:
        while not try_lock():
            if time.monotonic() >= end:
                raise LeaseBusy
            time.sleep(RETRY_SECONDS)
        yield


@contextmanager
def _file_lock(instance: Instance, mailbox_id: int) -> Iterator[Callable[[], bool]]:
    """For the processes of one machine, which share the instance folder as they share SQLite's file."""
    with (instance.settings.instance / f"mailbox-{mailbox_id}.lock").open("w") as file:

        def try_lock() -> bool:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield try_lock  # closing the file gives the lease back


@contextmanager
def _advisory_lock(instance: Instance, mailbox_id: int) -> Iterator[Callable[[], bool]]:
    """For the processes of all machines on one PostgreSQL, held by a connection that does nothing else."""
    alone = instance.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:

        def try_lock() -> bool:
            query = sa.select(sa.func.pg_try_advisory_lock(MAILBOX_LOCK, mailbox_id))
            return connection.scalar(query) is True

        try:
            yield try_lock
        finally:
            connection.invalidate()  # closed, not back to the pool: whatever happened, the lock is gone
