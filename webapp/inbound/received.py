"""One message as it came, and the values the tables keep of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from webapp.inbound.facts import MESSAGE_ID_LENGTH, Identity
from webapp.inbound.returned import Returned
from webapp.mail.message import AttachmentInfo, InboundMessage
from webapp.models import TicketNotice

PREVIEW_CHARACTERS = 2_000
RAW_MESSAGE = -1  # position of an attachment that is the whole message itself


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came: its place in the mailbox, its octets, and how it was understood."""

    key: str
    size: int  # as listed
    identity: Identity
    compressed: bytes = field(repr=False)  # zlib, made before the transaction
    transport_headers: tuple[tuple[str, str], ...]
    message: InboundMessage
    raw_size: int
    notice: TicketNotice | None = None  # what a technician should know before reading
    returned: Returned | None = None  # its key has a row already: it was put back into the inbox

    @property
    def ledger_key(self) -> str:
        """What its row is known by: the server's key, but for a message that has a row already."""
        return self.returned.ledger_key if self.returned else self.key


def described(received: Received) -> dict[str, Any]:
    """What the ledger and the entry both say about a message, cut to what their columns hold."""
    message = received.message
    return {
        "received_at": received.identity.received_at,
        "message_id": message.message_id[:MESSAGE_ID_LENGTH] if message.message_id else None,
        "from_addr": (message.sender.addr_spec or "")[:320] or None,
        "from_name": (message.sender.display_name or message.sender.written)[:320],
        "subject": message.subject[:500],
    }


def preview_of(message: InboundMessage) -> str:
    """How its text begins, without quoted history: what somebody wants to see of a held message."""
    return (message.reply_text or message.body_text).strip()[:PREVIEW_CHARACTERS]


def derived(message: InboundMessage) -> dict[str, Any]:
    """What else of a message its entry shows."""
    people = {"to": message.to, "cc": message.cc, "reply_to": message.reply_to}
    return {
        "recipients": {
            field: [[one.display_name, one.addr_spec] for one in addresses]
            for field, addresses in people.items()
        },
        "invitation": asdict(message.invitation) if message.invitation else None,
        "protection": message.protection or None,
    }


def attachment_rows(received: Received, entry_id: int) -> list[dict[str, Any]]:
    """The attachment table's rows for this message's entry."""
    if received.notice is TicketNotice.QUARANTINE:
        whole = AttachmentInfo(
            position=RAW_MESSAGE, filename="message.eml", content_type="message/rfc822",
            size=received.raw_size, inline=False, content_id=None, sha256=received.identity.sha256,
        )  # fmt: skip
        return [_attachment(whole, entry_id)]
    return [_attachment(info, entry_id) for info in received.message.attachments]


def _attachment(info: AttachmentInfo, entry_id: int) -> dict[str, Any]:
    return {
        "entry_id": entry_id,
        "position": info.position,
        "filename": info.filename[:200],
        "content_type": info.content_type[:200],
        "size": info.size,
        "inline": info.inline,
        "content_id": info.content_id[:255] if info.content_id else None,
        "sha256": info.sha256,
    }
