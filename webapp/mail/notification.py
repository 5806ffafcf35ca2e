"""Mail the desk writes by itself about a ticket (RFC 3834): text and HTML, marked so that nobody answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from webapp.mail import field_lines as fields
from webapp.mail.conversation import reference_chain
from webapp.mail.field_lines import CRLF, one_line
from webapp.mail.loop_token import LOOP_HEADER
from webapp.mail.ticket_tag import TicketTags

SUBJECT_CHARS = 400
FIRST_TAGS = TicketTags()
_ANSWER = re.compile(r"(?:re\s*:\s*)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One automatic mail. Mailboxes are (display name, addr-spec); ids without angle brackets."""

    sender: tuple[str, str]
    to: tuple[str, str]
    subject: str
    text: str
    html: str  # a whole document
    message_id: str
    loop_token: str
    date: datetime
    is_answer: bool  # to a message that came in: auto-replied, else auto-generated (RFC 3834 section 5)
    in_reply_to: str | None = None
    references: Sequence[str] = ()  # oldest first
    reply_to: str = ""  # addr-spec; "" where answers go to the sender


def compose(notification: Notification) -> bytes:
    """The message with CRLF lines, all of it ASCII. ValueError on a value that cannot stand in its field."""
    lines = [
        fields.raw_line("Date", format_datetime(notification.date)),
        fields.mailbox_line("From", [notification.sender]),
        fields.mailbox_line("To", [notification.to]),
        *([fields.mailbox_line("Reply-To", [("", notification.reply_to)])] if notification.reply_to else []),
        fields.text_line("Subject", notification.subject),
        fields.id_line("Message-ID", [notification.message_id]),
        *_threading(notification),
        fields.raw_line("Auto-Submitted", "auto-replied" if notification.is_answer else "auto-generated"),
        fields.raw_line("X-Auto-Response-Suppress", "All"),
        fields.raw_line(LOOP_HEADER, notification.loop_token),
    ]
    body = EmailMessage(policy=SMTP)
    body.set_content(notification.text, charset="utf-8", cte="quoted-printable")
    body.add_alternative(notification.html, subtype="html", charset="utf-8", cte="quoted-printable")
    return (CRLF.join(lines) + CRLF).encode("ascii") + body.as_bytes()


def tagged_subject(subject: str, ticket_id: int, tags: TicketTags = FIRST_TAGS) -> str:
    """One line with one tag, whatever stood there: an answer to it finds its ticket."""
    bare = one_line(tags.strip_from(subject))[:SUBJECT_CHARS].strip()
    return f"{bare} {tags.of(ticket_id)}" if bare else tags.of(ticket_id)


def bare_subject(subject: str, tags: TicketTags = FIRST_TAGS) -> str:
    """A ticket's subject as a template quotes it: without tag and "Re:"."""
    return _ANSWER.sub("", one_line(tags.strip_from(subject)), count=1)[:SUBJECT_CHARS].strip()


def _threading(notification: Notification) -> list[str]:
    lines = []
    if notification.in_reply_to and fields.is_id(notification.in_reply_to):
        lines.append(fields.id_line("In-Reply-To", [notification.in_reply_to]))
    if chain := reference_chain(notification.references):
        lines.append(fields.id_line("References", chain))
    return lines
