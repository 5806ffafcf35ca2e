"""One run over an open mailbox, step by step (see `poll`)."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from webapp.desk import incoming_rules, mail_servers, notifications, options, thread_marks
from webapp.desk.mail_form import MailServerValues
from webapp.desk.mail_identity import own_addresses
from webapp.failpoints import failpoint
from webapp.inbound import ledger, missed
from webapp.inbound.apply import Destination
from webapp.inbound.batches import in_batches, read_batch
from webapp.inbound.case import Policy
from webapp.inbound.moving import move_pending, recover
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.rebinding import Rebinding
from webapp.inbound.returned import Returned
from webapp.inbound.runs import Run, RunReport, begin_run, keep_counts
from webapp.inbound.taking import NotRecorded, Rules, Taken, take_in
from webapp.instance import Instance
from webapp.mailserver.base import Mailbox, RemoteMessage
from webapp.mailserver.errors import FolderRefused, MailServerError
from webapp.models import MailboxIdentity, Row

LOOK_UP_AT_ONCE = 500
RUN_SECONDS, RUN_MESSAGES = 120.0, 5_000
IGNORED_FOLDER = "Ignored"

logger = logging.getLogger(__name__)


class SubfolderRefused(Exception):
    """The server takes no folder below the archive; the session is used up by the refusal."""


@dataclass(frozen=True, slots=True)
class Way:
    """How far a run may go with this mailbox; narrowed when a server refused the usual way."""

    may_move: bool = True
    subfolder: bool = True  # ignored mail has a folder of its own below the archive


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What this run goes by, read once at its start."""

    mailbox_id: int
    version: int  # of the incoming row
    policy: Policy
    ignored_mail: options.IgnoredMail
    loop_key: bytes | None
    limit_mb: int

    @classmethod
    def load(cls, instance: Instance, mailbox_id: int, version: int, values: MailServerValues) -> RunOptions:
        with instance.database.reading() as session:
            return cls(
                mailbox_id=mailbox_id,
                version=version,
                policy=policy_of(session, values),
                ignored_mail=options.ignored_mail(session),
                loop_key=options.loop_key(session, instance.vault),
                limit_mb=instance.settings.max_message_mb,
            )


def policy_of(session: Session, values: MailServerValues | None) -> Policy:
    """What the incoming row's values and the desk's own settings say about judging mail."""
    general = incoming_rules.load(session)
    policy = Policy(
        same_company=general.same_company,
        reopen_days=general.reopen_days,
        authserv_id=general.authserv_id,
        do_not_reply=general.do_not_reply,
        other_automated=general.other_automated,
        hold_claims=general.hold_claims,
        cc_colleagues=general.cc_colleagues,
        sending_addresses=thread_marks.outgoing_keys(session),
    )
    if values is None:
        return policy
    return replace(
        policy,
        cutoff=values.cutoff_at if values.cutoff_enabled else None,
        process_unknown=values.process_unknown,
        own_addresses=own_addresses(session, values),
    )


