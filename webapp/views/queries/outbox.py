"""The outbox as its page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload, undefer

from webapp.models import Delivery, DeliveryState, MailServer, OutgoingMessage, Row, SendingTrouble
from webapp.outbound import outbox
from webapp.outbound.deliver import SENDING_ROWS
from webapp.views.paging import PAGE_SIZE, Page, make_page, offset

GROUPS: dict[str, tuple[DeliveryState, ...]] = {
    "waiting": outbox.WAITING,
    "sent": (DeliveryState.SENT,),
    "failed": (DeliveryState.FAILED,),
    "uncertain": (DeliveryState.UNCERTAIN,),
    "not-sent": (DeliveryState.NOT_SENT,),
}
ATTENTION = "attention"
MOST_SEARCHED = 5_000  # messages a subject is found in: the newest


@dataclass(frozen=True, slots=True)
class OutboxFilter:
    """What the list is narrowed to; `group` is one of GROUPS, or ATTENTION."""

    group: str = ""
    recipient: str = ""
    subject: str = ""

    @property
    def is_set(self) -> bool:
        return bool(self.group or self.recipient or self.subject)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    delivery: Delivery
    message: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Server:
    """A row that sends: whether it is on, what is wrong with it, and whether mail waits for it."""

    label: str
    row: Row
    on: bool
    waits: bool
    trouble: SendingTrouble | None


def list_page(session: Session, wanted: OutboxFilter, number: int) -> Page[OutboxRow]:
    """Newest first."""
    ids = _ids_of_page(session, wanted, number)
    query = sa.select(Delivery, OutgoingMessage).join(OutgoingMessage).where(Delivery.id.in_(ids))
    query = query.options(selectinload(Delivery.events))
    found = [OutboxRow(*row) for row in session.execute(query.order_by(Delivery.id.desc()))]
    return make_page(found, number)


def load(session: Session, delivery_id: int, *, whole: bool = False) -> OutboxRow | None:
    """`whole`: with the message's octets."""
    delivery = session.get(Delivery, delivery_id, options=[selectinload(Delivery.events)])
    if delivery is None:
        return None
    options = [undefer(OutgoingMessage.compressed)] if whole else []
    return OutboxRow(delivery, session.get_one(OutgoingMessage, delivery.outgoing_id, options=options))


def any_delivery(session: Session) -> bool:
    return session.scalar(sa.select(Delivery.id).limit(1)) is not None


def servers(session: Session) -> list[Server]:
    """Those a person should know something about: failing, or off while mail waits for them."""
    trouble = {one.row: one for one in session.scalars(sa.select(SendingTrouble))}
    found = [
        Server(outbox.LABELS[row], row, outbox.is_on(session, row), _waits(session, row), trouble.get(row))
        for row in SENDING_ROWS
    ]
    return [one for one in found if (one.trouble if one.on else one.waits)]


def failing(session: Session) -> tuple[SendingTrouble, ...]:
    """Of the rows that are on, those whose mail server fails."""
    query = sa.select(SendingTrouble).join(MailServer, MailServer.row == SendingTrouble.row)
    return tuple(session.scalars(query.where(MailServer.active).order_by(SendingTrouble.since)))


def _waits(session: Session, row: Row) -> bool:
    states = (DeliveryState.QUEUED, DeliveryState.DEFERRED)
    query = sa.select(Delivery.id).where(Delivery.row == row.value, Delivery.state.in_(states)).limit(1)
    return session.scalar(query) is not None


def _ids_of_page(session: Session, wanted: OutboxFilter, number: int) -> Sequence[int]:
    """One page and one more, in the order of an index.

    Of several states no index is in order of time, so each is asked for as many as it could fill.
    """
    begin, end = offset(number), offset(number) + PAGE_SIZE + 1
    query = sa.select(Delivery.id).where(*_conditions(wanted)).order_by(Delivery.id.desc())
    states = GROUPS.get(wanted.group, ())
    if len(states) < 2:
        for state in states:
            query = query.where(Delivery.state == state)
        return session.scalars(query.limit(PAGE_SIZE + 1).offset(begin)).all()
    found = [
        delivery_id
        for state in states
        for delivery_id in session.scalars(query.where(Delivery.state == state).limit(end))
    ]
    return sorted(found, reverse=True)[begin:end]


def _conditions(wanted: OutboxFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.group == ATTENTION:
        conditions.append(Delivery.attention.is_(True))
    if wanted.recipient:
        conditions.append(Delivery.recipient.icontains(wanted.recipient, autoescape=True))
    if wanted.subject:  # from the index of subjects: the messages themselves are large
        alike = (
            sa.select(OutgoingMessage.id)
            .where(OutgoingMessage.subject.icontains(wanted.subject, autoescape=True))
            .order_by(OutgoingMessage.id.desc())
            .limit(MOST_SEARCHED)
        )
        conditions.append(Delivery.outgoing_id.in_(alike))
    return conditions
