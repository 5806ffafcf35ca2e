"""Raw octets to an `InboundMessage`: never raises, in bounded time, with what was odd in `defects`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from webapp.mail import authentication_results, limits
from webapp.mail.address import parse_addresses, sender_of
from webapp.mail.attachments import list_attachments
from webapp.mail.auto_submitted import automated_marks
from webapp.mail.body import Body, read_body
from webapp.mail.calendar_words import invitation_text
from webapp.mail.charset import one_line, without_surrogates
from webapp.mail.containers import Opened, may_be_calendar, open_message
from webapp.mail.dates import parse_date
from webapp.mail.encoded_words import decode_words
from webapp.mail.headers import Headers, begin_of_message, with_line_feeds
from webapp.mail.loop_token import LOOP_HEADER
from webapp.mail.message import (
    Address,
    AttachmentInfo,
    AutomatedMark,
    InboundMessage,
    Invitation,
    Report,
    Sender,
)
from webapp.mail.mime import Part, split_message
from webapp.mail.protection import encrypted_text, protection_of
from webapp.mail.references import message_id, message_ids, reference_chain
from webapp.mail.reply import reply_text, without_signature
from webapp.mail.report import (
    comes_from_a_system,
    is_report,
    read_class,
    read_report,
    report_type,
    returned_message_id,
)

# Header fields of our own namespace on received mail are somebody else's invention, until a key proves them.
_OWN_NAMESPACE = "x-service-desk-"
_IN_REPLY_TO_IDS = 20
_CALENDARS = 10  # looked at for an event
_BOUNCES = frozenset({"", "delivery-status"})  # report types of which a part may be missing

T = TypeVar("T")


def parse(raw: bytes, *, transport_headers: tuple[tuple[str, str], ...] = ()) -> InboundMessage:
    """What one raw message says.

    `transport_headers` are fields that only the mail server's interface still knows (Exchange, Graph);
    marks of automated mail are looked for in both.
    """
    guard = _Guard()
    opened = guard.run("structure", lambda: open_message(raw), Opened(_nothing()[0]))
    guard.defects.extend(opened.defects)
    root = opened.root
    body = guard.run("body", lambda: read_body(root), Body())
    guard.defects.extend(body.defects)
    protection = guard.run("protection", lambda: protection_of(root, opened.smime, body.protection), "")
    invitation = guard.run("invitation", lambda: _invitation(opened, guard), None)
    if not body.text.strip():
        body.text = encrypted_text(protection) or (invitation_text(invitation) if invitation else "")
    no_attachments: tuple[tuple[AttachmentInfo, ...], list[str]] = ((), [])
    attachments, defects = guard.run("attachments", lambda: list_attachments(root, body), no_attachments)
    guard.defects.extend(defects)
    folded = guard.run("reply", lambda: _reply_text(body, root.headers.decoded("subject")), body.text)
    message = _message(root, guard, transport_headers, body, attachments, folded, opened.message_class)
    return replace(message, invitation=invitation, protection=protection)


def _reply_text(body: Body, subject: str) -> str:
    """What the sender wrote: by the structure of the HTML, or else by the words mail programs write."""
    if body.own_words is not None:
        return without_signature(body.own_words) or body.text.strip()
    folded = reply_text(body.text, subject=subject)
    # Quotation marks that we wrote ourselves, for a quotation that is a part of the text.
    if body.quotes_are_content and all(
        not line.strip() or line.startswith(">")
        for line in body.text.strip().removeprefix(folded).split("\n")
    ):
        return body.text.strip()
    return folded


def parse_header_only(raw_header: bytes) -> InboundMessage:
    """What the header alone says, for a message that is too large to fetch."""
    raw_header = with_line_feeds(raw_header)
    raw_header = raw_header[begin_of_message(raw_header) :]
    end = min((at for at in (raw_header.find(b"\n\r\n"), raw_header.find(b"\n\n")) if at >= 0), default=None)
    block = raw_header if end is None else raw_header[: end + 1]
    guard = _Guard()
    # The boundary named there has nothing to cut here, and that is no defect.
    root, _ = guard.run("structure", lambda: split_message(block), _nothing())
    root.children.clear()
    return _message(root, guard, (), Body(), (), "")


class _Guard:
    """Runs one step of the parsing: a fault in one field must not cost the others."""

    def __init__(self) -> None:
        self.defects: list[str] = []

    def run(self, what: str, step: Callable[[], T], default: T) -> T:
        try:
            return step()
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as exc:  # noqa: BLE001 - the promise of this module: odd mail never raises
            self.defects.append(f"{what} not understood: {type(exc).__name__}")
            return default

    def noted(self) -> tuple[str, ...]:
        unique = list(dict.fromkeys(without_surrogates(defect) for defect in self.defects))
        if len(unique) > limits.DEFECTS:
            unique[limits.DEFECTS - 1 :] = [f"{len(unique) - limits.DEFECTS + 1} more defects"]
        return tuple(unique)


def _message(
    root: Part,
    guard: _Guard,
    transport_headers: tuple[tuple[str, str], ...],
    body: Body,
    attachments: tuple[AttachmentInfo, ...],
    folded: str,
    message_class: str = "",
) -> InboundMessage:
    headers = root.headers
    run = guard.run
    fields: list[tuple[str, str]] = [*headers.texts(), *transport_headers]
    no_ids: tuple[tuple[str, ...], bool] = ((), False)
    references, cut = run("References", lambda: reference_chain(headers.all("references")), no_ids)
    if cut:
        guard.defects.append(f"more than {limits.REFERENCES} References")
    report = run("report", lambda: _report(root, fields, body.text, message_class), None)
    return InboundMessage(
        subject=run("Subject", lambda: headers.decoded("subject"), ""),
        sender=run("From", lambda: _sender(headers, guard), Sender(None, "", "", "From not understood")),
        to=run("To", lambda: _recipients("To", headers, guard), ()),
        cc=run("Cc", lambda: _recipients("Cc", headers, guard), ()),
        reply_to=run("Reply-To", lambda: _recipients("Reply-To", headers, guard), ()),
        date=run("Date", lambda: parse_date(headers.first("date") or ""), None),
        message_id=run("Message-ID", lambda: message_id(headers.all("message-id")), None),
        in_reply_to=run("In-Reply-To", lambda: _in_reply_to(headers), ()),
        references=references,
        automated=_with_report(run("automation", lambda: _automated(root, fields), ()), report),
        report=report,
        loop_header=run("loop header", lambda: _loop_header(fields), None),
        body_text=body.text,
        reply_text=folded,
        body_html=body.html,
        attachments=attachments,
        headers=run("headers", lambda: _shown(fields), ()),
        defects=guard.noted(),
    )


def _invitation(opened: Opened, guard: _Guard) -> Invitation | None:
    """Of the first calendar that says something; imported only for the few messages that have one."""
    for part in islice(filter(may_be_calendar, opened.root.all_leaves()), _CALENDARS):
        from webapp.mail.calendar import read_invitation

        found, defects = read_invitation(part)
        guard.defects.extend(defects)
        if found is not None:
            return found
    return opened.invitation


def _nothing() -> tuple[Part, list[str]]:
    return Part(b"", 0, 0, Headers(), "text/plain", {}, "", {}), []


def _sender(headers: Headers, guard: _Guard) -> Sender:
    sender = sender_of(headers.all("from"), field_count=headers.from_count)
    if sender.addr_spec is not None and (doubt := _doubt(headers, sender.addr_spec)):
        sender = replace(sender, addr_spec=None, doubt=doubt)
    if sender.doubt:
        guard.defects.append(f"sender in doubt: {sender.doubt}")
    return sender


def _doubt(headers: Headers, addr_spec: str) -> str | None:
    """Why somebody else, such as the server that checked the sender, may have read another address."""
    if "from" in headers.mended:
        return "From with a broken line"
    if sender_of(headers.as_written("from")).addr_spec != addr_spec:
        return "From that reads differently in another charset"
    return None


def _recipients(name: str, headers: Headers, guard: _Guard) -> tuple[Address, ...]:
    addresses, more = parse_addresses(headers.all(name))
    if more:
        guard.defects.append(f"more than {limits.RECIPIENTS} addresses in {name}")
    return addresses


def _in_reply_to(headers: Headers) -> tuple[str, ...]:
    ids = dict.fromkeys(one for value in headers.all("in-reply-to") for one in message_ids(value))
    return tuple(ids)[:_IN_REPLY_TO_IDS]


def _automated(root: Part, fields: Sequence[tuple[str, str]]) -> tuple[AutomatedMark, ...]:
    named, _ = parse_addresses(root.headers.all("from"))
    senders = [address.addr_spec for address in named]
    cleaned = [(without_surrogates(name), one_line(value)) for name, value in fields]
    return automated_marks(cleaned, senders, content_type=root.content_type, report_type=report_type(root))


def _report(root: Part, fields: Sequence[tuple[str, str]], text: str, message_class: str) -> Report | None:
    """A report for programs, one that Outlook sent as TNEF alone, or a mail system's letter."""
    headers = root.headers
    named, _ = parse_addresses(headers.all("from"))
    senders = tuple(address.addr_spec for address in named)
    names = [*(sender.partition("@")[0] for sender in senders), *(address.display_name for address in named)]
    cleaned = [(name, one_line(value)) for name, value in fields]
    content_type = root.content_type if report_type(root) in _BOUNCES else ""
    is_from_a_system = comes_from_a_system(cleaned, names, content_type)
    told = read_report(root) if is_from_a_system or is_report(root) else None
    if told is not None and (told.recipient or told.kind != "delivery-status"):
        return told
    answered = message_id([*headers.all("in-reply-to"), *headers.all("references")])
    if found := read_class(message_class, senders[0] if senders else "", answered):
        return found
    if not is_from_a_system:
        return told
    from webapp.mail.bounces import Letter, read_bounce  # a table of phrases that most mail does not need

    letter = read_bounce(
        Letter(
            fields=cleaned,
            senders=senders,
            sender_name=named[0].display_name if named else "",
            subject=headers.decoded("subject"),
            text=text,
            content_type=content_type,
            returned_id=returned_message_id(root),
        )
    )
    return letter or told


def _with_report(marks: tuple[AutomatedMark, ...], report: Report | None) -> tuple[AutomatedMark, ...]:
    """The marks, and the one of a report that only its text gives away."""
    if report is None or any(mark.rule == "delivery-report" for mark in marks):
        return marks
    return (AutomatedMark("delivery-report", f"the text of a {report.kind} report"), *marks)


def _loop_header(fields: Sequence[tuple[str, str]]) -> str | None:
    values = (value for name, value in fields if name.lower() == LOOP_HEADER.lower())
    value = next(values, None)
    return None if value is None else one_line(value)[:200]


def _shown_value(name: str, value: str) -> str:
    """Decoded and cut for reading; but what a decision hangs on (RFC 8601) stays as our server wrote it."""
    if name.lower() == authentication_results.FIELD:
        return value
    return decode_words(value[: limits.SHOWN_FIELD_CHARS])


def _shown(fields: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    shown = [field for field in fields if not field[0].lower().startswith(_OWN_NAMESPACE)]
    return tuple(
        (without_surrogates(name)[: limits.MESSAGE_ID_CHARS], one_line(_shown_value(name, value)))
        for name, value in shown[: limits.SHOWN_FIELDS]
    )
