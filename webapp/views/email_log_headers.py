"""A message's header for people to read: every field in order, decoded or as it came, nothing obeyed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from webapp.mail import limits
from webapp.mail.charset import one_line
from webapp.mail.encoded_words import decode_words
from webapp.mail.headers import split_headers

# Characters that turn the direction of writing could show an address as another one.
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NOT_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Fields:
    """Name and decoded value of each field; the block as it was sent; what was odd about it."""

    decoded: tuple[tuple[str, str], ...]
    left_out: int
    as_sent: str
    defects: tuple[str, ...]


def read_fields(block: bytes) -> Fields:
    """`block` is the beginning of a message. Fields, their number and their length are bounded."""
    headers, body = split_headers(block, 0, len(block))
    shown = [
        (name, one_line(_TURNING.sub("\ufffd", decode_words(text)))[: limits.SHOWN_FIELD_CHARS])
        for (name, text), _ in zip(headers.texts(), range(limits.SHOWN_FIELDS), strict=False)
    ]
    return Fields(
        decoded=tuple(shown),
        left_out=len(headers.fields) - len(shown),
        as_sent=as_text(block[:body]).rstrip(),
        defects=tuple(headers.defects),
    )


def as_text(octets: bytes) -> str:
    """Octets of a message as they came, for people to read: nothing that turns or controls."""
    return _NOT_SHOWN.sub("\ufffd", octets.decode("utf-8", "replace").replace("\r\n", "\n"))