class InboxRun:
    """The state of one run: where we are in the mailbox, and what was counted so far."""

    def __init__(
        self,
        instance: Instance,
        mailbox: Mailbox,
        parser: ParserProcess,
        run: Run,
        run_options: RunOptions,
        report: RunReport,
        clock: Callable[[], datetime],
        stop: Callable[[], bool],
        way: Way,
    ) -> None:
        self._instance, self._database = instance, instance.database
        self._mailbox, self._parser = mailbox, parser
        self._run, self._options, self._report = run, run_options, report
        self._clock, self._stop, self._way = clock, stop, way
        self._ends_at = time.monotonic() + RUN_SECONDS
        self._destination: Destination | None = None
        self._rules = Rules(run_options.policy, run_options.loop_key)
        self._returned: dict[str, Returned] = {}
        self._not_recorded = 0

    def work(self) -> None:
        """Finish what is pending, then take in what is unread. Raises MailServerError; what was committed
        stays."""
        failpoint("after_lease")
        self._inbox = self._mailbox.open()
        self._epoch = self._name_epoch(self._inbox.epoch)
        all_settled = self._rebind()
        self._recover()
        with self._database.reading() as session:
            wanted = missed.wanted_keys(session, self._options.mailbox_id, self._epoch)
        self._rules = dataclasses.replace(self._rules, wanted=frozenset(wanted))
        for batch in in_batches(self._new_messages()):
            if not self._may_go_on():
                self._report.drained = False
                break
            self._process(batch)
        if all_settled and self._may_go_on():  # else our own marks would look like a person's
            self._look_for_missed()
        if self._not_recorded:
            raise NotRecorded(f"{self._not_recorded} messages could not be recorded")

    def _name_epoch(self, server_epoch: str) -> str:
        with self._database.reading() as session:
            identity = session.get_one(MailboxIdentity, self._options.mailbox_id)
            return ledger.epoch_name(server_epoch, identity.epoch_generation)

    def _rebind(self) -> bool:
        """Find what an earlier epoch left to be moved; whether all of it was."""
        with self._database.reading() as session:
            void = ledger.void_moves(session, self._options.mailbox_id, self._epoch)
        if not void:
            return True
        rebinding = Rebinding(
            self._mailbox,
            self._database,
            mailbox_id=self._options.mailbox_id,
            epoch=self._epoch,
            limit=self._options.limit_mb * 1_000_000,
            may_go_on=self._may_go_on,
            clock=self._clock,
        )
        if rebinding.work(void):
            return True
        self._report.drained = False
        return False

    def _recover(self) -> None:
        with self._database.reading() as session:
            pending = ledger.pending_moves(session, self._options.mailbox_id, self._epoch)
        if not pending or not self._way.may_move:
            return
        to = self._prepare_folders()
        with self._database.writing() as session:
            ledger.retarget(session, to.mailbox_id, archive=to.archive, ignored=to.ignored)
            pending = ledger.pending_moves(session, to.mailbox_id, self._epoch)
        self._report.counts.moved += recover(self._mailbox, self._database, pending, self._clock())

    def _may_go_on(self) -> bool:
        """Settings changed or switched off mid-run: the current batch was finished, no other starts."""
        if self._is_over() or self._report.counts.processed >= RUN_MESSAGES:
            return False
        with self._database.reading() as session:
            stored = mail_servers.load(session, Row.INCOMING)
            return stored is not None and stored.active and stored.version == self._options.version

    def _is_over(self) -> bool:
        return self._stop() or time.monotonic() > self._ends_at

    def _new_messages(self) -> Iterator[RemoteMessage]:
        """Unread messages the ledger does not know, and those a person asked for.

        All keys are collected before anything is touched.
        """
        keys = self._mailbox.list_unread(since=self._options.policy.cutoff)
        if self._inbox.unread is not None:  # what the server itself left out of the list
            self._report.counts.before_cutoff = max(self._inbox.unread - len(keys), 0)
        if self._rules.wanted:
            yield from self._unknown(self._mailbox.look_up(sorted(self._rules.wanted)))
        for start in range(0, len(keys), LOOK_UP_AT_ONCE):
            some = [key for key in keys[start : start + LOOK_UP_AT_ONCE] if key not in self._rules.wanted]
            yield from self._unknown(self._after_cutoff(self._mailbox.look_up(some)))

    def _after_cutoff(self, listed: list[RemoteMessage]) -> list[RemoteMessage]:
        """The first rule, before a message is even fetched: it stays unread, unmoved and without a row."""
        cutoff = self._options.policy.cutoff
        kept = [message for message in listed if cutoff is None or message.received_at >= cutoff]
        self._report.counts.before_cutoff += len(listed) - len(kept)
        return kept

    def _unknown(self, listed: list[RemoteMessage]) -> list[RemoteMessage]:
        mailbox_id = self._options.mailbox_id
        with self._database.reading() as session:
            if self._inbox.keys_are_for_ever:
                result = ledger.sort_for_ever(session, mailbox_id, self._epoch, listed, self._clock())
            else:
                result = ledger.sort_listed(session, mailbox_id, self._epoch, listed)
        self._returned |= result.returned
        if result.other:
            with self._database.writing() as session:
                ledger.raise_epoch(session, self._options.mailbox_id)
            self._report.drained = False  # the next run sees every message as new
            return []
        if result.back:
            with self._database.writing() as session:
                ledger.mark_pending(session, result.back)
            self._report.drained = False  # the next run moves them again
        return result.new

    def _process(self, batch: list[RemoteMessage]) -> None:
        to = self._prepare_folders()
        limit_mb = self._options.limit_mb
        received = [
            dataclasses.replace(one, returned=self._returned.pop(one.key, None))
            for one in read_batch(self._mailbox, self._parser, batch, limit_mb=limit_mb, enough=self._is_over)
        ]
        if self._is_over():
            self._report.drained = False  # some of the batch may not have been read
        else:
            self._report.counts.vanished += len(batch) - len(received)
        failpoint("after_parse")
        counts = dataclasses.replace(self._report.counts)
        with self._database.writing() as session:
            run_id = self._report.run_id or begin_run(session, self._run)
            to = dataclasses.replace(to, run_id=run_id)
            telling = notifications.begin(session, self._instance)
            taken: Taken = take_in(session, received, self._rules, to, self._clock, telling)
            recorded = [one.key for one in received if one.key not in taken.not_recorded]
            missed.mark_processed(session, to.mailbox_id, to.epoch, recorded)
            counts.add(taken.counts)
            keep_counts(session, run_id, counts)
            failpoint("before_commit")
        failpoint("after_commit")
        for line in taken.told:
            logger.info("%s", line)
        self._report.run_id, self._report.counts = run_id, counts
        self._not_recorded += len(taken.not_recorded)
        if self._way.may_move:
            counts.moved += move_pending(self._mailbox, self._database, taken.moves, self._clock())

    def _prepare_folders(self) -> Destination:
        """Find or make the archive, on first real use: if it cannot be made nothing is taken in."""
        if self._destination is None:
            archive = self._mailbox.find_archive()
            if not archive.exists:
                self._mailbox.create_folder(archive.path)
            self._destination = Destination(
                self._options.mailbox_id, self._epoch, archive.path, self._ignored_folder(archive.path)
            )
        return self._destination

    def _ignored_folder(self, archive: str) -> str | None:
        if self._options.ignored_mail is options.IgnoredMail.LEAVE:
            return None
        if not self._way.subfolder:
            return archive
        folder = self._mailbox.find_subfolder(archive, IGNORED_FOLDER)
        if not folder.exists:
            try:
                self._mailbox.create_folder(folder.path)
            except FolderRefused as error:
                raise SubfolderRefused from error
        return folder.path

    def _look_for_missed(self) -> None:
        """Last of all, and no reason for a run to fail: mail that came has been taken in."""
        mailbox_id, now = self._options.mailbox_id, self._clock()
        try:
            missed.look(
                self._mailbox,
                self._database,
                self._parser,
                mailbox_id=mailbox_id,
                epoch=self._epoch,
                cutoff=self._options.policy.cutoff,
                now=now,
            )
        except MailServerError as error:
            logger.warning("mail that was opened too early could not be looked for: %s", error)
            with self._database.writing() as session:
                missed.mark_looked(session, mailbox_id, now)
