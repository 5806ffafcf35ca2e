"""One run over an open mailbox, step by step (see `poll`)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import mail_servers, options
from webapp.desk.mail_form import MailServerValues
from webapp.failpoints import failpoint
from webapp.inbound import ledger
from webapp.inbound.apply import Applied, Destination, Received, apply
from webapp.inbound.decide import Decision, Facts, Policy, Step, decide
from webapp.inbound.facts import FactsReader
from webapp.inbound.ledger import PendingMove
from webapp.inbound.moving import move_pending, recover
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.reading import quarantined, read_header_only, read_message
from webapp.inbound.runs import Counts, RunReport
from webapp.instance import Instance
from webapp.mail.address import fold_addr_spec
from webapp.mailserver.base import Mailbox, RemoteMessage
from webapp.mailserver.errors import FolderRefused
from webapp.models import Disposition, Inbound, MailboxIdentity, Row, TicketNotice

LOOK_UP_AT_ONCE = 500
BATCH_MESSAGES, BATCH_OCTETS = 50, 8_000_000
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
                policy=policy_of(values),
                ignored_mail=options.ignored_mail(session),
                loop_key=options.loop_key(session, instance.vault),
                limit_mb=instance.settings.max_message_mb,
            )


def policy_of(values: MailServerValues) -> Policy:
    """The rules' settings of the incoming row."""
    return Policy(
        cutoff=values.cutoff_at if values.cutoff_enabled else None,
        process_unknown=values.process_unknown,
        own_addresses=frozenset({fold_addr_spec(values.username)} if "@" in values.username else ()),
    )


