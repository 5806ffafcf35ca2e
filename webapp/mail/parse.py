"""Raw octets to an `InboundMessage`: never raises, in bounded time, with what was odd in `defects`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from webapp.mail import limits
from webapp.mail.address import parse_addresses, sender_of
from webapp.mail.attachments import list_attachments
from webapp.mail.auto_submitted import automated_marks
from webapp.mail.body import Body, read_body
from webapp.mail.charset import one_line, without_surrogates
from webapp.mail.dates import parse_date
from webapp.mail.headers import Headers, decode_words
from webapp.mail.loop_token import LOOP_HEADER
from webapp.mail.message import Address, AttachmentInfo, AutomatedMark, InboundMessage, Sender
from webapp.mail.mime import Part, split_message
from webapp.mail.references import message_id, message_ids, reference_chain
from webapp.mail.reply import reply_text
from webapp.mail.report import read_report, report_type

# Header fields of our own namespace on received mail are somebody else's invention, until a key proves them.
_OWN_NAMESPACE = "x-service-desk-"
_IN_REPLY_TO_IDS = 20

T = TypeVar("T")


def parse(raw: bytes, *, transport_headers: tuple[tuple[str, str], ...] = ()) -> InboundMessage:
    """What one raw message says.

    `transport_headers` are fields that only the mail server's interface still knows (Exchange, Graph);
    marks of automated mail are looked for in both.
    """
    guard = _Guard()
    root, defects = guard.run("structure", lambda: split_message(raw), _nothing())
    guard.defects.extend(defects)
    body = guard.run("body", lambda: read_body(root), Body())
    guard.defects.extend(body.defects)
    no_attachments: tuple[tuple[AttachmentInfo, ...], list[str]] = ((), [])
    attachments, defects = guard.run("attachments", lambda: list_attachments(root, body), no_attachments)
    guard.defects.extend(defects)
    folded = guard.run("reply", lambda: reply_text(body.text), body.text)
    return _message(root, guard, transport_headers, body, attachments, folded)


def parse_header_only(raw_header: bytes) -> InboundMessage:
    """What the header alone says, for a message that is too large to fetch."""
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
) -> InboundMessage:
    headers = root.headers
    run = guard.run
    fields: list[tuple[str, str]] = [*headers.texts(), *transport_headers]
    no_ids: tuple[tuple[str, ...], bool] = ((), False)
    references, cut = run("References", lambda: reference_chain(headers.all("references")), no_ids)
    if cut:
        guard.defects.append(f"more than {limits.REFERENCES} References")
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
        automated=run("automation", lambda: _automated(root, fields), ()),
        report=run("report", lambda: read_report(root), None),
        loop_header=run("loop header", lambda: _loop_header(fields), None),
        body_text=body.text,
        reply_text=folded,
        body_html=body.html,
        attachments=attachments,
        headers=run("headers", lambda: _shown(fields), ()),
        defects=guard.noted(),
    )


def _nothing() -> tuple[Part, list[str]]:
    return Part(b"", 0, 0, Headers(), "text/plain", {}, "", {}), []


def _sender(headers: Headers, guard: _Guard) -> Sender:
    sender = sender_of(headers.all("from"), field_count=headers.from_count)
    if sender.doubt:
        guard.defects.append(f"sender in doubt: {sender.doubt}")
    return sender


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


def _loop_header(fields: Sequence[tuple[str, str]]) -> str | None:
    values = (value for name, value in fields if name.lower() == LOOP_HEADER.lower())
    value = next(values, None)
    return None if value is None else one_line(value)[:200]


def _shown(fields: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    shown = [field for field in fields if not field[0].lower().startswith(_OWN_NAMESPACE)]
    return tuple(
        (
            without_surrogates(name)[: limits.MESSAGE_ID_CHARS],
            one_line(decode_words(value[: limits.SHOWN_FIELD_CHARS])),
        )
        for name, value in shown[: limits.SHOWN_FIELDS]
    )
