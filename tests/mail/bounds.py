"""What must hold of every parsed message: used by the property tests and those of hostile mail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from webapp.mail import limits
from webapp.mail.message import Address, InboundMessage
from webapp.mail.parse import parse
from webapp.mail.wire import from_json, to_json

# One line to show: no control characters, no lone surrogates. A text may have line feeds and tabs.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_A_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_A_NAME = re.compile('[<>:"|?*/\\\\\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]')
_IN_REPLY_TO = 20


def checked(raw: bytes) -> InboundMessage:
    """`raw` parsed, with everything asserted that the limits and the wire promise."""
    message = parse(raw)
    assert not [defect for defect in message.defects if "not understood:" in defect]
    assert parse(raw) == message
    octets = json.dumps(to_json(message), ensure_ascii=False).encode("utf-8")
    assert from_json(json.loads(octets)) == message
    assert_within_limits(message)
    return message


def assert_within_limits(message: InboundMessage) -> None:
    for field, line in _lines(message):
        assert not _NOT_IN_A_LINE.search(line), (field, line)
    for field, text in _texts(message):
        assert not _NOT_IN_A_TEXT.search(text), (field, _NOT_IN_A_TEXT.search(text))
    assert len(message.subject) <= limits.HEADER_FIELD
    for addresses in (message.to, message.cc, message.reply_to):
        assert len(addresses) <= limits.RECIPIENTS
        for address in addresses:
            _check_address(address)
    assert len(message.sender.display_name) <= limits.NAME_CHARS
    assert len(message.sender.addr_spec or "") <= limits.ADDRESS_CHARS
    assert len(message.sender.written) <= limits.SHOWN_FIELD_CHARS
    assert (message.sender.addr_spec is None) == (message.sender.doubt is not None)
    assert len(message.references) <= limits.REFERENCES
    assert len(message.in_reply_to) <= _IN_REPLY_TO
    for one in (message.message_id or "-", *message.references, *message.in_reply_to):
        assert 0 < len(one) <= limits.MESSAGE_ID_CHARS
    assert len(message.body_text) <= limits.TEXT_CHARS
    assert len(message.reply_text) <= limits.TEXT_CHARS
    assert len(message.body_html or "") <= 2 * limits.HTML_CHARS
    assert len(message.defects) <= limits.DEFECTS
    assert len(message.headers) <= limits.SHOWN_FIELDS
    assert all(
        len(value) <= limits.SHOWN_FIELD_CHARS
        for name, value in message.headers
        if name.lower() != "authentication-results"
    )
    _check_files(message)


def _check_address(address: Address) -> None:
    assert 0 < len(address.addr_spec) <= limits.ADDRESS_CHARS
    assert len(address.display_name) <= limits.NAME_CHARS


def _check_files(message: InboundMessage) -> None:
    assert len(message.attachments) <= limits.ATTACHMENTS
    names = [attachment.filename.casefold() for attachment in message.attachments]
    assert len(set(names)) == len(names)
    for attachment in message.attachments:
        name = attachment.filename
        assert 0 < len(name) <= limits.FILENAME_CHARS
        assert not _NOT_IN_A_NAME.search(name), name
        assert name == name.strip(". ")
        assert attachment.size >= 0
        assert len(attachment.content_type) <= limits.MESSAGE_ID_CHARS
    positions = [attachment.position for attachment in message.attachments]
    assert positions == sorted(set(positions))


def _lines(message: InboundMessage) -> Iterator[tuple[str, str]]:
    yield "subject", message.subject
    yield "written", message.sender.written
    yield "sender", message.sender.display_name + (message.sender.addr_spec or "")
    for address in (*message.to, *message.cc, *message.reply_to):
        yield "address", address.display_name + address.addr_spec
    for one in (message.message_id or "", *message.in_reply_to, *message.references):
        yield "id", one
    for attachment in message.attachments:
        yield "file", attachment.filename + attachment.content_type + (attachment.content_id or "")
    for name, value in message.headers:
        yield "header", name + value
    for defect in message.defects:
        yield "defect", defect
    for mark in message.automated:
        yield "mark", mark.rule + mark.saw
    if message.report is not None:
        yield "report", message.report.recipient + message.report.action + message.report.status


def _texts(message: InboundMessage) -> Iterator[tuple[str, str]]:
    yield "body_text", message.body_text
    yield "reply_text", message.reply_text
    yield "body_html", message.body_html or ""
    if message.invitation is not None:
        yield "invitation", message.invitation.summary + message.invitation.description
