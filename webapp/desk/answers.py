"""A technician answers a customer: the entry, the mail in the outbox and the new status, or nothing of it.

Everything is written into the caller's transaction. The form that sends says which entries it has seen and
has a key of its own: a reply is not sent over a colleague's head, and never twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit, reply_recipients, reply_settings, ticket_work
from webapp.desk.reply_message import compose_reply
from webapp.desk.reply_recipients import Recipients, RecipientsRefused
from webapp.desk.reply_settings import MEGABYTE, ReplySettings
from webapp.desk.ticket_work import WorkRefused
from webapp.mail import conversation, written_text
from webapp.mail.conversation import File
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


def reply(
    session: Session, vault: Vault, ticket: Ticket, answer: Answer, *, now: datetime, actor: Account
) -> Entry:
    """The new entry; its mail is in the outbox. `ticket` as `ticket_work.load` gave it.

    Raises AnswerRefused, Clash or SentAlready; then nothing was written.
    """
    text = written_text.tidy(answer.text).strip()
    key = f"{actor.id}:{answer.form_key}"[:64] if answer.form_key else None
    _refuse_twice(session, ticket, text, key, answer.seen)
    settings = reply_settings.load(session)
    server = _sending_row(session, ticket, actor)
    _check_text(text)
    files = _check_files(answer.files, settings)
    recipients = _read_recipients(session, answer)
    if answer.seen is not None and (news := news_since(session, ticket.id, answer.seen)):
        raise Clash(news)
    try:
        outgoing = compose_reply(
            session, vault, ticket, from_address=server.from_address, settings=settings, name=actor.name,
            text=text, recipients=recipients, files=files, quote=answer.quote, now=now,
        )  # fmt: skip
    except ValueError as error:
        raise AnswerRefused(
            f"No mail can be made of this: {error}. Check the From address of the Outgoing row."
        ) from error
    entry = _write(session, ticket, outgoing, settings, text, recipients, files, key, now, actor)
    outbox.enqueue(
        session, outgoing, recipients.addr_specs, row=Row.OUTGOING, kind=OutgoingKind.REPLY,
        created_by=actor.email, now=now, ticket_id=ticket.id, entry_id=entry.id,
    )  # fmt: skip
    audit.record(
        session, now, actor.email, "ticket.reply", f"T-{ticket.id}",
        recipients=recipients.addr_specs, characters=len(text), files=len(files),
    )  # fmt: skip
    if answer.status is not None:
        ticket_work.set_status(session, ticket, answer.status, seen=ticket.status, now=now, actor=actor)
    return entry


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


def _refuse_twice(session: Session, ticket: Ticket, text: str, key: str | None, seen: int | None) -> None:
    """A form sends once; changed words in it are a new reply, which meets the news first."""
    known = session.scalar(sa.select(Entry).where(Entry.form_key == key)) if key else None
    if known is None:
        return
    if known.ticket_id == ticket.id and known.body_text == text:
        raise SentAlready(known.id)
    raise Clash(news_since(session, ticket.id, min(seen or 0, known.id - 1)))


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


def _check_files(files: Sequence[File], settings: ReplySettings) -> list[File]:
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
    total = sum(len(file.content) for file in kept)
    if total > settings.files_octets:
        raise AnswerRefused(
            f"The files have {total / MEGABYTE:.1f} MB in all; at most {settings.files_mb} MB can be sent. "
            "Leave something out.",
            field="files",
        )
    return kept


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


def _write(
    session: Session,
    ticket: Ticket,
    outgoing: Outgoing,
    settings: ReplySettings,
    text: str,
    recipients: Recipients,
    files: Sequence[File],
    key: str | None,
    now: datetime,
    actor: Account,
) -> Entry:
    entry = Entry(
        ticket_id=ticket.id,
        kind=EntryKind.REPLY,
        account_id=actor.id,
        from_addr=outgoing.from_addr,
        from_name=settings.sender_for(actor.name),
        message_id=outgoing.message_id,
        body_text=text,
        reply_text=text,
        recipients={"to": [list(one) for one in recipients.to], "cc": [list(one) for one in recipients.cc]},
        form_key=key,
        created_at=now,
    )
    entry.attachments = [
        Attachment(
            position=info.position, filename=info.filename, content_type=info.content_type, size=info.size,
            inline=False, content_id=None, sha256=info.sha256,
        )
        for info in conversation.file_infos(files)
    ]  # fmt: skip
    session.add(entry)
    ticket.updated_at = now
    session.flush()
    return entry
