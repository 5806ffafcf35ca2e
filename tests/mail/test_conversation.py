"""A person's mail: read back by our own parser as it was meant, and by nobody as more than that."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import NOW
from webapp.mail.attachments import attachment_content
from webapp.mail.conversation import (
    File,
    Written,
    answer_subject,
    compose,
    file_infos,
    reference_chain,
    safe_name,
)
from webapp.mail.parse import parse
from webapp.mail.written_text import as_html, quoted, tidy

PLAIN = Written(
    sender=("Bob Best", "help@desk.test"),
    to=[("Ann Lee", "ann@acme.test")],
    subject="Re: Printer [T-1]",
    message_id="t1.0.00@desk.test",
    loop_token="0" * 32,
    date=NOW,
    text="It works.",
)
TYPED = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


@given(TYPED, st.sampled_from(["", "Bob\nDesk"]))
@settings(max_examples=200, deadline=None)
def test_any_text_arrives_as_it_was_typed(text: str, signature: str) -> None:
    text = tidy(text)
    raw = compose(replace(PLAIN, text=text, signature=signature))
    assert raw.isascii()
    assert all(len(line) <= 78 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    body = message_from_bytes(raw, policy=default).get_body(("plain",))
    assert body is not None
    content = body.get_content().replace("\r\n", "\n")
    assert content == (f"{text}\n\n-- \n{signature}\n" if signature else f"{text}\n")


@pytest.mark.parametrize("field", ["text", "signature", "quote"])
@pytest.mark.parametrize("text", ["a\rb", "a\r\nb\r\n", "a\r.\rMAIL FROM:<x@y>", "half a letter \ud83d"])
def test_no_line_ends_in_a_half_of_crlf(field: str, text: str) -> None:
    written = {
        "text": replace(PLAIN, text=text),
        "signature": replace(PLAIN, signature=text),
        "quote": replace(PLAIN, attribution="Ann wrote:", quote=text),
    }
    raw = compose(written[field])
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert raw.isascii()


@given(st.binary(min_size=1, max_size=500), st.text(min_size=1, max_size=200))
@settings(deadline=None)
def test_files_are_where_they_are_said_to_be(content: bytes, name: str) -> None:
    files = [File(safe_name(name), b"\x01" + content), File("b.txt", b"second")]
    message = parse(compose(replace(PLAIN, files=files)))
    assert message.defects == ()
    for read, said in zip(message.attachments, file_infos(files), strict=True):
        assert (read.position, read.sha256, read.size) == (said.position, said.sha256, said.size)
        assert read.content_type == said.content_type
    assert message.body_text == "It works."


def test_a_container_that_goes_along_is_taken_out_whole() -> None:
    content = bytes.fromhex("789f3e22") + b"no more of a winmail.dat than its beginning"
    raw = compose(replace(PLAIN, files=[File("winmail.dat", content), File("b.txt", b"second")]))
    assert [attachment_content(raw, position)[1] for position in (2, 3)] == [content, b"second"]


def test_a_mail_in_a_mail_is_a_file_like_any_other() -> None:
    inner = compose(PLAIN)
    message = parse(compose(replace(PLAIN, files=[File("mail.eml", inner)])))
    [file] = message.attachments
    assert (file.filename, file.content_type, file.size) == (
        "mail.eml",
        "message/rfc822",
        len(inner),
    )


def test_parts_of_the_message_cannot_be_forged_by_a_file() -> None:
    raw = compose(
        replace(PLAIN, text="--=_x\nContent-Type: text/html\n\nx", files=[File("a", b"--=_x--\r\n")])
    )
    message = parse(raw)
    assert message.body_text == "--=_x\nContent-Type: text/html\n\nx"
    assert len(message.attachments) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "x\r\nBcc: eve@evil.test"},
        {"sender": ("Bob\r\nX: y", "help@desk.test")},
        {"sender": ("Bob", "help@desk.test\r\nX: y")},
        {"to": [("", "ann@acme.test>, <eve@evil.test")]},
        {"cc": [("a\x00", "ann@acme.test")]},
        {"message_id": "a\r\nX: y@desk.test"},
        {"message_id": "a> <b@desk.test"},
        {"loop_token": "x\r\ny"},
        {"files": [File("a\r\nX: y.txt", b"x")]},
        {"files": [File("\u202etxt.exe", b"x")]},
    ],
)
def test_a_value_that_is_more_than_a_value_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"control character|malformed"):
        compose(replace(PLAIN, **change))  # type: ignore[arg-type]


def test_ids_of_others_that_cannot_stand_in_a_field_are_left_out() -> None:
    evil = ["a\r\nBcc: x@y", "a b@c", "ok@acme.test", "ä@c"]
    message = parse(compose(replace(PLAIN, in_reply_to=evil[0], references=evil)))
    assert (message.in_reply_to, message.references) == ((), ("ok@acme.test",))


def test_the_chain_is_the_first_and_the_newest() -> None:
    ids = [f"{number}@x" for number in range(40)]
    assert reference_chain(ids) == ["0@x", *ids[20:]]
    assert reference_chain(["a@x", "b@x", "a@x"]) == ["a@x", "b@x"]


@pytest.mark.parametrize(
    ("subject", "answer"),
    [
        ("Printer", "Re: Printer [T-7]"),
        ("Re: Printer", "Re: Printer [T-7]"),
        ("AW: RE: Re[2]: Fwd: Printer", "Re: Printer [T-7]"),
        ("Re: Printer [T-7]", "Re: Printer [T-7]"),
        ("[T-7] Re: Printer [T-9] [t-7]", "Re: Printer [T-7]"),
        ("Regarding: x", "Re: Regarding: x [T-7]"),
        ("a\r\nBcc: x\u202ey", "Re: a Bcc: x y [T-7]"),
        ("", "Re: [T-7]"),
        ("x" * 900, f"Re: {'x' * 400} [T-7]"),
    ],
)
def test_one_re_and_one_tag(subject: str, answer: str) -> None:
    assert answer_subject(subject, 7) == answer
    assert answer_subject(answer, 7) == answer


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\Ann\\b.doc", "b.doc"),
        ("a\r\nX: y.txt", "a__X_ y.txt"),
        ("\u202etxt.exe", "_txt.exe"),
        ("...", "attachment"),
        ("", "attachment"),
        ("x" * 300 + ".pdf", "x" * 146 + ".pdf"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_the_html_says_the_same() -> None:
    text = tidy(
        'Hello <Ann> & "Co",\r\n\r\nplease:\r\n- open www.desk.test/a_(b).\r\n- mail bob@desk.test\r\n\r\n'
        "3. three\r\n4. four\r\n\r\n  indented\r\n\tcode"
    )
    assert as_html(text) == (
        "<p>Hello &lt;Ann&gt; &amp; &quot;Co&quot;,</p>\n"
        "<p>please:</p>\n"
        '<ul><li>open <a href="https://www.desk.test/a_(b)">www.desk.test/a_(b)</a>.</li>'
        '<li>mail <a href="mailto:bob@desk.test">bob@desk.test</a></li></ul>\n'
        '<ol start="3"><li>three</li><li>four</li></ol>\n'
        "<p>&nbsp;&nbsp;indented<br>\n&nbsp;&nbsp;&nbsp;&nbsp;code</p>"
    )


@given(TYPED)
@settings(deadline=None)
def test_typed_text_is_never_html(text: str) -> None:
    html = as_html(tidy(text))
    for tag in ("<p>", "</p>", "<br>", "<ul>", "</ul>", "<ol>", "</ol>", "<li>", "</li>", "</a>"):
        html = html.replace(tag, "")
    while "<ol start=" in html:
        html = html.replace(
            html[html.index("<ol start=") : html.index(">", html.index("<ol start=")) + 1], ""
        )
    while '<a href="' in html:
        link = html[html.index('<a href="') : html.index(">", html.index('<a href="')) + 1]
        assert link.startswith(('<a href="http://', '<a href="https://', '<a href="mailto:'))
        assert link.count('"') == 2
        html = html.replace(link, "")
    assert "<" not in html
    assert ">" not in html


def test_direction_overrides_and_controls_leave_the_text() -> None:
    assert tidy("a\u202eb\x00c\x1b[31m\td \r\n\r\n") == "abc[31m\td"


def test_a_quote_is_folded_when_it_comes_back() -> None:
    raw = compose(
        replace(PLAIN, attribution="On 1 Nov 2026 at 10:00 UTC, Ann Lee wrote:", quote="Help!\n\n- a")
    )
    message = parse(raw)
    assert message.body_text.endswith("wrote:\n> Help!\n>\n> - a")
    assert message.reply_text == "It works."
    assert quoted("a\n\nb") == "> a\n>\n> b"
