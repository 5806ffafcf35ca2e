"""One message's envelope, as far as the server's extensions allow (RFC 1870, RFC 6152, RFC 6531)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import idna

from .words import has_control_characters

_NEVER = re.compile(r"[<>]|\s")
_MOST_DIGITS = 10  # of a size that is a limit to anybody, and that fits into a column


@dataclass(frozen=True, slots=True)
class Envelope:
    """`extensions` are those EHLO offered, lower case, with their parameters."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)
    extensions: Mapping[str, str]

    @property
    def needs_utf8(self) -> bool:
        """Whether this goes out as internationalised mail (SMTPUTF8)."""
        if "smtputf8" not in self.extensions:
            return False
        header = self.octets.partition(b"\r\n\r\n")[0]
        return not (
            header.isascii() and all(address.isascii() for address in (self.sender, *self.recipients))
        )

    @property
    def is_too_large(self) -> bool:
        limit = size_limit(self.extensions)
        return limit is not None and limit < len(self.octets)

    def parameters(self) -> list[str]:
        """What follows the address in MAIL."""
        wanted = {
            f"SIZE={len(self.octets)}": "size" in self.extensions and bool(self.octets),
            "BODY=8BITMIME": "8bitmime" in self.extensions and not self.octets.isascii(),
            "SMTPUTF8": self.needs_utf8,
        }
        return [parameter for parameter, is_wanted in wanted.items() if is_wanted]

    def on_the_wire(self, address: str) -> str | None:
        """An address as this server can take it; None where it cannot."""
        if has_control_characters(address) or _NEVER.search(address):
            return None
        if address.isascii() or "smtputf8" in self.extensions:
            return address
        local_part, at, domain = address.rpartition("@")
        if not at or not local_part.isascii():
            return None
        try:
            return f"{local_part}@{idna.encode(domain, uts46=True).decode('ascii')}"
        except idna.IDNAError:
            return None


def size_limit(extensions: Mapping[str, str]) -> int | None:
    """The octets of the largest message the server takes; None where it names no limit (RFC 1870, 4)."""
    told = extensions.get("size", "").strip()
    if not (told.isascii() and told.isdigit() and len(told) < _MOST_DIGITS):
        return None
    return int(told) or None
