"""The keyed token in our own Message-IDs."""

from __future__ import annotations

import pytest

from webapp.mail.reply_token import make_message_id, read_token, reply_key

KEY = reply_key(b"k" * 32)


def test_a_token_names_its_ticket_and_its_account() -> None:
    token = read_token(KEY, f"<{make_message_id(KEY, 1042, 'desk.test', account_id=7)}>")
    assert token is not None
    assert (token.ticket_id, token.account_id) == (1042, 7)
    assert read_token(KEY, make_message_id(KEY, 1, "desk.test")).account_id is None  # type: ignore[union-attr]


def test_no_two_are_alike() -> None:
    assert make_message_id(KEY, 1, "desk.test") != make_message_id(KEY, 1, "desk.test")


def test_every_change_of_a_token_makes_it_prove_nothing() -> None:
    whole = make_message_id(KEY, 12, "desk.test")
    local, _, domain = whole.partition("@")
    for position in range(len(local)):
        for other in "0", "1", ".", "f", "":
            changed = local[:position] + other + local[position + 1 :]
            if changed != local:
                assert read_token(KEY, f"{changed}@{domain}") is None, changed


@pytest.mark.parametrize(
    "message_id",
    [
        "",
        "@",
        "t12@desk.test",
        "t12.0@desk.test",
        "t12.0." + "0" * 20 + "@desk.test",
        "t12.0." + "0" * 20 + ".@desk.test",
        "t12.0." + "0" * 20 + "." + "0" * 32,
        "t12.0." + "0" * 20 + "." + "0" * 32 + "@desk.test",
        "t٣.0." + "0" * 20 + "." + "0" * 32 + "@desk.test",
        "notify-12-7@desk.test",
    ],
)
def test_what_is_malformed_proves_nothing(message_id: str) -> None:
    assert read_token(KEY, message_id) is None


def test_another_desk_s_token_proves_nothing_and_upper_case_neither() -> None:
    assert read_token(reply_key(b"o" * 32), make_message_id(KEY, 1, "desk.test")) is None
    assert read_token(KEY, make_message_id(KEY, 1, "desk.test").upper()) is None


@pytest.mark.parametrize("domain", ["", "desk test", "desk.test>\r\nBcc: x@y", "дом.test", "a" * 250])
def test_a_bad_domain_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="Message-ID"):
        make_message_id(KEY, 1, domain)
