"""HTML: readable as text, safe to show, bounded."""

# ruff: noqa: E501 - HTML is easier to read in one piece

from __future__ import annotations

import re

import pytest

from webapp.mail.html_safe import sanitise
from webapp.mail.html_text import html_to_text
from webapp.mail.html_tokens import tokens


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
        ("<head><title>no</title><style>no</style></head><body>yes", "yes"),
        ("<head><title>no</title><body>yes", "yes"),
        ("<style>no</style><script>no</script>yes<!-- no -->", "yes"),
        ("<!--[if mso]>no<![endif]-->yes", "yes"),
        ("<!-->yes", "yes"),
        ("<![CDATA[no]]>yes", "yes"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a <b", "a <b"),
        ("<p title='>'>x", "x"),
        ("<svg><text>no</text></svg>yes", "yes"),
        ("one<o:p></o:p>", "one"),
        ("", ""),
        # links: behind the sentence, once, and not where the words are the address
        (
            'see <a href="https://x.test/a">the page</a> for more. Then rest.',
            "see the page for more <https://x.test/a>. Then rest.",
        ),
        ('<a href="https://x.test/a">he</a>re', "here <https://x.test/a>"),
        (
            '<a href="https://x.test/a">one</a> | <a href="https://x.test/b">two</a>',
            "one <https://x.test/a> | two <https://x.test/b>",
        ),
        (
            '<a href="https://x.test/a"><b>one</b></a><p><a href="https://x.test/a">two</a>',
            "one <https://x.test/a>\n\ntwo",
        ),
        ('<a href="https://x.test/a"><table><tr><td>go</td></tr></table></a>', "go <https://x.test/a>"),
        ('<a href="http://www.x.test/">https://x.test</a>', "https://x.test"),
        ('<a href="https://evil.test/">paypal.test</a>', "paypal.test <https://evil.test/>"),
        ('<a href="https://x.test/?utm_source=a&amp;id=1&utm_medium=b">go</a>', "go <https://x.test/?id=1>"),
        ('<a href="https://x.test/?a=1&copy=2">go</a>', "go <https://x.test/?a=1&copy=2>"),
        (
            '<a href="https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fx.test%2Fa&data=1">go</a>',
            "go <https://x.test/a>",
        ),
        ('<a href="mailto:a@b.test?subject=x">a@b.test</a>', "a@b.test"),
        ('<a href="mailto:a@b.test">Ann</a>', "Ann <a@b.test>"),
        ('<a href="tel:+49301">+49 30 1</a>', "+49 30 1"),
        ('<a href="#x">here</a>', "here"),
        ('<base href="https://x.test/b/"><a href="c">here</a>', "here <https://x.test/b/c>"),
        # lists
        ('<ol start="3" type="a"><li>x<li>y</ol>', "c. x\nd. y"),
        ('<ol type="I" start="4"><li>x<li value="9">y</ol>', "IV. x\nIX. y"),
        ("<ul><li><p>one</p></li><li><p>two</p></li></ul>", "- one\n- two"),
        ("<ul><li></li><li>two</li></ul>", "-\n- two"),
        (
            "<p class=MsoListParagraph style='mso-list:l0 level1 lfo1'><span style='mso-list:Ignore'>·<span>&nbsp; &nbsp;</span></span>one</p>"
            "<p class=MsoListParagraph style='mso-list:l0 level2 lfo1'><span>o<span>&nbsp; </span></span>two</p>",
            "- one\n  - two",
        ),
        # tables
        ("<table><tr><th>a<th>b<tr><td><p>1</p><td><p>2</p></table>", "a | b\n1 | 2"),
        ("<table><tr><td>Name:<td>Ann<tr><td>Room:<td>3</table>", "Name: Ann\nRoom: 3"),
        ("<table><tr><td>Logo<td>Title</table>", "Logo Title"),
        ("<table role=presentation><tr><td>a<td>b<tr><td>c<td>d</table>", "a b\nc d"),
        ("<table><tr><td><table><tr><td>a</table><tr><td>b</table>", "a\nb"),
        ("<blockquote><table><tr><td>a<tr><td>b</table></blockquote>", "> a\n> b"),
        ("<table><tr><td>a", "a"),
        # what nobody sees
        ('<div style="display:none">no<div>no</div></div>yes', "yes"),
        ("<span hidden>no</span>yes", "yes"),
        ('<div style="mso-hide:all">no</div>yes', "yes"),
        ('<div style="max-height:0px;overflow:hidden">no</div>yes', "yes"),
        ('<div style="opacity:0">no</div><div style="opacity:0.5">yes</div>', "yes"),
        ('<div style="font-size:0">no<span style="font-size:14px">yes</span></div>', "yes"),
        ('<div style="font-size:1px">no</div><div style="font-size:1em">yes</div>', "yes"),
        ('<div style="display:none">never closed', "never closed"),
        ('<img src=x width=1 height=1 alt="no"><img alt="image001.png"><img alt="😀">', "😀"),
        ("a&zwnj;&nbsp;&#847;&zwnj; &#8199;&shy;b", "a b"),
        ("Zu&shy;sammen می‌روم", "Zusammen می‌روم"),
        # blocks
        (
            "<p class=MsoNormal>a</p><p class=MsoNormal>b</p><p class=MsoNormal>&nbsp;</p><p class=MsoNormal>c</p>",
            "a\nb\n\nc",
        ),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("<![if !mso]>yes<![endif]>", "yes"),
        ("<q>a</q> m<sup>2</sup> <s>old</s> new", "“a” m² ~~old~~ new"),
        ("<details><summary>a</summary>b</details>", "a\nb"),
        ("<label><input type=checkbox checked>a</label>", "[x] a"),
    ],
)
def test_html_as_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


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
    '<p style="position:fixed">x</p>': '<p style="">x</p>',
    '<p style="border:0;border-image:url(https://evil.com)">x</p>': '<p style="border:0">x</p>',
    '<p class="x" id="y" onclick="z()">x</p>': "<p>x</p>",
    '<p hx-get="/x" data-hx-get="/x">x</p>': "<p>x</p>",
    '<a href="javascript:x()">x</a>': '<a rel="noopener noreferrer nofollow">x</a>',
    '<a href="cid:x">x</a>': '<a rel="noopener noreferrer nofollow">x</a>',
    "<script>x</script>": "",
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


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
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
    ],
)
def test_text_of_hostile_html_takes_linear_time(piece: str) -> None:
    assert isinstance(html_to_text(piece * (500_000 // len(piece))), str)
