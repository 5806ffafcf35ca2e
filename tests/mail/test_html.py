"""HTML: readable as text, safe to show, bounded."""

# ruff: noqa: E501 - HTML is easier to read in one piece

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.mail.stored import Stored, name_of, stored
from webapp.mail import limits
from webapp.mail.html_safe import sanitise
from webapp.mail.html_text import html_to_text
from webapp.mail.html_tokens import Token, tokens, up_to
from webapp.mail.parse import parse


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("one<br>two", "one\ntwo"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("<div><div>one</div></div>two", "one\ntwo"),
        ("one\n  two", "one two"),
        ("<b>one</b> <i>two</i>", "one two"),
        ("a &amp; b &lt;c&gt; &eacute; &#8364; &#xD800;", "a & b <c> é € \ufffd"),
        ('<a href="https://example.org/x">here</a>', "here <https://example.org/x>"),
        ('<a href="https://example.org/">example.org</a>', "example.org"),
        ('<a href="mailto:a@b.org">a@b.org</a>', "a@b.org"),
        ('<a href="javascript:x()">here</a>', "here"),
        ('<a name="x">here</a>', "here"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<ol><li>one</li><li>two</li></ol>after", "1. one\n2. two\n\nafter"),
        ("<ul><li>one<ul><li>two</ul></ul>", "- one\n  - two"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>", "a | b\nc | d"),
        ("<blockquote>one<br>two</blockquote>three", "> one\n> two\n\nthree"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>", "> a\n>\n> > b"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<h1>Title</h1>text", "Title\n\ntext"),
        ("a<hr>b", f"a\n{'-' * 40}\nb"),
        ('<img alt="logo">', "logo"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<svg><text>no</text></svg>yes", "yes"),
        ("", ""),
    ],
)
def test_html_as_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize("message", stored("html", fewest=64), ids=name_of)
def test_html_of_mail_as_text_and_as_it_is_shown(message: Stored) -> None:
    read = parse(message.raw)
    assert {name: getattr(read, name) for name in message.expected} == message.expected


SAFE = {
    "<p>a <b>b</b></p>": "<p>a <b>b</b></p>",
    '<a href="tel:1">x</a>': '<a href="tel:1" rel="noopener noreferrer nofollow">x</a>',
    '<img src="cid:p1" alt="x">': '<img src="cid:p1" alt="x">',
    '<img src="https://other.test/p.gif">': '<img src="remote:https://other.test/p.gif">',
    '<img src="//evil.com/p.gif">': "<img>",
    '<img src="data:image/svg+xml,x">': "<img>",
    '<img src="data:image/png;base64,iVBORw0KGgoAAAA=">': '<img src="data:image/png;base64,iVBORw0KGgoAAAA=">',
    '<img src="data:image/png;base64,PHN2Zz4=">': "<img>",
    '<a href="data:text/html,x">x</a>': '<a rel="noopener noreferrer nofollow">x</a>',
    '<a href="data:image/png;base64,iVBORw0KGgoAAAA=">x</a>': '<a rel="noopener noreferrer nofollow">x</a>',
    '<a href="#y">x</a>': '<a rel="noopener noreferrer nofollow">x</a>',
    '<img srcset="https://evil.com/p.gif 2x">': "<img>",
    '<table background="https://evil.com">x</table>': "x<table></table>",
    '<p style="color:red;background:url(https://evil.com)">x</p>': '<p style="color:red">x</p>',
    '<p style="position:fixed">x</p>': "<p>x</p>",
    '<p style="border:0;border-image:url(https://evil.com)">x</p>': '<p style="border:0">x</p>',
    '<p class="x" id="y" onclick="z()">x</p>': "<p>x</p>",
    '<p hx-get="/x" data-hx-get="/x">x</p>': "<p>x</p>",
    '<a href="javascript:x()">x</a>': '<a rel="noopener noreferrer nofollow">x</a>',
    '<a href="cid:x">x</a>': '<a rel="noopener noreferrer nofollow">x</a>',
    "<script>x</script>": "",
    "<head><title>x</title></head>y": "y",
    "<style>@import url(https://evil.com)</style>": "",
    '<meta http-equiv="refresh" content="0;url=https://evil.com">': "",
    '<base href="https://evil.com">': "",
    '<link rel="stylesheet" href="https://evil.com">': "",
    '<form action="https://evil.com"><input name="x"><button>y</button></form>': "y",
    '<iframe src="https://evil.com"></iframe>': "",
    '<object data="https://evil.com"></object>': "",
    '<video src="https://evil.com"></video>': "",
    '<svg><script>x</script><image href="https://evil.com"/></svg>': "",
}


@pytest.mark.parametrize(("html", "safe"), SAFE.items())
def test_safe_html(html: str, safe: str) -> None:
    assert sanitise(html) == (safe, None)


@pytest.mark.parametrize("html", SAFE)
def test_safe_html_is_as_safe_when_it_was_written_anew(html: str) -> None:
    padding = "<br>" * 300
    safe, defect = sanitise(padding + html)
    assert defect is None
    assert safe is not None
    rest = safe.replace("<br>", "")
    assert not re.search(r"evil\.com|javascript|<(?:script|style|svg|iframe|form|meta|base|link)", rest) or (
        "<p>" in rest
    )


# Each hides end tags or start tags from a careless count: a comment, a quote, raw text, a declaration.
DEEP = {
    "plain": "<div>",
    "end tag in a comment": "<div><!-- </div> -->",
    "end tag in an attribute": '<div><p title="></div>">',
    "end tag in raw text": "<div><textarea></div></textarea>",
    "end tag in a declaration": "<div><! </div>",
    "end tag of another": "<div></span>",
    "short comment": "<!--><div>",
    "svg": "<svg><style><div></style></svg><div>",
    "formatting": "<p><b>",
    "lists": "<ul><li>",
    "tables": "<table><tr><td>",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", DEEP.values(), ids=DEEP.keys())
def test_deep_html_is_text_only(piece: str) -> None:
    safe, defect = sanitise(piece * (500_000 // len(piece)))
    assert safe is None
    assert defect == "HTML nested deeper than 200"


@pytest.mark.parametrize(
    "piece", ["<p>x", "<li>x", "<br>", "<tr><td>x", "<p>x</p>", "<div><b>x</b></div>", "<img>"]
)
def test_long_html_is_not_deep(piece: str) -> None:
    safe, defect = sanitise(f"<table>{piece * 1_000}</table>")
    assert defect is None
    assert safe


def test_large_html_is_text_only() -> None:
    assert sanitise("x" * 524_289) == (None, "HTML larger than 524288 characters")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        '<a ="',
        "<!--",
        "<a x='\"><",
        "<script>",
        "&",
        "</",
        "<a/",
        "<?",
        "<p =",
        "<p ='",
        "<textarea>",
    ],
)
def test_markup_that_never_ends_is_cut_in_one_pass(piece: str) -> None:
    html = piece * (500_000 // len(piece))
    assert sum(len(text) for kind, text, _ in tokens(html) if kind == "text") <= len(html)


HOSTILE_PIECES = [
    "<table><tr><td>x",
    '<a href="https://x.test/">x',
    '<a href="https://x.test/"> </a>x ',
    "<s>x",
    "<s><p>x",
    "<ul><li>",
    '<div style="font-size:0">x',
    "<p style='display:none'>",
    "&zwnj;&nbsp;",
    "<blockquote>x",
    "<q><sup>1",
    "<td>x",
    "<p class=MsoListParagraph style=mso-list>",
    '<a href="https://x.test/"><br>',
    '<a href="https://x.test/"><table><tr><td>x',
    "<blockquote><table><tr><td><br>",
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", HOSTILE_PIECES)
def test_text_of_hostile_html_takes_linear_time(piece: str) -> None:
    assert isinstance(html_to_text(piece * (500_000 // len(piece))), str)


def steps(html: str) -> int:
    """How many functions run, of Python and of C, to read `html`: the same on every machine."""
    count = 0

    def counting(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counting)
    try:
        html_to_text(html)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("piece", HOSTILE_PIECES)
def test_four_times_the_html_takes_four_times_the_steps(piece: str) -> None:
    assert steps(piece * 800) < 4.1 * steps(piece * 200)


def test_html_is_read_as_far_as_so_many_tags() -> None:
    assert up_to("<p>a<p>b<p>c", 2) == ("<p>a<p>b", 2)
    assert up_to("<p>a<p>b", 2) == ("<p>a<p>b", 2)
    assert up_to("a", 0) == ("a", 0)


@pytest.mark.parametrize("count", [1, 5])
def test_all_html_of_a_message_together_is_read_so_far(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps are counted: no clock says whether this is quick."""
    read = 0

    def counted(html: str) -> Iterator[Token]:
        nonlocal read
        for token in tokens(html):
            read += 1
            yield token

    monkeypatch.setattr("webapp.mail.html_text.tokens", counted)
    part = "--b\r\nContent-Type: text/html\r\n\r\n" + "<li>x" * (60_000 if count > 1 else 400_000) + "\r\n"
    head = "From: ann@acme.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    message = parse(f"{head}{part * count}--b--\r\n".encode())
    assert message.body_text.count("- x") == limits.HTML_TAGS
    assert read <= 2 * limits.HTML_TAGS
    assert message.defects == (f"HTML of more than {limits.HTML_TAGS} tags",)
    assert message.body_html is None
    assert len(message.attachments) == count  # nothing of it is lost
