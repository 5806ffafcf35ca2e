"""A raw message as a tree of parts (RFC 2045, 2046): offsets into the octets, nothing decoded yet.

The tree is cut by hand instead of with `email.parser`: half the time, a depth that is bounded by
construction, and one place that says what happens to a boundary that never comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from webapp.mail import limits
from webapp.mail.headers import Headers, begin_of_message, split_headers, with_line_feeds
from webapp.mail.parameters import parse_parameters
from webapp.mail.sniff import guessed_type
from webapp.mail.transfer import ENCODED, ENCODINGS, decode_transfer, encoding_name, hidden_encoding

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,100}")
_BOUNDARY_TRIES = 20_000
_DELIMITER_LINE = 500  # octets of white space behind a boundary
# A line that looks like a delimiter, with a header field behind it.
_GUESS = re.compile(rb"^--(\S{1,80}+(?: \S{1,80}+){0,4})[ \t]*+\r?\n(?=[A-Za-z-]{2,40}:)", re.MULTILINE)
# The same at the very beginning of a message that is not labelled as a multipart.
_UNLABELLED = re.compile(
    rb"(?:[^\r\n]{0,200}multi-?part[^\r\n]{0,200}\r?\n)?\s{0,20}"
    rb"--(\S{1,80})[ \t]{0,80}\r?\nContent-[A-Za-z-]{2,40}:",
    re.IGNORECASE,
)
_CONTENT_FIELD = re.compile(rb"\s{0,20}Content-[A-Za-z-]{2,40}:", re.IGNORECASE)
_SNIFFED = 8_192  # octets looked at where the type is not told
_UNTOLD = "application/octet-stream"


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
    is_half: bool = False  # its twin in a multipart/appledouble is the file itself
    unsplit: bool = False  # a multipart in which no delimiter was found: shown as text
    inside: list[Part] = field(default_factory=list)  # what a container (TNEF, CMS) holds: `containers`
    opened: bool = False  # all that this container holds is in `inside`: it need not be listed itself

    @property
    def charset(self) -> str | None:
        return self.parameters.get("charset")

    @property
    def encoding(self) -> str:
        """The Content-Transfer-Encoding in lower case; of several fields the first that says something."""
        names = [encoding_name(value) for value in self.headers.all("content-transfer-encoding")]
        return next((name for name in names if name in ENCODINGS), names[0] if names else "")

    def octets(self) -> bytes:
        """The body as it stands in the message, still encoded."""
        return self.source[self.start : self.end]

    def content(self, *, most: int | None = None) -> bytes:
        """The body without its Content-Transfer-Encoding; with `most`, only from so many encoded octets."""
        end = self.end if most is None else min(self.end, self.start + most)
        data = self.source[self.start : end]
        encoding = self.encoding
        if encoding not in ENCODED and not self.children:
            hidden = hidden_encoding(data, is_text=self.content_type.startswith("text/"))
            encoding = hidden or encoding
        return decode_transfer(data, encoding)

    def leaves(self) -> Iterator[Part]:
        """Every part without children, in the order they stand in the message."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def all_leaves(self) -> Iterator[Part]:
        """The leaves, and behind all of them those of containers: the number here is a file's position."""
        leaves = list(self.leaves())
        yield from leaves
        for leaf in leaves:
            for part in leaf.inside:
                yield from part.all_leaves()


@dataclass(slots=True)
class _Budget:
    parts: int = limits.MIME_PARTS
    charset: str | None = None  # of the first text part: what raw header octets are read as
    defects: list[str] = field(default_factory=list)

    def note(self, defect: str) -> None:
        if defect not in self.defects and len(self.defects) < limits.DEFECTS:
            self.defects.append(defect)


def split_message(raw: bytes) -> tuple[Part, list[str]]:
    """The tree of a whole message and the defects met. Depth and number of parts are bounded."""
    budget = _Budget()
    raw = with_line_feeds(raw)
    root = _part(raw, begin_of_message(raw), len(raw), depth=0, default_type="text/plain", budget=budget)
    return root, budget.defects


