"""One at a time renews a Microsoft sign-in: Microsoft may give a new refresh token and void the old one.

Held across a talk with Microsoft, so it is no transaction of ours: an flock on a file of the instance where
the database is a file, an advisory lock where it is PostgreSQL and the other process may be on another
machine. Both exclude threads as well as processes, and vanish with the process however it ends.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from webapp.instance import Instance
from webapp.mailserver.errors import ServerBusy, Stage

RETRY_SECONDS = 0.05
_ADVISORY_CLASS = 0x4D53  # ours among the advisory locks of this database


@contextmanager
def renewal_lock(instance: Instance, connection_id: int, *, wait: float) -> Iterator[None]:
    """Raises ServerBusy where it is not free within `wait` seconds."""
    if instance.settings.is_sqlite:
        with (instance.settings.instance / f"microsoft-{connection_id}.lock").open("w") as file:
            _wait_for(lambda: _try_flock(file.fileno()), wait)
            yield
    else:
        with instance.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            lock = {"kind": _ADVISORY_CLASS, "id": connection_id}
            ask = sa.text("SELECT pg_try_advisory_lock(:kind, :id)")
            _wait_for(lambda: bool(connection.scalar(ask, lock)), wait)
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:kind, :id)"), lock)


def _wait_for(take: Callable[[], bool], wait: float) -> None:
    ends_at = time.monotonic() + wait
    while not take():
        if time.monotonic() >= ends_at:
            raise ServerBusy("another process is renewing this sign-in", stage=Stage.TOKEN)
        time.sleep(RETRY_SECONDS)


def _try_flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
