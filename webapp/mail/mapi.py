"""MAPI properties as TNEF writes them (MS-OXTNEF section 2.1.3.4, types: MS-OXCDATA section 2.11.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MOST = 4_096  # properties of one object, values of one property
_MANY = 0x1000  # the flag of a property with several values
_FIXED = {0x02: 4, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8, 0x48: 16}
_OBJECT, _STRING8, _UNICODE, _BINARY = 0x0D, 0x1E, 0x1F, 0x102
_VARIABLE = frozenset({_OBJECT, _STRING8, _UNICODE, _BINARY})
_TIME = 0x40
_NAMED = 0x8000

# The number of a property, or (namespace, number) of a named one.
Key = int | tuple[bytes, int]
Properties = dict[Key, bytes | str]
APPOINTMENT = bytes.fromhex("0220060000000000c000000000000046")  # PSETID_Appointment


class MapiError(ValueError):
    """Properties that end before they should, of a type nobody knows, or too many of them."""


@dataclass(slots=True)
class Allowance:
    """How many values are still read in one TNEF stream and those within it."""

    values: int = 100_000


def read_properties(data: bytes, codepage: str, allowance: Allowance) -> tuple[Properties, bool]:
    """Properties by number, and whether all of them could be read.

    Strings come decoded, everything else as octets. Of several values the first counts.
    """
    found: Properties = {}
    try:
        for key, kind, value in _properties(data, allowance):
            if kind == _UNICODE:
                found.setdefault(key, value.decode("utf-16-le", "replace").rstrip("\0"))
            elif kind == _STRING8:
                found.setdefault(key, value.rstrip(b"\0").decode(codepage, "replace"))
            else:
                found.setdefault(key, value)
    except MapiError:
        return found, False
    return found, True


def text(properties: Properties, key: Key) -> str:
    value = properties.get(key, "")
    return value if isinstance(value, str) else ""


def octets(properties: Properties, key: Key) -> bytes:
    value = properties.get(key, b"")
    return value if isinstance(value, bytes) else b""


def number(properties: Properties, key: Key) -> int | None:
    value = octets(properties, key)
    return int.from_bytes(value[:4], "little") if len(value) >= 4 else None


def moment(properties: Properties, key: Key) -> datetime | None:
    """A FILETIME: tenths of microseconds since 1601, UTC."""
    value = octets(properties, key)
    if len(value) != 8:
        return None
    try:
        ticks = int.from_bytes(value, "little")
        return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


def _properties(data: bytes, allowance: Allowance) -> Iterator[tuple[Key, int, bytes]]:
    cursor = _Cursor(data)
    count = cursor.word()
    for _ in range(min(count, _MOST)):
        kind, tag = cursor.half(), cursor.half()
        key: Key = tag
        if tag >= _NAMED:
            namespace = cursor.take(16)
            if cursor.word() == 0:
                key = (namespace, cursor.word())
            else:
                cursor.padded(cursor.word())  # a name in words; none is of use here
        for value in cursor.values(kind):
            allowance.values -= 1
            if allowance.values < 0:
                raise MapiError("too many values")
            yield key, kind & ~_MANY, value
    if count > _MOST:
        raise MapiError("too many properties")


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise MapiError("ends too early")
        self._at += size
        return taken

    def padded(self, size: int) -> bytes:
        taken = self.take(size)
        self._at += -size % 4
        return taken

    def half(self) -> int:
        return int(struct.unpack("<H", self.take(2))[0])

    def word(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def values(self, kind: int) -> Iterator[bytes]:
        bare = kind & ~_MANY
        count = self.word() if kind & _MANY or bare in _VARIABLE else 1
        if count > _MOST:
            raise MapiError("too many values")
        for _ in range(count):
            if bare in _VARIABLE:
                yield self.padded(self.word())
            elif bare in _FIXED:
                yield self.take(_FIXED[bare])
            else:
                raise MapiError(f"a property of type {kind:#x}")
