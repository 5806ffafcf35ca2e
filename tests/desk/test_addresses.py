"""Addresses that people type."""

from __future__ import annotations

import pytest

from webapp.desk.addresses import read_addr_spec


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("ann@acme.test", "ann@acme.test"),
        (" Ann.Lee+x@Acme.TEST\n", "Ann.Lee+x@acme.test"),
        ("ann@mail.local", "ann@mail.local"),
        ("ann@printserver", "ann@printserver"),
        ("ann@bücher.test", "ann@bücher.test"),
        ("ann@xn--bcher-kva.test", "ann@bücher.test"),
        ("o'neil@acme.test", "o'neil@acme.test"),
    ],
)
def test_an_address_is_tidied(typed: str, read: str) -> None:
    assert read_addr_spec(typed) == read


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ann",
        "@acme.test",
        "ann@",
        "ann@@acme.test",
        "ann@acme.test, amy@acme.test",
        "Ann <ann@acme.test>",
        "ann@acme.test\r\nBcc: all@acme.test",
        "ann\x00@acme.test",
        "ann@ac\u200bme.test",
        "ann\u202e@acme.test",
        "ann\udcff@acme.test",
        "ann lee@acme.test",
        "ann@acme..test",
        "x" * 400 + "@acme.test",
    ],
)
def test_what_is_no_address_is_refused_in_one_short_line(typed: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        read_addr_spec(typed)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
