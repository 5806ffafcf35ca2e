"""Header fields: the block cut into fields (RFC 5322 section 2.2), its octets made text.

Values stay octets until somebody asks for one, because most of a message's fields are never looked at
and a hostile block must not cost more than it is worth.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from webapp.mail import limits
from webapp.mail.authentication_results import FIELD as AUTHENTICATION_RESULTS
from webapp.mail.charset import TextDecoder, one_line
from webapp.mail.charset_names import is_ascii_based, python_name
from webapp.mail.encoded_words import decode_words

_FIELD_NAME = re.compile(rb"[!-9;-~]{1,200}[ \t]*\Z")
_FROM_FIELD = re.compile(rb"(?im)^from[ \t]*:")
# Fields that a header goes on with behind a line of junk. Any other word with a colon may be a body's.
_KNOWN_FIELD = re.compile(
    rb"(?i)(?:(?:from|to|cc|bcc|subject|date|sender|received|references|comments|keywords|importance|priority"
    rb"|precedence|organization|organisation|errors-to|return-path|delivered-to|mime-version)"
    rb"|[a-z][a-z0-9]*(?:-[a-z0-9]+)+)[ \t]*:"
)
_ONCE = frozenset({"from", "to", "cc", "subject", "date", "message-id", "sender"})
_BLANK = (b" ", b"\t", b"\r", b"\n")
_FIRST_LINE = re.compile(rb"[ \t\r\n]{0,1000}\n([^\s][^\r\n]{0,998})")
_TRACE = frozenset({"return-path", "delivered-to", "x-original-to", "envelope-to", "status", "x-status"})
_JUNK_LINES = 5
_RAW_WORD_CHARSET = re.compile(rb"=\?\s{0,3}([^?\s=]{1,80})\s{0,3}\?\s{0,3}[bBqQ]\s{0,3}\?")
_JIS_ESCAPE = b"\x1b$"
_HIGH = bytes(range(0x80, 0x100))
_UTF8_WORD = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


class Headers:
    """The fields of one header block, in order, with repetitions."""

    __slots__ = ("charset", "defects", "fields", "from_count", "mended")

    def __init__(self) -> None:
        self.fields: list[tuple[str, bytes]] = []
        self.defects: list[str] = []
        self.charset: str | None = None  # what raw 8-bit values are read as when they are not UTF-8
        self.from_count = 0  # counted over the whole block, also beyond the limits
        self.mended: set[str] = (
            set()
        )  # lower names of fields with a line that others take for another field, or none

    def all(self, name: str) -> list[str]:
        """Every value of the field, unfolded, encoded words still encoded."""
        wanted = name.lower()
        return [self._text(value) for field, value in self.fields if field.lower() == wanted]

    def first(self, name: str) -> str | None:
        wanted = name.lower()
        for field, value in self.fields:
            if field.lower() == wanted:
                return self._text(value)
        return None

    def decoded(self, name: str) -> str:
        """The first value as a line to show, "" where the field is missing."""
        value = self.first(name)
        return "" if value is None else one_line(decode_words(value))

    def as_written(self, name: str) -> list[str]:
        """Every value of the field as its octets stand, for what hangs on punctuation: who sent the message.

        The sender names the charset, and in some of them an octet that everybody else reads as a quotation
        mark, a backslash or an "@" is half of another letter, or the other way round.
        """
        wanted = name.lower()
        return [_as_octets(value) for field, value in self.fields if field.lower() == wanted]

    def texts(self) -> Iterator[tuple[str, str]]:
        for name, value in self.fields:
            decides = name.lower() == AUTHENTICATION_RESULTS
            yield name, _as_octets(value) if decides else self._text(value)

    def _text(self, value: bytes) -> str:
        if value.isascii():
            if _JIS_ESCAPE in value:  # ISO-2022-JP without encoded words
                return TextDecoder(detections=0).decode(value, "iso-2022-jp")
            return value.decode("ascii")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            found = _RAW_WORD_CHARSET.search(value)
            if found is not None:
                return _in_charset(value, found[1].partition(b"*")[0].decode("ascii", "replace"))
            if self._is_cut_utf8(value):
                return value.decode("utf-8", "replace")
            return _in_charset(value, self.charset)

    def _is_cut_utf8(self, value: bytes) -> bool:
        """A beginning without its end, in a message whose other fields are UTF-8."""
        if self.charset is not None and python_name(self.charset) != "utf-8":
            return False
        if len(value) - len(value.translate(None, _HIGH)) > 2 * len(_UTF8_WORD.findall(value)) + 2:
            return False
        return any(other is not value and _UTF8_WORD.search(other) for _, other in self.fields)


def _in_charset(value: bytes, label: str | None) -> str:
    """Octets of a field in the charset of something else: never in one in which ASCII is not ASCII."""
    name = python_name(label) if label else None
    return TextDecoder(detections=1).decode(value, label if name and is_ascii_based(name) else None)


def _as_octets(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def split_headers(source: bytes, start: int, end: int) -> tuple[Headers, int]:
    """The header block at `start`, and where the body begins."""
    headers = Headers()
    stop, body = _end_of_block(source, start, end)
    headers.from_count = len(_FROM_FIELD.findall(source, start, stop))
    cut = min(stop, start + limits.HEADER_BLOCK)
    lines = source[start:cut].split(b"\n", limits.HEADER_LINES)
    if len(lines) > limits.HEADER_LINES:
        lines.pop()
        headers.defects.append(f"header cut after {limits.HEADER_LINES} lines")
    if cut < stop:
        headers.defects.append(f"header cut after {limits.HEADER_BLOCK} octets")
    begin_of_body = _read_fields(lines, headers)
    if begin_of_body is not None:
        body = min(start + begin_of_body, end)
    return headers, body


def begin_of_message(raw: bytes) -> int:
    """Where the header of a whole message begins: behind a byte order mark and empty lines on top of it."""
    start = 3 if raw.startswith(codecs.BOM_UTF8) else 0
    if raw[start : start + 1] in _BLANK:
        found = _FIRST_LINE.match(raw, start)
        if found is not None and (_KNOWN_FIELD.match(found[1]) or found[1].startswith(b"From ")):
            return found.start(1)
    return start


def with_line_feeds(raw: bytes) -> bytes:
    """`raw`, or the same with LF for CR where the header is written with CR alone (old Macintosh)."""
    feed = raw.find(b"\n")
    first = raw.find(b"\r", 0, feed if feed >= 0 else len(raw))
    if first < 0 or first == feed - 1:
        return raw
    if feed < 0 or 0 <= raw.find(b"\r\r", 0, feed) < feed - 2:
        return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return raw


def _end_of_block(source: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the block stops and the body begins: at the first empty line (of CR LF, LF or CR CR LF)."""
    if source.startswith(b"\n", start) or source.startswith((b"\r\n", b"\r\r\n"), start):
        return start, min(end, source.index(b"\n", start) + 1)
    stop, behind = end, end
    for empty in (b"\n\r\n", b"\n\n", b"\n\r\r\n"):
        found = source.find(empty, start, min(end, stop + 3))
        if 0 <= found < stop:
            stop, behind = found + 1, min(end, found + len(empty))
    return stop, behind


