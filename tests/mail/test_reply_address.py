"""An address that names a ticket, and proves it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.mail.reply_address import make_reply_address, ticket_of, without_detail

KEY = b"k" * 32
HELP = "help@example.com"


def made(ticket_id: int = 1042, key: bytes = KEY, base: str = HELP) -> str:
    address = make_reply_address(key, base, ticket_id)
    assert address is not None
    return address


@given(st.integers(1, 9_999_999_999))
def test_every_ticket_is_read_back(number: int) -> None:
    assert ticket_of(KEY, made(number)) == number
    assert len(made(number).rpartition("@")[0]) <= 64


def test_it_survives_what_gateways_do() -> None:
    address = made()
    assert address.startswith("help+t1042-")
    for seen in (address.upper(), address.replace("help", "HELP"), address.replace("example.com", "mx.test")):
        assert ticket_of(KEY, seen) == 1042


def test_a_base_that_has_a_detail_already() -> None:
    assert ticket_of(KEY, made(7, base="all+desk@example.com")) == 7


@pytest.mark.parametrize(
    "address",
    [
        HELP, "", "@", "help+@example.com", "help+t1042@example.com", "help+t1042-@example.com",
        made().replace("t1042", "t1043"), made(key=b"x" * 32), made()[:20] + "a" + made()[21:],
        made().replace("@", "a@"), made().replace("+t1042", "+t01042"), made().replace("+", ""),
        made().replace("t1042", "t\N{ARABIC-INDIC DIGIT ONE}042"),
    ],
)  # fmt: skip
def test_what_proves_nothing(address: str) -> None:
    assert ticket_of(KEY, address) is None


def test_the_proof_is_none_of_a_message_id() -> None:
    from webapp.mail.reply_token import make_message_id, read_token

    token = make_message_id(KEY, 1042, "example.com").partition("@")[0]
    assert ticket_of(KEY, f"help+{token}@example.com") is None
    assert read_token(KEY, made()) is None


@pytest.mark.parametrize(
    "base", ["a" * 60 + "@example.com", '"h d"@example.com', "h<d@example.com", "@x.test"]
)
def test_where_none_can_be_made(base: str) -> None:
    assert make_reply_address(KEY, base, 1042) is None


@pytest.mark.parametrize(
    ("address", "bare"),
    [
        ("help+x+y@example.com", HELP), (HELP, HELP), ("+x@example.com", "+x@example.com"),
        ("nobody", "nobody"), ("", ""),
    ],
)  # fmt: skip
def test_without_detail(address: str, bare: str) -> None:
    assert without_detail(address) == bare
