"""How polling goes: the record of each run, back-off after failures, and when the next try is due."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import MailboxIdentity, PollRun

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(minutes=30)
KEEP_QUIET_RUNS, KEEP_RUNS = timedelta(days=2), timedelta(days=90)


@dataclass(slots=True)
class Counts:
    """How many messages became what in one run."""

    ticket: int = 0
    update: int = 0
    claim: int = 0
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
            self.ticket + self.update + self.claim + self.ignored + self.report + self.duplicate
            + self.quarantined
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


@dataclass(slots=True)
class RunReport:
    """What one run did. `drained`: nothing was left that this run should have done."""

    counts: Counts = field(default_factory=Counts)
    failure: Failure | None = None
    drained: bool = True
    next_try_at: datetime | None = None


def is_due(identity: MailboxIdentity, now: datetime) -> bool:
    """Whether back-off allows a scheduled run now."""
    return identity.next_poll_at is None or identity.next_poll_at <= now


def record_run(
    session: Session, mailbox_id: int, report: RunReport, *, started_at: datetime, now: datetime, trigger: str
) -> None:
    """Store the run and move the back-off on. Sets `report.next_try_at` after a failure."""
    identity = session.get_one(MailboxIdentity, mailbox_id)
    failure = report.failure
    if failure is None:
        identity.last_success_at, identity.failing_since, identity.failures = now, None, 0
        identity.next_poll_at, identity.last_error, identity.last_cure = None, "", ""
    else:
        identity.failing_since = identity.failing_since or now
        identity.failures += 1
        identity.last_error, identity.last_cure = failure.sentence, failure.cure
        identity.next_poll_at = report.next_try_at = now + delay_after(identity.failures, failure)
    session.add(
        PollRun(
            mailbox_id=mailbox_id, started_at=started_at, finished_at=now, trigger=trigger,
            error=failure.sentence if failure else "", cure=failure.cure if failure else "",
            counts=asdict(report.counts),
        )
    )  # fmt: skip
    _forget_old_runs(session, now)


def delay_after(failures: int, failure: Failure) -> timedelta:
    """1, 2, 4 ... 30 minutes; at once the longest where only a person can help (no sign-in lock-outs)."""
    if failure.needs_a_person:
        return LONGEST_DELAY
    doublings = min(failures - 1, 10)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def _forget_old_runs(session: Session, now: datetime) -> None:
    """Runs that saw nothing are forgotten soon: one a minute would be half a million rows a year."""
    quiet = sa.and_(
        PollRun.started_at < now - KEEP_QUIET_RUNS,
        PollRun.error == "",
        PollRun.counts["ticket"].as_integer() + PollRun.counts["moved"].as_integer() == 0,
    )
    session.execute(sa.delete(PollRun).where(sa.or_(quiet, PollRun.started_at < now - KEEP_RUNS)))
