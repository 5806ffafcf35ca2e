"""Whom a message names, for the servers that send to whom it names (Exchange, Office365).

They have no envelope (RFC 5321 section 2.3.1): To and Cc say where a message goes. Where it is to go to
some of those only, or to somebody it does not name, copies of it are sent that name just these. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formataddr

from webapp.mail.address import parse_addresses as _parse
from webapp.mail.message import Address

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n?")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_ALL = 10_000  # of a message of our own; one that was not counted would be taken for hidden
_NAMES = (b"to", b"cc")
_NEVER = (b"bcc",)  # some servers deliver it as it is


@dataclass(frozen=True, slots=True)
class Mailing:
    """One message as it is handed to the server, and whom it reaches."""

    raw: bytes = field(repr=False)
    recipients: tuple[str, ...]


def mailings(raw: bytes, recipients: Sequence[str]) -> list[Mailing]:
    """What to send so that each of `recipients` (addr-specs) gets the message once, and nobody else.

    First the message for those that it names: as it is, or with To and Cc cut down to them. Then one for
    each of the others, with To naming nobody else. All have the same Message-ID.
    """
    header, body = _split(raw)
    fields = [one for one in _FIELD.findall(header) if one]
    named = {_key(address) for address in _addresses(fields, _NAMES)}
    shown = tuple(one for one in recipients if _folded(one) in named)
    others = [one for one in recipients if _folded(one) not in named]
    result = []
    if shown:
        reached = {_folded(one) for one in shown}
        kept = [one for one in fields if _name(one) not in _NEVER]
        if reached != named:
            kept = list(_rewritten(kept, lambda address: _key(address) in reached))
        result.append(Mailing(raw if kept == fields else b"".join(kept) + body, shown))
    result += [Mailing(b"".join(_addressed_to(fields, one)) + body, (one,)) for one in others]
    return result


def from_addresses(raw: bytes) -> frozenset[str]:
    """The addr-specs in From, casefolded."""
    fields = _FIELD.findall(_split(raw)[0])
    return frozenset(_key(address) for address in _addresses(fields, (b"from",)))


def _split(raw: bytes) -> tuple[bytes, bytes]:
    """The header with its last line end, and the rest from the empty line on."""
    end = _HEADER_END.search(raw)
    if end is None:
        return raw, b""
    line_end = end.start() + (2 if raw[end.start() : end.start() + 1] == b"\r" else 1)
    return raw[:line_end], raw[line_end:]


def _addresses(fields: Sequence[bytes], names: Collection[bytes]) -> tuple[Address, ...]:
    return _parse([_value(one) for one in fields if _name(one) in names], _ALL)[0]


def _name(one: bytes) -> bytes:
    return one.partition(b":")[0].strip().lower()


def _value(one: bytes) -> str:
    return _FOLD.sub("", one.partition(b":")[2].decode("utf-8", "replace")).strip()


def _rewritten(fields: Sequence[bytes], keep: Callable[[Address], bool]) -> Iterator[bytes]:
    for one in fields:
        if _name(one) not in _NAMES:
            yield one
            continue
        kept = [address for address in _parse([_value(one)], _ALL)[0] if keep(address)]
        if kept:
            yield _name(one).title() + b": " + b",\r\n ".join(map(_written, kept)) + b"\r\n"


def _addressed_to(fields: Sequence[bytes], recipient: str) -> Iterator[bytes]:
    yield f"To: {recipient}\r\n".encode()
    yield from (one for one in fields if _name(one) not in (*_NAMES, *_NEVER))


def _written(address: Address) -> bytes:
    if address.addr_spec.isascii():
        return formataddr((address.display_name, address.addr_spec)).encode("ascii")
    return address.addr_spec.encode()  # RFC 6532


def _key(address: Address) -> str:
    return _folded(address.addr_spec)


def _folded(addr_spec: str) -> str:
    return addr_spec.strip().casefold()
