"""A row whose server fails: all its mail waits, one message is tried now and then, and people can see why.

Kept in the database, so that several processes make one probe and not one each.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import Row, SendingTrouble
from webapp.outbound.claims import LEASE
from webapp.outbound.outcome import SIGN_IN_BACK_OFF, Trouble, server_back_off

LONGEST = max(*SIGN_IN_BACK_OFF, LEASE)


def load(session: Session, row: Row) -> SendingTrouble | None:
    return session.get(SendingTrouble, row.value)


def blocks(known: SendingTrouble | None, version: int, now: datetime) -> bool:
    """Whether nothing may be tried yet. Settings that were saved since deserve a try at once.

    A time that is further off than any was set by a clock that was wrong.
    """
    if known is None or known.version != version:
        return False
    return now < known.next_try_at <= now + LONGEST


def may_try(session: Session, row: Row, version: int, now: datetime) -> bool:
    """Whether the server may be asked. While it fails only one may, once each time: that is taken here.

    Failures with other settings are not counted on.
    """
    known = load(session, row)
    if known is None:
        return True
    if blocks(known, version, now):
        return False
    taken = session.execute(
        sa.update(SendingTrouble)
        .where(SendingTrouble.row == row.value, SendingTrouble.next_try_at == known.next_try_at)
        .where(SendingTrouble.version == known.version)
        .values(
            next_try_at=now + LEASE,
            version=version,
            failures=known.failures if known.version == version else 0,
        )
        .returning(SendingTrouble.row)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


def note(session: Session, row: Row, found: Trouble, version: int, now: datetime) -> SendingTrouble:
    """It failed again, or for the first time. Another failure than before counts from one."""
    known = load(session, row)
    if known is None:
        known = SendingTrouble(row=row.value, since=now, failures=0)
        session.add(known)
    elif known.sentence != found.sentence:
        known.failures = 0
    known.failures += 1
    known.version = version
    known.sentence, known.cure, known.server_words = found.sentence, found.cure, found.words
    known.next_try_at = now + max(server_back_off(known.failures, locks=found.locks), found.wait)
    session.flush()
    return known


def clear(session: Session, row: Row) -> None:
    """It works."""
    session.execute(sa.delete(SendingTrouble).where(SendingTrouble.row == row.value))


def ask_at_once(session: Session, row: Row, now: datetime) -> bool:
    """A person wants the next try now; whether there was anything to wait for."""
    known = load(session, row)
    if known is None:
        return False
    known.next_try_at = now
    return True
