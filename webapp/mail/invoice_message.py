"""The mail an invoice comes with (RFC 5322, 2045): a person's, so without Auto-Submitted, and of no ticket.

It has neither a ticket's tag nor a reply token: whoever answers opens a ticket of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from webapp.mail import conversation
from webapp.mail.conversation import File, Written
from webapp.mail.field_lines import ascii_addr_spec
from webapp.mail.loop_token import loop_token

_NONCE_OCTETS = 16


@dataclass(frozen=True, slots=True)
class Letter:
    """`sender` is (display name, addr-spec), `recipients` are addr-specs, `text` is tidy (`written_text`)."""

    sender: tuple[str, str]
    recipients: Sequence[str]
    subject: str
    text: str
    file: File


def make_message_id(from_addr: str) -> str:
    """A new one at the sender's domain, without angle brackets. ValueError on a bad address."""
    domain = ascii_addr_spec("From", from_addr).rpartition("@")[2]
    return f"invoice.{secrets.token_hex(_NONCE_OCTETS)}@{domain}"


def compose(letter: Letter, *, message_id: str, loop_key: bytes, now: datetime) -> bytes:
    """The message with CRLF lines, all of it ASCII. ValueError on a value that cannot stand in its field."""
    return conversation.compose(
        Written(
            sender=letter.sender,
            to=[("", addr_spec) for addr_spec in letter.recipients],
            subject=letter.subject,
            message_id=message_id,
            loop_token=loop_token(loop_key, message_id),
            date=now,
            text=letter.text,
            files=[letter.file],
        )
    )
