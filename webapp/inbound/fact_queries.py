"""The questions to the database about a batch of messages: each is asked once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.inbound.case import ReportedDelivery
from webapp.mail.address import fold_addr_spec
from webapp.mail.message import RecipientOutcome
from webapp.models import (
    Account,
    Delivery,
    Entry,
    Inbound,
    OutgoingMessage,
    Role,
    Ticket,
    TicketParticipant,
    TicketStatus,
    User,
    UserAddress,
)

Seen = tuple[int, int | None]  # ledger row, ticket
_STAFF = (Role.TECHNICIAN, Role.ADMINISTRATOR)


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """What decides who may write to a ticket."""

    closed: bool
    requester_id: int | None
    requester_account_id: int | None
    company_id: int | None
    requester_address: str | None
    changed_at: datetime | None = None
    merged_into_id: int | None = None


@dataclass(frozen=True, slots=True)
class DeskAccount:
    """An account of the desk, by its address."""

    id: int
    name: str
    enabled: bool
    is_staff: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A message this desk has sent."""

    id: int
    ticket_id: int | None


def earlier_by_octets(session: Session, digests: set[str]) -> dict[tuple[str, datetime], Seen]:
    columns = sa.select(Inbound.sha256, Inbound.received_at, Inbound.id, Inbound.ticket_id)
    rows = session.execute(columns.where(Inbound.sha256.in_(digests)).order_by(Inbound.id.desc()))
    return {(row.sha256, row.received_at): (row.id, row.ticket_id) for row in rows}


def earlier_by_content(session: Session, fingerprints: set[str]) -> dict[str, Seen]:
    columns = sa.select(Inbound.fingerprint, Inbound.id, Inbound.ticket_id)
    rows = session.execute(columns.where(Inbound.fingerprint.in_(fingerprints)).order_by(Inbound.id.desc()))
    return {row.fingerprint: (row.id, row.ticket_id) for row in rows if row.fingerprint}


def users_by_key(session: Session, keys: set[str]) -> dict[str, sa.Row[str, int, str, int | None, bool]]:
    columns = sa.select(UserAddress.addr_key, User.id, User.name, User.company_id, User.active)
    joined = columns.join(User, User.id == UserAddress.user_id).where(UserAddress.addr_key.in_(keys))
    return {row.addr_key: row for row in session.execute(joined)}


def accounts_by_key(session: Session, keys: set[str]) -> dict[str, DeskAccount]:
    columns = sa.select(Account.email_key, Account.id, Account.name, Account.enabled, Account.role)
    rows = session.execute(columns.where(Account.email_key.in_(keys)))
    return {
        row.email_key: DeskAccount(row.id, row.name, row.enabled, row.role in _STAFF) for row in rows
    }  # fmt: skip


def tickets_by_message_id(session: Session, message_ids: set[str]) -> dict[str, int]:
    """Of several entries with one Message-ID the newest counts."""
    if not message_ids:
        return {}
    columns = sa.select(Entry.message_id, Entry.ticket_id)
    rows = session.execute(columns.where(Entry.message_id.in_(message_ids)).order_by(Entry.id))
    return {row.message_id: row.ticket_id for row in rows if row.message_id}


def sent_by_message_id(session: Session, message_ids: set[str]) -> dict[str, Sent]:
    if not message_ids:
        return {}
    columns = sa.select(OutgoingMessage.message_id, OutgoingMessage.id, OutgoingMessage.ticket_id)
    rows = session.execute(columns.where(OutgoingMessage.message_id.in_(message_ids)))
    return {row.message_id: Sent(row.id, row.ticket_id) for row in rows}


def deliveries_of(
    session: Session, outgoing_id: int, outcomes: Sequence[RecipientOutcome]
) -> tuple[ReportedDelivery, ...]:
    """The deliveries of this message that a report speaks of, in its order, each with the first outcome told.

    A report that names no recipient at all speaks of the only one there was.
    """
    columns = sa.select(Delivery.id, Delivery.recipient, Delivery.recipient_key)
    rows = session.execute(columns.where(Delivery.outgoing_id == outgoing_id)).all()
    if len(rows) == 1 and [one.recipient for one in outcomes] == [""]:
        return (ReportedDelivery(rows[0].id, rows[0].recipient, outcomes[0]),)
    sent = {row.recipient_key: row for row in rows}
    told: dict[str, RecipientOutcome] = {}
    for one in outcomes:
        told.setdefault(fold_addr_spec(one.recipient), one)
    return tuple(
        ReportedDelivery(sent[key].id, sent[key].recipient, one) for key, one in told.items() if key in sent
    )


# Asked for message after message: built once, because building them costs more than asking, and past the ORM,
# which costs as much again.
_TICKET = sa.select(
    Ticket.status, Ticket.requester_id, Ticket.requester_account_id, Ticket.company_id,
    Ticket.requester_address, Ticket.updated_at, Ticket.merged_into_id,
).where(Ticket.id == sa.bindparam("ticket_id"))  # fmt: skip
_PARTICIPANT = sa.select(TicketParticipant.id).where(
    TicketParticipant.ticket_id == sa.bindparam("ticket_id"),
    TicketParticipant.addr_key == sa.bindparam("sender_key"),
)
_OWN_CLAIM = (
    sa.select(Ticket.id)
    .where(
        Ticket.claimed_ticket_id == sa.bindparam("ticket_id"),
        Ticket.requester_key == sa.bindparam("sender_key"),
        Ticket.merged_into_id.is_(None),
    )
    .order_by(Ticket.id.desc())
    .limit(1)
)


def ticket(session: Session, ticket_id: int) -> TicketFacts | None:
    row = session.connection().execute(_TICKET, {"ticket_id": ticket_id}).first()
    return TicketFacts(row.status is TicketStatus.CLOSED, *row[1:]) if row else None


def is_participant(session: Session, ticket_id: int, sender_key: str) -> bool:
    asked = {"ticket_id": ticket_id, "sender_key": sender_key}
    return session.connection().scalar(_PARTICIPANT, asked) is not None


def own_claim(session: Session, ticket_id: int, sender_key: str) -> int | None:
    """The newest ticket that this sender's earlier mail about that ticket became, if it was not joined."""
    asked = {"ticket_id": ticket_id, "sender_key": sender_key}
    claim_id: int | None = session.connection().scalar(_OWN_CLAIM, asked)
    return claim_id
