"""Files out of stored mail: taken from the raw message when somebody wants them."""

from __future__ import annotations

import zlib

import sqlalchemy as sa

from webapp.inbound.apply import RAW_MESSAGE
from webapp.inbound.parser_process import ParserProcess
from webapp.instance import Instance
from webapp.models import Attachment, Entry, RawMessage


def read_attachment(instance: Instance, attachment_id: int) -> tuple[str, str, bytes] | None:
    """File name, content type and content; None when there is no such attachment.

    Decoding happens in a parser process of its own. Raises ParserDied.
    """
    with instance.database.reading() as session:
        row = session.execute(
            sa.select(
                Attachment.filename, Attachment.content_type, Attachment.position, RawMessage.compressed
            )
            .join(Entry, Entry.id == Attachment.entry_id)
            .join(RawMessage, RawMessage.inbound_id == Entry.inbound_id)
            .where(Attachment.id == attachment_id)
        ).first()
    if row is None:
        return None
    raw = zlib.decompress(row.compressed)
    if row.position == RAW_MESSAGE:
        return row.filename, row.content_type, raw
    with ParserProcess() as parser:
        return row.filename, row.content_type, parser.attachment(raw, row.position)


def read_original(instance: Instance, inbound_id: int) -> bytes | None:
    """The octets of a message as received; None when there is no such message."""
    with instance.database.reading() as session:
        compressed = session.scalar(
            sa.select(RawMessage.compressed).where(RawMessage.inbound_id == inbound_id)
        )
    return None if compressed is None else zlib.decompress(compressed)
