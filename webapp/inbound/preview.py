"""What the email parser would do with the inbox right now, message by message, without doing it.

    list unread -> look up -> fetch (peek) -> parse -> gather facts -> decide

The steps are those of a run (see `poll`) on a mailbox opened read-only and a database that is only read.
Nothing is moved, marked, created or recorded, and the mailbox's lease is not needed.
"""

from __future__ import annotations

import heapq
import math
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from webapp.desk import mail_servers, options
from webapp.desk.mail_servers import Draft
from webapp.inbound.batches import in_batches, read_batch, understand_header
from webapp.inbound.dry_run import DryRun, PreviewRow, known_row
from webapp.inbound.inbox import IGNORED_FOLDER, LOOK_UP_AT_ONCE
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.runs import Counts
from webapp.instance import Instance
from webapp.mailserver.base import ArchiveFolder, Mailbox, RemoteMessage, ServerSettings
from webapp.mailserver.connect import open_mailbox
from webapp.models import Disposition

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Preview:
    """What was seen, and what would become of it.

    `unread`, `before_cutoff`, `oldest` and `newest` speak of all unread messages, `rows` of those that were
    looked at. `counts` are those of the runs it would take, as far as it was looked; before_cutoff in full.
    """

    rows: tuple[PreviewRow, ...]  # in the order of a run: the oldest first
    unread: int
    looked: int  # messages gone through, vanished ones too
    counts: Counts
    oldest: datetime | None  # received_at, whatever the date says; None: nothing is unread
    newest: datetime | None
    before_cutoff: int
    archive: ArchiveFolder
    ignored_folder: str | None  # None: ignored mail stays in the inbox
    partial: bool  # not all unread messages were looked at
    took: float  # seconds
    cutoff: datetime | None
    all_dated: bool  # every time of receipt was read: stopped before, `oldest` and `newest` may be wrong
    times: array[float] = field(repr=False)  # when each unread message was received, sorted, POSIX seconds

    def newer_than(self, moment: datetime) -> int:
        """How many of all unread messages a date set to `moment` lets through (INTERNALDATE >= moment)."""
        return len(self.times) - bisect_left(self.times, moment.timestamp())

    def folder_of(self, row: PreviewRow) -> str | None:
        """Where the message would be moved; None: it stays in the inbox."""
        if row.stays:
            return None
        return self.ignored_folder if row.disposition is Disposition.IGNORED else self.archive.path


def preview(
    instance: Instance,
    wanted: Draft,
    *,
    limit: int | None = None,
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    connect: Callable[[ServerSettings], Mailbox] = open_mailbox,
    parser: ParserProcess | None = None,
) -> Preview:
    """A dry run over the mailbox that `wanted` names, saved or not, active or not.

    `limit`: only the newest so many of the unread messages are looked at; a reply whose original is not
    among them is then judged without it. `progress` is told how many of how many are done. When
    `cancelled` says so, it ends after the current batch, with a preview that is `partial`.

    Raises MailServerError.
    """
    settings = mail_servers.server_settings(wanted, instance)
    with ExitStack() as stack:
        mailbox = stack.enter_context(connect(settings))
        parser = parser or stack.enter_context(ParserProcess())
        return _Look(instance, wanted, mailbox, parser, progress, cancelled).work(limit)