def _part(source: bytes, start: int, end: int, *, depth: int, default_type: str, budget: _Budget) -> Part:
    budget.parts -= 1
    headers, body = split_headers(source, start, end)
    for defect in headers.defects:
        budget.note(defect)
    headers.charset = budget.charset
    content_type, parameters = _content_type(headers, budget)
    if charset := parameters.get("charset"):
        headers.charset = charset
        if not "".join(parameters.values()).isascii():
            content_type, parameters = _content_type(headers, budget)  # raw octets, now that they can be read
        if budget.charset is None and content_type.startswith("text/"):
            budget.charset = charset
    disposition, disposition_parameters = parse_parameters(headers.first("content-disposition") or "")
    part = Part(source, body, end, headers, content_type, parameters, disposition, disposition_parameters)
    if content_type in ("", _UNTOLD):
        _tell_type(part, default_type)
    if part.content_type.startswith("text/") and _is_unlabelled_multipart(part, depth):
        budget.note("multipart labelled as text")
        part.content_type = "multipart/mixed"
    if part.content_type.startswith("multipart/"):
        _descend(part, depth, budget)
        headers.charset = headers.charset or budget.charset
    return part


def _content_type(headers: Headers, budget: _Budget) -> tuple[str, dict[str, str]]:
    """The type and its parameters, "" where none is told. Of several fields the first that is well formed."""
    read = [parse_parameters(value) for value in headers.all("content-type")]
    if len(read) > 1:
        budget.note("more than one Content-Type")
        # A multipart with its boundary is never a slip of the pen.
        read.sort(key=lambda one: not (one[0].startswith("multipart/") and "boundary" in one[1]))
    for content_type, parameters in read:
        if _MEDIA_TYPE.fullmatch(content_type):
            return content_type, parameters
    if not read:
        return "", {}
    content_type, parameters = read[0]
    if content_type in ("text", "text/", "html", "plain"):
        return ("text/html" if content_type == "html" else "text/plain"), parameters
    if content_type or parameters:
        budget.note("malformed Content-Type")
    # RFC 2045 section 5.2: what is syntactically invalid is plain text, unless it has parts or can be told.
    return ("multipart/mixed" if "boundary" in parameters else ""), parameters


def _tell_type(part: Part, default_type: str) -> None:
    """A type for a part without one, or with one that says nothing, from its octets and its file name."""
    filename = part.disposition_parameters.get("filename") or part.parameters.get("name") or ""
    is_missing = not part.content_type
    if is_missing:
        part.content_type = (
            default_type if part.headers.first("content-type") is None or not filename else _UNTOLD
        )
    if default_type != "text/plain":
        return
    content = part.content(most=_SNIFFED)
    told = guessed_type(filename, content)
    if told is not None and (is_missing or filename or not told.startswith("text/")):
        part.content_type = told
    elif is_missing and b"\x00\x00" in content and (filename or part.disposition == "attachment"):
        part.content_type = _UNTOLD


def _is_unlabelled_multipart(part: Part, depth: int) -> bool:
    """Text with a boundary that really occurs, or a message whose body begins as only a multipart does."""
    source, start, end = part.source, part.start, part.end
    if boundary := part.parameters.get("boundary"):
        return source.find(b"--" + boundary.encode("utf-8", "surrogateescape"), start, end) >= 0
    if depth or part.disposition == "attachment":
        return False
    found = _UNLABELLED.match(source, start, end)
    if found is None or source.find(b"\n--" + found[1], found.end(), end) < 0:
        return False
    part.parameters["boundary"] = found[1].decode("utf-8", "surrogateescape")
    return True


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
        child.is_half = part.content_type == "multipart/appledouble" and len(spans) > 1
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
        if begin is None and not spans and _is_first_part(source, part.start, found, closing=rest == b"--"):
            budget.note("multipart without its first boundary")
            begin = part.start
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


def _is_first_part(source: bytes, start: int, found: int, *, closing: bool) -> bool:
    """Whether what stands above the first delimiter is a part and no preamble."""
    if closing:
        return not source[start:found].isspace() and found > start
    return _CONTENT_FIELD.match(source, start, found) is not None


def _before_line_end(source: bytes, begin: int, found: int) -> int:
    """The line end before a delimiter belongs to the delimiter."""
    if found > begin and source[found - 1] == 0x0A:
        found -= 1
    if found > begin and source[found - 1] == 0x0D:
        found -= 1
    return found
