"""A raw message as a tree of parts (RFC 2045, 2046): offsets into the octets, nothing decoded yet.

The tree is cut by hand instead of with `email.parser`: half the time, a depth that is bounded by
construction, and one place that says what happens to a boundary that never comes.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from webapp.mail import limits
from webapp.mail.headers import Headers, split_headers
from webapp.mail.parameters import parse_parameters

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,100}")
_BOUNDARY_TRIES = 20_000
_DELIMITER_LINE = 500  # octets of white space behind a boundary
_BASE64_RUNS = 500_000
# A line that looks like a delimiter, with a header field behind it.
_GUESS = re.compile(rb"^--(\S[^\r\n]{0,80}?)[ \t]*\r?\n(?=[A-Za-z-]{2,40}:)", re.MULTILINE)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NO_BASE64 = bytes(range(256)).translate(None, _BASE64)


@dataclass(slots=True, eq=False)
class Part:
    """One entity: its header, and where its body lies in `source`."""

    source: bytes = field(repr=False)
    start: int
    end: int
    headers: Headers = field(repr=False)
    content_type: str
    parameters: dict[str, str]
    disposition: str
    disposition_parameters: dict[str, str]
    children: list[Part] = field(default_factory=list)
    unsplit: bool = False  # a multipart in which no delimiter was found: shown as text

    @property
    def charset(self) -> str | None:
        return self.parameters.get("charset")

    @property
    def encoding(self) -> str:
        value = self.headers.first("content-transfer-encoding") or ""
        return value.partition(";")[0].strip().strip("\"'").lower()

    def octets(self) -> bytes:
        """The body as it stands in the message, still encoded."""
        return self.source[self.start : self.end]

    def content(self, *, most: int | None = None) -> bytes:
        """The body without its Content-Transfer-Encoding; with `most`, only from so many encoded octets."""
        end = self.end if most is None else min(self.end, self.start + most)
        return decode_transfer(self.source[self.start : end], self.encoding)

    def leaves(self) -> Iterator[Part]:
        """Every part without children, in the order they stand in the message."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass(slots=True)
class _Budget:
    parts: int = limits.MIME_PARTS
    defects: list[str] = field(default_factory=list)

    def note(self, defect: str) -> None:
        if defect not in self.defects and len(self.defects) < limits.DEFECTS:
            self.defects.append(defect)


def split_message(raw: bytes) -> tuple[Part, list[str]]:
    """The tree of a whole message and the defects met. Depth and number of parts are bounded."""
    budget = _Budget()
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")  # old Macintosh line ends
    root = _part(raw, 0, len(raw), depth=0, default_type="text/plain", budget=budget)
    return root, budget.defects


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """`data` without its Content-Transfer-Encoding (RFC 2045 section 6); what cannot be decoded stays."""
    if encoding in ("quoted-printable", "quotedprintable", "qp"):
        return quopri.decodestring(data)
    if encoding in ("base64", "base-64", "b"):
        return _decode_base64(data)
    if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return _decode_uu(data)
    return data


def _part(source: bytes, start: int, end: int, *, depth: int, default_type: str, budget: _Budget) -> Part:
    budget.parts -= 1
    headers, body = split_headers(source, start, end)
    for defect in headers.defects:
        budget.note(defect)
    content_type, parameters = _content_type(headers, default_type, budget)
    disposition, disposition_parameters = parse_parameters(headers.first("content-disposition") or "")
    charset = parameters.get("charset")
    headers.charset = charset
    part = Part(source, body, end, headers, content_type, parameters, disposition, disposition_parameters)
    if content_type.startswith("multipart/"):
        _descend(part, depth, budget)
    return part


def _content_type(headers: Headers, default_type: str, budget: _Budget) -> tuple[str, dict[str, str]]:
    value = headers.first("content-type")
    if value is None:
        return default_type, {}
    content_type, parameters = parse_parameters(value)
    if _MEDIA_TYPE.fullmatch(content_type):
        return content_type, parameters
    if content_type in ("text", "text/", "html", "plain"):
        return ("text/html" if content_type == "html" else "text/plain"), parameters
    # RFC 2045 section 5.2: what is syntactically invalid is plain text, unless it is a file or has parts.
    budget.note("malformed Content-Type")
    if "boundary" in parameters:
        return "multipart/mixed", parameters
    return ("application/octet-stream" if "name" in parameters else "text/plain"), parameters


