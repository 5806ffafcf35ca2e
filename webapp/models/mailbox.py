"""Mailboxes the parser has ever polled, how polling them goes, and the runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UtcDateTime


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
    next_poll_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # not before; None: at once
    last_error: Mapped[str] = mapped_column(sa.Text, default="")
    last_cure: Mapped[str] = mapped_column(sa.Text, default="")


class PollRun(Base):
    """One look into a mailbox: when, why it ended, and how many messages became what."""

    __tablename__ = "poll_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox_id: Mapped[int] = mapped_column(sa.ForeignKey("mailbox.id"), index=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    finished_at: Mapped[datetime] = mapped_column(UtcDateTime)
    trigger: Mapped[str] = mapped_column(sa.String(16))  # schedule | command | button
    error: Mapped[str] = mapped_column(sa.Text, default="")  # empty: all went well
    cure: Mapped[str] = mapped_column(sa.Text, default="")
    counts: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
