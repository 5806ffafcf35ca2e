"""The loop of the email parser: one run over the incoming mailbox.

    list unread -> fetch (peek) -> parse -> gather facts -> decide -> apply (one transaction) -> move

The order is what keeps the promise: the effect is committed, and on disk, before the server is told
anything, and a row says that its message is still to be moved. Whatever ends this process, the next run
first finishes what is pending. Nothing is ever deleted on the server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from webapp.desk import mail_servers
from webapp.inbound import ledger
from webapp.inbound.inbox import InboxRun, RunOptions, SubfolderRefused, Way
from webapp.inbound.lease import lease
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.runs import Failure, RunReport, is_due, record_run
from webapp.instance import Instance
from webapp.mailserver.base import Mailbox, ServerSettings
from webapp.mailserver.connect import open_mailbox
from webapp.mailserver.errors import FolderRefused, MailServerError, QuotaExceeded, Stage
from webapp.mailserver.remedies import explain
from webapp.models import Row
from webapp.vault import VaultError

SCHEDULE = "schedule"  # the trigger that keeps to back-off and lease
LEASE_WAIT_SECONDS = 150.0

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
    with lease(instance.settings.instance, target.mailbox_id, wait=wait):
        started_at = clock()
        report = RunReport()

        def pass_over(way: Way) -> None:
            with connect(target.settings) as mailbox:
                options = RunOptions.load(instance, target.mailbox_id, target.version, target.wanted.values)
                InboxRun(instance, mailbox, parser, options, report, clock, stop, way).work()

        report.failure = _run(target, pass_over)
        _record(instance, target.mailbox_id, report, started_at, clock(), trigger)
    return report


def _find_target(instance: Instance, now: datetime, trigger: str) -> Target:
    with instance.database.writing() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        if stored is None:
            raise NotPolled("Incoming email is not set up. Set it up with: servicedesk mail set incoming ...")
        if not stored.active:
            raise NotPolled(
                "Incoming email is not active. Turn it on with: servicedesk mail set incoming active=true"
            )
        identity = ledger.find_or_make_mailbox(
            session, stored.protocol, stored.host, stored.port, stored.username
        )
        if trigger == SCHEDULE and not is_due(identity, now):
            raise NotPolled(f"Waiting until {identity.next_poll_at:%H:%M:%S} UTC after a failure.")
    try:
        wanted = mail_servers.stored_draft(instance.vault, stored)
    except VaultError as error:
        cure = "Or enter the password again: servicedesk mail set incoming --password-stdin"
        report = RunReport(failure=Failure(str(error), cure, needs_a_person=True))
        _record(instance, identity.id, report, now, now, trigger)
        raise
    settings = mail_servers.server_settings(wanted, instance.settings)
    return Target(identity.id, stored.version, wanted, settings)


def _run(target: Target, pass_over: Callable[[Way], None]) -> Failure | None:
    """The run itself; every way it can fail becomes a sentence and its cure."""
    try:
        _work(pass_over)
    except MailServerError as error:
        remedy = explain(error, target.settings)
        logger.warning("incoming mail failed at %s: %s", error.stage, type(error).__name__)
        return Failure(remedy.sentence, remedy.cure, error.permanent)
    except sa.exc.DBAPIError as error:
        logger.exception("the database failed during a run")
        sentence = f"The database could not be used: {error.orig}."
        return Failure(sentence, "Check that the disk is not full and may be written to.", False)
    except Exception as error:
        logger.exception("a run failed")
        sentence = f"Something went wrong on our side ({type(error).__name__})."
        return Failure(sentence, "The log has the details. No message was lost.", False)
    return None


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


def _record(
    instance: Instance, mailbox_id: int, report: RunReport, started_at: datetime, now: datetime, trigger: str
) -> None:
    """Keep the record of the run; where even that fails the log has it."""
    try:
        with instance.database.writing() as session:
            record_run(session, mailbox_id, report, started_at=started_at, now=now, trigger=trigger)
    except sa.exc.DBAPIError:
        logger.exception("the run could not be recorded")
    if report.counts.processed or report.failure:
        logger.info("run of mailbox %d: %s", mailbox_id, report.counts)


__all__ = ["NotPolled", "VaultError", "poll"]
