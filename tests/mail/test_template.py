"""Texts with variables: what is filled in, what is refused and where, and what HTML may hold."""

from __future__ import annotations

import pytest

from webapp.mail.template import TemplateRefused, quote_html, read, read_html

KNOWN = ("ticket", "subject", "link")
VALUES = {"ticket": "T-1", "subject": "Printer", "link": "https://desk.test/tickets/1"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hello", "Hello"),
        ("", ""),
        ("{ticket}: {subject}", "T-1: Printer"),
        ("{{{ticket}}} {{x}}", "{T-1} {x}"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("100 % {ticket} %s $ticket \\1", "100 % T-1 %s $ticket \\1"),
    ],
)
def test_filled_in(text: str, filled: str) -> None:
    assert read(text, KNOWN).fill(VALUES) == filled


def test_a_value_is_never_read_as_a_template() -> None:
    values = VALUES | {"subject": "{ticket} {nobody} }} {"}
    assert read("{subject}", KNOWN).fill(values) == "{ticket} {nobody} }} {"


def test_a_line_of_empty_variables_is_left_out() -> None:
    values = VALUES | {"link": "", "subject": ""}
    text = "Hello\n\nOpen: {link}\n{subject} {ticket}\n{link}{subject}\nBye"
    assert read(text, KNOWN).fill(values) == "Hello\n\n T-1\nBye"


@pytest.mark.parametrize(
    ("text", "place", "about"),
    [
        ("{nobody}", "Line 1, character 1", "{nobody}"),
        ("a\nb {ticket.__class__}", "Line 2, character 3", "{ticket.__class__}"),
        ("{ticket!r}", "Line 1, character 1", "{ticket!r}"),
        ("{ticket:>99999999}", "Line 1, character 1", "there is no"),
        ("{}", "Line 1, character 1", "{}"),
        ("{Ticket}", "Line 1, character 1", "There are {ticket}, {subject}, {link}"),
        ("x {ticket", "Line 1, character 3", "{{"),
        ("x ticket}", "Line 1, character 9", "}}"),
        ("{tic\nket}", "Line 1, character 1", "{{"),
    ],
)
def test_refused_with_the_place(text: str, place: str, about: str) -> None:
    with pytest.raises(TemplateRefused) as refused:
        read(text, KNOWN)
    assert str(refused.value).startswith(place)
    assert about in str(refused.value)


def test_values_are_escaped_in_html() -> None:
    template = read_html('<p title="x">{subject}</p>\n<a href="{link}">{ticket}</a>', KNOWN)
    values = VALUES | {"subject": "<script>\"'&\nx", "link": "https://desk.test/\"onclick='x"}
    filled = template.fill(values, quote=quote_html)
    assert "&lt;script&gt;&quot;&#x27;&amp;<br>\nx</p>" in filled
    assert 'href="https://desk.test/&quot;onclick=&#x27;x"' in filled


@pytest.mark.parametrize(
    "text",
    [
        '<p style="color:#333">{subject}</p>',
        '<table width="100%"><tr><td align=left>{ticket}</td></tr></table><br/><hr>',
        '<a href="https://desk.test/help">help</a> <a href="mailto:help@desk.test">mail</a>',
        '<img src="https://desk.test/logo.png" alt="Desk" width="120">',
        "1 &lt; 2 &amp; 3",
        "<a href='{link}'>{ticket}</a>",
    ],
)
def test_html_as_mail_has_it(text: str) -> None:
    assert read_html(text, KNOWN).lines


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("<p>\n<script>x</script>", "Line 2, character 1"),
        ("<SCRIPT src=//evil>", "Line 1, character 1"),
        ("<style>p{{}}</style>", "Line 1, character 1"),
        ("<iframe src=https://x.test></iframe>", "Line 1, character 1"),
        ("<form>", "Line 1, character 1"),
        ("<svg><script/></svg>", "Line 1, character 1"),
        ("<p onclick=x>", "Line 1, character 1"),
        ('<a href="javascript:alert(1)">', "Line 1, character 1"),
        ('<a href="data:text/html,x">', "Line 1, character 1"),
        ('<a href="https://x.test/{ticket}">', "Line 1, character 1"),
        ("<a href={link}>", "Line 1, character 1"),
        ('<a title="{subject}">', "Line 1, character 1"),
        ('<p style="color:{subject}">', "Line 1, character 1"),
        ('<p style="background:url(https://x.test)">', "Line 1, character 1"),
        ("<!-- {subject} -->", "Line 1, character 1"),
        ("<!doctype html>", "Line 1, character 1"),
        ("<![CDATA[x]]>", "Line 1, character 1"),
        ("<?php x ?>", "Line 1, character 1"),
        ("<html><body>", "Line 1, character 1"),
        ("x </div></body>", "Line 1, character 9"),
        ('text <a title="{subject}', "Line 1, character 6"),
        ("<{subject}>", "Line 1, character 1"),
        ("<p {subject}>", "Line 1, character 1"),
        ('<p>\n<a title="x"\nhref="{link}">\n{subject}</a>', "Line 2, character 1"),
        ("<p>x\n</p {subject}>", "Line 2"),
    ],
)
def test_html_no_mail_has(text: str, place: str) -> None:
    with pytest.raises(TemplateRefused, match=f"^{place}: "):
        read_html(text, KNOWN)
