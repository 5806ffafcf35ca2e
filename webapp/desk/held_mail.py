"""Held mail: what names a ticket to which its sender may not write, until somebody has decided about it.

What is done about a message stands in `webapp.inbound.held`; here are the queue and its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, contains_eager, defer, joinedload

from webapp.mail.address import fold_addr_spec
from webapp.models import HeldMessage, HeldVerdict, Inbound, Ticket, User, UserAddress

MOST_COUNTED = 100  # waiting messages are counted up to here
_WAITING = HeldMessage.verdict.is_(None)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One message, the ticket it names, and whose address its sender's is."""

    held: HeldMessage
    inbound: Inbound
    claimed: Ticket
    sender: User | None


def count_waiting(session: Session) -> int:
    """At most MOST_COUNTED."""
    few = sa.select(HeldMessage.inbound_id).where(_WAITING).limit(MOST_COUNTED)
    return session.scalar(sa.select(sa.func.count()).select_from(few.subquery())) or 0


def waiting(session: Session, *, limit: int | None = None, offset: int = 0) -> list[HeldRow]:
    """What nobody has decided about, oldest first."""
    query = _rows().where(_WAITING).order_by(HeldMessage.inbound_id)
    return _with_senders(session, query.limit(limit).offset(offset))


def settled(session: Session, *, limit: int | None = None, offset: int = 0) -> list[HeldRow]:
    """What somebody has decided about, the newest decision first."""
    query = _rows().where(~_WAITING).order_by(HeldMessage.settled_at.desc(), HeldMessage.inbound_id.desc())
    return _with_senders(session, query.limit(limit).offset(offset))


def count_about(session: Session, ticket_id: int) -> int:
    """How many waiting messages name this ticket."""
    query = sa.select(sa.func.count()).where(HeldMessage.claimed_ticket_id == ticket_id, _WAITING)
    return session.scalar(query) or 0


def any_held(session: Session) -> bool:
    """Whether a message was ever held."""
    return session.scalar(sa.select(HeldMessage.inbound_id).limit(1)) is not None


def is_waiting(session: Session, inbound_id: int) -> bool:
    found = sa.exists().where(HeldMessage.inbound_id == inbound_id, _WAITING)
    return bool(session.scalar(sa.select(found)))


def settle(session: Session, inbound_id: int, verdict: HeldVerdict, *, now: datetime, actor: str) -> bool:
    """It waits no longer. False where it did not wait: it was not held, or somebody was quicker."""
    done = session.execute(
        sa.update(HeldMessage)
        .where(HeldMessage.inbound_id == inbound_id, _WAITING)
        .values(verdict=verdict, settled_at=now, settled_by=actor)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]  # it is the result of an UPDATE


def wait_again(session: Session, inbound_id: int) -> None:
    session.execute(
        sa.update(HeldMessage)
        .where(HeldMessage.inbound_id == inbound_id)
        .values(verdict=None, settled_at=None, settled_by="")
    )


def set_preview(session: Session, inbound_id: int, text: str) -> None:
    """What is understood of it now, if it was ever held."""
    session.execute(sa.update(HeldMessage).where(HeldMessage.inbound_id == inbound_id).values(preview=text))


def _rows() -> sa.Select[HeldMessage, Ticket]:
    return (
        sa.select(HeldMessage, Ticket)
        .join(HeldMessage.inbound)
        .join(Ticket, Ticket.id == HeldMessage.claimed_ticket_id)
        .options(contains_eager(HeldMessage.inbound).options(defer(Inbound.trace), defer(Inbound.defects)))
    )


def _with_senders(session: Session, query: sa.Select[HeldMessage, Ticket]) -> list[HeldRow]:
    found = session.execute(query).all()
    users = _users(session, [held.inbound.from_addr for held, _ in found if held.inbound.from_addr])
    return [
        HeldRow(held, held.inbound, ticket, users.get(fold_addr_spec(held.inbound.from_addr or "")))
        for held, ticket in found
    ]


def _users(session: Session, addr_specs: Sequence[str]) -> dict[str, User]:
    keys = {fold_addr_spec(one) for one in addr_specs}
    query = (
        sa.select(UserAddress.addr_key, User)
        .join(User, User.id == UserAddress.user_id)
        .options(joinedload(User.company))
    )
    return {key: user for key, user in session.execute(query.where(UserAddress.addr_key.in_(keys)))}
