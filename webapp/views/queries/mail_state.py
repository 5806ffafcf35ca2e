"""How incoming mail goes right now: the banner of every page and the top of the email log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import mail_servers, options
from webapp.desk.options import IgnoredMail
from webapp.models import Disposition, MailboxIdentity, MailServer, PollRun, Row


@dataclass(frozen=True, slots=True)
class MailState:
    """The incoming row and the mailbox it names, as far as there are any."""

    row: MailServer | None
    mailbox: MailboxIdentity | None

    @property
    def is_set_up(self) -> bool:
        return self.row is not None and bool(self.row.host)

    @property
    def is_active(self) -> bool:
        return self.row is not None and self.is_set_up and self.row.active

    @property
    def failing_since(self) -> datetime | None:
        return self.mailbox.failing_since if self.is_active and self.mailbox else None

    @property
    def word(self) -> str:
        if not self.is_set_up:
            return "Not set up"
        if not self.is_active:
            return "Not active"
        return "Failing" if self.failing_since else "Active"

    @property
    def address(self) -> str:
        """Where customers write to."""
        return (self.row.from_address or self.row.username) if self.row else ""


def load(session: Session) -> MailState:
    row = mail_servers.load(session, Row.INCOMING)
    return MailState(row, mail_servers.mailbox_of(session, row) if row else None)


def last_run(session: Session, mailbox: MailboxIdentity) -> PollRun | None:
    return session.scalar(
        sa.select(PollRun).where(PollRun.mailbox_id == mailbox.id).order_by(PollRun.id.desc()).limit(1)
    )


def run_of(session: Session, mailbox_id: int, at: datetime) -> PollRun | None:
    """The run that recorded something at that moment."""
    return session.scalar(
        sa.select(PollRun)
        .where(PollRun.mailbox_id == mailbox_id, PollRun.started_at <= at, PollRun.finished_at >= at)
        .order_by(PollRun.started_at.desc())
        .limit(1)
    )


def next_run(state: MailState, run: PollRun | None, poll_interval: int) -> datetime | None:
    """When the parser looks again; None while it is not switched on or has never looked."""
    if not state.is_active or state.mailbox is None or run is None:
        return None
    return max(
        state.mailbox.next_poll_at or run.started_at, run.started_at + timedelta(seconds=poll_interval)
    )


def messages_of(run: PollRun) -> int:
    """How many messages a run took in."""
    return sum(int(run.counts.get(kind.value, 0)) for kind in Disposition)


def ignored_mail_sentence(session: Session, state: MailState) -> str:
    if options.ignored_mail(session) is IgnoredMail.LEAVE:
        return "Ignored messages are left in the inbox."
    archive = (state.row.archive_folder if state.row else "") or "Archive"
    return f"Ignored messages are moved to {archive}/Ignored, still unread."
