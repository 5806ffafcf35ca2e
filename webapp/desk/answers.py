"""A technician answers a customer: the entry, the mail in the outbox and the new status, or nothing of it.

The mail is composed and compressed first, which takes a second or two with large files, and everything is
written in one transaction then; what could have changed meanwhile is asked again in it. The form that sends
says which entries it has seen and has a key of its own: a reply is not sent over a colleague's head, and
never twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import Database
from webapp.desk import audit, options, reply_recipients, reply_settings, ticket_work
from webapp.desk.reply_message import compose_reply
from webapp.desk.reply_recipients import Recipients, RecipientsRefused
from webapp.desk.reply_settings import MEGABYTE, ReplySettings
from webapp.desk.ticket_work import WorkRefused
from webapp.mail import conversation, written_text
from webapp.mail.conversation import File
from webapp.mail.message import AttachmentInfo
from webapp.models import (
    Account,
    Attachment,
    Entry,
    EntryKind,
    MailServer,
    OutgoingKind,
    Role,
    Row,
    Ticket,
    TicketStatus,
)
from webapp.outbound import outbox
from webapp.outbound.outbox import Outgoing
from webapp.vault import Vault

MAX_CHARACTERS = 50_000
MAX_FILES = 50
NEWS_CHARACTERS = 300
TEXT_OCTETS = 100_000  # kept free beside the files, for what is written and quoted
OFF = "Outgoing email is off, so no reply can be sent. Nothing was sent."
_SEEN_KINDS = (EntryKind.MAIL, EntryKind.REPLY, EntryKind.NOTE)


class AnswerRefused(WorkRefused):
    """Not sent; `field` is what the sentence is about: text, to, cc, files, or "" for the whole."""

    def __init__(self, sentence: str, *, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class News:
    """An entry that somebody who writes has not seen yet."""

    entry_id: int
    kind: EntryKind
    account_id: int | None
    who: str
    at: datetime
    text: str


class Clash(WorkRefused):
    """Something came in since the form was opened; `news` is what, oldest first."""

    def __init__(self, news: Sequence[News]) -> None:
        super().__init__("This ticket has changed since you began to write. Nothing was sent.")
        self.news = tuple(news)


class SentAlready(WorkRefused):
    """This very form has sent this very text."""

    def __init__(self, entry_id: int) -> None:
        super().__init__("This reply was sent already.")
        self.entry_id = entry_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody wants to send. `seen` is the newest entry the form knew, None asks nothing."""

    text: str
    to: str
    cc: str = ""
    status: TicketStatus | None = TicketStatus.WAITING  # None leaves it
    quote: bool = True
    files: Sequence[File] = ()
    seen: int | None = None
    form_key: str | None = None  # random, one a form


@dataclass(frozen=True, slots=True)
class _Ready:
    """A reply as it will be written: checked, composed and compressed."""

    answer: Answer
    text: str
    key: str | None
    recipients: Recipients
    files: tuple[AttachmentInfo, ...]
    sender_name: str
    outgoing: Outgoing


def reply(
    database: Database, vault: Vault, number: int, answer: Answer, *, now: datetime, actor_id: int
) -> Entry:
    """The new entry; its mail is in the outbox.

    Raises AnswerRefused, Clash or SentAlready; then nothing was written.
    """
    loop_key = options.have_loop_key(database, vault)
    with database.reading() as session:
        ready = _prepare(session, loop_key, number, answer, now=now, actor=session.get_one(Account, actor_id))
    with database.writing() as session:
        ticket, actor = ticket_work.load(session, number), session.get_one(Account, actor_id)
        if ticket is None:
            raise AnswerRefused(_no_ticket(number))
        _refuse_twice(session, ticket, ready.text, ready.recipients, ready.key, answer.seen)
        _sending_row(session, ticket, actor)
        _refuse_unseen(session, ticket, answer)
        return _write(session, ticket, ready, now=now, actor=actor)


