from __future__ import annotations

import pytest

from webapp.mail.fingerprint import content_fingerprint
from webapp.mail.parse import parse

RAW = (
    b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <one@example.org>\r\n"
    b"From: Alice <alice@example.org>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nSubject: Printer\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nbroken\r\n"
    b"--b\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n--b--\r\n"
)


def fingerprint(raw: bytes) -> str | None:
    return content_fingerprint(parse(raw))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"from a by b", b"from c by d"),
        (b"Received:", b"Return-Path: <x@y.org>\r\nReceived:"),
        (b"\r\n", b"\n"),
        (b"Content-Type: multipart", b"List-Id: <list.example.org>\r\nContent-Type: multipart"),
    ],
)
def test_the_way_a_message_travelled_does_not_count(old: bytes, new: bytes) -> None:
    assert fingerprint(RAW.replace(old, new)) == fingerprint(RAW)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<one@", b"<two@"),
        (b"Alice <", b"Bob <"),
        (b"alice@", b"bob@"),
        (b"Date: Mon, 1", b"Date: Tue, 2"),
        (b"Subject: Printer", b"Subject: Scanner"),
        (b"broken", b"whole"),
        (b"a.png\r\n\r\nx", b"a.png\r\n\r\ny"),
        (b"Content-Type: image/png; name=a.png\r\n\r\nx", b"\r\nx"),
    ],
)
def test_what_it_says_counts(old: bytes, new: bytes) -> None:
    changed = RAW.replace(old, new)
    assert changed != RAW
    assert fingerprint(changed) != fingerprint(RAW)


def test_without_a_message_id_there_is_none() -> None:
    assert fingerprint(RAW.replace(b"Message-ID: <one@example.org>\r\n", b"")) is None
