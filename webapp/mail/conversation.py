"""A person's mail about a ticket, composed (RFC 5322, 2045, 2046, 2183): text and HTML that say the same."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import quopri
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

from webapp.mail import field_lines as fields
from webapp.mail import written_text
from webapp.mail.field_lines import CRLF
from webapp.mail.loop_token import LOOP_HEADER
from webapp.mail.message import AttachmentInfo
from webapp.mail.sniff import guessed_type
from webapp.mail.ticket_tag import TicketTags

SUBJECT_CHARS = 400
FIRST_TAGS = TicketTags()
MAX_REFERENCES = 20  # the newest, and the first one
_ANSWER = re.compile(r"^(?:(?:re|aw|sv|antw|odp|vs|ynt|fwd|fw|wg)(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_NAME = re.compile(
    r"[\x00-\x1f\x7f-\x9f/\\<>:\"|?*\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_NAME_CHARS = 150
_OCTETS = "application/octet-stream"
_FIRST_FILE = 2  # the leaves before it are the text and the HTML


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes along; `name` as `safe_name` left it."""

    name: str
    content: bytes = field(repr=False)

    @property
    def content_type(self) -> str:
        """By its name alone: what a browser says about a file is its guess, too."""
        guessed, encoding = mimetypes.guess_type(self.name, strict=True)
        # A message or multipart must not be in base64 (RFC 2046 section 5.2.1).
        if guessed is None or encoding or guessed.startswith(("message/", "multipart/")):
            return _OCTETS
        return guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A mail as its writer sees it. Mailboxes are (display name, addr-spec)."""

    sender: tuple[str, str]
    to: Sequence[tuple[str, str]]
    cc: Sequence[tuple[str, str]] = ()
    reply_to: str = ""  # addr-spec; "" where answers go to the sender
    subject: str
    message_id: str
    loop_token: str
    date: datetime
    in_reply_to: str | None = None
    references: Sequence[str] = ()  # oldest first; others' ids that cannot stand in a field are left out
    text: str  # as `written_text.tidy` left it
    signature: str = ""
    attribution: str = ""  # the line above the quote; "" quotes nothing
    quote: str = ""
    files: Sequence[File] = ()


def compose(written: Written) -> bytes:
    """The message with CRLF lines, all of it ASCII. ValueError on a value that cannot stand in its field."""
    lines = [
        fields.raw_line("Date", format_datetime(written.date)),
        fields.mailbox_line("From", [written.sender]),
        fields.mailbox_line("To", written.to),
        *([fields.mailbox_line("Cc", written.cc)] if written.cc else []),
        *(
            [fields.mailbox_line("Reply-To", [(written.sender[0], written.reply_to)])]
            if written.reply_to
            else []
        ),
        fields.text_line("Subject", written.subject),
        fields.id_line("Message-ID", [written.message_id]),
        *_threading(written),
        fields.raw_line(LOOP_HEADER, written.loop_token),
        "MIME-Version: 1.0",
    ]
    alternative = _multipart("alternative", [_text("plain", _plain(written)), _text("html", _html(written))])
    body = _multipart("mixed", [alternative, *map(_file, written.files)]) if written.files else alternative
    return CRLF.join(lines).encode("ascii") + b"\r\n" + body


def answer_subject(subject: str, ticket_id: int, tags: TicketTags = FIRST_TAGS) -> str:
    """`Re: Printer offline [T-1042]`: one "Re:" and one tag, whatever stood there."""
    bare = fields.one_line(tags.strip_from(subject))
    bare = _ANSWER.sub("", bare)[:SUBJECT_CHARS].strip()
    return f"Re: {bare} {tags.of(ticket_id)}" if bare else f"Re: {tags.of(ticket_id)}"


def reference_chain(message_ids: Sequence[str]) -> list[str]:
    """The first and the newest MAX_REFERENCES of a conversation's ids, oldest first, each once."""
    known = [one for one in dict.fromkeys(message_ids) if fields.is_id(one)]
    return known if len(known) <= MAX_REFERENCES + 1 else [known[0], *known[-MAX_REFERENCES:]]


def safe_name(name: str) -> str:
    """A file's name as it may stand in a mail and in a folder; "attachment" where nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    tidy = " ".join(_NAME.sub("_", last).split()).strip(". ")
    if len(tidy) > _NAME_CHARS:
        stem, dot, extension = tidy.rpartition(".")
        tail = f"{dot}{extension}" if stem and len(extension) < 20 else ""
        tidy = f"{tidy[: _NAME_CHARS - len(tail)].rstrip('. ')}{tail}"
    return tidy or "attachment"


def file_infos(files: Sequence[File]) -> list[AttachmentInfo]:
    """What the parser would list of the composed message: where each file is in it."""
    return [
        AttachmentInfo(
            position=_FIRST_FILE + number,
            filename=file.name,
            content_type=_shown_type(file),
            size=len(file.content),
            inline=False,
            content_id=None,
            sha256=hashlib.sha256(file.content).hexdigest(),
        )
        for number, file in enumerate(files)
    ]


def _shown_type(file: File) -> str:
    """As the parser will say it: of an unknown type it looks at the octets."""
    told = file.content_type
    return (guessed_type(file.name, file.content) or told) if told == _OCTETS else told


def _threading(written: Written) -> list[str]:
    lines = []
    if written.in_reply_to and fields.is_id(written.in_reply_to):
        lines.append(fields.id_line("In-Reply-To", [written.in_reply_to]))
    if chain := reference_chain(written.references):
        lines.append(fields.id_line("References", chain))
    return lines


def _plain(written: Written) -> str:
    parts = [written.text]
    if written.signature:
        parts.append(f"-- \n{written.signature}")
    if written.attribution:
        parts.append(f"{written.attribution}\n{written_text.quoted(written.quote)}")
    return "\n\n".join(parts) + "\n"


def _html(written: Written) -> str:
    parts = [written_text.as_html(written.text)]
    if written.signature:
        parts.append(written_text.signature_html(written.signature))
    if written.attribution:
        parts.append(written_text.quote_html(written.attribution, written.quote))
    return written_text.document("\n".join(parts))


def _text(subtype: str, text: str) -> bytes:
    # Quoted-printable whatever the text: no line is too long then, and no gateway changes white space.
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # a CR alone ends a line for some servers
    encoded = quopri.encodestring(text.encode("utf-8", "replace"))
    lines = [b"=46" + line[1:] if line.startswith(b"From ") else line for line in encoded.split(b"\n")]
    head = (
        f"Content-Type: text/{subtype}; charset=utf-8{CRLF}Content-Transfer-Encoding: quoted-printable{CRLF}"
    )
    return head.encode("ascii") + b"\r\n" + b"\r\n".join(lines)


def _file(file: File) -> bytes:
    head = (
        f"Content-Type: {file.content_type}{CRLF}"
        f"Content-Transfer-Encoding: base64{CRLF}"
        f"Content-Disposition: attachment{fields.parameter('filename', file.name)}{CRLF}"
    )
    return head.encode("ascii") + b"\r\n" + base64.encodebytes(file.content).replace(b"\n", b"\r\n")


def _multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    """Parts with their headers; the boundary is random, so no content can hold it."""
    boundary = f"=_{secrets.token_hex(12)}"  # "=_" occurs in neither quoted-printable nor base64
    head = f'Content-Type: multipart/{subtype}; boundary="{boundary}"{CRLF}{CRLF}'
    delimiter = f"--{boundary}{CRLF}".encode("ascii")
    body = b"".join(delimiter + part + b"\r\n" for part in parts)
    return head.encode("ascii") + body + f"--{boundary}--{CRLF}".encode("ascii")
