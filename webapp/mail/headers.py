"""Header fields: the block cut into fields (RFC 5322 section 2.2) and encoded words decoded (RFC 2047).

Values stay octets until somebody asks for one, because most of a message's fields are never looked at
and a hostile block must not cost more than it is worth.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from webapp.mail import limits
from webapp.mail.charset import TextDecoder, one_line, without_surrogates

_FIELD_NAME = re.compile(rb"[!-9;-~]{1,200}[ \t]*\Z")
_FROM_FIELD = re.compile(rb"(?im)^from[ \t]*:")
# The text may hold "?" (broken, but sent); its length is bounded so that a row of openings stays linear.
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?((?:[^?]|\?(?!=)){0,4000})\?=")
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
            return TextDecoder(detections=1).decode(value, self.charset)


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


def _end_of_block(source: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the block stops and the body begins: at the first empty line."""
    if source.startswith(b"\n", start) or source.startswith(b"\r\n", start):
        return start, min(end, source.index(b"\n", start) + 1)
    crlf = source.find(b"\n\r\n", start, end)
    lf = source.find(b"\n\n", start, end if crlf < 0 else crlf + 2)
    if lf >= 0 and (crlf < 0 or lf < crlf):
        return lf + 1, lf + 2
    if crlf >= 0:
        return crlf + 1, crlf + 3
    return end, end


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
        elif line.strip() and not (number == 0 and line.lstrip(b">").startswith(b"From ")):
            if fields and fields[-1][1][-1].rstrip().endswith((b";", b",")):
                fields[-1][1].append(b" " + line.rstrip(b"\r"))  # a fold that lost its white space
            elif not _goes_on(lines, number):
                begin_of_body = offset
                headers.defects.append("no empty line between header and body")
                break
            else:
                headers.defects.append("header line without a colon")
        offset += len(line) + 1
    headers.from_count = max(headers.from_count, sum(name.lower() == "from" for name, _ in fields))
    headers.fields = [(name, _unfolded(parts, headers)) for name, parts in fields]
    return begin_of_body


def _name_of(line: bytes) -> str | None:
    colon = line.find(b":", 0, 202)
    if colon <= 0 or not _FIELD_NAME.match(line[:colon]):
        return None
    return line[:colon].rstrip(b" \t").decode("ascii")


def _goes_on(lines: list[bytes], number: int) -> bool:
    """Whether the header goes on after a line that is no field (then that line is junk, else it is body)."""
    return number + 1 < len(lines) and _name_of(lines[number + 1]) is not None


def _unfolded(parts: list[bytes], headers: Headers) -> bytes:
    value = parts[0] if len(parts) == 1 else b"".join(parts)
    if len(value) > limits.HEADER_FIELD:
        headers.defects.append(f"header field cut after {limits.HEADER_FIELD} octets")
        value = value[: limits.HEADER_FIELD]
    return value.strip(b" \t")


def _decode_run(words: list[tuple[str, str, str]]) -> str:
    """Adjacent words of one charset: senders split characters, even base64 quanta, between them."""
    data = b""
    base64 = ""
    for _, encoding, text in words:
        if encoding == "B" and text.rstrip("=") == text and len(base64 + text) % 4:
            base64 += text
            continue
        if encoding == "B":
            data += _base64(base64 + text)
        else:
            data += _base64(base64) + _q_encoding(text)
        base64 = ""
    data += _base64(base64)
    return TextDecoder(detections=0).decode(data, words[0][0])


def _base64(text: str) -> bytes:
    pure = _NOT_BASE64.sub(b"", text.encode("ascii", "ignore"))
    pure = pure[: len(pure) - 1] if len(pure) % 4 == 1 else pure
    return binascii.a2b_base64(pure + b"=" * (-len(pure) % 4))


def _q_encoding(text: str) -> bytes:
    data = text.replace("_", " ").encode("utf-8", "replace")
    return _HEX.sub(lambda found: bytes([int(found[1], 16)]), data)
