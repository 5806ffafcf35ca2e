from __future__ import annotations

from datetime import UTC, datetime

import pytest

from webapp.mail.compose import test_message as compose_test_message
from webapp.mail.loop_token import LOOP_HEADER, is_our_loop_token, loop_token
from webapp.mail.parse import parse

NOW = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
KEY = b"k" * 32
VALUES = {
    "sender": "desk@example.org",
    "recipient": "alice@example.org",
    "message_id": "one@example.org",
    "loop_token": loop_token(KEY, "one@example.org"),
    "row_label": "Outgoing email settings – Köln",
}


def compose(**changed: str) -> bytes:
    values = {**VALUES, **changed}
    sender, recipient = values.pop("sender"), values.pop("recipient")
    return compose_test_message(sender, recipient, now=NOW, **values)


def test_the_test_message_is_understood_as_ours() -> None:
    message = parse(compose())
    assert message.subject == "Test message: Outgoing email settings – Köln"
    assert message.sender.addr_spec == "desk@example.org"
    assert [address.addr_spec for address in message.to] == ["alice@example.org"]
    assert message.date == NOW
    assert message.message_id == "one@example.org"
    assert [mark.rule for mark in message.automated] == ["auto-submitted", "auto-response-suppress"]
    assert message.loop_header is not None
    assert is_our_loop_token(KEY, "one@example.org", message.loop_header)
    assert "Outgoing email settings – Köln" in message.body_text
    assert message.defects == ()
    assert not any(name.lower().startswith("x-service-desk-") for name, _ in message.headers)


def test_lines_end_in_crlf_and_are_short_ascii() -> None:
    raw = compose()
    assert raw.isascii()
    assert raw.replace(b"\r\n", b"").translate(None, b"\r\n") == raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 78


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("bad", ["a\r\nBcc: x@example.org", "a\nb", "a\rb", "a\x00b", "a\u2028b"])
def test_no_value_can_begin_a_header(name: str, bad: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        compose(**{name: bad})


@pytest.mark.parametrize(
    ("sender", "field"),
    [
        ("desk@example.org", b"From: desk@example.org\r\n"),
        ('"Desk, Köln" <desk@example.org>', b"From: =?utf-8?q?Desk=2C_K=C3=B6ln?= <desk@example.org>\r\n"),
        ("desk@bücher.example", b"From: desk@xn--bcher-kva.example\r\n"),
    ],
)
def test_the_sender_is_written_as_ascii(sender: str, field: bytes) -> None:
    assert compose(sender=sender).startswith(field)


@pytest.mark.parametrize(
    "sender", ["", "Desk", "jörg@example.org", "a b@example.org", "desk@", "@example.org"]
)
def test_a_bad_sender_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="sender"):
        compose(sender=sender)


@pytest.mark.parametrize(
    ("key", "message_id", "value", "ours"),
    [
        (KEY, "one@example.org", loop_token(KEY, "one@example.org"), True),
        (KEY, "<one@example.org>", f" {loop_token(KEY, 'one@example.org').upper()} ", True),
        (KEY, "two@example.org", loop_token(KEY, "one@example.org"), False),
        (b"other", "one@example.org", loop_token(KEY, "one@example.org"), False),
        (KEY, "one@example.org", loop_token(KEY, "one@example.org")[:-1], False),
        (KEY, "one@example.org", "", False),
        (KEY, "one@example.org", "ö\ud800", False),
    ],
)
def test_loop_token(key: bytes, message_id: str, value: str, ours: bool) -> None:
    assert is_our_loop_token(key, message_id, value) is ours


def test_a_loop_token_has_128_bit_and_names_the_header() -> None:
    assert len(loop_token(KEY, "x")) == 32
    assert LOOP_HEADER == "X-Service-Desk-Loop"