def files_octets(settings: ReplySettings, largest_message: int | None) -> int:
    """What all files of a reply may have: the setting, or less where the mail server takes no such message.

    In a message 57 octets of a file are a line of 78 (RFC 2045 section 6.8).
    """
    if largest_message is None:
        return settings.files_octets
    return max(0, min(settings.files_octets, (largest_message - TEXT_OCTETS) * 57 // 78))


def megabytes(octets: int) -> str:
    """20, 7.2, 0.09: rounded down, so that what is said fits."""
    parts = 10 if octets >= MEGABYTE else 100
    return f"{octets * parts // MEGABYTE / parts:g}"


def cannot_answer(session: Session, ticket: Ticket) -> str:
    """Why nobody can answer this ticket just now, "" where it can be answered."""
    if ticket.merged_into_id is not None:
        return f"This ticket was joined to T-{ticket.merged_into_id}. Answer there."
    if not outbox.is_on(session, Row.OUTGOING):
        return OFF
    return ""


def newest_entry(session: Session, ticket_id: int) -> int:
    """What a form that is opened now has seen."""
    query = sa.select(sa.func.max(Entry.id)).where(Entry.ticket_id == ticket_id, Entry.kind.in_(_SEEN_KINDS))
    return session.scalar(query) or 0


def news_since(session: Session, ticket_id: int, seen: int) -> list[News]:
    """Messages, replies and notes that came after it; the first ten."""
    query = sa.select(Entry).where(Entry.ticket_id == ticket_id, Entry.id > seen, Entry.kind.in_(_SEEN_KINDS))
    return [
        News(
            entry.id,
            entry.kind,
            entry.account_id,
            entry.account.name if entry.account else entry.from_name or entry.from_addr or "Somebody",
            entry.created_at,
            (entry.reply_text or entry.body_text)[:NEWS_CHARACTERS],
        )
        for entry in session.scalars(query.order_by(Entry.id).limit(10))
    ]


def from_mailbox(session: Session, account_name: str) -> tuple[str, str]:
    """The display name and address a reply would come from; the address is "" where none is set up."""
    server = session.get(MailServer, Row.OUTGOING.value)
    return reply_settings.load(session).sender_for(account_name), server.from_address if server else ""


def _prepare(
    session: Session, loop_key: bytes, number: int, answer: Answer, *, now: datetime, actor: Account
) -> _Ready:
    ticket = session.get(Ticket, number)
    if ticket is None:
        raise AnswerRefused(_no_ticket(number))
    text = written_text.tidy(answer.text).strip()
    key = f"{actor.id}:{answer.form_key}"[:64] if answer.form_key else None
    settings = reply_settings.load(session)
    server = _sending_row(session, ticket, actor)
    _check_text(text)
    files = _check_files(answer.files, settings, server.largest_octets)
    recipients = _read_recipients(session, answer)
    _refuse_twice(session, ticket, text, recipients, key, answer.seen)
    _refuse_unseen(session, ticket, answer)
    try:
        outgoing = compose_reply(
            session, loop_key, ticket, from_address=server.from_address, settings=settings, writer=actor,
            text=text, recipients=recipients, files=files, quote=answer.quote, now=now,
        )  # fmt: skip
    except ValueError as error:
        raise AnswerRefused(
            f"No mail can be made of this: {error}. Check the From address of the Outgoing row."
        ) from error
    if server.largest_octets is not None and outgoing.size > server.largest_octets:
        raise AnswerRefused(_too_large(outgoing.size, server.largest_octets), field="files" if files else "")
    return _Ready(
        answer, text, key, recipients, tuple(conversation.file_infos(files)),
        settings.sender_for(actor.name), outgoing,
    )  # fmt: skip


def _no_ticket(number: int) -> str:
    return f"There is no ticket T-{number}."


def _too_large(octets: int, most: int) -> str:
    return (
        f"The message has {octets / MEGABYTE:.1f} MB with everything in it; the mail server takes at most "
        f"{megabytes(most)} MB. Leave something out."
    )


def _refuse_twice(
    session: Session, ticket: Ticket, text: str, recipients: Recipients, key: str | None, seen: int | None
) -> None:
    """A form sends once; other words in it, or to others, are a new reply, which meets the news first."""
    known = session.scalar(sa.select(Entry).where(Entry.form_key == key)) if key else None
    if known is None:
        return
    if known.ticket_id == ticket.id and known.body_text == text and known.recipients == _stored(recipients):
        raise SentAlready(known.id)
    raise Clash(news_since(session, ticket.id, min(seen or 0, known.id - 1)))


def _refuse_unseen(session: Session, ticket: Ticket, answer: Answer) -> None:
    if answer.seen is not None and (news := news_since(session, ticket.id, answer.seen)):
        raise Clash(news)


def _sending_row(session: Session, ticket: Ticket, actor: Account) -> MailServer:
    if not actor.enabled or actor.role is Role.VIEWER:
        raise AnswerRefused("Only technicians and administrators answer tickets.")
    if reason := cannot_answer(session, ticket):
        raise AnswerRefused(reason)
    return session.get_one(MailServer, Row.OUTGOING.value)


def _check_text(text: str) -> None:
    if not text:
        raise AnswerRefused("Write something first. The reply is empty.", field="text")
    if len(text) > MAX_CHARACTERS:
        raise AnswerRefused(
            f"The reply has {len(text):,} characters; at most {MAX_CHARACTERS:,} fit. Shorten it.",
            field="text",
        )


def _check_files(files: Sequence[File], settings: ReplySettings, largest: int | None) -> list[File]:
    """The files with safe names, each name once."""
    if len(files) > MAX_FILES:
        raise AnswerRefused(
            f"These are {len(files)} files; at most {MAX_FILES} fit in a mail.", field="files"
        )
    taken: set[str] = set()
    kept = []
    for file in files:
        name = _free_name(conversation.safe_name(file.name), taken)
        if not file.content:
            raise AnswerRefused(f"The file {name} is empty. Leave it out or choose it again.", field="files")
        kept.append(File(name, file.content))
    total, most = sum(len(file.content) for file in kept), files_octets(settings, largest)
    if total > most:
        raise AnswerRefused(
            f"The files have {total / MEGABYTE:.1f} MB in all; at most {megabytes(most)} MB can be sent"
            f"{_because(largest) if most < settings.files_octets else ''}. Leave something out.",
            field="files",
        )
    return kept


def _because(largest: int | None) -> str:
    return f", as the mail server takes messages of up to {megabytes(largest or 0)} MB"


def _free_name(name: str, taken: set[str]) -> str:
    stem, dot, extension = name.rpartition(".")
    wanted, number = name, 2
    while wanted.casefold() in taken:
        wanted = f"{stem} ({number}).{extension}" if dot and stem else f"{name} ({number})"
        number += 1
    taken.add(wanted.casefold())
    return wanted


def _read_recipients(session: Session, answer: Answer) -> Recipients:
    try:
        return reply_recipients.read(session, to=answer.to, cc=answer.cc)
    except RecipientsRefused as refused:
        raise AnswerRefused(str(refused), field=refused.field) from refused


def _write(session: Session, ticket: Ticket, ready: _Ready, *, now: datetime, actor: Account) -> Entry:
    """Entry, mail, audit and status."""
    outgoing, addresses = ready.outgoing, ready.recipients.addr_specs
    entry = _add_entry(session, ticket, ready, now, actor)
    outbox.enqueue(
        session, outgoing, addresses, row=Row.OUTGOING, kind=OutgoingKind.REPLY,
        created_by=actor.email, now=now, ticket_id=ticket.id, entry_id=entry.id,
    )  # fmt: skip
    audit.record(
        session, now, actor.email, "ticket.reply", f"T-{ticket.id}",
        recipients=addresses, characters=len(ready.text), files=len(ready.files),
    )  # fmt: skip
    if ready.answer.status is not None:
        ticket_work.set_status(session, ticket, ready.answer.status, seen=ticket.status, now=now, actor=actor)
    return entry


def _add_entry(session: Session, ticket: Ticket, ready: _Ready, now: datetime, actor: Account) -> Entry:
    entry = Entry(
        ticket_id=ticket.id,
        kind=EntryKind.REPLY,
        account_id=actor.id,
        from_addr=ready.outgoing.from_addr,
        from_name=ready.sender_name,
        message_id=ready.outgoing.message_id,
        body_text=ready.text,
        reply_text=ready.text,
        recipients=_stored(ready.recipients),
        form_key=ready.key,
        created_at=now,
    )
    entry.attachments = [
        Attachment(
            position=info.position, filename=info.filename, content_type=info.content_type, size=info.size,
            inline=False, content_id=None, sha256=info.sha256,
        )
        for info in ready.files
    ]  # fmt: skip
    session.add(entry)
    ticket.updated_at = now
    session.flush()
    return entry


def _stored(recipients: Recipients) -> dict[str, list[list[str]]]:
    return {"to": [list(one) for one in recipients.to], "cc": [list(one) for one in recipients.cc]}
