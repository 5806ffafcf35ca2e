"""Our own keyed loop header: a message that comes back to us is ours only if the key says so."""

from __future__ import annotations

import hashlib
import hmac

LOOP_HEADER = "X-Service-Desk-Loop"
_HEX_DIGITS = 32  # 128 bit


def loop_token(key: bytes, message_id: str) -> str:
    """HMAC-SHA256 of our Message-ID (no angle brackets), truncated to 128 bit (RFC 2104 section 5)."""
    text = b"loop:" + message_id.strip().strip("<>").encode("utf-8", "replace")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:_HEX_DIGITS]


def is_our_loop_token(key: bytes, message_id: str, value: str) -> bool:
    """Whether `value` is the token of the message with this Message-ID, compared in constant time."""
    given = value.strip().lower().encode("utf-8", "replace")
    return hmac.compare_digest(loop_token(key, message_id).encode("ascii"), given)
