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
from webapp.mail.field_lines import CRLF
from webapp.mail.loop_token import LOOP_HEADER
from webapp.mail.references import strip_ticket_tag

SUBJECT_CHARS = 400
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
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


def compose(notification: Notification) -> bytes:
    """The message with CRLF lines, all of it ASCII. ValueError on a value that cannot stand in its field."""
    lines = [
        fields.raw_line("Date", format_datetime(notification.date)),
        fields.mailbox_line("From", [notification.sender]),
        fields.mailbox_line("To", [notification.to]),
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


def tagged_subject(subject: str, ticket_id: int) -> str:
    """One line with one tag, whatever stood there: an answer to it finds its ticket."""
    bare = one_line(strip_ticket_tag(subject))[:SUBJECT_CHARS].strip()
    return f"{bare} [T-{ticket_id}]" if bare else f"[T-{ticket_id}]"


def bare_subject(subject: str) -> str:
    """A ticket's subject as a template quotes it: without tag and "Re:"."""
    return _ANSWER.sub("", one_line(strip_ticket_tag(subject)), count=1)[:SUBJECT_CHARS].strip()


def one_line(text: str) -> str:
    """What a stranger wrote, as it may stand in a header field: no control characters, no direction marks."""
    return " ".join(_UNSEEN.sub(" ", text).split())


def _threading(notification: Notification) -> list[str]:
    lines = []
    if notification.in_reply_to and fields.is_id(notification.in_reply_to):
        lines.append(fields.id_line("In-Reply-To", [notification.in_reply_to]))
    if chain := reference_chain(notification.references):
        lines.append(fields.id_line("References", chain))
    return lines
