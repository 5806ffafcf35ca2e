"""What was typed, or quoted of a stranger, as HTML: in time that grows with its length."""

from __future__ import annotations

import time

import pytest

from webapp.mail.written_text import as_html


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("(see https://a.test/x)", "https://a.test/x"),
        ("https://a.test/x_(y).", "https://a.test/x_(y)"),
        ("[https://a.test/x]],", "https://a.test/x"),
        ("https://a.test/)(", "https://a.test/)("),
        ("www.a.test!?", "https://www.a.test"),
    ],
)
def test_where_a_link_ends(text: str, link: str) -> None:
    assert f'<a href="{link}">' in as_html(text)


@pytest.mark.parametrize(
    "text", ["http://" + ")" * 200_000, "http://a" + "(" * 1_000 + ")" * 200_000, "a.a." * 200_000]
)
def test_a_stranger_cannot_make_it_slow(text: str) -> None:
    begun = time.process_time()
    as_html(text)
    assert time.process_time() - begun < 2
