"""The loop of the email parser: one run over the incoming mailbox.

    list unread -> fetch (peek) -> parse -> gather facts -> decide -> apply (one transaction) -> move

The order is what keeps the promise: the effect is committed, and on disk, before the server is told
anything, and a row says that its message is still to be moved. Whatever ends this process, the next run
first finishes what is pending. Nothing is ever deleted on the server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from webapp.desk import mail_servers
from webapp.desk.mail_form import values_of
from webapp.desk.mail_identity import identity_of
from webapp.inbound import ledger
from webapp.inbound.inbox import RUN_SECONDS, InboxRun, RunOptions, SubfolderRefused, Way
from webapp.inbound.lease import lease
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.runs import Failure, Run, RunReport, is_due, mark_cut_short, record_run
from webapp.instance import Instance
from webapp.mailserver.base import Mailbox, ServerSettings
from webapp.mailserver.connect import open_mailbox
from webapp.mailserver.deadline import SECONDS_PER_OCTET, Alarm
from webapp.mailserver.errors import FolderRefused, MailServerError, QuotaExceeded, ServerBusy, Stage
from webapp.mailserver.remedies import explain
from webapp.models import Row
from webapp.vault import VaultError

SCHEDULE = "schedule"  # the trigger that keeps to back-off and lease
LEASE_WAIT_SECONDS = 150.0
# A batch that has begun is finished: so much longer than RUN_SECONDS may a run take, with time for its
# largest message on the slowest line that is let be.
GRACE_SECONDS = 120.0

logger = logging.getLogger(__name__)


class NotPolled(Exception):
    """There is nothing to poll, or it is not due; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """The saved incoming row as this run found it."""

    mailbox_id: int
    version: int
    wanted: mail_servers.Draft
    settings: ServerSettings


def poll(
    instance: Instance,
    parser: ParserProcess,
    *,
    trigger: str,
    connect: Callable[[ServerSettings], Mailbox] = open_mailbox,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    stop: Callable[[], bool] = lambda: False,
) -> RunReport:
    """One run, recorded. A scheduled one keeps to the back-off and to the lease; others wait and go.

    When `stop` says so, the current batch is finished and no other begins.

    Raises NotPolled, LeaseBusy or VaultError before anything was done; a mailbox that fails is a
    report with a failure.
    """
    target = _find_target(instance, clock(), trigger)
    wait = 0.0 if trigger == SCHEDULE else LEASE_WAIT_SECONDS
    with lease(instance, target.mailbox_id, wait=wait):
        run = Run(target.mailbox_id, trigger, clock())
        report = RunReport()
        seconds = deadline_seconds(instance.settings.max_message_mb)
        ends_at = time.monotonic() + seconds

        def pass_over(way: Way) -> None:
            with connect(target.settings) as mailbox, _cut_at(ends_at, mailbox):
                options = RunOptions.load(instance, target.mailbox_id, target.version, target.wanted.values)
                InboxRun(instance, mailbox, parser, run, options, report, clock, stop, way).work()

        def all_passes() -> None:
            with instance.database.writing() as session:
                mark_cut_short(session, run.mailbox_id)
            _work(pass_over)

        report.failure = _run(target, all_passes)
        if report.failure and time.monotonic() >= ends_at:
            report.failure = _too_long(seconds)
        _record(instance, run, report, clock())
    return report


def deadline_seconds(max_message_mb: int) -> float:
    """After so long a run's connection is cut, whatever the server does."""
    return RUN_SECONDS + GRACE_SECONDS + max_message_mb * 1_000_000 * SECONDS_PER_OCTET


@contextmanager
def _cut_at(ends_at: float, mailbox: Mailbox) -> Iterator[None]:
    """Each call has a deadline of its own; this one is for all of them together."""
    alarm = Alarm(mailbox.abort)
    alarm.set(max(ends_at - time.monotonic(), 0.0))
    try:
        yield
    finally:
        alarm.clear()


def _too_long(seconds: float) -> Failure:
    sentence = f"The run was ended after {seconds / 60:.0f} minutes: the mail server kept it waiting."
    return Failure(
        sentence, "The next run goes on from there. If this comes back, ask who runs the server.", False
    )


def _find_target(instance: Instance, now: datetime, trigger: str) -> Target:
    with instance.database.writing() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        if stored is None:
            raise NotPolled("Incoming email is not set up. Set it up with: servicedesk mail set incoming ...")
        if not stored.active:
            raise NotPolled(
                "Incoming email is not active. Turn it on with: servicedesk mail set incoming active=true"
            )
        identity = ledger.find_or_make_mailbox(session, *identity_of(session, values_of(stored)))
        if trigger == SCHEDULE and not is_due(identity, now):
            raise NotPolled(f"Waiting until {identity.next_poll_at:%H:%M:%S} UTC after a failure.")
    try:
        wanted = mail_servers.stored_draft(instance.vault, stored)
    except VaultError as error:
        cure = "Or enter the password again: servicedesk mail set incoming --password-stdin"
        report = RunReport(failure=Failure(str(error), cure, needs_a_person=True))
        _record(instance, Run(identity.id, trigger, now), report, now)
        raise
    settings = mail_servers.server_settings(wanted, instance)
    return Target(identity.id, stored.version, wanted, settings)


def _run(target: Target, work: Callable[[], None]) -> Failure | None:
    """The run itself; every way it can fail becomes a sentence and its cure."""
    try:
        work()
    except MailServerError as error:
        remedy = explain(error, target.settings)
        logger.warning("incoming mail failed at %s: %s", error.stage, type(error).__name__)
        wait = timedelta(seconds=error.retry_after) if isinstance(error, ServerBusy) else timedelta(0)
        return Failure(remedy.sentence, remedy.cure, error.permanent, wait)
    except sa.exc.DBAPIError as error:
        logger.exception("the database failed during a run")
        sentence = f"The database could not be used: {_cause(error).orig}."
        return Failure(sentence, "Check that the disk is not full and may be written to.", False)
    except Exception as error:
        logger.exception("a run failed")
        sentence = f"Something went wrong on our side ({type(error).__name__})."
        return Failure(sentence, "The log has the details. No message was lost.", False)
    return None


def _cause(error: sa.exc.DBAPIError) -> sa.exc.DBAPIError:
    """A full disk ends SQLite's transaction, and what is heard last is that its savepoint is gone."""
    while isinstance(error.__context__, sa.exc.DBAPIError):
        error = error.__context__
    return error


def _work(pass_over: Callable[[Way], None]) -> None:
    """Where the server refuses the usual way, go the next best: a failed session is not used again.

    No folder below the archive: ignored mail goes to the archive itself. Messages cannot be moved (the
    archive is full): tickets are made all the same, and the run fails at its end.
    """
    way = Way()
    try:
        try:
            pass_over(way)
        except SubfolderRefused:
            way = Way(subfolder=False)
            pass_over(way)
    except MailServerError as error:
        if error.stage is Stage.MOVE and isinstance(error, QuotaExceeded | FolderRefused):
            pass_over(replace(way, may_move=False))
        raise


def _record(instance: Instance, run: Run, report: RunReport, now: datetime) -> None:
    """Keep the record of the run; where even that fails the log has it."""
    try:
        with instance.database.writing() as session:
            record_run(session, run, report, now=now)
    except sa.exc.DBAPIError:
        logger.exception("the run could not be recorded")
    if report.counts.processed or report.failure:
        logger.info("run of mailbox %d: %s", run.mailbox_id, report.counts)


__all__ = ["NotPolled", "VaultError", "poll"]
