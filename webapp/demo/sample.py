"""One sample message as it is written down, and as the octets that arrive.

Message-IDs are fixed: after a restart the ledger says by them which messages arrived already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from .people import MAILBOX, Customer


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Somebody else's mail, attached as it came."""

    sender: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`follows` names the sample whose conversation this one goes on with.

    It is named as mail programs do, by Message-ID; if `tagged`, by the ticket's number in the subject.
    """

    name: str
    sender: Customer
    subject: str
    text: str  # paragraphs; see `_reflow`
    quoted: str = ""  # what was written before, below the text
    quoted_from: str = f"Bluebird IT Support <{MAILBOX}>"
    html: bool = False
    picture: bytes | None = None  # shown in the text
    table: tuple[tuple[str, ...], ...] = ()  # shown in the text; its first row names the columns
    files: tuple[Attachment, ...] = ()
    forwarded: Forwarded | None = None
    invites_to: str = ""  # a meeting on the next day at ten
    follows: str = ""
    tagged: bool = False
    signed: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    report: str = ""  # the machine-readable part of a delivery report

    @property
    def message_id(self) -> str:
        return f"{self.name}@{self.sender.domain}"


def build(sample: Sample, when: datetime, *, thread: str | None = None, ticket: int | None = None) -> bytes:
    """The message as sent at this time. `thread`: the Message-ID it answers; `ticket`: the number named."""
    message = EmailMessage(policy=SMTP)
    message["Return-Path"] = "<>" if sample.report else f"<{sample.sender.email}>"
    message["From"] = _mailbox(sample.sender)
    message["To"] = f"Bluebird IT Support <{MAILBOX}>"
    message["Subject"] = f"Re: [T-{ticket}] {sample.subject}" if ticket else sample.subject
    message["Date"] = format_datetime(when)
    message["Message-ID"] = f"<{sample.message_id}>"
    if thread and not ticket:
        message["In-Reply-To"] = message["References"] = f"<{thread}>"
    for name, value in sample.headers.items():
        message[name] = value
    _fill(message, sample, when)
    return message.as_bytes()


def _mailbox(sender: Customer) -> str:
    return f'"{sender.name}" <{sender.email}>'


def _fill(message: EmailMessage, sample: Sample, when: datetime) -> None:
    if sample.report:
        _fill_report(message, sample)
        return
    message.set_content(_plain(sample, when))
    if sample.html:
        message.add_alternative(_html(sample, when), subtype="html")
        if sample.picture:
            html = message.get_payload()[1]  # type: ignore[index, unused-ignore]
            html.add_related(  # type: ignore[union-attr, unused-ignore]
                sample.picture, "image", "png", cid="<picture>", filename="image001.png", disposition="inline"
            )
    for file in sample.files:
        maintype, _, subtype = file.content_type.partition("/")
        message.add_attachment(file.content, maintype=maintype, subtype=subtype, filename=file.name)
    if sample.forwarded:
        message.add_attachment(_forwarded(sample.forwarded, sample, when))
    if sample.invites_to:
        message.add_attachment(
            _calendar(sample, when), maintype="text", subtype="calendar", filename="invite.ics",
            params={"method": "REQUEST", "charset": "utf-8"},
        )  # fmt: skip


def _forwarded(mail: Forwarded, sample: Sample, when: datetime) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = mail.sender
    message["To"] = _mailbox(sample.sender)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(when - timedelta(days=1, minutes=17))
    message["Message-ID"] = f"<forwarded-{sample.message_id}>"
    message.set_content(_reflow(mail.text) + "\n")
    return message


def _calendar(sample: Sample, when: datetime) -> bytes:
    """An invitation (RFC 5545, RFC 5546) for half an hour of the next day."""
    start = (when + timedelta(days=1)).astimezone(UTC).replace(hour=10, minute=0, second=0)
    lines = (
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Sample mail//EN", "METHOD:REQUEST", "BEGIN:VEVENT",
        f"UID:{sample.message_id}", f"DTSTAMP:{when.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}", f"DTEND:{start + timedelta(minutes=30):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{sample.invites_to}", f"LOCATION:{sample.sender.company}",
        f'ORGANIZER;CN="{sample.sender.name}":mailto:{sample.sender.email}',
        f"ATTENDEE;CN=Bluebird IT Support;PARTSTAT=NEEDS-ACTION:mailto:{MAILBOX}",
        "STATUS:CONFIRMED", "END:VEVENT", "END:VCALENDAR", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def _fill_report(message: EmailMessage, sample: Sample) -> None:
    """RFC 3464: a sentence for people, and fields for programs."""
    message.set_content(sample.text)
    message.make_mixed()
    status = EmailMessage(policy=SMTP)
    status["Content-Type"] = "message/delivery-status"
    blocks = sample.report.strip().split("\n\n")
    status.set_payload([message_from_string(f"{block}\n", policy=SMTP) for block in blocks])
    message.attach(status)
    message.replace_header("Content-Type", message["Content-Type"].replace("/mixed", "/report"))
    message.set_param("report-type", "delivery-status")


def _plain(sample: Sample, when: datetime) -> str:
    parts = [_reflow(sample.text)]
    if sample.table:
        parts.append("\n".join(" | ".join(row) for row in sample.table))
    if sample.signed and sample.sender.signature:
        parts.append(f"-- \n{sample.sender.signature}")
    if sample.quoted:
        quoted = "\n".join(f"> {line}".rstrip() for line in _reflow(sample.quoted).splitlines())
        parts.append(f"{_attribution(sample, when)}\n{quoted}")
    return "\n\n".join(parts) + "\n"


def _html(sample: Sample, when: datetime) -> str:
    body = _paragraphs(sample.text)
    if sample.table:
        body += _table(sample.table)
    if sample.picture:
        body += '<p><img src="cid:picture" alt="Screenshot" width="320"></p>'
    if sample.signed and sample.sender.signature:
        signature = escape(sample.sender.signature).replace("\n", "<br>")
        body += f'<p style="color:#666666;font-size:12px">{signature}</p>'
    if sample.quoted:
        body += (
            f'<div class="gmail_quote"><div class="gmail_attr">{escape(_attribution(sample, when))}<br></div>'
            '<blockquote class="gmail_quote" style="margin:0 0 0 .8ex;border-left:1px solid #cccccc;'
            f'padding-left:1ex">{_paragraphs(sample.quoted)}</blockquote></div>'
        )
    return f'<html><body style="font-family:Calibri,sans-serif">{body}</body></html>\n'


def _table(rows: tuple[tuple[str, ...], ...]) -> str:
    head, *others = rows
    cells = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    cells += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in others]
    inside = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<table border="1" cellpadding="4" style="border-collapse:collapse">{inside}</table>'


def _paragraphs(text: str) -> str:
    return "".join(
        f"<p>{escape(paragraph).replace(chr(10), '<br>')}</p>" for paragraph in _reflow(text).split("\n\n")
    )


def _reflow(text: str) -> str:
    """A paragraph is one line, as today's mail programs send it; short lines of the script stay lines."""
    return re.sub(r"(?m)(?<=[^\n]{60})\n(?!\n| -)", " ", text.strip("\n"))


def _attribution(sample: Sample, when: datetime) -> str:
    return f"On {when:%a, %d %b %Y}, {sample.quoted_from} wrote:"
