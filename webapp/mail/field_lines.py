"""Header fields of our own as lines (RFC 5322 section 2.2, RFC 2047, RFC 2231): folded, ASCII, no injection.

Written by hand because `email.policy` turns a long Message-ID in References into an encoded word, which no
client reads as an id, and folds long names in places where they change.

Every function raises ValueError for a value with a control character or a direction mark in it: a CR or LF
would begin another field (RFC 5322 section 2.2), a direction mark shows a name that is not the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.header import Header
from urllib.parse import quote

from webapp.mail.address import fold_addr_spec, sender_of

CRLF = "\r\n"
LINE = 76
LONGEST_LINE = 998  # RFC 5322 section 2.1.1
NAME_CHARS = 200
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_ID = re.compile(r"[!-;=?-~]{1,900}")
_PLAIN_PARAMETER = re.compile(r"[A-Za-z0-9!#$&+.^_`{|}~ ()\[\],@=-]{1,60}")
_CHUNK = 60


def checked(name: str, value: str) -> str:
    """`value`, if it can stand in a field."""
    if _FORBIDDEN.search(value):
        raise ValueError(f"control character in {name}")
    return value


def one_line(text: str) -> str:
    """What a stranger wrote, as it may stand in a field: no control characters, no direction marks."""
    return " ".join(_FORBIDDEN.sub(" ", text).split())


def text_line(name: str, value: str) -> str:
    """An unstructured field such as Subject; what is not ASCII becomes encoded words."""
    value = " ".join(checked(name, value).split())
    plain = (
        value.isascii() and "=?" not in value and max(map(len, value.split()), default=0) < LONGEST_LINE // 2
    )
    header = Header(value, "us-ascii" if plain else "utf-8", maxlinelen=LINE, header_name=name)
    return f"{name}: {header.encode(splitchars=' ', linesep=CRLF)}"


def raw_line(name: str, value: str) -> str:
    """A field whose value is ASCII and short by its nature: a date, a token."""
    if not checked(name, value).isascii() or len(value) > LONGEST_LINE - len(name) - 2:
        raise ValueError(f"{name} is not short ASCII text")
    return f"{name}: {value}"


def mailbox_line(name: str, mailboxes: Iterable[tuple[str, str]]) -> str:
    """An address field: each (display name, addr-spec) on a line of its own."""
    return f"{name}: " + f",{CRLF} ".join(_mailbox(name, *one) for one in mailboxes)


def id_line(name: str, message_ids: Iterable[str]) -> str:
    """Message-ID, In-Reply-To or References, one id a line; ids are given without angle brackets."""
    ids = list(message_ids)
    for one in ids:
        if not is_id(checked(name, one)):
            raise ValueError(f"malformed id in {name}")
    return f"{name}: " + f"{CRLF} ".join(f"<{one}>" for one in ids)


def is_id(message_id: str) -> bool:
    """Whether it can stand between angle brackets on one line: others' ids may be anything."""
    return _ID.fullmatch(message_id) is not None


def parameter(name: str, value: str) -> str:
    """One parameter with its leading ";" on lines of its own, in RFC 2231's way where it needs that."""
    checked(name, value)
    if _PLAIN_PARAMETER.fullmatch(value):
        return f';{CRLF} {name}="{value}"'
    encoded = quote(value, safe="", encoding="utf-8")
    pieces = _pieces(f"utf-8''{encoded}")
    if len(pieces) == 1:
        return f";{CRLF} {name}*={pieces[0]}"
    return "".join(f";{CRLF} {name}*{number}*={piece}" for number, piece in enumerate(pieces))


def ascii_addr_spec(name: str, addr_spec: str) -> str:
    """The address with its domain as A-labels: no encoded word may stand in it (RFC 2047 section 5)."""
    found = sender_of([checked(name, addr_spec)]).addr_spec
    if found is None or found != addr_spec:
        raise ValueError(f"malformed address in {name}")
    local, _, domain = addr_spec.rpartition("@")
    folded = fold_addr_spec(f"x@{domain}").partition("@")[2]
    if not local.isascii() or not folded.isascii():
        raise ValueError(f"the address in {name} is not ASCII")
    return f"{local}@{folded}"


def _mailbox(field: str, display_name: str, addr_spec: str) -> str:
    address = ascii_addr_spec(field, addr_spec)
    phrase = " ".join(checked(f"name in {field}", display_name).split())[:NAME_CHARS].strip()
    if not phrase:
        return address
    return f"{_phrase(phrase)}{CRLF} <{address}>" if len(phrase) > 30 else f"{_phrase(phrase)} <{address}>"


def _phrase(name: str) -> str:
    """An atom or quoted string where ASCII will do, else encoded words (RFC 2047 section 5 (3))."""
    if not name.isascii() or "=?" in name:
        return Header(name, "utf-8", maxlinelen=LINE, header_name="Reply-To").encode(linesep=CRLF)
    if _ATOMS.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _pieces(encoded: str) -> list[str]:
    """Cut so that no %XX is cut in two."""
    pieces, rest = [], encoded
    while rest:
        end = min(len(rest), _CHUNK)
        while end < len(rest) and "%" in rest[end - 2 : end]:
            end -= 1
        pieces.append(rest[:end])
        rest = rest[end:]
    return pieces
