"""Word of new mail to those who deliver it in this process, once the transaction that wrote it is committed.

Other processes look for themselves every few seconds.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.orm import Session

_QUEUED = "outbox_queued"
_listeners: set[Callable[[], None]] = set()


def listen(wake: Callable[[], None]) -> Callable[[], None]:
    """Have `wake` called after each such commit, in the thread that committed; what undoes this."""
    _listeners.add(wake)
    return lambda: _listeners.discard(wake)


def wake_after_commit(session: Session) -> None:
    """Once what this session is doing is committed, there will be something to deliver."""
    session.info[_QUEUED] = True


def _committed(session: Session) -> None:
    if session.in_nested_transaction():  # a savepoint: nobody else sees it yet
        return
    if session.info.pop(_QUEUED, False):
        for wake in tuple(_listeners):
            wake()


event.listen(Session, "after_commit", _committed)
