"""Mailboxes the parser has ever polled, how polling them goes, and the runs."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UtcDateTime, text_enum


class MailboxIdentity(Base):
    """Which mailbox a ledger row belongs to.

    A changed protocol, host, port or account is another mailbox, so a new server's UIDs never meet old
    rows. `epoch_generation` is raised when a server gives a known UID to another message without changing
    UIDVALIDITY. The rest is the back-off state of polling.
    """

    __tablename__ = "mailbox"
    __table_args__ = (sa.UniqueConstraint("protocol", "host", "port", "account"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    protocol: Mapped[str] = mapped_column(sa.String(16))
    host: Mapped[str] = mapped_column(sa.String(255))
    port: Mapped[int]
    account: Mapped[str] = mapped_column(sa.String(320))
    epoch_generation: Mapped[int] = mapped_column(default=0)

    last_success_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    needs_a_person: Mapped[bool] = mapped_column(default=False)  # after the last failure
    next_poll_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # not before; None: at once
    last_error: Mapped[str] = mapped_column(sa.Text, default="")
    last_cure: Mapped[str] = mapped_column(sa.Text, default="")
    first_run_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when the first run ended well
    alerted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # people were told of this failure
    missed_looked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # for messages somebody opened


class PollRun(Base):
    """One look into a mailbox: when, why it ended, and how many messages became what.

    A run that takes messages in has its row from its first batch on. `finished_at` is NULL while it goes,
    and stays so when the program was ended in the middle of it; the next run then says so in `error`.
    """

    __tablename__ = "poll_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox_id: Mapped[int] = mapped_column(sa.ForeignKey("mailbox.id"), index=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    trigger: Mapped[str] = mapped_column(sa.String(16))  # schedule | command | button
    error: Mapped[str] = mapped_column(sa.Text, default="")  # empty: all went well
    cure: Mapped[str] = mapped_column(sa.Text, default="")
    counts: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


class MissedState(enum.StrEnum):
    """What is to become of a message that somebody opened before the parser saw it."""

    FOUND = "found"  # shown, nobody has decided
    WANTED = "wanted"  # a person wants it processed: the next run takes it in
    DISMISSED = "dismissed"  # a person wants it left alone
    PROCESSED = "processed"  # it has a ledger row now
    GONE = "gone"  # it has left the inbox


class MissedMessage(Base):
    """A message that is read in the inbox, newer than the first run, and unknown to the ledger."""

    __tablename__ = "missed_message"
    __table_args__ = (sa.UniqueConstraint("mailbox_id", "epoch", "remote_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox_id: Mapped[int] = mapped_column(sa.ForeignKey("mailbox.id"))
    epoch: Mapped[str] = mapped_column(sa.String(300))
    remote_key: Mapped[str] = mapped_column(sa.String(300))
    size: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    from_addr: Mapped[str | None] = mapped_column(sa.String(320))
    from_name: Mapped[str] = mapped_column(sa.String(320), default="")
    subject: Mapped[str] = mapped_column(sa.Text, default="")
    found_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[MissedState] = mapped_column(text_enum(MissedState), default=MissedState.FOUND, index=True)
