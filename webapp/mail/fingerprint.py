"""When two messages are the same one: a list copy and a direct copy differ only in how they travelled."""

from __future__ import annotations

import hashlib

from webapp.mail.message import InboundMessage


def content_fingerprint(message: InboundMessage) -> str | None:
    """Hex SHA-256 over Message-ID, From, Date, Subject, text and attachments; None without Message-ID.

    Trace fields (RFC 5322 section 3.6.7) stay out. Each value is preceded by its length, so that no two
    different messages can be written down alike.
    """
    if message.message_id is None:
        return None
    values = [
        message.message_id,
        message.sender.written,
        message.date.isoformat() if message.date else "",
        message.subject,
        message.body_text,
        *sorted(attachment.sha256 for attachment in message.attachments),
    ]
    digest = hashlib.sha256()
    for value in values:
        octets = value.encode("utf-8", "replace")
        digest.update(b"%d:" % len(octets))
        digest.update(octets)
    return digest.hexdigest()
