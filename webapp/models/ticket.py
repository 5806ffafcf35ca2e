"""Tickets and their conversations."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from webapp.mail.address import fold_addr_spec
from webapp.models.account import Account
from webapp.models.base import Base, UtcDateTime, text_enum
from webapp.models.directory import Company, User


class TicketStatus(enum.StrEnum):
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class TicketNotice(enum.StrEnum):
    """What a technician should know before reading."""

    CLAIM = "claim"  # says it belongs to another ticket, from somebody who may not write there
    QUARANTINE = "quarantine"  # the message could not be read; raw mail attached
    TOO_LARGE = "too-large"  # only the header was taken in
    UNVERIFIED = "unverified"  # our own mail server found that the sender's domain did not send it


NOBODYS = sa.text("requester_id IS NULL AND requester_account_id IS NULL")


class Ticket(Base):
    """`id` is the number people see: T-1042."""

    __tablename__ = "ticket"
    __table_args__ = (
        sa.Index("ix_ticket_status_updated_at", "status", "updated_at"),
        # Unknown senders' tickets by address: a user who gets the address gets them at once. requester_id,
        # always NULL here, is part of it because SQLite would else prefer that column's own index.
        sa.Index(
            "ix_ticket_nobodys",
            "requester_id",
            "requester_key",
            sqlite_where=NOBODYS,
            postgresql_where=NOBODYS,
        ),
        # The few that say something before one reads, by status: the email log asks for open claims.
        sa.Index(
            "ix_ticket_notice",
            "notice",
            "status",
            sqlite_where=sa.text("notice IS NOT NULL"),
            postgresql_where=sa.text("notice IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},  # a number is never given twice
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(sa.Text)
    status: Mapped[TicketStatus] = mapped_column(text_enum(TicketStatus), default=TicketStatus.OPEN)
    requester_id: Mapped[int | None] = mapped_column(sa.ForeignKey("directory_user.id"), index=True)
    company_id: Mapped[int | None] = mapped_column(sa.ForeignKey("company.id"), index=True)
    requester_address: Mapped[str | None] = mapped_column(sa.String(320))  # as the mail said
    requester_key: Mapped[str | None] = mapped_column(sa.String(320))  # as compared with a user's address
    requester_name: Mapped[str] = mapped_column(sa.String(320), default="")
    requester_account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"))
    assignee_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"), index=True)
    notice: Mapped[TicketNotice | None] = mapped_column(text_enum(TicketNotice))
    claimed_ticket_id: Mapped[int | None] = mapped_column(sa.ForeignKey("ticket.id"), index=True)
    follow_up_of_id: Mapped[int | None] = mapped_column(sa.ForeignKey("ticket.id"), index=True)
    # The claim was accepted: the conversation went on there, and what comes later goes there too.
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("ticket.id"), index=True)
    # More entries from one sender within an hour than a person writes: nothing automatic is sent meanwhile.
    braked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)

    participants: Mapped[list[TicketParticipant]] = relationship(order_by="TicketParticipant.id")
    requester: Mapped[User | None] = relationship()
    company: Mapped[Company | None] = relationship()
    assignee: Mapped[Account | None] = relationship(foreign_keys=[assignee_id])
    entries: Mapped[list[Entry]] = relationship(back_populates="ticket", order_by="Entry.id")

    @validates("requester_address")
    def _set_requester_key(self, _name: str, address: str | None) -> str | None:
        self.requester_key = requester_key(address)
        return address


def requester_key(address: str | None) -> str | None:
    """What finds the tickets of an address, cut to its column: no user's address is as long as that."""
    return fold_addr_spec(address)[:320] if address else None


class TicketParticipant(Base):
    """Somebody besides the requester who takes part: gets replies as Cc and may write to the ticket."""

    __tablename__ = "ticket_participant"
    __table_args__ = (sa.UniqueConstraint("ticket_id", "addr_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(sa.ForeignKey("ticket.id"))
    addr_spec: Mapped[str] = mapped_column(sa.String(320))
    addr_key: Mapped[str] = mapped_column(sa.String(320), index=True)
    name: Mapped[str] = mapped_column(sa.String(320), default="")
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    added_by: Mapped[str] = mapped_column(sa.String(320))


class EntryKind(enum.StrEnum):
    MAIL = "mail"  # received
    REPLY = "reply"  # sent to the customer
    NOTE = "note"  # internal
    CHANGE = "change"  # status, assignee


class EntryFlag(enum.StrEnum):
    """Why a received entry is to be read with care."""

    NEW_SENDER = "new-sender"  # has the ticket's token and none of its addresses; never becomes a recipient
    UNPROVEN_STAFF = "unproven-staff"  # a technician's mail with missing proof: an internal note
    DISABLED_STAFF = "disabled-staff"  # of an account that may not sign in any more


class Entry(Base):
    """One contribution to a ticket. A message makes exactly one; a higher generation only by hand."""

    __tablename__ = "entry"
    __table_args__ = (sa.UniqueConstraint("inbound_id", "generation"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(sa.ForeignKey("ticket.id"), index=True)
    inbound_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbound.id"))
    generation: Mapped[int] = mapped_column(default=1)
    kind: Mapped[EntryKind] = mapped_column(text_enum(EntryKind), default=EntryKind.MAIL)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"))  # whose note or change
    from_addr: Mapped[str | None] = mapped_column(sa.String(320))
    from_name: Mapped[str] = mapped_column(sa.String(320), default="")
    message_id: Mapped[str | None] = mapped_column(sa.String(255), index=True)
    body_text: Mapped[str] = mapped_column(sa.Text, default="")
    reply_text: Mapped[str] = mapped_column(sa.Text, default="")  # without quoted history and signature
    body_html: Mapped[str | None] = mapped_column(sa.Text, deferred=True)  # sanitised
    # {"to": [[display name, addr-spec]], "cc": [...], "reply_to": [...]}
    recipients: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    invitation: Mapped[dict[str, Any] | None] = mapped_column(
        sa.JSON(none_as_null=True)
    )  # message.Invitation
    protection: Mapped[str | None] = mapped_column(sa.String(32))  # message.PROTECTIONS
    flag: Mapped[EntryFlag | None] = mapped_column(text_enum(EntryFlag))
    form_key: Mapped[str | None] = mapped_column(sa.String(64), unique=True, index=True)  # of the form
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)  # mail: when the server received it

    ticket: Mapped[Ticket] = relationship(back_populates="entries")
    account: Mapped[Account | None] = relationship()
    attachments: Mapped[list[Attachment]] = relationship(order_by="Attachment.position")


class Attachment(Base):
    """A file of a mail entry; its content is taken from the raw message when somebody wants it."""

    __tablename__ = "attachment"

    id: Mapped[int] = mapped_column(primary_key=True)
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("entry.id"), index=True)
    position: Mapped[int]
    filename: Mapped[str] = mapped_column(sa.String(200))
    content_type: Mapped[str] = mapped_column(sa.String(200))
    size: Mapped[int]
    inline: Mapped[bool] = mapped_column(default=False)
    content_id: Mapped[str | None] = mapped_column(sa.String(255))
    sha256: Mapped[str] = mapped_column(sa.String(64))
