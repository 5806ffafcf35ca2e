"""The ledger as the email log shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer, joinedload

from webapp.mail.address import fold_addr_spec
from webapp.models import (
    ActionKind,
    Disposition,
    HeldMessage,
    Inbound,
    InboundAction,
    PollRun,
    RawMessage,
    Ticket,
    TicketNotice,
    TicketStatus,
    User,
    UserAddress,
)
from webapp.views.paging import PAGE_SIZE, Page, make_page, offset
from webapp.views.queries import mail_state

MOST_COUNTED = 100  # what needs attention is counted up to here
EXPORTED_AT_ONCE = 1_000
NEEDS_A_LOOK = (Disposition.QUARANTINED, Disposition.CLAIM, Disposition.HELD)
NEWEST_FIRST = (Inbound.recorded_at.desc(), Inbound.id.desc())


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What the log is narrowed to."""

    outcome: Disposition | None = None
    attention: bool = False  # only what a person should look at
    sender: str = ""
    subject: str = ""
    since: datetime | None = None

    @property
    def is_set(self) -> bool:
        """Apart from the period, which always is."""
        return bool(self.outcome or self.attention or self.sender or self.subject)


@dataclass(frozen=True, slots=True)
class LogRow:
    """One message, the ticket it is in, the message it is a copy of, and what a person made of it last.

    `wants_attention`: a person should look at it, see `_wanting_attention`.
    """

    inbound: Inbound
    ticket: Ticket | None
    earlier: Inbound | None
    action: InboundAction | None = None
    wants_attention: bool = False


def list_page(session: Session, wanted: LogFilter, number: int) -> Page[LogRow]:
    """Newest first."""
    ids = _ids_of_page(session, wanted, number)
    found = session.scalars(
        sa.select(Inbound).where(Inbound.id.in_(ids)).order_by(*NEWEST_FIRST).options(defer(Inbound.trace))
    ).all()
    return make_page(_with_tickets(session, found), number)


def export_chunks(session: Session, wanted: LogFilter) -> Iterator[list[LogRow]]:
    """All of them, newest first, some at a time: each chunk begins where the one before ended."""
    after: Inbound | None = None
    while True:
        query = sa.select(Inbound).where(*_conditions(wanted)).options(defer(Inbound.trace))
        if after is not None:
            earlier = sa.or_(Inbound.recorded_at < after.recorded_at, Inbound.id < after.id)
            query = query.where(Inbound.recorded_at <= after.recorded_at, earlier)
        found = session.scalars(query.order_by(*NEWEST_FIRST).limit(EXPORTED_AT_ONCE)).all()
        if found:
            yield _with_tickets(session, found)
        if len(found) < EXPORTED_AT_ONCE:
            return
        after = found[-1]
        session.expunge_all()


def count_attention(session: Session) -> int:
    """How many messages a person should look at, at most MOST_COUNTED."""
    number = 0
    for kind in NEEDS_A_LOOK:
        few = sa.select(Inbound.id).where(*_wanting_attention(kind)).limit(MOST_COUNTED)
        number += session.scalar(sa.select(sa.func.count()).select_from(few.subquery())) or 0
    return min(number, MOST_COUNTED)


def needs_attention(session: Session, inbound_id: int) -> bool:
    """Whether this one is among them."""
    conditions = _conditions(LogFilter(attention=True))
    return session.scalar(sa.select(Inbound.id).where(Inbound.id == inbound_id, *conditions)) is not None


def any_message(session: Session) -> bool:
    return session.scalar(sa.select(Inbound.id).limit(1)) is not None


def load(session: Session, inbound_id: int) -> LogRow | None:
    inbound = session.get(Inbound, inbound_id)
    return _with_tickets(session, [inbound])[0] if inbound else None


def run_of(session: Session, inbound: Inbound) -> PollRun | None:
    """The run that recorded it, as long as that is remembered; older rows name none and are told by time."""
    if inbound.run_id is not None:
        return session.get(PollRun, inbound.run_id)
    return mail_state.run_of(session, inbound.mailbox_id, inbound.recorded_at)


def actions_of(session: Session, inbound_id: int) -> list[InboundAction]:
    """What people did about it, oldest first."""
    query = sa.select(InboundAction).where(InboundAction.inbound_id == inbound_id)
    return list(session.scalars(query.order_by(InboundAction.id)))


def has_original(session: Session, inbound_id: int) -> bool:
    return bool(session.scalar(sa.select(sa.exists().where(RawMessage.inbound_id == inbound_id))))


def ticket_of(session: Session, inbound: Inbound) -> Ticket | None:
    return session.get(Ticket, inbound.ticket_id) if inbound.ticket_id else None


