"""How polling goes: the record of each run, back-off after failures, and when the next try is due."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import MailboxIdentity, PollRun

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(minutes=30)
KEEP_QUIET_RUNS, KEEP_RUNS = timedelta(days=2), timedelta(days=90)
CUT_SHORT = "The program ended in the middle of this run; the next run went on from there."


@dataclass(slots=True)
class Counts:
    """How many messages became what in one run."""

    ticket: int = 0
    update: int = 0
    claim: int = 0
    held: int = 0  # naming another ticket, waiting for a person
    ignored: int = 0
    report: int = 0
    duplicate: int = 0
    quarantined: int = 0
    before_cutoff: int = 0  # left alone: unread, unmoved
    vanished: int = 0  # gone from the inbox before they were read
    moved: int = 0

    @property
    def processed(self) -> int:
        return (
            self.ticket + self.update + self.claim + self.held + self.ignored + self.report
            + self.duplicate + self.quarantined
        )  # fmt: skip

    def add(self, other: Counts) -> None:
        for name, number in asdict(other).items():
            setattr(self, name, getattr(self, name) + number)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run ended early, in words for people."""

    sentence: str
    cure: str
    needs_a_person: bool  # trying again unchanged will not help
    wait: timedelta = timedelta(0)  # how long the server asked to be left alone


@dataclass(frozen=True, slots=True)
class Run:
    """Which run this is."""

    mailbox_id: int
    trigger: str  # schedule | command | button
    started_at: datetime


@dataclass(slots=True)
class RunReport:
    """What one run did. `drained`: nothing was left that this run should have done."""

    counts: Counts = field(default_factory=Counts)
    failure: Failure | None = None
    drained: bool = True
    next_try_at: datetime | None = None
    run_id: int | None = None  # its row, once it has taken something in


def is_due(identity: MailboxIdentity, now: datetime) -> bool:
    """Whether back-off allows a scheduled run now.

    A time further off than any back-off was written before the clock was put back.
    """
    due_at = identity.next_poll_at
    return due_at is None or due_at <= now or due_at > now + LONGEST_DELAY


def begin_run(session: Session, run: Run) -> int:
    """A row for a run that takes something in, in the transaction of its first batch; its id."""
    row = PollRun(
        mailbox_id=run.mailbox_id, started_at=run.started_at, trigger=run.trigger, counts=asdict(Counts())
    )
    session.add(row)
    session.flush()
    return row.id


def keep_counts(session: Session, run_id: int, counts: Counts) -> None:
    """What was done so far, in the transaction that did it: it is right also when the run never ends."""
    session.execute(sa.update(PollRun).where(PollRun.id == run_id).values(counts=asdict(counts)))


def mark_cut_short(session: Session, mailbox_id: int) -> None:
    """Runs without an end while we hold the lease: whoever made them is gone."""
    session.execute(
        sa.update(PollRun)
        .where(PollRun.mailbox_id == mailbox_id, PollRun.finished_at.is_(None), PollRun.error == "")
        .values(error=CUT_SHORT)
    )


def record_run(session: Session, run: Run, report: RunReport, *, now: datetime) -> None:
    """Store how the run ended and move the back-off on. Sets `report.next_try_at` after a failure."""
    identity = session.get_one(MailboxIdentity, run.mailbox_id)
    failure = report.failure
    if failure is None:
        identity.first_run_at = identity.first_run_at or now
        identity.last_success_at, identity.failing_since, identity.failures = now, None, 0
        identity.next_poll_at, identity.last_error, identity.last_cure = None, "", ""
        identity.needs_a_person = False
    else:
        identity.failing_since = identity.failing_since or now
        identity.failures += 1
        identity.last_error, identity.last_cure = failure.sentence, failure.cure
        identity.needs_a_person = failure.needs_a_person
        identity.next_poll_at = report.next_try_at = now + delay_after(identity.failures, failure)
    _end_row(session, run, report, now)
    _forget_old_runs(session, now)


def delay_after(failures: int, failure: Failure) -> timedelta:
    """1, 2, 4 ... 30 minutes, no less than the server asked for; at once the longest where only a person can
    help (no sign-in lock-outs)."""
    if failure.needs_a_person:
        return LONGEST_DELAY
    doublings = min(failures - 1, 10)
    return min(max(FIRST_DELAY * (1 << doublings), failure.wait), LONGEST_DELAY)


def _end_row(session: Session, run: Run, report: RunReport, now: datetime) -> None:
    row = session.get(PollRun, report.run_id) if report.run_id is not None else None
    if row is None:
        row = PollRun(mailbox_id=run.mailbox_id, started_at=run.started_at, trigger=run.trigger)
        session.add(row)
    row.finished_at = now
    row.error = report.failure.sentence if report.failure else ""
    row.cure = report.failure.cure if report.failure else ""
    row.counts = asdict(report.counts)


def _forget_old_runs(session: Session, now: datetime) -> None:
    """Runs that saw nothing are forgotten soon: one a minute would be half a million rows a year."""
    quiet = sa.and_(
        PollRun.started_at < now - KEEP_QUIET_RUNS,
        PollRun.error == "",
        PollRun.counts["ticket"].as_integer() + PollRun.counts["moved"].as_integer() == 0,
    )
    session.execute(sa.delete(PollRun).where(sa.or_(quiet, PollRun.started_at < now - KEEP_RUNS)))
