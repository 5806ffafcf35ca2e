"""Replay: what the code makes of a stored message today, held against what was made of it when it came.

Everything shown of a message is derived from its octets, so a better parser can put right what an older one
got wrong. Looking changes nothing; applying writes the new text and files and says who wanted that, in one
transaction. What was decided stays decided: deciding anew is "process again".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload, undefer

from webapp.desk import held_mail, thread_marks
from webapp.inbound.again import AgainRefused, write_down
from webapp.inbound.case import Decision
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.received import (
    RAW_MESSAGE,
    Received,
    attachment_rows,
    derived,
    described,
    preview_of,
)
from webapp.inbound.stored import judge, load_stored, understand
from webapp.instance import Instance
from webapp.models import ActionKind, Attachment, Disposition, Entry, Inbound, Ticket, TicketNotice

LABELS = {
    "subject": "Subject",
    "from_addr": "Sender's address",
    "from_name": "Sender's name",
    "message_id": "Message-ID",
    "body_text": "Text",
    "reply_text": "Text without quotes",
    "body_html": "HTML",
    "attachments": "Attachments",
    "recipients": "Recipients",
    "invitation": "Invitation",
    "protection": "Signed or encrypted",
    "defects": "Oddities",
}
DERIVED = ("recipients", "invitation", "protection")
OF_THE_ENTRY = ("body_text", "reply_text", "body_html", "attachments", *DERIVED)
# What makes a file the same one as before, the surest first; those that are left, by their order.
FILE_MARKS: tuple[tuple[str, ...], ...] = (("sha256", "filename"), ("sha256",), ())
IDS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """One derived value that is another one now; attachments and oddities one a line."""

    name: str
    before: str
    after: str

    @property
    def label(self) -> str:
        return LABELS[self.name]


@dataclass(frozen=True, slots=True)
class Replay:
    """One message then and now. `decision` is what the rules would say today; None if it cannot be read."""

    inbound_id: int
    differences: tuple[Difference, ...]
    was_decided: tuple[Disposition, str]  # and the rule
    decision: Decision
    received: Received = field(repr=False)

    @property
    def unreadable(self) -> bool:
        """The code of today cannot read it: there is nothing better to write down."""
        return self.received.notice is TicketNotice.QUARANTINE

    @property
    def can_apply(self) -> bool:
        return bool(self.differences) and not self.unreadable

    @property
    def decides_otherwise(self) -> bool:
        """Whether the rules of today make something else of it. A copy of a message is judged as one."""
        disposition, rule = self.was_decided
        if disposition is Disposition.DUPLICATE:
            return False
        return (disposition, rule) != (self.decision.disposition, self.decision.rule)


def compare(instance: Instance, parser: ParserProcess, inbound_id: int) -> Replay:
    """Then and now, changing nothing. Raises AgainRefused where the octets are no longer kept."""
    stored = load_stored(instance, inbound_id)
    if stored is None:
        raise AgainRefused("The original of this message is no longer kept, so it cannot be read again.")
    received = understand(parser, stored, limit_mb=instance.settings.max_message_mb)
    with instance.database.reading() as session:
        inbound = session.get_one(Inbound, inbound_id)
        _, decision = judge(session, instance, received)
        return Replay(
            inbound_id=inbound_id,
            differences=_differences(_stored_values(session, inbound), _values_now(received)),
            was_decided=(inbound.disposition, inbound.rule),
            decision=decision,
            received=received,
        )


def apply_replay(instance: Instance, replay: Replay, *, now: datetime, actor: str) -> bool:
    """Write what the message is understood as now; whether anything changed. Doing it twice does no harm."""
    if not replay.can_apply:
        return False
    with instance.database.writing() as session:
        inbound = session.get_one(Inbound, replay.inbound_id, with_for_update=True)
        if not _differences(_stored_values(session, inbound), _values_now(replay.received)):
            return False
        entry = _entry_of(session, inbound.id)
        if entry is not None:
            _rewrite_ticket(session, entry, inbound, replay.received)
            _rewrite_entry(session, entry, replay.received)
        _rewrite_row(inbound, replay.received)
        held_mail.set_preview(session, inbound.id, preview_of(replay.received.message))
        write_down(
            session, inbound.id, ActionKind.REPLAY, now=now, actor=actor,
            ticket_id=entry.ticket_id if entry else None,
        )  # fmt: skip
    return True


def stored_ids(session: Session, *, since: datetime | None) -> Iterator[int]:
    """The ledger's rows processed since then, oldest first; read some at a time."""
    last = 0
    while True:
        query = sa.select(Inbound.id).where(Inbound.id > last).order_by(Inbound.id).limit(IDS_AT_ONCE)
        if since is not None:
            query = query.where(Inbound.recorded_at >= since)
        ids = session.scalars(query).all()
        yield from ids
        if len(ids) < IDS_AT_ONCE:
            return
        last = ids[-1]


def _entry_of(session: Session, inbound_id: int) -> Entry | None:
    """The entry of this message; of two the one made by hand: the first says only "could not be read"."""
    return session.scalar(
        sa.select(Entry)
        .where(Entry.inbound_id == inbound_id)
        .order_by(Entry.generation.desc())
        .limit(1)
        .options(undefer(Entry.body_html), selectinload(Entry.attachments))
    )