def _descend(part: Part, depth: int, budget: _Budget) -> None:
    if depth >= limits.MIME_DEPTH:
        budget.note(f"parts nested deeper than {limits.MIME_DEPTH}")
        return
    boundary = part.parameters.get("boundary", "").encode("utf-8", "surrogateescape").rstrip()
    spans = _spans(part, boundary, budget) if boundary else []
    if not spans and part.encoding in ("base64", "quoted-printable"):
        # Forbidden by RFC 2045 section 6.4 and sent all the same.
        part.source = part.content()
        part.start, part.end = 0, len(part.source)
        spans = _spans(part, boundary, budget) if boundary else []
    if not spans:
        budget.note("multipart without its boundary")
        guess = _GUESS.search(part.source, part.start, min(part.end, part.start + 65_536))
        spans = _spans(part, guess[1], budget) if guess else []
        part.unsplit = not spans
    default_type = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
    for start, end in spans:
        if budget.parts <= 0:
            budget.note(f"more than {limits.MIME_PARTS} parts")
            break
        child = _part(part.source, start, end, depth=depth + 1, default_type=default_type, budget=budget)
        part.children.append(child)


def _spans(part: Part, boundary: bytes, budget: _Budget) -> list[tuple[int, int]]:
    """Where the parts between the delimiter lines lie (RFC 2046 section 5.1.1)."""
    source, end = part.source, part.end
    delimiter = b"--" + boundary
    spans: list[tuple[int, int]] = []
    begin: int | None = None
    position = part.start
    closed = False
    for _ in range(_BOUNDARY_TRIES):
        found = source.find(delimiter, position, end)
        if found < 0 or len(spans) > limits.MIME_PARTS:
            break
        position = found + len(delimiter)
        if found > part.start and source[found - 1] not in b"\r\n":
            continue
        line_end = source.find(b"\n", position, min(end, position + _DELIMITER_LINE))
        line_end = min(end, position + _DELIMITER_LINE) if line_end < 0 else line_end
        rest = source[position:line_end].strip()
        if rest not in (b"", b"--"):
            continue
        if begin is not None:
            spans.append((begin, _before_line_end(source, begin, found)))
        # Go on behind a closing delimiter: an inner multipart may have used the same boundary.
        closed = rest == b"--"
        begin = position = min(line_end + 1, end)
        if closed:
            begin = None
    if begin is not None:
        spans.append((begin, end))
    if not closed and spans:
        budget.note("multipart without its closing boundary")
    return spans


def _before_line_end(source: bytes, begin: int, found: int) -> int:
    """The line end before a delimiter belongs to the delimiter."""
    if found > begin and source[found - 1] == 0x0A:
        found -= 1
    if found > begin and source[found - 1] == 0x0D:
        found -= 1
    return found


def _decode_base64(data: bytes) -> bytes:
    """Lenient: line noise is skipped, padding completed; encodings one behind the other are all decoded."""
    padding = data.find(b"=")
    if padding >= 0 and (behind := data[padding:].strip(b"= \t\r\n")):
        rest = behind.translate(None, b"= \t\r\n")
        if len(rest) % 4 != 1 and not rest.translate(None, _BASE64):
            return b"".join(_base64_run(run) for run in data.split(b"=", _BASE64_RUNS))
        data = data[: padding + 2]  # text behind the padding: a list's footer
    return _base64_run(data)


def _base64_run(data: bytes) -> bytes:
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        pure = data.translate(None, _NO_BASE64)
    if len(pure) % 4 == 1:
        pure = pure[:-1]
    return binascii.a2b_base64(pure + b"=" * (-len(pure) % 4))


def _decode_uu(data: bytes) -> bytes:
    decoded = []
    inside = False
    for line in data.splitlines():
        if not inside:
            inside = line.startswith(b"begin ")
        elif line.strip() == b"end":
            break
        else:
            try:
                decoded.append(binascii.a2b_uu(line))
            except binascii.Error:
                # A broken encoder's line: as many characters as its length octet says.
                count = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
                decoded.append(_uu_line(line[:count]))
    return b"".join(decoded) if inside else data


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        return b""
