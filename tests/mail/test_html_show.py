"""Sanitised HTML made ready to show: addresses for its own pictures, and remote ones only on request."""

from __future__ import annotations

import pytest

from webapp.mail.html_safe import sanitise
from webapp.mail.html_show import has_remote_pictures, prepare

PICTURES = {"shot@acme": "/p/1", "a b": "/p/2?x=1&y=2"}


def shown(html: str, *, remote: bool = False) -> str:
    safe, defect = sanitise(html)
    assert defect is None
    assert safe is not None
    return prepare(safe, pictures=PICTURES, remote=remote)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<img src="cid:shot@acme" alt="x">', '<img src="/p/1" alt="x">'),
        ('<IMG alt=x SRC=" CID:Shot@ACME ">', '<img alt="x" src="/p/1">'),
        ('<img src="cid:shot%40acme">', '<img src="/p/1">'),
        ('<img src="cid:a%20b">', '<img src="/p/2?x=1&amp;y=2">'),
        (
            '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">',
            '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">',
        ),
        ('<img src="cid:missing" alt="gone">', '<img alt="gone">'),
        ('<img src="https://x.test/a.png?b=1&amp;c=2" alt="logo">', '<img alt="logo">'),
        ("&lt;img src=\"cid:shot@acme\"&gt;", '&lt;img src="cid:shot@acme"&gt;'),
        (
            '<img alt="x src=" title=" onerror=alert(1) " src="cid:missing">',
            '<img alt="x src=" title=" onerror=alert(1) ">',
        ),
        ('<p title=\'<img src="cid:shot@acme">\'>x</p>', None),
        ('<img alt=\'" src="cid:shot@acme\' src="cid:missing">', None),
    ],
)  # fmt: skip
def test_pictures_of_the_message(html: str, expected: str | None) -> None:
    if expected is None:  # words that only look like a picture stay words
        assert "/p/1" not in shown(html)
    else:
        assert shown(html) == expected


@pytest.mark.parametrize(
    ("html", "address"),
    [
        ('<img src="https://x.test/a.png?b=1&amp;c=2">', "https://x.test/a.png?b=1&amp;c=2"),
        ('<img src=" HTTPS://x.test/a">', "HTTPS://x.test/a"),
        ('<img src="http://x.test/a">', "https://x.test/a"),
        ("<img src='https://x.test/\"onerror=alert(1)'>", "https://x.test/&quot;onerror=alert(1)"),
    ],
)
def test_remote_pictures_when_asked_for(html: str, address: str) -> None:
    safe, _ = sanitise(html)
    assert safe is not None
    assert has_remote_pictures(safe)
    assert shown(html, remote=True) == f'<img src="{address}">'
    assert shown(html) == "<img>"


@pytest.mark.parametrize(
    "html",
    [
        "<p>words</p>",
        '<img src="cid:shot@acme">',
        '<img src="data:image/png;base64,AAAA">',
        '<img src="//x.test/a.png">',
        '<img src="javascript:alert(1)">',
        '<img src="remote:https://x.test/a.png">',  # our own mark, written by somebody else
        "<p> src=&quot;remote:https://x.test</p>",
        '<img alt=" src=" title="remote:https://x.test/a.png" src="cid:a">',
        '<a href="https://x.test/a.png">x</a>',
        '<p title=" src=&quot;remote:">x</p>',
    ],
)
def test_what_is_no_remote_picture(html: str) -> None:
    safe, _ = sanitise(html)
    assert safe is not None
    assert not has_remote_pictures(safe)
    assert ' src="https:' not in prepare(safe, pictures={}, remote=True)