class InboxRun:
    """The state of one run: where we are in the mailbox, and what was counted so far."""

    def __init__(
        self,
        instance: Instance,
        mailbox: Mailbox,
        parser: ParserProcess,
        run_options: RunOptions,
        report: RunReport,
        clock: Callable[[], datetime],
        stop: Callable[[], bool],
        way: Way,
    ) -> None:
        self._database, self._mailbox, self._parser = instance.database, mailbox, parser
        self._options, self._report, self._clock, self._stop = run_options, report, clock, stop
        self._ends_at = time.monotonic() + RUN_SECONDS
        self._destination: Destination | None = None
        self._way = way

    def work(self) -> None:
        """Recover, then take in what is unread. Raises MailServerError; what was committed stays."""
        failpoint("after_lease")
        self._inbox = self._mailbox.open()
        self._epoch = self._name_epoch(self._inbox.epoch)
        self._recover()
        for batch in self._batches():
            if not self._may_go_on():
                self._report.drained = False
                break
            self._process(batch)

    def _name_epoch(self, server_epoch: str) -> str:
        with self._database.reading() as session:
            identity = session.get_one(MailboxIdentity, self._options.mailbox_id)
            return ledger.epoch_name(server_epoch, identity.epoch_generation)

    def _recover(self) -> None:
        with self._database.reading() as session:
            pending = ledger.pending_moves(session, self._options.mailbox_id, self._epoch)
        if pending and self._way.may_move:
            self._report.counts.moved += recover(self._mailbox, self._database, pending, self._clock())

    def _may_go_on(self) -> bool:
        """Settings changed or switched off mid-run: the current batch was finished, no other starts."""
        if self._stop() or time.monotonic() > self._ends_at:
            return False
        if self._report.counts.processed >= RUN_MESSAGES:
            return False
        with self._database.reading() as session:
            stored = mail_servers.load(session, Row.INCOMING)
            return stored is not None and stored.active and stored.version == self._options.version

    def _batches(self) -> Iterator[list[RemoteMessage]]:
        """New messages, oldest first, at most 50 and 8 MB at a time; a larger one comes alone."""
        batch: list[RemoteMessage] = []
        octets = 0
        for message in self._new_messages():
            if batch and (len(batch) == BATCH_MESSAGES or octets + message.size > BATCH_OCTETS):
                yield batch
                batch, octets = [], 0
            batch.append(message)
            octets += message.size
        if batch:
            yield batch

    def _new_messages(self) -> Iterator[RemoteMessage]:
        """Unread messages the ledger does not know. All keys are collected before anything is touched."""
        keys = self._mailbox.list_unread(since=self._options.policy.cutoff)
        if self._inbox.unread is not None:  # what the server itself left out of the list
            self._report.counts.before_cutoff = max(self._inbox.unread - len(keys), 0)
        for start in range(0, len(keys), LOOK_UP_AT_ONCE):
            listed = self._mailbox.look_up(keys[start : start + LOOK_UP_AT_ONCE])
            yield from self._unknown(self._after_cutoff(listed))

    def _after_cutoff(self, listed: list[RemoteMessage]) -> list[RemoteMessage]:
        """The first rule, before a message is even fetched: it stays unread, unmoved and without a row."""
        cutoff = self._options.policy.cutoff
        kept = [message for message in listed if cutoff is None or message.received_at >= cutoff]
        self._report.counts.before_cutoff += len(listed) - len(kept)
        return kept

    def _unknown(self, listed: list[RemoteMessage]) -> list[RemoteMessage]:
        with self._database.reading() as session:
            result = ledger.sort_listed(session, self._options.mailbox_id, self._epoch, listed)
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
        destination = self._prepare_folders()
        received = self._read(batch)
        failpoint("after_parse")
        counts = Counts()
        with self._database.writing() as session:
            moves = self._take_in_all(session, received, destination, counts)
            failpoint("before_commit")
        failpoint("after_commit")
        self._report.counts.add(counts)
        if self._way.may_move:
            self._report.counts.moved += move_pending(self._mailbox, self._database, moves, self._clock())

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

    def _read(self, batch: Sequence[RemoteMessage]) -> list[Received]:
        """Fetch and parse the batch; a vanished message is left out, a too large one becomes a stub."""
        limit = self._options.limit_mb * 1_000_000
        listed = {message.key: message for message in batch}
        whole = [message.key for message in batch if message.size <= limit]
        received = [
            read_message(self._parser, listed[fetched.key], fetched) for fetched in self._mailbox.fetch(whole)
        ]
        for message in batch:
            if message.size > limit and (header := self._mailbox.fetch_header(message.key)):
                received.append(
                    read_header_only(self._parser, message, header, limit_mb=self._options.limit_mb)
                )
        self._report.counts.vanished += len(batch) - len(received)
        failpoint("after_fetch")
        return received

    def _take_in_all(
        self, session: Session, batch: Sequence[Received], to: Destination, counts: Counts
    ) -> list[PendingMove]:
        """The batch's rows; returns what is to be moved now."""
        keys = [received.key for received in batch]
        recorded = ledger.recorded_keys(session, to.mailbox_id, to.epoch, keys)
        void_moves = ledger.has_void_moves(session, to.mailbox_id, to.epoch)
        new = [received for received in batch if received.key not in recorded]  # else another process did it
        asked = [(received.message, received.identity) for received in new]
        reader = FactsReader(session, asked, loop_key=self._options.loop_key)
        moves = []
        for received in new:
            if void_moves and ledger.rebind(
                session, to.mailbox_id, to.epoch, received.key, received.identity
            ):
                moves.append(self._pending(session, to, received.key))
            elif move := self._take_in(session, reader, received, to, counts):
                moves.append(move)
        return moves

    def _take_in(
        self, session: Session, reader: FactsReader, received: Received, to: Destination, counts: Counts
    ) -> PendingMove | None:
        """One message: its effect and its row, and whether it is to be moved now."""
        applied = self._judge_or_quarantine(session, reader, received, to)
        failpoint("in_tx")
        if applied is None:
            return None
        reader.remember(received.identity, applied.inbound_id, applied.ticket_id, applied.entry_message_id)
        setattr(counts, applied.disposition.value, getattr(counts, applied.disposition.value) + 1)
        if not applied.folder:
            return None
        ignored = applied.disposition is Disposition.IGNORED
        return PendingMove(applied.inbound_id, received.key, applied.folder, ignored)

    def _judge_or_quarantine(
        self, session: Session, reader: FactsReader, received: Received, to: Destination
    ) -> Applied | None:
        """In a savepoint each: what fails here must not undo the neighbours, nor stop the queue for ever."""
        try:
            with session.begin_nested():
                return self._judge(session, reader, received, to)
        except sa.exc.IntegrityError:
            return None  # the unique keys: another process was quicker
        except (sa.exc.OperationalError, sa.exc.InterfaceError):
            raise  # the database, not the message
        except Exception as error:
            logger.exception("message %s of %s could not be processed", received.key, to.epoch)
            received = quarantined(received, f"could not be processed: {type(error).__name__}")
            with session.begin_nested():
                return apply(session, received, Facts(), _quarantine(received), to, now=self._clock())

    def _judge(
        self, session: Session, reader: FactsReader, received: Received, to: Destination
    ) -> Applied | None:
        """Facts, decision, effect."""
        facts = reader.gather(received.message, received.identity)
        decision = decide(received.message, received.identity.received_at, self._options.policy, facts)
        if received.notice is TicketNotice.QUARANTINE and decision.disposition is not Disposition.DUPLICATE:
            decision = _quarantine(received, decision.trace)
        if decision.disposition is None:
            return None
        return apply(session, received, facts, decision, to, now=self._clock())

    def _pending(self, session: Session, to: Destination, key: str) -> PendingMove:
        query = sa.select(Inbound).filter_by(mailbox_id=to.mailbox_id, epoch=to.epoch, remote_key=key)
        inbound = session.scalars(query).one()
        return PendingMove(inbound.id, key, inbound.folder, inbound.disposition is Disposition.IGNORED)


def _quarantine(received: Received, trace: tuple[Step, ...] = ()) -> Decision:
    """A message that could not be read is shown to a person, whatever the rules make of its header."""
    saw = received.message.defects[-1]
    return Decision(Disposition.QUARANTINED, "quarantine", saw, (*trace, Step("quarantine", True, saw)))
