"""The ledger: one row for every message ever processed, with what was decided and where it went.

A row is written in the same transaction as its effect; none exists before that commit. The unique key
(mailbox, epoch, remote key) is what makes the effect happen once, whatever crashes.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, UtcDateTime, text_enum


class Disposition(enum.StrEnum):
    """What a message became."""

    TICKET = "ticket"
    UPDATE = "update"
    CLAIM = "claim"
    HELD = "held"
    IGNORED = "ignored"
    REPORT = "report"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"


class Placement(enum.StrEnum):
    """Where the message is: still to be moved, moved, left in the inbox on purpose, or gone."""

    PENDING_MOVE = "pending_move"
    ARCHIVED = "archived"
    LEFT = "left"
    GONE = "gone"


class Inbound(Base):
    __tablename__ = "inbound"
    __table_args__ = (
        sa.UniqueConstraint("mailbox_id", "epoch", "remote_key"),
        sa.Index("ix_inbound_outcome", "disposition", "recorded_at"),
        sa.Index("ix_inbound_pending", "mailbox_id", sqlite_where=sa.text("placement = 'pending_move'"),
                 postgresql_where=sa.text("placement = 'pending_move'")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox_id: Mapped[int] = mapped_column(sa.ForeignKey("mailbox.id"))
    epoch: Mapped[str] = mapped_column(sa.String(300))
    remote_key: Mapped[str] = mapped_column(sa.String(300))
    size: Mapped[int]  # as the server listed it
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)  # INTERNALDATE
    sha256: Mapped[str] = mapped_column(sa.String(64), index=True)
    fingerprint: Mapped[str | None] = mapped_column(sa.String(64), index=True)

    message_id: Mapped[str | None] = mapped_column(sa.String(255))
    from_addr: Mapped[str | None] = mapped_column(sa.String(320))
    from_name: Mapped[str] = mapped_column(sa.String(320), default="")
    subject: Mapped[str] = mapped_column(sa.Text, default="")

    disposition: Mapped[Disposition] = mapped_column(text_enum(Disposition))
    rule: Mapped[str] = mapped_column(sa.String(40))
    saw: Mapped[str] = mapped_column(sa.Text, default="")
    trace: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    defects: Mapped[list[str]] = mapped_column(sa.JSON)
    placement: Mapped[Placement] = mapped_column(text_enum(Placement))
    folder: Mapped[str] = mapped_column(sa.String(300), default="")  # where it is moved or was moved to
    ticket_id: Mapped[int | None] = mapped_column(sa.ForeignKey("ticket.id"), index=True)
    duplicate_of_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbound.id"))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    placed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    run_id: Mapped[int | None]  # the poll run that recorded it; no foreign key: runs are forgotten sooner

    raw: Mapped[RawMessage | None] = relationship(back_populates="inbound")


class RawMessage(Base):
    """The octets as received, zlib-compressed; everything shown is derived from them and can be again."""

    __tablename__ = "raw_message"

    inbound_id: Mapped[int] = mapped_column(sa.ForeignKey("inbound.id"), primary_key=True)
    compressed: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    transport_headers: Mapped[list[list[str]]] = mapped_column(sa.JSON)

    inbound: Mapped[Inbound] = relationship(back_populates="raw")


class HeldVerdict(enum.StrEnum):
    """What a person decided about a held message."""

    JOINED = "joined"  # it is in the ticket it names
    TICKET = "ticket"  # it has a ticket of its own
    REFUSED = "refused"  # it has none
    BLOCKED = "blocked"  # it has none, and its sender is on the block list


class HeldMessage(Base):
    """Mail that names a ticket to which its sender may not write, until a person has decided about it."""

    __tablename__ = "held_message"
    __table_args__ = (
        sa.Index("ix_held_message_waiting", "inbound_id", sqlite_where=sa.text("verdict IS NULL"),
                 postgresql_where=sa.text("verdict IS NULL")),
    )  # fmt: skip

    inbound_id: Mapped[int] = mapped_column(sa.ForeignKey("inbound.id"), primary_key=True)
    claimed_ticket_id: Mapped[int] = mapped_column(sa.ForeignKey("ticket.id"), index=True)
    preview: Mapped[str] = mapped_column(sa.Text, default="")  # how its text begins
    verdict: Mapped[HeldVerdict | None] = mapped_column(text_enum(HeldVerdict))
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    settled_by: Mapped[str] = mapped_column(sa.String(320), default="")

    inbound: Mapped[Inbound] = relationship()


class ActionKind(enum.StrEnum):
    """What a person did about a message after the parser had decided."""

    PROCESS_AGAIN = "process-again"  # the rules once more, as they and the settings are now
    CREATE_TICKET = "create-ticket"  # a ticket, whatever the rules say
    JOIN = "join"  # into the ticket it names, whatever the rules say
    REFUSE = "refuse"  # held back, and no ticket is made of it
    HOLD = "hold"  # one of these two undone: it waits for a decision again
    REPLAY = "replay"  # what is shown was derived from the raw message again
    DISMISS = "dismiss"  # a person has seen it: it needs no attention any more


class InboundAction(Base):
    """One such act; the ledger row keeps what the parser itself decided."""

    __tablename__ = "inbound_action"

    id: Mapped[int] = mapped_column(primary_key=True)
    inbound_id: Mapped[int] = mapped_column(sa.ForeignKey("inbound.id"), index=True)
    kind: Mapped[ActionKind] = mapped_column(text_enum(ActionKind))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(sa.String(320))
    generation: Mapped[int | None]  # of the entry it made
    ticket_id: Mapped[int | None] = mapped_column(sa.ForeignKey("ticket.id"))
    disposition: Mapped[Disposition | None] = mapped_column(text_enum(Disposition))
    rule: Mapped[str] = mapped_column(sa.String(40), default="")
    trace: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON, default=list)
