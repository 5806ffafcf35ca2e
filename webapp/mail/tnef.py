"""TNEF, the content of winmail.dat (MS-OXTNEF): its message text, its files, the mails attached in it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from webapp.mail import limits
from webapp.mail.charset_names import python_name
from webapp.mail.mapi import (
    APPOINTMENT,
    Allowance,
    MapiError,
    Properties,
    moment,
    number,
    octets,
    read_properties,
    text,
)

SIGNATURE = b"\x78\x9f\x3e\x22"

# Attributes (MS-OXTNEF section 2.1.3.3), without their types.
_FROM, _SUBJECT, _DATE_SENT, _MESSAGE_CLASS = 0x8000, 0x8004, 0x8005, 0x8008
_ATTACH_DATA, _ATTACH_TITLE, _BODY = 0x800F, 0x8010, 0x800C
_ATTACH_REND, _MAPI, _ATTACHMENT, _CODEPAGE = 0x9002, 0x9003, 0x9005, 0x9007
# Properties (MS-OXPROPS).
_P_CLASS, _P_SUBJECT, _P_BODY, _P_RTF, _P_HTML, _P_CODEPAGE = 0x001A, 0x0037, 0x1000, 0x1009, 0x1013, 0x3FDE
_P_SENDER_NAME, _P_SENDER_EMAIL, _P_SENDER_SMTP, _P_SENT = 0x0C1A, 0x0C1F, 0x5D01, 0x0039
_P_MESSAGE_ID, _P_REPLY_TO_ID, _P_DISPLAY_TO = 0x1035, 0x1042, 0x0E04
_P_DATA, _P_NAME, _P_LONG_NAME, _P_DISPLAY_NAME = 0x3701, 0x3704, 0x3707, 0x3001
_P_METHOD, _P_MIME, _P_CONTENT_ID = 0x3705, 0x370E, 0x3712
_EMBEDDED, _OLE = 5, 6
_MOST_ATTRIBUTES = 10_000
_OBJECT_ID_OCTETS = 16  # an object's value begins with its interface's id


@dataclass(slots=True)
class TnefFile:
    filename: str
    content: bytes
    content_type: str = ""
    content_id: str = ""
    mail: Tnef | None = None  # a mail attached to this one, `content` is then empty


@dataclass(slots=True)
class Tnef:
    """What one TNEF stream holds; `whole` is False where something in it could not be read."""

    message_class: str = ""
    subject: str = ""
    sender: str = ""  # "Ann Lee <ann@acme.test>"
    to: str = ""
    sent: datetime | None = None
    message_id: str = ""
    in_reply_to: str = ""
    plain: str = ""
    html: bytes = b""
    html_charset: str = "utf-8"
    rtf: bytes = b""  # still compressed (MS-OXRTFCP)
    starts: datetime | None = None  # of a meeting
    ends: datetime | None = None
    location: str = ""
    files: list[TnefFile] = field(default_factory=list)
    whole: bool = True


def read_tnef(
    data: bytes, *, depth: int = limits.CONTAINER_DEPTH, allowance: Allowance | None = None
) -> Tnef:
    """Raises ValueError where `data` is no TNEF stream at all."""
    if not data.startswith(SIGNATURE):
        raise ValueError("not a TNEF stream")
    return _Builder(depth, allowance or Allowance()).build(data)


class _Builder:
    def __init__(self, depth: int, allowance: Allowance) -> None:
        self._depth = depth
        self._allowance = allowance
        self._codepage = "cp1252"
        self._tnef = Tnef()

    def build(self, data: bytes) -> Tnef:
        tnef = self._tnef
        self._attributes = _attributes(data)
        try:
            for attribute, value in self._attributes:
                self._take(attribute, value)
        except MapiError:
            tnef.whole = False
        tnef.files = [one for one in tnef.files if one.content or one.mail or one.filename]
        return tnef

    def _take(self, attribute: int, value: bytes) -> None:
        tnef = self._tnef
        if attribute == _CODEPAGE and len(value) >= 4:
            self._codepage = python_name(f"cp{int.from_bytes(value[:4], 'little')}") or self._codepage
        elif attribute == _MESSAGE_CLASS:
            tnef.message_class = self._string(value)
        elif attribute == _SUBJECT:
            tnef.subject = tnef.subject or self._string(value)
        elif attribute == _BODY:
            tnef.plain = tnef.plain or self._string(value)
        elif attribute == _DATE_SENT:
            tnef.sent = tnef.sent or _date(value)
        elif attribute == _MAPI:
            self._message(self._properties(value))
        else:
            self._attachment(attribute, value)

    def _attachment(self, attribute: int, value: bytes) -> None:
        files = self._tnef.files
        if attribute == _ATTACH_REND:
            if len(files) >= limits.MIME_PARTS:
                raise MapiError("too many files")
            files.append(TnefFile("", b""))
        elif attribute in (_ATTACH_DATA, _ATTACH_TITLE, _ATTACHMENT):
            if not files:
                files.append(TnefFile("", b""))
            if attribute == _ATTACH_DATA:
                files[-1].content = value
            elif attribute == _ATTACH_TITLE:
                files[-1].filename = files[-1].filename or self._string(value)
            else:
                self._file(files[-1], self._properties(value))

    def _message(self, found: Properties) -> None:
        tnef = self._tnef
        tnef.message_class = text(found, _P_CLASS) or tnef.message_class
        tnef.subject = text(found, _P_SUBJECT) or tnef.subject
        address = text(found, _P_SENDER_SMTP) or text(found, _P_SENDER_EMAIL)
        address = f"<{address}>" if "@" in address else ""
        tnef.sender = " ".join(filter(None, (text(found, _P_SENDER_NAME), address)))
        tnef.to = text(found, _P_DISPLAY_TO)
        tnef.sent = moment(found, _P_SENT) or tnef.sent
        tnef.message_id, tnef.in_reply_to = text(found, _P_MESSAGE_ID), text(found, _P_REPLY_TO_ID)
        tnef.plain = text(found, _P_BODY) or tnef.plain
        html = found.get(_P_HTML, b"")
        page = number(found, _P_CODEPAGE)
        if isinstance(html, str):
            tnef.html = html.encode("utf-8", "replace")
        else:
            tnef.html = html
            tnef.html_charset = python_name(f"cp{page}") or self._codepage
        tnef.rtf = octets(found, _P_RTF)
        tnef.starts, tnef.ends = moment(found, (APPOINTMENT, 0x820D)), moment(found, (APPOINTMENT, 0x820E))
        tnef.location = text(found, (APPOINTMENT, 0x8208))

    def _file(self, file: TnefFile, found: Properties) -> None:
        file.filename = text(found, _P_LONG_NAME) or file.filename or text(found, _P_NAME)
        file.filename = file.filename or text(found, _P_DISPLAY_NAME)
        file.content_type = text(found, _P_MIME).strip().lower()
        file.content_id = text(found, _P_CONTENT_ID).strip("<> ")
        data = found.get(_P_DATA, b"")
        data = data.encode("utf-8", "replace") if isinstance(data, str) else data
        method = number(found, _P_METHOD)
        if method == _EMBEDDED or data[_OBJECT_ID_OCTETS:].startswith(SIGNATURE):
            file.mail, file.content = self._embedded(data), b""
            if file.mail is None:
                self._tnef.whole = False
        elif data and not file.content:
            file.content = data[_OBJECT_ID_OCTETS:] if method == _OLE else data

    def _embedded(self, data: bytes) -> Tnef | None:
        start = data.find(SIGNATURE, 0, _OBJECT_ID_OCTETS + len(SIGNATURE))
        if start < 0 or self._depth <= 1:
            return None
        return read_tnef(data[start:], depth=self._depth - 1, allowance=self._allowance)

    def _properties(self, value: bytes) -> Properties:
        found, whole = read_properties(value, self._codepage, self._allowance)
        self._tnef.whole = self._tnef.whole and whole
        return found

    def _string(self, value: bytes) -> str:
        return value.partition(b"\0")[0].decode(self._codepage, "replace")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Attributes with their values (MS-OXTNEF section 2.1.3.1); checksums say nothing here and are skipped.

    Raises MapiError where the stream ends too early; a few octets of garbage behind the last are usual.
    """
    at = len(SIGNATURE) + 2
    for _ in range(_MOST_ATTRIBUTES):
        if data[at : at + 1] not in (b"\x01", b"\x02"):
            if at == len(SIGNATURE) + 2:
                raise MapiError("no attributes")
            return
        if at + 9 > len(data):
            raise MapiError("ends in the middle of an attribute")
        attribute, size = struct.unpack_from("<HxxI", data, at + 1)
        at += 9
        if at + size > len(data):
            raise MapiError("ends in the middle of an attribute")
        yield attribute, data[at : at + size]
        at += size + 2
    raise MapiError("too many attributes")


def _date(value: bytes) -> datetime | None:
    """Year, month, day, hour, minute, second as 16-bit numbers (MS-OXTNEF section 2.1.3.3.16)."""
    try:
        return datetime(*struct.unpack_from("<6H", value))  # noqa: DTZ001
    except (struct.error, ValueError):
        return None
