"""What would become of the unread messages, from their headers alone: the last stage of Test Connection.

Quick and rough beside a preview: at most the 200 newest messages, no bodies, so a copy of a message that
was processed before counts as new here. The same facts and the same rules otherwise.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from webapp.desk.mail_protocols import CLASSIC
from webapp.desk.mail_servers import Draft
from webapp.inbound.batches import in_batches, understand_header
from webapp.inbound.dry_run import DryRun, PreviewRow, known_row
from webapp.inbound.facts import Identity
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.received import Received
from webapp.instance import Instance
from webapp.mailserver.base import FetchedMessage, Mailbox, RemoteMessage
from webapp.mailserver.diagnosis import Foreseen
from webapp.models import Disposition

NEWEST = 200
SECONDS_A_HEADER = 2.0  # a test as a whole ends within a minute
# The counts' names, in the order they are told, and their words for one and for several.
WORDS = {
    "ticket": ("new ticket", "new tickets"),
    "update": ("update", "updates"),
    "held": ("held for a decision", "held for a decision"),
    "too_old": ("too old", "too old"),
    "automatic": ("automatic", "automatic"),
    "unknown_sender": ("unknown sender", "unknown senders"),
    "other": ("other", "other"),
}


def foresee(instance: Instance, wanted: Draft) -> Callable[[Mailbox], Foreseen]:
    """A look at an inbox that is open already; it only reads. That look raises MailServerError."""

    def look(mailbox: Mailbox) -> Foreseen:
        keys = mailbox.list_unread()
        newest = keys[-NEWEST:]
        with ParserProcess(seconds=SECONDS_A_HEADER) as parser:
            for_ever = wanted.values.protocol not in CLASSIC
            dry_run = DryRun(instance, wanted, None, keys_are_for_ever=for_ever)
            rows = list(_look_at(dry_run, mailbox, parser, newest))
        counts = Counter(map(kind_of, rows))
        told = {kind: counts[kind] for kind in WORDS}
        return Foreseen(_fact(told, len(newest), len(keys)), told, looked=len(newest), unread=len(keys))

    return look


def _look_at(
    dry_run: DryRun, mailbox: Mailbox, parser: ParserProcess, keys: Sequence[str]
) -> Iterator[PreviewRow]:
    positions = {key: number for number, key in enumerate(keys, 1)}
    listed = mailbox.look_up(keys)
    known = dry_run.known(listed)
    yield from (known_row(positions[m.key], m, known[m.key]) for m in listed if m.key in known)
    for batch in in_batches(message for message in listed if message.key not in known):
        by_key = {message.key: message for message in batch}
        received = []
        for fetched in mailbox.fetch_headers(list(by_key)):
            message = by_key[fetched.key]
            if dry_run.is_before_cutoff(message):
                understood = understand_header(parser, fetched)
                yield dry_run.leave_alone(positions[message.key], message, understood)
            else:
                received.append(_read(parser, message, fetched))
        yield from dry_run.judge(received, positions)


def _read(parser: ParserProcess, listed: RemoteMessage, fetched: FetchedMessage) -> Received:
    digest = hashlib.sha256(fetched.raw + f"{listed.key} {listed.size}".encode()).hexdigest()
    return Received(
        key=listed.key,
        size=listed.size,
        identity=Identity(digest, listed.received_at, None),
        compressed=b"",
        transport_headers=fetched.transport_headers,
        message=understand_header(parser, fetched),
        raw_size=len(fetched.raw),
    )


def _fact(counts: dict[str, int], looked: int, unread: int) -> str:
    """One line: "37 unread: 2 new tickets · 31 too old · 3 automatic · 1 unknown sender"."""
    if not unread:
        return "no unread messages"
    parts = [f"{number} {WORDS[kind][number != 1]}" for kind, number in counts.items() if number]
    of = f"{unread} unread" if looked == unread else f"{unread} unread, of the {looked} newest"
    return f"{of}: {' · '.join(parts)}" if parts else of


def kind_of(row: PreviewRow) -> str:
    """The count a message belongs to."""
    if row.disposition is None:
        return "too_old"
    if row.placed is not None or row.disposition is Disposition.DUPLICATE or row.rule == "own-message":
        return "other"
    if row.disposition is Disposition.UPDATE:
        return "update"
    if row.disposition is Disposition.HELD:
        return "held"
    if row.disposition in (Disposition.IGNORED, Disposition.REPORT):
        return "unknown_sender" if row.rule == "unknown-sender" else "automatic"
    return "ticket"
