"""The outbox: every message this desk sends, and what became of it for each recipient.

A row is written in the transaction that caused it; sending happens afterwards, from these tables alone.
"""

from __future__ import annotations

import enum
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, UtcDateTime, text_enum


class OutgoingKind(enum.StrEnum):
    """Why a message is sent; only the first two were written by a person."""

    REPLY = "reply"
    INVOICE = "invoice"
    ACKNOWLEDGEMENT = "acknowledgement"
    OPENED = "opened"
    UPDATED = "updated"
    ASSIGNED = "assigned"
    CLOSED = "closed"
    ALERT = "alert"

    @property
    def is_automatic(self) -> bool:
        return self not in (OutgoingKind.REPLY, OutgoingKind.INVOICE)


class DeliveryState(enum.StrEnum):
    """What became of a message for one recipient."""

    QUEUED = "queued"
    SENDING = "sending"  # claimed; `at_final_dot` tells how far it has come
    SENT = "sent"  # the server's 250 was seen
    DEFERRED = "deferred"  # will be tried again at `next_try_at`
    FAILED = "failed"
    UNCERTAIN = "uncertain"  # the connection ended between the final dot and the answer
    NOT_SENT = "not-sent"  # the row was off, a person stopped it, or it was too late: nobody refused it


class OutgoingMessage(Base):
    """One message as composed. Every try sends the same octets, so the Message-ID stays what it is."""

    __tablename__ = "outgoing_message"
    __table_args__ = (
        sa.CheckConstraint("row IN ('outgoing', 'invoice')", name="row_sends"),
        sa.Index("ix_outgoing_message_subject", "id", "subject"),  # searched without reading the messages
        # One message received causes one of each kind to each recipient, whatever crashes.
        sa.UniqueConstraint("inbound_id", "kind", "cause_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[str] = mapped_column(sa.String(16))  # which mail server row sends it
    kind: Mapped[OutgoingKind] = mapped_column(text_enum(OutgoingKind))
    cause_key: Mapped[str] = mapped_column(sa.String(320), default="")  # the recipient, as compared
    message_id: Mapped[str] = mapped_column(sa.String(255), unique=True)
    from_addr: Mapped[str] = mapped_column(sa.String(320))
    subject: Mapped[str] = mapped_column(sa.Text, default="")
    ticket_id: Mapped[int | None] = mapped_column(sa.ForeignKey("ticket.id"), index=True)
    entry_id: Mapped[int | None] = mapped_column(sa.ForeignKey("entry.id"), index=True)
    inbound_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbound.id"))  # what caused it
    invoice_id: Mapped[int | None] = mapped_column(sa.ForeignKey("invoice.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    created_by: Mapped[str] = mapped_column(sa.String(320))  # an account's address, or "parser"
    compressed: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)  # zlib

    deliveries: Mapped[list[Delivery]] = relationship(back_populates="message", order_by="Delivery.id")


class Delivery(Base):
    """One recipient of one message."""

    __tablename__ = "delivery"
    __table_args__ = (
        sa.UniqueConstraint("outgoing_id", "recipient_key"),
        sa.Index("ix_delivery_due", "row", "state", "next_try_at"),
        sa.Index("ix_delivery_state", "state", "id"),  # the list, narrowed to a state
        sa.Index("ix_delivery_recipient", "id", "recipient", "state"),  # the list, searched
        sa.Index("ix_delivery_attention", "attention", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    outgoing_id: Mapped[int] = mapped_column(sa.ForeignKey("outgoing_message.id"))
    row: Mapped[str] = mapped_column(sa.String(16))  # as the message's, to find what is due for one server
    recipient: Mapped[str] = mapped_column(sa.String(320))  # addr-spec as written
    recipient_key: Mapped[str] = mapped_column(sa.String(320), index=True)  # as compared
    state: Mapped[DeliveryState] = mapped_column(text_enum(DeliveryState), default=DeliveryState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)  # written, or sent again by a person
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: nothing is to be tried
    claimed_by: Mapped[str | None] = mapped_column(sa.String(64))  # which worker's try this is
    claimed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    at_final_dot: Mapped[bool] = mapped_column(default=False)  # committed before the dot leaves
    repeated_after_doubt: Mapped[bool] = mapped_column(default=False)  # an UNCERTAIN one, sent once more
    server_words: Mapped[str] = mapped_column(sa.Text, default="")  # the server's last answer
    error: Mapped[str] = mapped_column(sa.Text, default="")  # our sentence about it, with the cure
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when the state became final
    # Failed, uncertain, or reported as failed afterwards, and nobody has seen to it.
    attention: Mapped[bool] = mapped_column(default=False)

    message: Mapped[OutgoingMessage] = relationship(back_populates="deliveries")
    events: Mapped[list[DeliveryEvent]] = relationship(order_by="DeliveryEvent.id")


class DeliveryEvent(Base):
    """What a delivery report (RFC 3464, or an older form) said about a delivery afterwards."""

    __tablename__ = "delivery_event"
    # A report tells of each recipient once.
    __table_args__ = (sa.UniqueConstraint("inbound_id", "delivery_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(sa.ForeignKey("delivery.id"), index=True)
    inbound_id: Mapped[int] = mapped_column(sa.ForeignKey("inbound.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(sa.String(40))  # failed, delayed, delivered, displayed, ...
    status: Mapped[str] = mapped_column(sa.String(20), default="")  # 5.1.1 (RFC 3463)
    words: Mapped[str] = mapped_column(sa.Text, default="")


class SendingTrouble(Base):
    """A row whose mail server fails, or refuses us: everything waits, and one message is tried now and then.

    No row: it works, as far as is known.
    """

    __tablename__ = "sending_trouble"

    row: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    sentence: Mapped[str] = mapped_column(sa.Text)
    cure: Mapped[str] = mapped_column(sa.Text, default="")
    server_words: Mapped[str] = mapped_column(sa.Text, default="")
    failures: Mapped[int] = mapped_column(default=1)  # one after another
    version: Mapped[int]  # of the mail server row; other settings deserve a try at once
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UndeliverableAddress(Base):
    """An address a report said does not exist (5.1.x): nothing is sent there until a person undoes it."""

    __tablename__ = "undeliverable_address"

    addr_key: Mapped[str] = mapped_column(sa.String(320), primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    why: Mapped[str] = mapped_column(sa.Text)
    event_id: Mapped[int | None] = mapped_column(sa.ForeignKey("delivery_event.id"))
