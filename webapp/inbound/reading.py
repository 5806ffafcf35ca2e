"""From octets to a message that can be judged: parsing in the parser process, and what if that dies."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import zlib

from webapp.inbound.facts import Identity
from webapp.inbound.parser_process import ParserDied, ParserProcess
from webapp.inbound.received import Received
from webapp.mail.fingerprint import content_fingerprint
from webapp.mail.message import InboundMessage, Sender
from webapp.mailserver.base import FetchedMessage, RemoteMessage
from webapp.models import TicketNotice

ATTEMPTS = 3
HEADER_OCTETS = 64_000  # of a message that kills the parser, this much is tried as a header alone
UNREADABLE = "This message could not be read. The raw mail is attached as message.eml."

logger = logging.getLogger(__name__)


def read_message(parser: ParserProcess, listed: RemoteMessage, fetched: FetchedMessage) -> Received:
    """The message understood; after three deaths of the parser process a stub for quarantine."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            message = parser.parse(fetched.raw, fetched.transport_headers)
        except ParserDied as death:
            how = str(death)
            logger.warning("parser process %s on message %s, attempt %d", how, listed.key, attempt)
        else:
            return _received(listed, fetched, message, None)
    stub = _stub(parser, fetched, f"message could not be read: the parser {how}, {ATTEMPTS} times")
    return _received(listed, fetched, stub, TicketNotice.QUARANTINE)


def is_too_large(listed: RemoteMessage, limit_mb: int) -> bool:
    """Whether only its header is taken in."""
    return listed.size > limit_mb * 1_000_000


def header_of(raw: bytes) -> bytes:
    """The octets that a mail server gives for the header: with the empty line that ends it."""
    return raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def read_header_only(
    parser: ParserProcess, listed: RemoteMessage, fetched: FetchedMessage, *, limit_mb: int
) -> Received:
    """A message over the size limit: its header is judged as always, its text says where the rest is."""
    size_mb = f"{listed.size / 1_000_000:.0f} MB"
    message = _stub(parser, fetched, f"too large: {size_mb} is over the limit of {limit_mb} MB")
    text = f"This message is {size_mb} in size, over the limit of {limit_mb} MB. It is in the archive folder."
    message = _with_text(message, text)
    return _received(listed, fetched, message, TicketNotice.TOO_LARGE)


def quarantined(received: Received, defect: str) -> Received:
    """The same message as a stub, for a person to look at: what it is made of broke the processing."""
    message = _with_text(received.message, UNREADABLE, defect)
    return dataclasses.replace(received, message=message, notice=TicketNotice.QUARANTINE)


def digest(listed: RemoteMessage, fetched: FetchedMessage, *, header_only: bool) -> str:
    """What stands for the octets of a message; of one too large only the header is at hand."""
    octets = hashlib.sha256(fetched.raw)
    if header_only:
        octets.update(str(listed.size).encode())  # equal headers of different messages stay different
    return octets.hexdigest()


def _received(
    listed: RemoteMessage, fetched: FetchedMessage, message: InboundMessage, notice: TicketNotice | None
) -> Received:
    sha256 = digest(listed, fetched, header_only=notice is TicketNotice.TOO_LARGE)
    fingerprint = content_fingerprint(message) if notice is None else None
    return Received(
        key=listed.key,
        size=listed.size,
        identity=Identity(sha256, listed.received_at, fingerprint),
        compressed=zlib.compress(fetched.raw, 1),
        transport_headers=fetched.transport_headers,
        message=message,
        raw_size=len(fetched.raw),
        notice=notice,
    )


def _stub(parser: ParserProcess, fetched: FetchedMessage, defect: str) -> InboundMessage:
    """What the header alone tells; where even that kills the parser, nothing but the defect."""
    head = header_of(fetched.raw[:HEADER_OCTETS])
    try:
        message = parser.parse(head, fetched.transport_headers)
    except ParserDied:
        sender = Sender(None, "", "", doubt="the message could not be read")
        message = InboundMessage(subject="Message that could not be read", sender=sender)
    return _with_text(message, UNREADABLE, defect)


def _with_text(message: InboundMessage, text: str, *defects: str) -> InboundMessage:
    return dataclasses.replace(
        message,
        body_text=text,
        reply_text=text,
        body_html=None,
        attachments=(),
        defects=(*message.defects, *defects),
    )
