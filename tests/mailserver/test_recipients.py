"""Whom a message reaches on a server that has no envelope."""

from __future__ import annotations

from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest

from webapp.mailserver.recipients import from_addresses, mailings

RAW = (
    b"From: Help Desk <Desk@example.com>\r\n"
    b"To: =?utf-8?q?J=C3=B6rg=2C_Dr=2E?= <joerg@example.net>,\r\n Bob <BOB@example.net>\r\n"
    b"Cc: carol@example.net\r\n"
    b"Subject: A\r\n folded one\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"\r\n"
    b"To: not a header\r\n\r\nBcc: neither\r\n"
)
ALL = ["joerg@example.net", "bob@example.net", "carol@example.net"]


def test_everybody_named_is_the_message_as_it_is() -> None:
    (only,) = mailings(RAW, ALL)
    assert only.raw is RAW
    assert only.recipients == tuple(ALL)


def test_some_of_those_named() -> None:
    (only,) = mailings(RAW, ["joerg@example.net"])
    message = message_from_bytes(only.raw)
    assert only.recipients == ("joerg@example.net",)
    (to,) = getaddresses([message["To"]])
    assert (str(make_header(decode_header(to[0]))), to[1]) == ("Jörg, Dr.", "joerg@example.net")
    assert message["Cc"] is None
    assert message["Message-ID"] == "<1@example.com>"
    assert message["Subject"] == "A\r\n folded one"
    assert only.raw.partition(b"\r\n\r\n")[2] == RAW.partition(b"\r\n\r\n")[2]


def test_only_one_in_cc() -> None:
    (only,) = mailings(RAW, ["carol@example.net"])
    message = message_from_bytes(only.raw)
    assert (message["To"], message["Cc"]) == (None, "carol@example.net")


def test_a_hidden_recipient_gets_one_of_its_own() -> None:
    first, second, third = mailings(RAW, ["x@example.org", *ALL, "y@example.org"])
    assert (first.raw, first.recipients) == (RAW, tuple(ALL))
    assert second.recipients == ("x@example.org",)
    assert third.recipients == ("y@example.org",)
    message = message_from_bytes(third.raw)
    assert (message["To"], message["Cc"]) == ("y@example.org", None)
    assert message["Message-ID"] == "<1@example.com>"
    assert b"bob@" not in third.raw.lower()


def test_nobody_named() -> None:
    (only,) = mailings(b"Subject: x\n\nbody\n", ["a@example.net"])
    assert only.raw == b"To: a@example.net\r\nSubject: x\n\nbody\n"


def test_bcc_never_leaves() -> None:
    raw = RAW.replace(
        b"Cc: carol@example.net\r\n", b"Cc: carol@example.net\r\nBCC: secret@example.net,\r\n x@y.z\r\n"
    )
    (only,) = mailings(raw, ALL)
    assert only.raw == RAW
    named, hidden = mailings(raw, [*ALL, "secret@example.net"])
    assert named.raw == RAW
    assert b"x@y.z" not in hidden.raw
    assert message_from_bytes(hidden.raw)["To"] == "secret@example.net"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_whatever_the_line_ends_the_rest_is_kept(end: bytes) -> None:
    raw = RAW.replace(b"\r\n", end)
    (only,) = mailings(raw, ["bob@example.net", "carol@example.net"])
    assert only.raw == (
        raw[: raw.index(b"To:")]
        + b"To: Bob <BOB@example.net>\r\nCc: carol@example.net\r\n"
        + raw[raw.index(b"Subject:") :]
    )


def test_more_recipients_than_are_read_of_hostile_mail() -> None:
    everybody = [f"p{number}@example.net" for number in range(300)]
    raw = f"To: {', '.join(everybody)}\r\n\r\nx".encode()
    (only,) = mailings(raw, everybody)
    assert only.raw == raw


def test_an_address_that_is_not_ascii() -> None:
    raw = "To: Ö <ö@müller.example>, b@example.net\r\n\r\nx".encode()
    (only,) = mailings(raw, ["ö@müller.example"])
    assert only.raw == "To: ö@müller.example\r\n\r\nx".encode()


def test_from() -> None:
    assert from_addresses(RAW) == {"desk@example.com"}
    assert from_addresses(b"Subject: x\r\n\r\nFrom: no@example.com") == frozenset()
    assert from_addresses(b"From: a@b.example, C <c@d.example>\r\n\r\n") == {"a@b.example", "c@d.example"}
