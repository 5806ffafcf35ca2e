"""Files out of stored mail, taken from the raw message when somebody wants them, and messages as received."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field

import sqlalchemy as sa

from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.received import RAW_MESSAGE
from webapp.instance import Instance
from webapp.mail.message import InboundMessage
from webapp.models import Attachment, Entry, Inbound, OutgoingMessage, RawMessage

SECONDS_A_QUESTION = 10.0  # somebody waits for the page
IDLE_SECONDS = 60.0
THUMBNAIL_TYPE = "image/webp"
KEPT_THUMBNAILS = 300  # about 10 KB each


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`content_type` as the message says it; what the octets are is another matter."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """An attachment's row with the message it is in."""

    filename: str
    content_type: str
    position: int
    raw: bytes = field(repr=False)


class AttachmentReader:
    """Attachments by their row's id; `path` leads on into attached mails (`webapp.mail.nested`).

    All decoding happens in one parser process, kept for a minute, because a page with pictures asks
    many times at once. Every method raises ParserDied, and LookupError where there is no such file or its
    message is no longer kept.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._parser = ParserProcess(seconds=SECONDS_A_QUESTION)
        self._lock = threading.Lock()
        self._idle: threading.Timer | None = None
        self._thumbnails: OrderedDict[tuple[str, tuple[int, ...]], bytes | None] = OrderedDict()
        instance.at_close.append(self.close)

    def file(self, attachment_id: int, path: tuple[int, ...] = ()) -> StoredFile:
        found = self._find(attachment_id)
        if found.position == RAW_MESSAGE:
            if path:
                raise LookupError("a message that could not be read is not taken apart")
            return StoredFile(found.filename, found.content_type, found.raw)
        info, content = self._ask().file(found.raw, (found.position, *path))
        if path:
            return StoredFile(info.filename, info.content_type, content)
        return StoredFile(found.filename, found.content_type, content)

    def mail(self, attachment_id: int, path: tuple[int, ...] = ()) -> InboundMessage:
        """An attached mail as it is understood."""
        found = self._find(attachment_id)
        if found.position == RAW_MESSAGE:
            raise LookupError("a message that could not be read is not read once more")
        return self._ask().attached_mail(found.raw, (found.position, *path))

    def thumbnail(self, attachment_id: int, sha256: str, path: tuple[int, ...] = ()) -> bytes | None:
        """A small WebP (`thumbnails`); None where it is no picture. `sha256` is the attachment's."""
        key = (sha256, path)
        with self._lock:
            if key in self._thumbnails:
                self._thumbnails.move_to_end(key)
                return self._thumbnails[key]
        found = self._find(attachment_id)
        if found.position == RAW_MESSAGE:
            return None
        made = self._ask().thumbnail(found.raw, (found.position, *path))
        with self._lock:
            self._thumbnails[key] = made
            while len(self._thumbnails) > KEPT_THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return made

    def close(self) -> None:
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
        self._parser.close()

    def _find(self, attachment_id: int) -> _Found:
        with self._instance.database.reading() as session:
            file = sa.select(Attachment.filename, Attachment.content_type, Attachment.position)
            file = file.join(Entry, Entry.id == Attachment.entry_id).where(Attachment.id == attachment_id)
            received = file.add_columns(RawMessage.compressed).join(
                RawMessage, RawMessage.inbound_id == Entry.inbound_id
            )
            sent = file.add_columns(OutgoingMessage.compressed).join(
                OutgoingMessage, OutgoingMessage.entry_id == Entry.id
            )
            row = session.execute(received).first() or session.execute(sent.limit(1)).first()
        if row is None:
            raise LookupError("no such attachment, or its message is no longer kept")
        return _Found(row.filename, row.content_type, row.position, zlib.decompress(row.compressed))

    def _ask(self) -> ParserProcess:
        """The process to ask; it ends after a minute in which nobody does."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            self._idle = threading.Timer(IDLE_SECONDS + 1, self._parser.end_if_idle, [IDLE_SECONDS])
            self._idle.daemon = True
            self._idle.start()
        return self._parser


def read_original(instance: Instance, inbound_id: int) -> bytes | None:
    """The octets of a message as received; None when there is no such message."""
    with instance.database.reading() as session:
        compressed = session.scalar(
            sa.select(RawMessage.compressed).where(RawMessage.inbound_id == inbound_id)
        )
    return None if compressed is None else zlib.decompress(compressed)


def read_beginning(instance: Instance, inbound_id: int, octets: int) -> tuple[bytes, int] | None:
    """The first octets of a message as received, and how many it has; None when there is no such message.

    Only that much is unpacked: a message may have 150 MB.
    """
    with instance.database.reading() as session:
        row = session.execute(
            sa.select(RawMessage.compressed, Inbound.size)
            .join(Inbound, Inbound.id == RawMessage.inbound_id)
            .where(RawMessage.inbound_id == inbound_id)
        ).first()
    if row is None:
        return None
    beginning = zlib.decompressobj().decompress(row.compressed, octets)
    return beginning, max(row.size, len(beginning))
