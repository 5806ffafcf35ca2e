"""Writing into the outbox, in the transaction of whatever causes the message; and what is in there.

Nothing is sent here: `deliver` does that from these rows alone, as soon as they are committed.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.mail.address import fold_addr_spec, sender_of
from webapp.models import (
    Delivery,
    DeliveryState,
    MailServer,
    OutgoingKind,
    OutgoingMessage,
    Row,
    UndeliverableAddress,
)
from webapp.outbound.wake import wake_after_commit

WAITING = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DEFERRED)
WITHDRAWABLE = (DeliveryState.QUEUED, DeliveryState.DEFERRED)
MOST_COUNTED = 100
# Who a message is from that was written before its row had an address: it can be kept, never be sent.
NOBODY = "not-set-up@service-desk.invalid"  # RFC 2606 section 2
LABELS = {Row.OUTGOING: "Outgoing", Row.INVOICE: "Invoice"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A composed message: RFC 5322 octets with CRLF and without Bcc, and what the list shows of it.

    It is compressed when it is made: of one with files that takes a second or two, in which nobody should
    hold the write lock. `message_id` without its angle brackets; `from_addr` is the addr-spec of From.
    """

    raw: InitVar[bytes]
    message_id: str
    from_addr: str
    subject: str
    size: int = field(init=False)  # octets of the message
    compressed: bytes = field(init=False, repr=False)

    def __post_init__(self, raw: bytes) -> None:
        object.__setattr__(self, "size", len(raw))
        object.__setattr__(self, "compressed", zlib.compress(raw))


@dataclass(frozen=True, slots=True)
class Counts:
    """How many deliveries wait, failed, are uncertain, or want a person to look; each up to MOST_COUNTED."""

    waiting: int
    failed: int
    uncertain: int
    attention: int


def enqueue(
    session: Session,
    message: Outgoing,
    recipients: Sequence[str],
    *,
    row: Row,
    kind: OutgoingKind,
    created_by: str,
    now: datetime,
    ticket_id: int | None = None,
    entry_id: int | None = None,
    inbound_id: int | None = None,
    cause_key: str = "",
) -> OutgoingMessage | None:
    """Write the message and a delivery for each recipient; it leaves once the transaction is committed.

    `recipients` are addr-specs; the same address twice is one. Where the row is off nothing is queued, and
    an address known not to exist has failed at once. None where the message received has caused this
    already, whatever crashed meanwhile. Raises ValueError, with nothing written, without recipients and for
    one that is no address.
    """
    by_key = _by_key(recipients)
    if inbound_id is not None and _was_caused(session, inbound_id, kind, cause_key):
        return None
    written = OutgoingMessage(
        row=row.value,
        kind=kind,
        cause_key=cause_key,
        message_id=message.message_id,
        from_addr=message.from_addr,
        subject=message.subject,
        ticket_id=ticket_id,
        entry_id=entry_id,
        inbound_id=inbound_id,
        created_at=now,
        created_by=created_by,
        compressed=message.compressed,
    )
    unreachable = _unreachable(session, by_key)
    on = is_on(session, row)
    for key, recipient in by_key.items():
        delivery = Delivery(row=row.value, recipient=recipient, recipient_key=key, queued_at=now)
        if not on:
            _settle(delivery, DeliveryState.NOT_SENT, now, not_sent_because_off(row))
        elif key in unreachable:
            _settle(delivery, DeliveryState.FAILED, now, address_sentence(unreachable[key]))
            delivery.attention = not kind.is_automatic
        else:
            delivery.state, delivery.next_try_at = DeliveryState.QUEUED, now
        written.deliveries.append(delivery)
    session.add(written)
    session.flush()
    wake_after_commit(session)
    return written