class _Look:
    """The state of one dry run."""

    def __init__(
        self,
        instance: Instance,
        wanted: Draft,
        mailbox: Mailbox,
        parser: ParserProcess,
        progress: Progress,
        cancelled: Callable[[], bool],
    ) -> None:
        self._started = time.monotonic()
        self._mailbox, self._parser = mailbox, parser
        self._progress, self._cancelled = progress, cancelled
        inbox = mailbox.open(read_only=True)
        self._dry_run = DryRun(instance, wanted, inbox.epoch, keys_are_for_ever=inbox.keys_are_for_ever)
        self._rows: list[PreviewRow] = []
        self._looked = self._total = self._vanished = 0
        self._all_dated = True
        self._positions: dict[str, int] = {}

    def work(self, limit: int | None) -> Preview:
        archive = self._mailbox.find_archive()
        ignored_folder = self._ignored_folder(archive.path)
        keys = self._mailbox.list_unread()
        times = self._receipts(keys)
        chosen = _newest(times, limit)
        self._look_at([keys[index] for index in chosen])
        known = array("d", sorted(moment for moment in times if not math.isnan(moment)))
        cutoff = self._dry_run.policy.cutoff
        before_cutoff = bisect_left(known, cutoff.timestamp()) if cutoff else 0
        return Preview(
            rows=tuple(self._rows),
            unread=len(keys),
            looked=self._looked,
            counts=self._counts(before_cutoff, ignored_folder),
            oldest=_moment(known[0]) if known else None,
            newest=_moment(known[-1]) if known else None,
            before_cutoff=before_cutoff,
            archive=archive,
            ignored_folder=ignored_folder,
            partial=self._looked < len(keys),
            took=time.monotonic() - self._started,
            cutoff=cutoff,
            all_dated=self._all_dated,
            times=known,
        )

    def _ignored_folder(self, archive: str) -> str | None:
        if self._dry_run.ignored_mail is options.IgnoredMail.LEAVE:
            return None
        return self._mailbox.find_subfolder(archive, IGNORED_FOLDER).path

    def _receipts(self, keys: Sequence[str]) -> array[float]:
        """When each message was received, in the order of `keys`; not a number where it is not there."""
        times = array("d")
        for start in range(0, len(keys), LOOK_UP_AT_ONCE):
            chunk = keys[start : start + LOOK_UP_AT_ONCE]
            if self._cancelled():
                self._all_dated = False
                times.extend([math.nan] * (len(keys) - start))
                break
            listed = self._mailbox.look_up(chunk)
            self._dry_run.void_epoch_if_other(listed, self._dry_run.known(listed))
            found = {message.key: message.received_at.timestamp() for message in listed}
            times.extend(found.get(key, math.nan) for key in chunk)
        return times

    def _look_at(self, keys: Sequence[str]) -> None:
        """Go through these messages as a run does, batch after batch."""
        self._total = len(keys)
        self._tell(0)
        for batch in in_batches(self._new_messages(keys)):
            if self._cancelled():
                break
            received = read_batch(self._mailbox, self._parser, batch, limit_mb=self._dry_run.limit_mb)
            self._vanished += len(batch) - len(received)
            self._rows += self._dry_run.judge(received, self._positions)
            self._tell(len(batch))
        self._rows.sort(key=lambda row: row.position)  # a batch's too large messages were judged last

    def _new_messages(self, keys: Sequence[str]) -> Iterator[RemoteMessage]:
        """Those a run would fetch. The others get their rows on the way: known ones, and those too old."""
        for start in range(0, len(keys), LOOK_UP_AT_ONCE):
            if self._cancelled():
                return
            chunk = keys[start : start + LOOK_UP_AT_ONCE]
            self._positions.update((key, start + number) for number, key in enumerate(chunk, 1))
            listed = self._mailbox.look_up(chunk)
            known = self._dry_run.known(listed)
            for message in listed:
                if row := known.get(message.key):
                    self._rows.append(known_row(self._positions[message.key], message, row))
            self._vanished += len(chunk) - len(listed)
            self._tell(len(chunk) - len(listed) + len(known))
            unknown = [message for message in listed if message.key not in known]
            self._leave_alone(filter(self._dry_run.is_before_cutoff, unknown))
            yield from (message for message in unknown if not self._dry_run.is_before_cutoff(message))

    def _leave_alone(self, messages: Iterable[RemoteMessage]) -> None:
        """Rows of messages before the date: their header is all that is fetched."""
        for batch in in_batches(messages):
            if self._cancelled():
                return
            listed = {message.key: message for message in batch}
            for fetched in self._mailbox.fetch_headers(list(listed)):
                message = understand_header(self._parser, fetched)
                position = self._positions[fetched.key]
                self._rows.append(self._dry_run.leave_alone(position, listed[fetched.key], message))
            self._tell(len(batch))

    def _tell(self, more: int) -> None:
        self._looked += more
        self._progress(self._looked, self._total)

    def _counts(self, before_cutoff: int, ignored_folder: str | None) -> Counts:
        counts = Counts(before_cutoff=before_cutoff, vanished=self._vanished)
        for row in self._rows:
            if row.placed is None and row.disposition is not None:
                setattr(counts, row.disposition.value, getattr(counts, row.disposition.value) + 1)
            is_left = row.disposition is Disposition.IGNORED and ignored_folder is None
            counts.moved += not row.stays and not is_left
        return counts


def _newest(times: array[float], limit: int | None) -> list[int] | range:
    """Places in the list of the newest `limit` messages, in the order of the list."""
    if limit is None or len(times) <= limit:
        return range(len(times))
    places = range(len(times))
    return sorted(heapq.nlargest(limit, places, key=lambda place: (_sortable(times[place]), place)))


def _sortable(moment: float) -> float:
    return -math.inf if math.isnan(moment) else moment


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
