"""Header fields: the block cut into fields (RFC 5322 section 2.2) and encoded words decoded (RFC 2047).

Values stay octets until somebody asks for one, because most of a message's fields are never looked at
and a hostile block must not cost more than it is worth.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator

from webapp.mail import limits
from webapp.mail.charset import TextDecoder, one_line, python_name, without_surrogates

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
# The text may hold "?" (broken, but sent), never the beginning of another word. Nothing is tried twice, so
# that a row of openings stays linear. Blanks between the pieces come from folding in the wrong place.
_ENCODED_WORD = re.compile(
    r"=\?\s{0,3}([^?\s=]{1,80})\s{0,3}\?\s{0,3}([bBqQ])\s{0,3}\?"
    r"((?:[^?=]++|\?(?!=)|=(?!\?\s{0,3}[^?\s=]{1,80}\s{0,3}\?\s{0,3}[bBqQ]\s{0,3}\?))*+)(\?=|\Z)"
)
_RAW_WORD_CHARSET = re.compile(rb"=\?\s{0,3}([^?\s=]{1,80})\s{0,3}\?\s{0,3}[bBqQ]\s{0,3}\?")
_HIGH = bytes(range(0x80, 0x100))
_UTF8_WORD = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_CUT_TAIL = re.compile(r"(?:\?|=[0-9A-Fa-f]?)\Z")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


class Headers:
    """The fields of one header block, in order, with repetitions."""

    __slots__ = ("charset", "defects", "fields", "from_count")

    def __init__(self) -> None:
        self.fields: list[tuple[str, bytes]] = []
        self.defects: list[str] = []
        self.charset: str | None = None  # what raw 8-bit values are read as when they are not UTF-8
        self.from_count = 0  # counted over the whole block, also beyond the limits

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

    def texts(self) -> Iterator[tuple[str, str]]:
        for name, value in self.fields:
            yield name, self._text(value)

    def _text(self, value: bytes) -> str:
        if value.isascii():
            return value.decode("ascii")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            found = _RAW_WORD_CHARSET.search(value)
            if found is not None:
                label = found[1].partition(b"*")[0].decode("ascii", "replace")
                return TextDecoder(detections=1).decode(value, label)
            if self._is_cut_utf8(value):
                return value.decode("utf-8", "replace")
            return TextDecoder(detections=1).decode(value, self.charset)

    def _is_cut_utf8(self, value: bytes) -> bool:
        """A beginning without its end, in a message whose other fields are UTF-8."""
        if self.charset is not None and python_name(self.charset) != "utf-8":
            return False
        if len(value) - len(value.translate(None, _HIGH)) > 2 * len(_UTF8_WORD.findall(value)) + 2:
            return False
        return any(other is not value and _UTF8_WORD.search(other) for _, other in self.fields)


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


def decode_words(value: str) -> str:
    """RFC 2047 encoded words wherever they stand: also inside quotes, in comments and in file names."""
    if "=?" not in value:
        return value
    pieces: list[str] = []
    pending: list[tuple[str, str, str]] = []  # adjacent words of one charset: decoded together
    position = 0
    for count, found in enumerate(_ENCODED_WORD.finditer(value)):
        if count == limits.ENCODED_WORDS:
            break
        between = value[position : found.start()]
        word = (found[1].partition("*")[0].lower(), found[2].upper(), found[3])
        if found[4] != "?=":
            word = (*word[:2], _CUT_TAIL.sub("", word[2]))
        if found[4] != "?=" and not _is_cut_short(word, value[found.end(3) :]):
            break
        if pending and (between.strip() or pending[-1][0] != word[0]):
            pieces.append(_decode_run(pending))
            pending = []
        # White space between two encoded words is not part of the text (RFC 2047 section 6.2).
        if between.strip() or position == 0:
            pieces.append(between)
        pending.append(word)
        position = found.end()
    if pending:
        pieces.append(_decode_run(pending))
    pieces.append(value[position:])
    return without_surrogates("".join(pieces))


def _is_cut_short(word: tuple[str, str, str], behind: str) -> bool:
    """Whether an encoded word without its end is the tail that a limit cut off, and not just text."""
    charset, encoding, text = word
    if behind or not text or python_name(charset) is None:
        return False
    return encoding == "Q" or _NOT_BASE64.search(text.encode("utf-8", "replace").rstrip(b"=? ")) is None


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
            elif not _goes_on(lines, number, fields):
                begin_of_body = offset
                headers.defects.append("no empty line between header and body")
                break
            else:
                headers.defects.append("header line without a colon")
        offset += len(line) + 1
    headers.from_count = max(headers.from_count, sum(name.lower() == "from" for name, _ in fields))
    headers.fields = [(name, _unfolded(parts, headers)) for name, parts in fields]
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


def _unfolded(parts: list[bytes], headers: Headers) -> bytes:
    value = parts[0] if len(parts) == 1 else b"".join(parts)
    if len(value) > limits.HEADER_FIELD:
        headers.defects.append(f"header field cut after {limits.HEADER_FIELD} octets")
        value = value[: limits.HEADER_FIELD]
    return value.strip(b" \t")


def _decode_run(words: list[tuple[str, str, str]]) -> str:
    """Adjacent words of one charset: senders split characters, even base64 quanta, between them."""
    charset = words[0][0]
    decoder = TextDecoder(detections=0)
    text = decoder.decode(_octets(words, charset, joining=True), charset)
    if decoder.defects and len(words) > 1:
        # Words without padding that were whole each.
        decoder = TextDecoder(detections=0)
        apart = decoder.decode(_octets(words, charset, joining=False), charset)
        return text if decoder.defects else apart
    return text


def _octets(words: list[tuple[str, str, str]], charset: str, *, joining: bool) -> bytes:
    data = b""
    base64 = ""
    for _, encoding, text in words:
        if encoding == "Q":
            data += _base64(base64) + _q_encoding(text, charset)
            base64 = ""
            continue
        base64 += text
        pure = _NOT_BASE64.sub(b"", base64.encode("ascii", "ignore"))
        if not joining or "=" in text or len(pure) % 4 == 0:
            data += _base64(base64)
            base64 = ""
    return data + _base64(base64)


def _base64(text: str) -> bytes:
    pure = _NOT_BASE64.sub(b"", text.encode("ascii", "ignore"))
    pure = pure[: len(pure) - 1] if len(pure) % 4 == 1 else pure
    return binascii.a2b_base64(pure + b"=" * (-len(pure) % 4))


def _q_encoding(text: str, charset: str) -> bytes:
    """The octets of a Q word; letters that stand there raw go back to what they were in its charset."""
    text = text.replace("_", " ")
    if text.isascii():
        data = text.encode("ascii")
    else:
        try:
            data = text.encode(python_name(charset) or "utf-8")
        except (UnicodeError, LookupError, ValueError):
            data = text.encode("utf-8", "replace")
    return _HEX.sub(lambda found: bytes([int(found[1], 16)]), data)
