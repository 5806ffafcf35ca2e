from __future__ import annotations

import pytest

from webapp.mail.references import (
    message_id,
    message_ids,
    reference_chain,
)


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("", ()),
        ("<a@b>", ("a@b",)),
        ("<a@b> <c@d>", ("a@b", "c@d")),
        ("<a@b><c@d>", ("a@b", "c@d")),
        ("<a@b>,<c@d>", ("a@b", "c@d")),
        ("<a@b> <a@b>", ("a@b",)),
        ("<a@b\r\n c>", ("a@bc",)),  # folded in the middle of an id
        ("a@b", ("a@b",)),
        ("a@b c@d", ("a@b", "c@d")),
        ("<a@b", ("a@b",)),
        ("a@b>", ("a@b",)),
        ("<<a@b>>", ("a@b",)),
        ("Your message of Mon, 1 Jan <a@b>", ("a@b",)),
        ("Message from Ann of Monday", ()),
        ('"Ann" <ann@example.org>\'s message <a@b>', ("ann@example.org", "a@b")),
        ("<>", ()),
        ("< >", ()),
        ("<no-at-sign>", ("no-at-sign",)),
        ("<a@[192.0.2.1]>", ("a@[192.0.2.1]",)),
        ("<ü@b>", ("ü@b",)),
        ("<a@b\x00>", ("a@b",)),
        ("<a@b> <c@d", ("a@b", "c@d")),  # cut at the end
        ("<a@b <c@d>", ("a@b", "c@d")),
        ("a < b", ()),
        ("<a@b>;<c@d>\t<e@f>", ("a@b", "c@d", "e@f")),
        ("< a @ b >", ("a@b",)),
        ("<mid:a@b>", ("a@b",)),
        ("[a@b]", ("a@b",)),
        ("&lt;a@b&gt;", ("a@b",)),
        ("=?utf-8?q?=3Ca=40b=2Eorg=3E?=", ("a@b.org",)),  # what Python's email makes of a long id
        ("=?utf-8?q?=3Ca=40b=3E?= =?utf-8?q?_=3Cc=40d=3E?=", ("a@b", "c@d")),
        ('Message from Ann of Mon, 1 Jan 2024 "Re: a@b" <c@d>', ("c@d",)),
        ("<" * 5_000, ()),
        ("a@b" * 4_000, (("a@b" * 333)[:998],)),
    ],
)
def test_message_ids(value: str, ids: tuple[str, ...]) -> None:
    assert message_ids(value) == ids


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([""], None),
        (["<>"], None),
        (["<a@b>"], "a@b"),
        (["", "<a@b>"], "a@b"),
        (["<a@b>", "<c@d>"], "a@b"),
        (["no-at-sign"], "no-at-sign"),
        (["not one word"], None),
        ([f"<{'x' * 10_000}@b>"], "x" * 998),
    ],
)
def test_message_id(values: list[str], expected: str | None) -> None:
    assert message_id(values) == expected


def test_the_newest_references_are_kept() -> None:
    ids, cut = reference_chain([" ".join(f"<{number}@b>" for number in range(60))])
    assert ids == tuple(f"{number}@b" for number in range(10, 60))
    assert cut
