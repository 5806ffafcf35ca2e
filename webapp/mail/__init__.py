"""Understanding mail: bytes and values only, no I/O (RFC 5322, 2045-2049, 2231, 3834, 3464, 6532)."""

from __future__ import annotations

from typing import Any


def describe(raw: bytes) -> dict[str, Any]:
    """How one raw message is understood, as the plain object `servicedesk mail parse --json` prints."""
    from webapp.mail.description import describe as build

    return build(raw)
