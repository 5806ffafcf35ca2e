"""How incoming mail goes right now: the banner of every page and the top of the email log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import mail_servers, options
from webapp.desk.options import IgnoredMail
from webapp.inbound.inbox import IGNORED_FOLDER
from webapp.inbound.liveness import Trouble, find_trouble
from webapp.models import Disposition, Inbound, MailboxIdentity, MailServer, Placement, PollRun, Row

LOOKED_BACK = 200  # ignored messages, for the folder the last of them was moved to


@dataclass(frozen=True, slots=True)
class MailState:
    """The incoming row and the mailbox it names, as far as there are any."""

    row: MailServer | None
    mailbox: MailboxIdentity | None
    trouble: Trouble | None = None  # what the banner says; one failed run is none yet

    @property
    def is_set_up(self) -> bool:
        return self.row is not None and self.row.is_set_up

    @property
    def is_active(self) -> bool:
        return self.row is not None and self.is_set_up and self.row.active

    @property
    def failing_since(self) -> datetime | None:
        return self.trouble.since if self.trouble else None

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
        return self.row.address if self.row else ""


def load(session: Session) -> MailState:
    """The row and its mailbox; whether mail comes in is not looked at."""
    row = mail_servers.load(session, Row.INCOMING)
    return MailState(row, mail_servers.mailbox_of(session, row) if row else None)


def load_judged(session: Session, *, now: datetime, patience: timedelta, up_since: datetime) -> MailState:
    """The same, and whether mail comes in (see `liveness`)."""
    state = load(session)
    if not state.is_active or state.row is None:
        return state
    trouble = find_trouble(state.row, state.mailbox, now=now, patience=patience, up_since=up_since)
    return replace(state, trouble=trouble)


def last_run(session: Session, mailbox: MailboxIdentity) -> PollRun | None:
    """The last one that ended; one that is going, or was cut short, has no end."""
    return session.scalar(
        sa.select(PollRun)
        .where(PollRun.mailbox_id == mailbox.id, PollRun.finished_at.is_not(None))
        .order_by(PollRun.id.desc())
        .limit(1)
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
    return f"Ignored messages are moved to {ignored_folder(session, state)}, still unread."


def ignored_folder(session: Session, state: MailState) -> str:
    """Where ignored mail is moved to: by its name on the server, once some was moved there.

    Before that only the server knows what its archive is called and how names of subfolders are written.
    """
    archive = state.row.archive_folder if state.row else ""
    moved_to = _last_ignored_folder(session, state.mailbox.id) if state.mailbox else None
    if moved_to and archive in moved_to:
        return f"“{moved_to}”"
    return f"the subfolder “{IGNORED_FOLDER}” of {f'“{archive}”' if archive else 'the archive folder'}"


def _last_ignored_folder(session: Session, mailbox_id: int) -> str | None:
    newest = (
        sa.select(Inbound.id, Inbound.mailbox_id, Inbound.placement, Inbound.folder)
        .where(Inbound.disposition == Disposition.IGNORED)
        .order_by(Inbound.recorded_at.desc(), Inbound.id.desc())
        .limit(LOOKED_BACK)
        .subquery()
    )
    return session.scalar(
        sa.select(newest.c.folder)
        .where(newest.c.mailbox_id == mailbox_id, newest.c.placement == Placement.ARCHIVED)
        .order_by(newest.c.id.desc())
        .limit(1)
    )
