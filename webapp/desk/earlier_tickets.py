"""Tickets of unknown senders that become somebody's, once a user of the directory has the sender's address.

Where mail came from an address nobody had, its ticket has neither requester nor company. A user who is
added, or who gets that address later, wrote it: the tickets of before become that user's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.mail.address import fold_addr_spec
from webapp.models import Ticket, User

ADDRESSES_AT_ONCE = 5000  # databases bind some ten thousand values a statement
_NOBODYS = (Ticket.requester_id.is_(None), Ticket.requester_account_id.is_(None))  # as the index says it


def give_earlier_tickets(session: Session, users: Iterable[User]) -> int:
    """Make nobody's tickets of these users' addresses theirs and their company's; returns how many.

    An inactive user gets none: mail from their addresses counts as an unknown sender's. The tickets keep
    their times, because nothing was said in them. The users must have been flushed.
    """
    owners = _owners(users)
    keys = [key for some in _portions(list(owners)) for key in _nobodys_of(session, some)]
    return sum(_give(session, key, owners[key]) for key in keys)


def count_earlier_tickets(session: Session, users: Iterable[User]) -> int:
    """How many tickets these users would be given."""
    return sum(_count(session, keys) for keys in _portions(list(_owners(users))))


def count_nobodys(session: Session, addr_spec: str) -> int:
    """How many tickets of this address are nobody's."""
    return _count(session, [fold_addr_spec(addr_spec)])


def _owners(users: Iterable[User]) -> dict[str, User]:
    return {address.addr_key: user for user in users if user.active for address in user.addresses}


def _portions(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[begin : begin + ADDRESSES_AT_ONCE] for begin in range(0, len(keys), ADDRESSES_AT_ONCE))


def _nobodys_of(session: Session, keys: Sequence[str]) -> list[str]:
    """Which of the addresses have tickets that are nobody's."""
    query = sa.select(Ticket.requester_key).distinct().where(*_NOBODYS, Ticket.requester_key.in_(keys))
    return [key for key in session.scalars(query) if key]


def _count(session: Session, keys: Sequence[str]) -> int:
    query = sa.select(sa.func.count()).select_from(Ticket).where(*_NOBODYS, Ticket.requester_key.in_(keys))
    return session.scalar(query) or 0


def _give(session: Session, key: str, user: User) -> int:
    change = (
        sa.update(Ticket)
        .where(*_NOBODYS, Ticket.requester_key == key)
        .values(requester_id=user.id, company_id=user.company_id)
        .execution_options(synchronize_session=False)
    )
    return cast(sa.CursorResult[tuple[()]], session.execute(change)).rowcount
