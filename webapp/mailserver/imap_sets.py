"""Sets of UIDs: how they are written (RFC 3501 section 9, sequence-set) and how many are kept cheaply."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Self, overload

# Servers may refuse command lines over 8,192 octets (RFC 7162 section 4); the rest is room for the command.
_LONGEST_SET = 7_000


class Keys(Sequence[str]):
    """Many UIDs as the keys they are to the caller, at four octets each: a million of them is 4 MB."""

    def __init__(self, uids: Iterable[int]) -> None:
        self._uids = array("I", uids)
        if any(one >= next_one for one, next_one in pairwise(self._uids)):
            self._uids = array("I", sorted(set(self._uids)))

    @classmethod
    def joined(cls, newest_first: Sequence[array[int]]) -> Self:
        """Runs of UIDs put together, the last run first."""
        uids = array("I")
        for run in reversed(newest_first):
            uids.extend(run)
        return cls(uids)

    def __len__(self) -> int:
        return len(self._uids)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [str(uid) for uid in self._uids[index]]
        return str(self._uids[index])

    def __iter__(self) -> Iterator[str]:
        return map(str, self._uids)

    def __repr__(self) -> str:
        return f"<{len(self)} keys>"


def uid_sets(keys: Iterable[str]) -> Iterator[str]:
    """All keys as one or more sequence sets, short enough for a command line each."""
    parts: list[str] = []
    length = 0
    for part in _ranges(sorted({int(key) for key in keys})):
        if parts and length + len(part) > _LONGEST_SET:
            yield ",".join(parts)
            parts, length = [], 0
        parts.append(part)
        length += len(part) + 1
    if parts:
        yield ",".join(parts)


def read_set(text: str) -> Iterator[int]:
    """The UIDs of a sequence set, in its order (COPYUID pairs them by position)."""
    for part in text.split(","):
        first, _, last = part.partition(":")
        low, high = int(first), int(last or first)
        yield from range(low, high + 1) if low <= high else range(low, high - 1, -1)


def _ranges(uids: Sequence[int]) -> Iterator[str]:
    start = 0
    for i, uid in enumerate(uids):
        if i + 1 == len(uids) or uids[i + 1] != uid + 1:
            yield str(uid) if start == i else f"{uids[start]}:{uid}"
            start = i + 1
