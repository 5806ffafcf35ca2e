"""Files and originals out of stored mail."""

from __future__ import annotations

import pytest

from tests.factories import make_raw
from tests.inbound.conftest import Desk
from webapp.inbound.attachments import AttachmentReader, StoredFile, read_beginning, read_original


def test_an_attachment_is_read_from_the_raw_message(desk: Desk) -> None:
    desk.deliver(make_raw(files=[("Rechnung ü.pdf", b"%PDF content")]))
    desk.poll()
    [file] = desk.tickets()[0].entries[0].attachments
    reader = AttachmentReader(desk.instance)
    assert reader.file(file.id) == StoredFile("Rechnung ü.pdf", "application/octet-stream", b"%PDF content")
    with pytest.raises(LookupError):
        reader.file(file.id + 1)
    with pytest.raises(LookupError):
        reader.file(file.id, (0,))


def test_the_original_is_byte_for_byte_what_was_received(desk: Desk) -> None:
    raw = make_raw() + b"\xff\x00 not text\r\n"
    desk.deliver(raw)
    desk.poll()
    [row] = desk.ledger()
    assert read_original(desk.instance, row.id) == raw
    assert read_original(desk.instance, row.id + 1) is None
    assert read_beginning(desk.instance, row.id, 100) == (raw[:100], len(raw))
    assert read_beginning(desk.instance, row.id + 1, 100) is None