def user_by_address(session: Session, addr_spec: str | None) -> User | None:
    """Who has this address now."""
    if not addr_spec:
        return None
    key = fold_addr_spec(addr_spec)
    return session.scalar(
        sa.select(User).join(UserAddress, UserAddress.user_id == User.id).where(UserAddress.addr_key == key)
    )


def _ids_of_page(session: Session, wanted: LogFilter, number: int) -> Sequence[int]:
    """One page and one more. In the order of the index: nothing is read that is not shown.

    Of several outcomes no index is in order of time, so each is asked for as many as it could fill.
    """
    begin, end = offset(number), offset(number) + PAGE_SIZE + 1
    query = sa.select(Inbound.id, Inbound.recorded_at).order_by(*NEWEST_FIRST)
    if not wanted.attention:
        query = query.where(*_conditions(wanted))
        return [row.id for row in session.execute(query.limit(PAGE_SIZE + 1).offset(begin))]
    found = [
        (row.recorded_at, row.id)
        for kind in NEEDS_A_LOOK
        for row in session.execute(query.where(*_conditions(wanted, kind)).limit(end))
    ]
    return [row_id for _, row_id in sorted(found, reverse=True)[begin:end]]


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
    rows = [
        LogRow(row, tickets.get(row.ticket_id or 0), earlier.get(row.duplicate_of_id or 0)) for row in found
    ]
    return _with_actions(session, rows)


def _with_actions(session: Session, rows: list[LogRow]) -> list[LogRow]:
    """Each with the last act that put it, or its text, into a ticket, and whether it needs attention."""
    done = session.scalars(
        sa.select(InboundAction)
        .where(InboundAction.inbound_id.in_([row.inbound.id for row in rows]))
        .order_by(InboundAction.id)
        .options(defer(InboundAction.trace))
    ).all()
    quarantined = {row.inbound.id for row in rows if row.inbound.disposition is Disposition.QUARANTINED}
    actions = {
        action.inbound_id: action
        for action in done
        if action.generation is not None
        or (action.kind is ActionKind.REPLAY and action.inbound_id in quarantined)
    }
    wanting = set(
        session.scalars(
            sa.select(Inbound.id).where(
                Inbound.id.in_([row.inbound.id for row in rows if row.inbound.disposition in NEEDS_A_LOOK]),
                *_wanting_attention(),
            )
        )
    )
    return [
        replace(row, action=actions.get(row.inbound.id), wants_attention=row.inbound.id in wanting)
        for row in rows
    ]


def _conditions(wanted: LogFilter, *kinds: Disposition) -> list[sa.ColumnElement[bool]]:
    """Of what needs attention only those `kinds`; none given: all."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.since is not None:
        conditions.append(Inbound.recorded_at >= wanted.since)
    if wanted.outcome is not None:
        conditions.append(Inbound.disposition == wanted.outcome)
    if wanted.attention:
        conditions += _wanting_attention(*kinds)
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


def _wanting_attention(*kinds: Disposition) -> list[sa.ColumnElement[bool]]:
    """What could not be read, claims in an open ticket, held mail; until somebody has settled it.

    What could not be read is settled by whatever shows that it can be now: the rules were asked, or its text
    was written anew; neither is done of a message that still cannot be read.
    """
    read_now = sa.and_(
        Inbound.disposition == Disposition.QUARANTINED,
        InboundAction.kind.in_([ActionKind.PROCESS_AGAIN, ActionKind.REPLAY]),
    )
    settled = sa.exists().where(
        InboundAction.inbound_id == Inbound.id,
        sa.or_(InboundAction.kind == ActionKind.DISMISS, InboundAction.generation.is_not(None), read_now),
    )
    # From the few open tickets to their messages: the other way round, years of closed ones are read. An
    # expression keeps the database off the outcome's index, which would lead it that way.
    claimed = Inbound.ticket_id.in_(
        sa.select(Ticket.id).where(
            Ticket.notice == TicketNotice.CLAIM,
            Ticket.status.in_([status for status in TicketStatus if status is not TicketStatus.CLOSED]),
        )
    )
    waiting = Inbound.id.in_(sa.select(HeldMessage.inbound_id).where(HeldMessage.verdict.is_(None)))
    of_kind = {
        Disposition.QUARANTINED: sa.and_(Inbound.disposition == Disposition.QUARANTINED, ~settled),
        Disposition.CLAIM: sa.and_(
            sa.func.lower(Inbound.disposition) == Disposition.CLAIM.value, claimed, ~settled
        ),
        Disposition.HELD: sa.and_(sa.func.lower(Inbound.disposition) == Disposition.HELD.value, waiting),
    }
    return [sa.or_(*(of_kind[kind] for kind in kinds or NEEDS_A_LOOK))]
