"""Content-Transfer-Encoding undone (RFC 2045 section 6), whatever the label says about it."""

from __future__ import annotations

import binascii
import io
import quopri
import re

from webapp.mail.sniff import sniffed_type

BASE64 = "base64"
QUOTED_PRINTABLE = "quoted-printable"
UUENCODE = "x-uuencode"
ENCODED = frozenset({BASE64, QUOTED_PRINTABLE, UUENCODE})
ENCODINGS = ENCODED | {"7bit", "8bit", "binary"}

_NO_LETTERS = re.compile(r"\([^()]*\)|[^a-z0-9(]+|\(")
_NAMES = {
    "base64": BASE64,
    "b": BASE64,
    "b64": BASE64,
    "xbase64": BASE64,
    "quotedprintable": QUOTED_PRINTABLE,
    "quotedprintible": QUOTED_PRINTABLE,
    "quoteprintable": QUOTED_PRINTABLE,
    "xquotedprintable": QUOTED_PRINTABLE,
    "qp": QUOTED_PRINTABLE,
    "uuencode": UUENCODE,
    "xuuencode": UUENCODE,
    "uue": UUENCODE,
    "xuue": UUENCODE,
    "xuu": UUENCODE,
    "7bit": "7bit",
    "8bit": "8bit",
    "binary": "binary",
}
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NO_BASE64 = bytes(range(256)).translate(None, _BASE64)
_BASE64_RUNS = 500_000
_SAMPLE = 4_096
_LINE = 1_000
_SHORTEST = 24  # characters of base64 that no word has
_SOFT_BREAK = re.compile(rb"=[ \t]*\r?\n")
_QP_ESCAPE = re.compile(rb"=(?:[0-9A-F]{2}|[ \t]*\r?\n)")
_LOOSE_BREAK = re.compile(rb"=(?:[ \t]+\r*|\r\r+)\n")  # blanks behind it, or a line end that grew


def encoding_name(written: str) -> str:
    """The name a Content-Transfer-Encoding means: `8-bit`, `Base64 (x)`, `quoted_printable;` are sent too."""
    lower = written.strip().lower()
    if lower in ("", BASE64, QUOTED_PRINTABLE, "7bit", "8bit", "binary"):
        return lower
    bare = _NO_LETTERS.sub("", lower.partition(";")[0][:100])
    return _NAMES.get(bare, bare)


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """`data` without its Content-Transfer-Encoding; what cannot be decoded, because it is plain, stays."""
    if encoding == QUOTED_PRINTABLE:
        if b"= " in data or b"=\t" in data or b"=\r\r" in data:
            data = _LOOSE_BREAK.sub(b"=\n", data)
        return quopri.decodestring(data)
    if encoding == BASE64:
        return data if is_prose(data) else _decode_base64(data)
    if encoding == UUENCODE:
        return _decode_uu(data)
    return data


def is_prose(data: bytes) -> bool:
    """Whether what is called base64 is words, blanks and full stops, which no encoder writes."""
    sample = data[:_SAMPLE]
    lines = sum(1 for line in sample.splitlines() if line.strip())
    if len(sample.split()) < 2 * lines or not lines:
        return False
    return bool(sample.translate(None, _BASE64 + b"= \t\r\n"))


def hidden_encoding(data: bytes, *, is_text: bool) -> str | None:
    """The encoding of `data` that came without its label (or as 7bit), None where it is what it says."""
    if b"=" in data and is_text and data.isascii() and len(_SOFT_BREAK.findall(data, 0, _SAMPLE)) > 0:
        escapes = len(_QP_ESCAPE.findall(data))
        breaks = len(_SOFT_BREAK.findall(data))
        if data.count(b"=") == escapes and escapes - breaks >= 2:
            return QUOTED_PRINTABLE
    if not _is_only_base64(data):
        return None
    if is_text:
        return BASE64 if _is_readable(_base64_run(data)) else None
    return BASE64 if sniffed_type(_base64_run(data[:_SAMPLE])) is not None else None


def _is_only_base64(data: bytes) -> bool:
    """Lines of whole quanta, all of one length but the last, and nothing else. Makes no list of lines."""
    data = data.strip()
    first = data[:_LINE].partition(b"\n")[0].rstrip(b"\r")
    if len(first) < _SHORTEST or first.translate(None, _BASE64).strip(b"="):
        return False
    line_end = b"\r\n" if data[len(first) : len(first) + 1] == b"\r" else b"\n"
    ends = data[len(first) :: len(first) + len(line_end)]
    if ends.strip(line_end[:1]) or len(ends) != data.count(b"\n"):
        return False
    pure = data.translate(None, line_end)
    return len(pure) % 4 == 0 and not pure.rstrip(b"=").translate(None, _BASE64)


def _is_readable(data: bytes) -> bool:
    """Text that somebody wrote: UTF-8, no control characters. Nobody's key or hash comes out like that."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(text) and all(char.isprintable() or char in "\r\n\t" for char in text[:_SAMPLE])


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
    decoded = bytearray()
    inside = False
    for line in io.BytesIO(data):
        line = line.rstrip(b"\r\n")
        if not inside:
            inside = line.startswith(b"begin ")
        elif line.strip() == b"end":
            break
        else:
            try:
                decoded += binascii.a2b_uu(line)
            except binascii.Error:
                # A broken encoder's line: as many characters as its length octet says.
                count = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
                decoded += _uu_line(line[:count])
    return bytes(decoded) if inside else data


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        return b""