def _stored_values(session: Session, inbound: Inbound) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: getattr(inbound, name) for name in ("subject", "from_addr", "from_name", "message_id")
    }
    values["defects"] = list(inbound.defects)
    entry = _entry_of(session, inbound.id)
    if entry is not None:
        values |= {name: getattr(entry, name) for name in OF_THE_ENTRY}
        values["attachments"] = [_attachment_values(file) for file in entry.attachments]
    return values


def _values_now(received: Received) -> dict[str, Any]:
    message, told = received.message, described(received)
    values = {name: told[name] for name in ("subject", "from_addr", "from_name", "message_id")}
    return values | {
        "defects": list(message.defects),
        "body_text": message.body_text,
        "reply_text": message.reply_text,
        "body_html": message.body_html,
        **derived(message),
        "attachments": [_without_entry(row) for row in attachment_rows(received, 0)],
    }


def _attachment_values(file: Attachment) -> dict[str, Any]:
    names = ("position", "filename", "content_type", "size", "inline", "content_id", "sha256")
    return {name: getattr(file, name) for name in names}


def _without_entry(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "entry_id"}


def _differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[Difference, ...]:
    """What is stored and would be another value; a message without an entry has no text to compare."""
    return tuple(
        Difference(name, _in_words(before[name]), _in_words(after[name]))
        for name in LABELS
        if name in before and before[name] != after[name]
    )


def _in_words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(line if isinstance(line, str) else _file_in_words(line) for line in value)
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_in_one_line(held)}" for name, held in value.items() if held)
    return str(value)


def _in_one_line(value: Any) -> str:
    """A value of a derived object; a list of people is [display name, addr-spec] each."""
    if isinstance(value, list | tuple):
        return ", ".join(one if isinstance(one, str) else " ".join(filter(None, one)) for one in value)
    return str(value)


def _file_in_words(file: dict[str, Any]) -> str:
    inline = ", shown in the text" if file["inline"] else ""
    return f"{file['filename']} ({file['content_type']}, {file['size']:,} bytes{inline})"


def _rewrite_row(inbound: Inbound, received: Received) -> None:
    """What is derived from the message; what was decided about it stays."""
    told = described(received)
    inbound.subject, inbound.message_id = told["subject"], told["message_id"]
    inbound.from_addr, inbound.from_name = told["from_addr"], told["from_name"]
    inbound.defects = list(received.message.defects)
    inbound.fingerprint = received.identity.fingerprint


def _rewrite_entry(session: Session, entry: Entry, received: Received) -> None:
    message, told = received.message, described(received)
    entry.body_text, entry.reply_text = message.body_text, message.reply_text
    entry.body_html, entry.message_id = message.body_html, told["message_id"]
    entry.from_addr, entry.from_name = told["from_addr"], told["from_name"]
    for name, value in derived(message).items():
        setattr(entry, name, value)
    _rewrite_attachments(session, entry, attachment_rows(received, entry.id))


def _rewrite_attachments(session: Session, entry: Entry, wanted: list[dict[str, Any]]) -> None:
    """In place, so that the address of a file stays: links to it are in people's mail."""
    kept = _files_kept(entry.attachments, wanted)
    for file in entry.attachments:
        if file not in kept.values():
            session.delete(file)
    for number, row in enumerate(wanted):
        if number not in kept:
            session.add(Attachment(**row))
            continue
        for name, value in _without_entry(row).items():
            setattr(kept[number], name, value)


def _files_kept(held: Sequence[Attachment], wanted: list[dict[str, Any]]) -> dict[int, Attachment]:
    """Which of the files held goes on as which wanted one, by its number.

    The whole message, attached because it could not be read, is none of the files found in it.
    """
    left, kept = list(held), dict[int, Attachment]()
    for marks in FILE_MARKS:
        for number, row in enumerate(wanted):
            same = (
                file
                for file in left
                if all(getattr(file, mark) == row[mark] for mark in marks)
                and (file.position == RAW_MESSAGE) == (row["position"] == RAW_MESSAGE)
            )
            if number not in kept and (file := next(same, None)):
                kept[number] = file
                left.remove(file)
    return kept


def _rewrite_ticket(session: Session, entry: Entry, inbound: Inbound, received: Received) -> None:
    """The head of a ticket that this message opened, as far as it still says what the message said."""
    first = session.scalar(
        sa.select(Entry.id).where(Entry.ticket_id == entry.ticket_id).order_by(Entry.id).limit(1)
    )
    if first != entry.id:
        return
    ticket, told = session.get_one(Ticket, entry.ticket_id), described(received)
    tags = thread_marks.load(session).tags
    for before, after in (
        (inbound.subject, told["subject"]),
        (tags.strip_from(inbound.subject), tags.strip_from(told["subject"])),
    ):
        if ticket.subject in (before.strip(), "(no subject)" if not before.strip() else None):
            ticket.subject = after.strip() or "(no subject)"
            break
    if ticket.requester_name == inbound.from_name:
        ticket.requester_name = told["from_name"]
    if ticket.requester_id is None and ticket.requester_address == inbound.from_addr:
        ticket.requester_address = told["from_addr"]
    if ticket.notice is TicketNotice.QUARANTINE:
        ticket.notice = None
