"""The mail of a reply: what its ticket, the settings and the writer say, composed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import options, reply_recipients, thread_marks
from webapp.desk.reply_recipients import Recipients
from webapp.desk.reply_settings import ReplySettings
from webapp.mail import conversation, written_text
from webapp.mail.conversation import File, Written
from webapp.mail.field_lines import ascii_addr_spec
from webapp.mail.loop_token import loop_token
from webapp.mail.reply_token import make_message_id, reply_key
from webapp.mailserver.base import UNKNOWN_TIME
from webapp.models import Account, Entry, EntryKind, Ticket
from webapp.outbound.outbox import Outgoing

QUOTE_LINES = 200
QUOTE_CHARACTERS = 20_000


def compose_reply(
    session: Session,
    loop_key: bytes,
    ticket: Ticket,
    *,
    from_address: str,
    settings: ReplySettings,
    writer: Account,
    text: str,
    recipients: Recipients,
    files: Sequence[File],
    quote: bool,
    now: datetime,
) -> Outgoing:
    """The mail as it will be sent; `text` is tidy.

    Raises ValueError for a value that cannot stand in a header field.
    """
    last = reply_recipients.last_message(session, ticket.id)
    attribution, quoted = _quote(session, last) if last is not None and quote else ("", "")
    marks = thread_marks.load(session)
    subject = conversation.answer_subject(ticket.subject, ticket.id, marks.tags)
    from_addr = ascii_addr_spec("From", from_address)
    key = reply_key(loop_key)
    message_id = make_message_id(key, ticket.id, from_addr.rpartition("@")[2])
    raw = conversation.compose(
        Written(
            sender=(settings.sender_for(writer.name), from_addr),
            to=recipients.to,
            cc=recipients.cc,
            reply_to=marks.reply_to(key, from_addr, ticket.id),
            subject=subject,
            message_id=message_id,
            loop_token=loop_token(loop_key, message_id),
            date=now,
            in_reply_to=last.message_id if last else None,
            references=_conversation_ids(session, ticket.id, last),
            text=text,
            signature=settings.signature_for(writer.name, writer.signature),
            attribution=attribution,
            quote=quoted,
            files=files,
        )
    )
    return Outgoing(raw=raw, message_id=message_id, from_addr=from_addr, subject=subject)


def _conversation_ids(session: Session, ticket_id: int, last: Entry | None) -> list[str]:
    """Of everything a customer sent or got, oldest first; the message that is answered comes last."""
    query = sa.select(Entry.message_id).where(
        Entry.ticket_id == ticket_id,
        Entry.kind.in_((EntryKind.MAIL, EntryKind.REPLY)),
        Entry.message_id.is_not(None),
    )
    ids = [one for one in session.scalars(query.order_by(Entry.id)) if one]
    if last is None or not last.message_id:
        return ids
    return [one for one in ids if one != last.message_id] + [last.message_id]


def _quote(session: Session, last: Entry) -> tuple[str, str]:
    """The line above the quote, and what the customer wrote last, without what they quoted themselves."""
    text = written_text.tidy(last.reply_text or last.body_text)[:QUOTE_CHARACTERS]
    lines = text.split("\n")
    if len(lines) > QUOTE_LINES:
        text = "\n".join([*lines[:QUOTE_LINES], "[...]"])
    if not text.strip():
        return "", ""
    name = written_text.tidy(last.from_name or last.from_addr or "").replace("\n", " ") or "you"
    if last.created_at == UNKNOWN_TIME:
        return f"{name} wrote:", text
    when = last.created_at.astimezone(options.time_zone(session))
    return f"On {when.day} {when:%b %Y at %H:%M %Z}, {name} wrote:", text
