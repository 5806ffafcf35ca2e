"""The ledger as the email log shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer, joinedload

from webapp.models import Disposition, Inbound, RawMessage, Ticket
from webapp.views.paging import PAGE_SIZE, Page, make_page, offset


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What the log is narrowed to."""

    outcome: Disposition | None = None
    sender: str = ""
    subject: str = ""
    since: datetime | None = None

    @property
    def is_set(self) -> bool:
        """Apart from the period, which always is."""
        return bool(self.outcome or self.sender or self.subject)


@dataclass(frozen=True, slots=True)
class LogRow:
    """One message, the ticket it went to, and the message it is a copy of."""

    inbound: Inbound
    ticket: Ticket | None
    earlier: Inbound | None


def list_page(session: Session, wanted: LogFilter, number: int) -> Page[LogRow]:
    """Newest first."""
    order = (Inbound.recorded_at.desc(), Inbound.id.desc())
    ids = session.scalars(
        sa.select(Inbound.id)
        .where(*_conditions(wanted))
        .order_by(*order)
        .limit(PAGE_SIZE + 1)
        .offset(offset(number))
    ).all()
    found = session.scalars(
        sa.select(Inbound).where(Inbound.id.in_(ids)).order_by(*order).options(defer(Inbound.trace))
    ).all()
    return make_page(_with_tickets(session, found), number)


def any_message(session: Session) -> bool:
    return session.scalar(sa.select(Inbound.id).limit(1)) is not None


def load(session: Session, inbound_id: int) -> LogRow | None:
    inbound = session.get(Inbound, inbound_id)
    return _with_tickets(session, [inbound])[0] if inbound else None


def has_original(session: Session, inbound_id: int) -> bool:
    return bool(session.scalar(sa.select(sa.exists().where(RawMessage.inbound_id == inbound_id))))


def _with_tickets(session: Session, found: Sequence[Inbound]) -> list[LogRow]:
    tickets = {
        ticket.id: ticket
        for ticket in session.scalars(
            sa.select(Ticket)
            .where(Ticket.id.in_({row.ticket_id for row in found if row.ticket_id}))
            .options(joinedload(Ticket.company))
        )
    }
    earlier = {
        row.id: row
        for row in session.scalars(
            sa.select(Inbound)
            .where(Inbound.id.in_({row.duplicate_of_id for row in found if row.duplicate_of_id}))
            .options(defer(Inbound.trace), defer(Inbound.defects))
        )
    }
    return [
        LogRow(row, tickets.get(row.ticket_id or 0), earlier.get(row.duplicate_of_id or 0)) for row in found
    ]


def _conditions(wanted: LogFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.since is not None:
        conditions.append(Inbound.recorded_at >= wanted.since)
    if wanted.outcome is not None:
        conditions.append(Inbound.disposition == wanted.outcome)
    if wanted.sender:
        conditions.append(
            sa.or_(
                Inbound.from_addr.icontains(wanted.sender, autoescape=True),
                Inbound.from_name.icontains(wanted.sender, autoescape=True),
            )
        )
    if wanted.subject:
        conditions.append(Inbound.subject.icontains(wanted.subject, autoescape=True))
    return conditions