def _read_fields(lines: list[bytes], headers: Headers) -> int | None:
    """Fill `headers`; the offset of a body that begins without an empty line, else None."""
    fields: list[tuple[str, list[bytes]]] = []
    offset = 0
    begin_of_body = None
    if lines:
        lines[0] = lines[0].lstrip(b" \t")  # a first field that is written like a fold
    for number, line in enumerate(lines):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line.rstrip(b"\r"))
        elif (name := _name_of(line)) is not None:
            fields.append((name, [line[line.index(b":") + 1 :].rstrip(b"\r")]))
        elif line.strip() and not _is_envelope(line, number, fields):
            if fields and fields[-1][1][-1].rstrip().endswith((b";", b",")):
                fields[-1][1].append(b" " + line.rstrip(b"\r"))  # a fold that lost its white space
                headers.mended.add(fields[-1][0].lower())
            elif not _goes_on(lines, number, fields):
                begin_of_body = offset
                headers.defects.append("no empty line between header and body")
                break
            else:
                headers.defects.append("header line without a colon")
        offset += len(line) + 1
    headers.from_count = max(headers.from_count, sum(name.lower() == "from" for name, _ in fields))
    headers.fields = [(name, _unfolded(name, parts, headers)) for name, parts in fields]
    return begin_of_body


def _is_envelope(line: bytes, number: int, fields: list[tuple[str, list[bytes]]]) -> bool:
    """A mailbox file's "From " line at the top, or behind the trace fields that a delivery put above it."""
    if not line.lstrip(b">").startswith(b"From "):
        return False
    return number == 0 or all(name.lower() in _TRACE for name, _ in fields)


def _name_of(line: bytes) -> str | None:
    colon = line.find(b":", 0, 202)
    if colon <= 0 or not _FIELD_NAME.match(line[:colon]):
        return None
    return line[:colon].rstrip(b" \t").decode("ascii")


def _goes_on(lines: list[bytes], number: int, fields: list[tuple[str, list[bytes]]]) -> bool:
    """Whether the header goes on after a line that is no field (then that line is junk, else it is body).

    It does where a field of a name that mail uses follows soon; but a body may quote a header, so a field
    that stands in a header once and was there already is no sign.
    """
    for line in lines[number + 1 : number + 1 + _JUNK_LINES]:
        if not line.strip() or (found := _KNOWN_FIELD.match(line)) is None:
            continue
        name = found[0][:-1].strip().lower().decode("ascii")
        return name not in _ONCE or all(field.lower() != name for field, _ in fields)
    return False


def _unfolded(name: str, parts: list[bytes], headers: Headers) -> bytes:
    value = parts[0] if len(parts) == 1 else b"".join(parts)
    # A sender can make our own server's findings long, and a cut would hide the last of them.
    if len(value) > limits.HEADER_FIELD and name.lower() != AUTHENTICATION_RESULTS:
        headers.defects.append(f"header field cut after {limits.HEADER_FIELD} octets")
        value = value[: limits.HEADER_FIELD]
    return value.strip(b" \t")
