"""The brake on loops that no header shows: too many entries of one sender on one ticket within an hour.

The mail itself is taken in. Nothing automatic is sent about the ticket until the brake is released: by a
person, or by itself a day after the last entry that was one too many.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit
from webapp.models import Entry, EntryKind, Ticket

WITHIN = timedelta(hours=1)
AT_MOST = 20  # entries
LASTS = timedelta(hours=24)
# Built once: it is asked after every entry.
_RECENT = sa.select(sa.func.count()).where(
    Entry.ticket_id == sa.bindparam("ticket_id"),
    Entry.inbound_id.is_not(None),
    Entry.created_at > sa.bindparam("since"),
    sa.func.lower(sa.func.coalesce(Entry.from_addr, "")) == sa.func.lower(sa.bindparam("sender")),
)
ALERT = (
    "More than {most} messages from {sender} came within an hour. Another machine may be answering. "
    "Nothing automatic is sent about this ticket until the brake is released."
)


def is_braked(ticket: Ticket, now: datetime) -> bool:
    """Whether nothing automatic may be sent about this ticket."""
    return ticket.braked_at is not None and now - ticket.braked_at < LASTS


def brake_if_too_many(connection: sa.Connection, ticket_id: int, sender: str | None, now: datetime) -> None:
    """After an entry was written: count this sender's, and brake. Says so in the ticket once."""
    asked = {"ticket_id": ticket_id, "sender": sender or "", "since": now - WITHIN}
    if (connection.scalar(_RECENT, asked) or 0) <= AT_MOST:
        return
    before = connection.scalar(sa.select(Ticket.braked_at).where(Ticket.id == ticket_id))
    connection.execute(sa.update(Ticket).where(Ticket.id == ticket_id).values(braked_at=now))
    if before is None or now - before >= LASTS:
        text = ALERT.format(most=AT_MOST, sender=sender or "an unnamed sender")
        connection.execute(
            sa.insert(Entry).values(
                ticket_id=ticket_id, kind=EntryKind.CHANGE, from_name="Email parser", body_text=text,
                reply_text=text, created_at=now,
            )
        )  # fmt: skip


def release(session: Session, ticket: Ticket, *, now: datetime, actor: str) -> bool:
    """Automatic mail about this ticket may go out again. False where it might all along."""
    if not is_braked(ticket, now):
        return False
    ticket.braked_at = None
    audit.record(session, now, actor, "ticket.release-brake", f"T-{ticket.id}")
    return True
