"""The keyed Message-ID of what this desk sends about a ticket: an answer that names it belongs there.

    t1042 . 7 . 6f1e0c... . 9a4b... @desk.test
    |       |   |           HMAC-SHA256 of all before it, 128 bit (RFC 2104 section 5)
    |       |   random
    |       the account it was sent to alone, 0 for everybody else
    ticket

Everybody who got the message knows its token, and mail clients quote it to others. So a token says which
ticket is meant and lets its sender add to it; it says nothing about who the sender is. Only one that was made
for an account, and sent to nobody else, speaks for that account.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

_HEX_DIGITS = 32  # 128 bit
_NONCE_OCTETS = 10
_MAX_CHARS = 255  # what the tables keep of a Message-ID
_LOCAL = re.compile(r"t([1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})\.([0-9a-f]{20})\.([0-9a-f]{32})", re.ASCII)
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """What a token of ours names."""

    ticket_id: int
    account_id: int | None  # the account it was sent to alone; None: anybody may have it


def reply_key(loop_key: bytes) -> bytes:
    """The key of these tokens, made from the desk's own key for this purpose alone (RFC 5869, in spirit)."""
    return hmac.new(loop_key, b"reply-token", hashlib.sha256).digest()


def make_message_id(key: bytes, ticket_id: int, domain: str, *, account_id: int | None = None) -> str:
    """A new Message-ID without angle brackets, at most 255 characters. ValueError on a bad domain or number.

    `account_id` only for a message that goes to this account's own address and to nobody else.
    """
    if not _DOMAIN.fullmatch(domain):
        raise ValueError("the domain of a Message-ID is of letters, digits, hyphens and dots")
    local = f"t{ticket_id}.{account_id or 0}.{secrets.token_hex(_NONCE_OCTETS)}"
    message_id = f"{local}.{_mac(key, local)}@{domain}"
    if len(message_id) > _MAX_CHARS or not _LOCAL.fullmatch(message_id.partition("@")[0]):
        raise ValueError("no Message-ID can be made of this ticket and domain")
    return message_id


def read_token(key: bytes, message_id: str) -> ReplyToken | None:
    """What this Message-ID (angle brackets or not) names, None where it is not ours, whole and true."""
    local, at, _domain = message_id.strip().removeprefix("<").removesuffix(">").partition("@")
    found = _LOCAL.fullmatch(local) if at else None
    if found is None:
        return None
    signed = local.rpartition(".")[0]
    if not hmac.compare_digest(_mac(key, signed).encode("ascii"), found[4].encode("ascii")):
        return None
    return ReplyToken(int(found[1]), int(found[2]) or None)


def _mac(key: bytes, signed: str) -> str:
    return hmac.new(key, b"reply:" + signed.encode("ascii"), hashlib.sha256).hexdigest()[:_HEX_DIGITS]