def withdraw(session: Session, messages: sa.Select[Any], *, now: datetime, sentence: str) -> None:
    """What waits of these messages (a query for their ids) is not sent any more; a person can send it."""
    session.execute(
        sa.update(Delivery)
        .where(Delivery.outgoing_id.in_(messages), Delivery.state.in_(WITHDRAWABLE))
        .values(state=DeliveryState.NOT_SENT, error=sentence, next_try_at=None, settled_at=now)
        .execution_options(synchronize_session=False)
    )


def is_on(session: Session, row: Row) -> bool:
    """Whether what is enqueued for this row will be sent."""
    stored = session.get(MailServer, row.value)
    return stored is not None and stored.active


def not_sent_because_off(row: Row) -> str:
    return f"Not sent: {LABELS[row]} is off. Turn it on and send this again."


def address_sentence(why: str) -> str:
    return (
        f"Not sent: this address does not exist, as a delivery report said ({why}). "
        "If that is wrong, allow the address again on its user's page, or on the page of a delivery to it."
    )


def undeliverable(session: Session, keys: Collection[str]) -> dict[str, str]:
    """Those of the addresses, as compared, that a delivery report said do not exist, each with why."""
    return _unreachable(session, keys)


def deliveries_of(session: Session, entry_ids: Collection[int]) -> dict[int, list[Delivery]]:
    """The deliveries of what was sent for these entries of tickets, in the order written."""
    found: dict[int, list[Delivery]] = {}
    query = (
        sa.select(OutgoingMessage.entry_id, Delivery)
        .join(Delivery, Delivery.outgoing_id == OutgoingMessage.id)
        .where(OutgoingMessage.entry_id.in_(entry_ids))
        .order_by(Delivery.id)
    )
    for entry_id, delivery in session.execute(query):
        if entry_id is not None:
            found.setdefault(entry_id, []).append(delivery)
    return found


def deliveries_of_message(session: Session, outgoing_id: int) -> list[Delivery]:
    query = sa.select(Delivery).where(Delivery.outgoing_id == outgoing_id)
    return list(session.scalars(query.order_by(Delivery.id)))


def counts(session: Session) -> Counts:
    """From indexes alone."""
    return Counts(
        waiting=min(sum(_count(session, Delivery.state == state) for state in WAITING), MOST_COUNTED),
        failed=_count(session, Delivery.state == DeliveryState.FAILED),
        uncertain=_count(session, Delivery.state == DeliveryState.UNCERTAIN),
        attention=count_attention(session),
    )


def count_attention(session: Session) -> int:
    """How many failed or uncertain ones nobody has seen to, up to MOST_COUNTED."""
    return _count(session, Delivery.attention.is_(True))


def _count(session: Session, condition: sa.ColumnElement[bool]) -> int:
    few = sa.select(Delivery.id).where(condition).limit(MOST_COUNTED)
    return session.scalar(sa.select(sa.func.count()).select_from(few.subquery())) or 0


def _by_key(recipients: Sequence[str]) -> dict[str, str]:
    if not recipients:
        raise ValueError("a message needs a recipient")
    for recipient in recipients:
        if len(recipient) > 320 or sender_of([recipient]).addr_spec != recipient:
            raise ValueError(f"{recipient!r} is not an email address")
    found: dict[str, str] = {}
    for recipient in recipients:
        found.setdefault(fold_addr_spec(recipient), recipient)
    return found


def _was_caused(session: Session, inbound_id: int, kind: OutgoingKind, cause_key: str) -> bool:
    query = sa.select(OutgoingMessage.id).where(
        OutgoingMessage.inbound_id == inbound_id,
        OutgoingMessage.kind == kind,
        OutgoingMessage.cause_key == cause_key,
    )
    return session.scalar(query) is not None


def _unreachable(session: Session, keys: Collection[str]) -> dict[str, str]:
    query = sa.select(UndeliverableAddress).where(UndeliverableAddress.addr_key.in_(keys))
    return {found.addr_key: found.why for found in session.scalars(query)}


def _settle(delivery: Delivery, state: DeliveryState, now: datetime, sentence: str) -> None:
    delivery.state, delivery.settled_at, delivery.error = state, now, sentence
