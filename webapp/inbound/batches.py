"""Messages of the inbox in batches: small enough for the memory, large enough for the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from webapp.failpoints import failpoint
from webapp.inbound.parser_process import ParserDied, ParserProcess
from webapp.inbound.reading import is_too_large, read_header_only, read_message
from webapp.inbound.received import Received
from webapp.mail.message import InboundMessage, Sender
from webapp.mailserver.base import FetchedMessage, Mailbox, RemoteMessage

BATCH_MESSAGES, BATCH_OCTETS = 50, 8_000_000


def in_batches(messages: Iterable[RemoteMessage]) -> Iterator[list[RemoteMessage]]:
    """In their order, at most 50 and 8 MB at a time; a larger one comes alone."""
    batch: list[RemoteMessage] = []
    octets = 0
    for message in messages:
        if batch and (len(batch) == BATCH_MESSAGES or octets + message.size > BATCH_OCTETS):
            yield batch
            batch, octets = [], 0
        batch.append(message)
        octets += message.size
    if batch:
        yield batch


def read_batch(
    mailbox: Mailbox,
    parser: ParserProcess,
    batch: Sequence[RemoteMessage],
    *,
    limit_mb: int,
    enough: Callable[[], bool] = lambda: False,
) -> list[Received]:
    """Fetched and understood, the too large ones last and by their header alone; vanished ones are left out.

    `enough` is asked after each: fifty messages that each keep the parser busy for as long as it may take
    must not hold up a run for an hour. Raises MailServerError.
    """
    listed = {message.key: message for message in batch}
    too_large = [message.key for message in batch if is_too_large(message, limit_mb)]
    whole = [message.key for message in batch if not is_too_large(message, limit_mb)]
    received = []
    for fetched in mailbox.fetch(whole):
        failpoint("after_fetch")
        received.append(read_message(parser, listed[fetched.key], fetched))
        if enough():
            return received
    received += [
        read_header_only(parser, listed[fetched.key], fetched, limit_mb=limit_mb)
        for fetched in mailbox.fetch_headers(too_large)
    ]
    return received


def understand_header(parser: ParserProcess, fetched: FetchedMessage) -> InboundMessage:
    """What a header alone says; of one that kills the parser, nothing."""
    try:
        return parser.parse(fetched.raw, fetched.transport_headers)
    except ParserDied:
        sender = Sender(None, "", "", doubt="the message could not be read")
        return InboundMessage(subject="Message that could not be read", sender=sender)
