"""An address of the desk's mailbox that names a ticket: help+t1042-<proof>@example.com (RFC 5233, "detail").

    help + t1042 - 7gk2...
    |      |       HMAC-SHA256 of the ticket, 128 bit in base32: letters of one case, as gateways change it
    |      ticket
    the mailbox's own local part

It stands in Reply-To, so an answer brings it back in To even where a program loses In-Reply-To. Whoever got
the mail knows it, and it is in plain sight: it says which ticket is meant and never who writes, so there is
none for an account alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

_LONGEST_LOCAL_PART = 64  # octets, RFC 5321 section 4.5.3.1.1
_PROOF_OCTETS = 16
_DETAIL = re.compile(r"t([1-9][0-9]{0,9})-([a-z2-7]{26})", re.ASCII)
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+", re.ASCII)


def make_reply_address(key: bytes, addr_spec: str, ticket_id: int) -> str | None:
    """None where it would be longer than a local part may be, or the local part is a quoted string."""
    local, _, domain = addr_spec.rpartition("@")
    made = f"{local}+t{ticket_id}-{_proof(key, ticket_id)}"
    if not _LOCAL.fullmatch(local) or len(made) > _LONGEST_LOCAL_PART:
        return None
    return f"{made}@{domain}"


def ticket_of(key: bytes, addr_spec: str) -> int | None:
    """The ticket this address names, None where it proves nothing. Upper and lower case are the same."""
    detail = addr_spec.rpartition("@")[0].rpartition("+")[2].lower()
    found = _DETAIL.fullmatch(detail)
    if found is None:
        return None
    ticket_id = int(found[1])
    is_ours = hmac.compare_digest(_proof(key, ticket_id).encode("ascii"), found[2].encode("ascii"))
    return ticket_id if is_ours else None


def without_detail(addr_spec: str) -> str:
    """help@example.com of help+anything@example.com; any other address as it is."""
    local, at, domain = addr_spec.rpartition("@")
    name = local.partition("+")[0]
    return f"{name}@{domain}" if at and name else addr_spec


def _proof(key: bytes, ticket_id: int) -> str:
    mac = hmac.new(key, b"address:" + str(ticket_id).encode("ascii"), hashlib.sha256).digest()
    return base64.b32encode(mac[:_PROOF_OCTETS]).decode("ascii").rstrip("=").lower()
