"""Cryptographic Message Syntax (RFC 5652) as far as a reader without a key needs it: what kind, what content.

Nothing is verified and nothing decrypted. BER is read by hand, because mail programs write indefinite
lengths and constructed strings that DER readers refuse, and so that a forged length costs nothing.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from webapp.mail import limits

SIGNED, ENCRYPTED, COMPRESSED = "signed", "encrypted", "compressed"

_KINDS = {
    bytes.fromhex("2a864886f70d010702"): SIGNED,  # 1.2.840.113549.1.7.2
    bytes.fromhex("2a864886f70d010703"): ENCRYPTED,  # envelopedData
    bytes.fromhex("2a864886f70d010706"): ENCRYPTED,  # encryptedData
    bytes.fromhex("2a864886f70d0109100117"): ENCRYPTED,  # authEnvelopedData (RFC 5083)
    bytes.fromhex("2a864886f70d0109100109"): COMPRESSED,  # compressedData (RFC 3274)
}
_OBJECT_IDENTIFIER, _OCTET_STRING, _SEQUENCE, _EXPLICIT_0 = 0x06, 0x04, 0x30, 0xA0
_CONSTRUCTED = 0x20
_DEPTH = 24
# BER values looked at in one object: nobody cuts a content into pieces of fewer than 100 octets.
_VALUES, _OCTETS_A_VALUE = 10_000, 50
_ARMOUR = re.compile(rb"-----BEGIN (?:PKCS ?#?7|CMS)[^\r\n]{0,40}-----([A-Za-z0-9+/=\s]+)-----END")
_BASE64 = re.compile(rb"\s*MI[A-Za-z0-9+/=\s]+\Z")


class CmsError(ValueError):
    """Octets that are no CMS object, or one beyond the limits."""


@dataclass(frozen=True, slots=True)
class Cms:
    """`content` is None where there is none (a detached signature) or nobody without a key can see it."""

    kind: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Value:
    """One BER value (X.690 section 8.1): its identifier octet and where its content lies."""

    tag: int
    start: int
    end: int
    behind: int  # where the next value begins; with an indefinite length behind the two NULs


def read_cms(data: bytes) -> Cms:
    """The kind of a CMS object and the content it carries in the open. Raises CmsError."""
    data = _without_armour(data)
    reader = _Reader(data)
    info = reader.inside(reader.value(0, len(data), _DEPTH), _SEQUENCE)
    kind = _KINDS.get(reader.octets(reader.next(info, _OBJECT_IDENTIFIER)))
    if kind is None:
        raise CmsError("not a kind of CMS object that mail uses")
    if kind == ENCRYPTED:
        return Cms(kind)
    wrapped = reader.inside(reader.next(info, _EXPLICIT_0), _EXPLICIT_0)
    fields = reader.inside(reader.next(wrapped, _SEQUENCE), _SEQUENCE)
    # Before the encapsulated content: version, algorithms (RFC 5652 section 5.1, RFC 3274 section 1.1).
    next(fields, None)
    next(fields, None)
    encapsulated = reader.inside(reader.next(fields, _SEQUENCE), _SEQUENCE)
    reader.next(encapsulated, _OBJECT_IDENTIFIER)
    holder = next(encapsulated, None)
    if holder is None:
        return Cms(kind)
    content = reader.string(reader.next(reader.inside(holder, _EXPLICIT_0), _OCTET_STRING), _DEPTH)
    return Cms(kind, _inflated(content) if kind == COMPRESSED else content)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _VALUES + len(data) // _OCTETS_A_VALUE

    def value(self, at: int, end: int, depth: int) -> _Value:
        """The value that begins at `at` and may not go beyond `end`."""
        self._left -= 1
        if depth <= 0 or self._left < 0:
            raise CmsError("nested too deeply, or too many values")
        data = self._data
        if at + 2 > end:
            raise CmsError("ends in the middle of a value")
        tag, length = data[at], data[at + 1]
        if tag & 0x1F == 0x1F:
            raise CmsError("a tag that CMS does not use")
        start = at + 2
        if length == 0x80:
            return self._indefinite(tag, start, end, depth)
        if length > 0x80:
            count = length & 0x7F
            if count > 8 or start + count > end:
                raise CmsError("a length that cannot be")
            length = int.from_bytes(data[start : start + count], "big")
            start += count
        if start + length > end:
            raise CmsError("ends in the middle of a value")
        return _Value(tag, start, start + length, start + length)

    def inside(self, value: _Value, tag: int) -> Iterator[_Value]:
        """The values in a constructed one."""
        if value.tag != tag:
            raise CmsError("not the structure of CMS")
        at = value.start
        while at < value.end:
            found = self.value(at, value.end, _DEPTH)
            yield found
            at = found.behind

    def next(self, values: Iterator[_Value], tag: int) -> _Value:
        """The next value, which must be of that type (a string may be in pieces)."""
        value = next(values, None)
        if value is None or value.tag & ~(_CONSTRUCTED if tag == _OCTET_STRING else 0) != tag:
            raise CmsError("not the structure of CMS")
        return value

    def octets(self, value: _Value) -> bytes:
        return self._data[value.start : value.end]

    def string(self, value: _Value, depth: int) -> bytes:
        """An OCTET STRING, put together where it comes in pieces (X.690 section 8.7.3)."""
        if not value.tag & _CONSTRUCTED:
            return self.octets(value)
        if depth <= 0:
            raise CmsError("nested too deeply")
        return b"".join(self.string(piece, depth - 1) for piece in self.inside(value, value.tag))

    def _indefinite(self, tag: int, start: int, end: int, depth: int) -> _Value:
        if not tag & _CONSTRUCTED:
            raise CmsError("a length that cannot be")
        at = start
        while self._data[at : at + 2] != b"\0\0":
            if at >= end:
                raise CmsError("ends in the middle of a value")
            at = self.value(at, end, depth - 1).behind
        return _Value(tag, start, at, at + 2)


def _without_armour(data: bytes) -> bytes:
    """The octets of what came as PEM, or as base64 once more than its label says."""
    if data[:1] == b"0":  # a SEQUENCE
        return data
    found = _ARMOUR.search(data)
    armoured = found[1] if found else data if _BASE64.match(data) else b""
    try:
        return binascii.a2b_base64(armoured) or data
    except binascii.Error:
        return data


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(data, limits.INFLATED_OCTETS)
    except zlib.error as exc:
        raise CmsError("compressed data that is broken") from exc
    if inflater.unconsumed_tail:
        raise CmsError(f"more than {limits.INFLATED_OCTETS >> 20} MB when unpacked")
    return content
