"""`parse` never raises, its result goes over the wire unchanged, and hostile mail costs bounded time."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.mail import describe
from webapp.mail.message import InboundMessage
from webapp.mail.parse import parse, parse_header_only
from webapp.mail.wire import from_json, to_json

FROM = b"From: alice@example.org\r\n"


def over_the_wire(message: InboundMessage) -> InboundMessage:
    octets = json.dumps(to_json(message), ensure_ascii=False).encode("utf-8")
    assert b"\\u0000" not in octets
    return from_json(json.loads(octets))


def checked(raw: bytes) -> InboundMessage:
    message = parse(raw)
    assert over_the_wire(message) == message
    assert not [defect for defect in message.defects if "not understood:" in defect]
    return message


# Arbitrary octets seldom get past the header; pieces of mail in any order do.
PIECES = st.sampled_from(
    [
        b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b";", b"=", b'"', b"<", b">", b"(", b")",
        b",", b"@", b"From", b"From: ", b"To: ", b"Subject: ", b"Date: ", b"Message-ID: ", b"References: ",
        b"Auto-Submitted: ", b"Content-Type: ", b"Content-Disposition: attachment; filename",
        b"Content-Transfer-Encoding: ", b"multipart/mixed; boundary=b",
        b"multipart/alternative; boundary=b", b"multipart/report; boundary=b", b"message/rfc822",
        b"message/delivery-status", b"text/plain", b"text/html", b"text/plain; format=flowed",
        b"; charset=", b"utf-8", b"utf-7", b"utf-16", b"iso-2022-jp", b"x-nope", b"idna", b"*0*=",
        b"*=utf-8''%FF", b"base64", b"quoted-printable", b"x-uuencode", b"begin 644 a\n", b"--b", b"--b--",
        b"--", b"-- ", b"=?utf-8?q?", b"=?utf-7?b?", b"?=", b"=FF", b"+2AA-", b"<div>", b"</div>", b"<!--",
        b"<a href=", b"&#xD800;", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc3", b"alice@example.org",
        b"<a@b>", b"1 Jan 2024", b"99999999999", b"On x wrote:\n", b"> ", b"Final-Recipient: rfc822; ",
        b"[T-1042]",
    ]
)  # fmt: skip


@settings(max_examples=200, deadline=None, database=None)
@given(st.binary(max_size=400))
def test_any_octets(raw: bytes) -> None:
    checked(raw)
    parse_header_only(raw)


@settings(max_examples=400, deadline=None, database=None)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=60))
def test_any_pieces_of_mail(pieces: list[bytes]) -> None:
    checked(b"".join(pieces))


@settings(max_examples=50, deadline=None, database=None)
@given(st.text(max_size=100), st.text(max_size=100))
def test_any_transport_header(name: str, value: str) -> None:
    message = parse(FROM + b"\r\n", transport_headers=((name, value),))
    assert over_the_wire(message) == message


def test_a_transport_header_of_lone_surrogates() -> None:
    message = parse(
        FROM + b"\r\n", transport_headers=(("X-\ud800", "\ud800\x00"), ("Auto-Submitted", "\udfff"))
    )
    assert over_the_wire(message) == message


def test_the_fields_of_a_plain_message() -> None:
    message = checked(
        b"From: Alice <alice@example.org>\r\nTo: desk@example.org, Bob <bob@example.org>\r\n"
        b"Cc: c@example.org\r\nReply-To: r@example.org\r\nSubject: [T-1042] Printer\r\n"
        b"Date: Tue, 5 Mar 2024 13:00:00 +0100\r\n"
        b"Message-ID: <two@example.org>\r\nIn-Reply-To: <one@example.org>\r\n"
        b"References: <zero@example.org>\r\n <one@example.org>\r\nX-Service-Desk-Loop: abc\r\n\r\n"
        b"It is broken.\r\n"
    )
    assert message.subject == "[T-1042] Printer"
    assert (message.sender.addr_spec, message.sender.display_name) == ("alice@example.org", "Alice")
    assert [address.addr_spec for address in message.to] == ["desk@example.org", "bob@example.org"]
    assert [address.addr_spec for address in message.cc] == ["c@example.org"]
    assert [address.addr_spec for address in message.reply_to] == ["r@example.org"]
    assert message.date == datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
    assert message.message_id == "two@example.org"
    assert message.in_reply_to == ("one@example.org",)
    assert message.references == ("zero@example.org", "one@example.org")
    assert message.loop_header == "abc"
    assert message.body_text == message.reply_text == "It is broken."
    assert (message.automated, message.defects, message.attachments) == ((), (), ())
    assert "X-Service-Desk-Loop" not in dict(message.headers)
    assert dict(message.headers)["To"] == "desk@example.org, Bob <bob@example.org>"


def test_nothing_at_all() -> None:
    message = checked(b"")
    assert message.subject == message.body_text == ""
    assert message.defects == ("sender in doubt: no From header",)


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: big\r\nFrom: a@b.org\r\n",
        b"Subject: big\r\nFrom: a@b.org\r\n\r\nbody",
        b"Subject: big\nFrom: a@b.org\n\n",
    ],
)
def test_a_header_alone(header: bytes) -> None:
    message = parse_header_only(
        header.replace(b"Subject", b"Content-Type: multipart/mixed; boundary=b\nSubject")
    )
    assert message.subject == "big"
    assert message.sender.addr_spec == "a@b.org"
    assert message.attachments == ()
    assert message.body_text == ""
    assert message.defects == ()


def test_the_description_has_the_shape_of_the_mail_rules() -> None:
    described = describe(
        b"From: noreply@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n"
        b"--b\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n--b--\r\n"
    )
    assert json.loads(json.dumps(described)) == {
        "subject": "",
        "from_addr": "noreply@example.org",
        "from_name": None,
        "to": [],
        "cc": [],
        "reply_to": [],
        "date": None,
        "message_id": None,
        "in_reply_to": [],
        "references": [],
        "is_auto": True,
        "auto_reason": "noreply-sender: From: noreply@example.org",
        "report": None,
        "attachments": [
            {
                "filename": "a.png",
                "content_type": "image/png",
                "size": 1,
                "inline": False,
                "content_id": None,
                "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
            }
        ],
        "body_text": "x",
        "reply_text": "x",
        "body_html": None,
        "invitation": None,
        "protection": None,
        "defects": [],
    }


def nested(depth: int) -> bytes:
    levels = [
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
        for level in range(depth)
    ]
    return FROM + b"".join(levels) + b"\r\nhello\r\n"


def flat(count: int, part: bytes) -> bytes:
    return (
        FROM + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + (b"--b\r\n" + part) * count + b"--b--"
    )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("depth", [31, 1_000, 3_000])
def test_nested_multiparts_stop_at_the_limit(depth: int) -> None:
    message = checked(nested(depth))
    assert "parts nested deeper than 30" in message.defects
    assert message.sender.addr_spec == "alice@example.org"
    assert [attachment.content_type for attachment in message.attachments] == ["multipart/mixed"]


def test_thirty_multiparts_are_read() -> None:
    assert checked(nested(30)).body_text == "hello"


@pytest.mark.timeout(60)
def test_nested_messages_are_one_attachment() -> None:
    message = checked(FROM + b"Content-Type: message/rfc822\r\n\r\n" * 1_000 + b"hello")
    assert [attachment.content_type for attachment in message.attachments] == ["message/rfc822"]


@pytest.mark.timeout(60)
def test_ten_thousand_parts() -> None:
    message = checked(flat(10_000, b"\r\nx\r\n"))
    assert message.body_text.count("x") == 499
    assert "more than 500 parts" in message.defects


@pytest.mark.timeout(60)
def test_ten_thousand_attachments() -> None:
    message = checked(flat(10_000, b"Content-Type: image/png\r\n\r\nx\r\n"))
    assert len(message.attachments) == 100
    assert "499 attachments, 100 listed" in message.defects


@pytest.mark.timeout(60)
def test_a_hundred_thousand_header_lines() -> None:
    message = checked(FROM + b"X-A: b\r\n" * 100_000 + b"\r\nhello")
    assert "header cut after 2000 lines" in message.defects
    assert len(message.headers) == 200
    assert message.body_text == "hello"


@pytest.mark.timeout(60)
def test_a_second_from_header_beyond_the_limit_is_seen() -> None:
    message = checked(FROM + b"X-A: b\r\n" * 100_000 + b"FROM : bob@evil.com\r\n\r\nhello")
    assert message.sender.addr_spec is None
    assert message.sender.doubt == "2 From headers"


@pytest.mark.timeout(60)
def test_a_header_of_a_hundred_thousand_folds() -> None:
    message = checked(FROM + b"Subject: a\r\n" + b" b\r\n" * 100_000 + b"\r\nhello")
    assert "header cut after 2000 lines" in message.defects
    assert message.subject.startswith("a b b")
    assert message.body_text == "hello"


@pytest.mark.timeout(60)
def test_a_header_of_a_megabyte() -> None:
    message = checked(FROM + b"Subject: " + b"a" * 1_000_000 + b"\r\n\r\nhello")
    assert 32 * 1024 - len(message.subject) <= 1
    assert message.body_text == "hello"
    assert {"header cut after 262144 octets", "header field cut after 32768 octets"} <= set(message.defects)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("separator", [b", ", b",\r\n "])
def test_ten_thousand_recipients(separator: bytes) -> None:
    to = separator.join(b"u%d@example.org" % number for number in range(10_000))
    message = checked(FROM + b"To: " + to + b"\r\n\r\nhello")
    assert len(message.to) == 200
    assert "more than 200 addresses in To" in message.defects


def test_sixty_references() -> None:
    chain = b"\r\n ".join(b"<%d@b>" % number for number in range(60))
    message = checked(FROM + b"References: " + chain + b"\r\n\r\nhello")
    assert len(message.references) == 50
    assert message.references[-1] == "59@b"
    assert "more than 50 References" in message.defects


@pytest.mark.timeout(60)
def test_ninety_thousand_divs() -> None:
    message = checked(FROM + b"Content-Type: text/html\r\n\r\n" + b"<div>" * 90_000 + b"hello")
    assert message.body_html is None
    assert message.body_text == "hello"


@pytest.mark.timeout(60)
def test_ten_megabytes_of_html() -> None:
    message = checked(FROM + b"Content-Type: text/html\r\n\r\n" + b"<p>hello <b>you</b></p>\r\n" * 420_000)
    assert message.body_html is None
    assert message.body_text.startswith("hello you\n\nhello you")
    assert len(message.body_text) <= 2 * 1024 * 1024
    assert any(defect.startswith("HTML of more than") for defect in message.defects)


@pytest.mark.timeout(60)
def test_five_megabytes_of_text() -> None:
    message = checked(FROM + b"\r\n" + b"hello you\r\n" * 500_000)
    assert len(message.body_text) == 2 * 1024 * 1024
    assert any(defect.startswith("text cut") for defect in message.defects)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "value",
    [
        b"(",
        b'"',
        b"<",
        b'<"',
        b'"\\',
        b":,",
        b"a:b,",
        b"a@",
        b"=?a?q?",
        b"=?utf-8?q?a?=",
        b"(\\(",
        b'a="',
        b"a ",
        b"1 ",
        b"[",
        b"\xff",
        b"\\",
    ],
)
def test_thirty_kilobytes_of_one_oddity_in_every_field(value: bytes) -> None:
    names = (
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"References", b"In-Reply-To", b"Auto-Submitted",
        b"Return-Path", b"X-Auto-Response-Suppress", b"Content-Type", b"Content-Disposition",
    )  # fmt: skip
    filler = value * (20_000 // len(value))
    message = checked(b"".join(name + b": " + filler + b"\r\n" for name in names) + b"\r\nhello")
    assert message.sender.addr_spec is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "body",
    [
        b'Content-Type: multipart/mixed; boundary="-"\r\n\r\n' + b"-" * 5_000_000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--bx\n" * 1_000_000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--x\nfoo" * 500_000,
        b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QQ==" * 1_000_000,
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * 1_000_000,
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\n" + b"M~~~~\n" * 500_000,
        b"Content-Type: text/plain; format=flowed\r\n\r\n" + b"hello \r\n" * 500_000,
        b"Content-Type: text/plain; charset=x-nope\r\n\r\n" + bytes(range(128, 256)) * 20_000,
    ],
    ids=["dashes", "near boundary", "guess", "padding", "soft breaks", "uuencode", "flowed", "detection"],
)
def test_bodies_of_one_oddity(body: bytes) -> None:
    message = checked(FROM + body)
    assert len(message.body_text) <= 2 * 1024 * 1024
