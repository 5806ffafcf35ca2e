"""What a TNEF stream holds as parts of the message: its text, its files, and attached mails as .eml."""

from __future__ import annotations

import hashlib
from email.message import EmailMessage
from email.utils import format_datetime

from webapp.mail import limits
from webapp.mail.charset import one_line, readable
from webapp.mail.containers import alternatives, file_part, text_part
from webapp.mail.filenames import type_by_name
from webapp.mail.message import Invitation
from webapp.mail.mime import Part
from webapp.mail.rtf import Allowance, RtfError, read_rtf, unpack
from webapp.mail.tnef import Tnef, TnefFile

_MEETINGS = {
    "ipm.schedule.meeting.request": ("REQUEST", ""),
    "ipm.microsoft schedule.mtgreq": ("REQUEST", ""),
    "ipm.schedule.meeting.canceled": ("CANCEL", "CANCELLED"),
    "ipm.microsoft schedule.mtgcncl": ("CANCEL", "CANCELLED"),
    "ipm.schedule.meeting.resp.pos": ("REPLY", "ACCEPTED"),
    "ipm.microsoft schedule.mtgrespp": ("REPLY", "ACCEPTED"),
    "ipm.schedule.meeting.resp.neg": ("REPLY", "DECLINED"),
    "ipm.microsoft schedule.mtgrespn": ("REPLY", "DECLINED"),
    "ipm.schedule.meeting.resp.tent": ("REPLY", "TENTATIVE"),
    "ipm.microsoft schedule.mtgrespa": ("REPLY", "TENTATIVE"),
}


def parts_of(tnef: Tnef, *, with_text: bool, allowance: Allowance) -> list[Part]:
    """Parts for everything in `tnef`; its text only where the message has none of its own.

    Marks `tnef` as not whole where a file of it could not be taken.
    """
    parts = alternatives(_texts(tnef, allowance)) if with_text else []
    for file in tnef.files[: limits.ATTACHMENTS]:
        if file.mail is not None:
            parts.append(_mail_part(file.mail, file.filename, allowance))
        else:
            parts.append(file_part(file.content, _name(file), _type(file), file.content_id))
        if file.mail is not None and not file.mail.whole:
            tnef.whole = False
    if len(tnef.files) > limits.ATTACHMENTS:
        tnef.whole = False
    return parts


def invitation_of(tnef: Tnef) -> Invitation | None:
    """The meeting a TNEF message speaks of (MS-OXOCAL), None where it is none."""
    found = _MEETINGS.get(tnef.message_class.lower().removeprefix("ipm.note."))
    if found is None or tnef.starts is None:
        return None
    method, status = found
    sender = one_line(tnef.sender)[:300]
    return Invitation(
        method=method,
        summary=one_line(tnef.subject)[:500],
        start=tnef.starts.isoformat(),
        end=tnef.ends.isoformat() if tnef.ends else None,
        time_zone="UTC",
        location=one_line(tnef.location)[:500],
        organizer="" if method == "REPLY" else sender,
        attendees=(sender,) if method == "REPLY" and sender else (),
        attendee_count=1 if method == "REPLY" and sender else 0,
        repeats="",
        description="",
        status=status,
    )


def _texts(tnef: Tnef, allowance: Allowance) -> list[Part]:
    """The message's text in the forms that are there, plain first."""
    html, plain = tnef.html, tnef.plain
    charset = tnef.html_charset
    if tnef.rtf and not html.strip():
        try:
            rich = read_rtf(unpack(tnef.rtf, allowance), allowance)
        except RtfError:
            tnef.whole = False
        else:
            tnef.whole = tnef.whole and allowance.tokens > 0 and allowance.octets > 0
            if rich.is_html:
                html, charset = rich.text.encode("utf-8", "replace"), "utf-8"
            else:
                plain = (plain.strip() and plain) or rich.text
    parts = []
    if plain.strip():
        parts.append(text_part(readable(plain).strip().encode("utf-8", "replace"), "plain", "utf-8"))
    if html.strip():
        parts.append(text_part(html, "html", charset))
    return parts


def _name(file: TnefFile) -> str:
    return file.filename.strip() or "attachment"


def _type(file: TnefFile) -> str:
    return file.content_type or type_by_name(_name(file))


def _mail_part(mail: Tnef, name: str, allowance: Allowance) -> Part:
    """An attached mail written as one (RFC 5322), for reading it like any other attached mail."""
    subject = one_line(mail.subject or name)[: limits.FILENAME_CHARS]
    content = _mail(mail, subject, allowance).as_bytes()
    filename = f"{subject.replace('/', '-')[: limits.FILENAME_CHARS - 4] or 'message'}.eml"
    return file_part(content, filename, "message/rfc822")


def _mail(mail: Tnef, subject: str, allowance: Allowance) -> EmailMessage:
    message = EmailMessage()
    _set(message, "Subject", subject)
    _set(message, "From", mail.sender)
    _set(message, "To", mail.to)
    if mail.sent is not None:
        message["Date"] = format_datetime(mail.sent)
    _set(message, "Message-ID", mail.message_id)
    _set(message, "In-Reply-To", mail.in_reply_to)
    texts = _texts(mail, allowance)
    plain = [part for part in texts if part.content_type == "text/plain"]
    message.set_content(plain[0].content().decode("utf-8", "replace") if plain else "")
    for part in texts:
        if part.content_type == "text/html":
            html = part.content().decode(part.charset or "utf-8", "replace")
            message.add_alternative(html, subtype="html")
    for inner in parts_of(mail, with_text=False, allowance=allowance):
        main, _, sub = inner.content_type.partition("/")
        if main in ("message", "multipart"):
            main, sub = "application", "octet-stream"  # an .eml is known by its name
        filename = one_line(inner.disposition_parameters.get("filename", ""))
        message.add_attachment(inner.content(), maintype=main, subtype=sub, filename=filename)
    _fix_boundaries(message)
    return message


def _fix_boundaries(message: EmailMessage) -> None:
    """Boundaries made from the content: the library's are random, and one mail must read the same twice."""
    seen = hashlib.sha256()
    parts = list(message.walk())
    for part in parts:
        if not part.is_multipart():
            seen.update(str(part.get_payload()).encode("utf-8", "replace"))
    for number, part in enumerate(parts):
        if part.is_multipart():
            part.set_boundary(f"=_{seen.hexdigest()[:40]}_{number}")


def _set(message: EmailMessage, name: str, value: str) -> None:
    value = one_line(value)[:900]
    if not value:
        return
    try:
        message[name] = value
    except (ValueError, LookupError, AttributeError, TypeError, IndexError):
        message[f"X-{name}"] = value.encode("ascii", "replace").decode()  # the library refuses what is odd
