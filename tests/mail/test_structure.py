"""Trees of parts as they are really sent: wrong boundaries, labels and encodings, and what is read."""

from __future__ import annotations

import base64

import pytest

from webapp.mail.message import InboundMessage
from webapp.mail.parse import parse

FROM = "From: alice@example.org\r\n"
MIXED = FROM + "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PDF = b"%PDF-1.4 hello"


def parsed(text: str | bytes) -> InboundMessage:
    raw = text.encode() if isinstance(text, str) else text
    message = parse(raw)
    assert not [defect for defect in message.defects if "not understood:" in defect]
    return message


def files(message: InboundMessage) -> list[tuple[str, str]]:
    return [(attachment.filename, attachment.content_type) for attachment in message.attachments]


TEXT = "Content-Type: text/plain\r\n\r\n"
READ = {
    "boundary and prefix": (
        FROM + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        "Content-Type: multipart/alternative; boundary=b1\r\n\r\n"
        f"--b1\r\n{TEXT}one\r\n--b1--\r\n--b\r\n{TEXT}two\r\n--b--\r\n",
        "one\n\ntwo",
    ),
    "the inner boundary is the prefix": (
        FROM + "Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n"
        "Content-Type: multipart/alternative; boundary=b\r\n\r\n"
        f"--b\r\n{TEXT}one\r\n--b--\r\n--b1\r\n{TEXT}two\r\n--b1--\r\n",
        "one\n\ntwo",
    ),
    "no final boundary": (f"{MIXED}--b\r\n{TEXT}one\r\n--b\r\n{TEXT}two", "one\n\ntwo"),
    "no first boundary": (f"{MIXED}{TEXT}one\r\n--b\r\n{TEXT}two\r\n--b--", "one\n\ntwo"),
    "only the final boundary": (f"{MIXED}one\r\n--b--\r\n", "one"),
    "a preamble": (f"{MIXED}This is MIME.\r\n--b\r\n{TEXT}one\r\n--b--\r\n", "one"),
    "blanks behind the boundary": (f"{MIXED}--b \t\r\n{TEXT}one\r\n--b--  \r\n", "one"),
    "blanks in the parameter": (
        f'{FROM}Content-Type: multipart/mixed; boundary="b  "\r\n\r\n--b\r\n{TEXT}one\r\n--b--',
        "one",
    ),
    "no boundary parameter": (
        f"{FROM}Content-Type: multipart/mixed\r\n\r\n--x y\r\n{TEXT}one\r\n--x y--",
        "one",
    ),
    "another boundary than it says": (f"{MIXED}--c\r\n{TEXT}one\r\n--c--", "one"),
    "children behind the epilogue": (
        f"{MIXED}--b\r\n{TEXT}one\r\n--b--\r\nepilogue\r\n--b\r\n{TEXT}two\r\n--b--",
        "one\n\ntwo",
    ),
    "labelled as text": (
        f"{FROM}Content-Type: text/plain\r\n\r\n--b\r\n{TEXT}one\r\n--b\r\n{TEXT}two\r\n--b--",
        "one\n\ntwo",
    ),
    "labelled as text with a boundary": (
        f"{FROM}Content-Type: text/plain; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--",
        "one",
    ),
    "not labelled at all": (
        f"{FROM}\r\nThis is a multi-part message in MIME format.\r\n--b\r\n{TEXT}one\r\n--b--",
        "one",
    ),
    "text that quotes a part": (
        f"{FROM}\r\nLook at this:\r\n\r\n--b\r\n{TEXT}one\r\n--b--",
        f"Look at this:\n\n--b\n{TEXT}one\n--b--".replace("\r\n", "\n"),
    ),
    "a part without a header": (f"{MIXED}--b\r\nhello\r\n--b--", "hello"),
    "an empty multipart": (MIXED, ""),
    "two types, the second with parts": (
        FROM + "Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\n{TEXT}one\r\n--b--",
        "one",
    ),
    "two types, the first broken": (
        FROM + "Content-Type: ???\r\nContent-Type: text/html\r\n\r\n<p>one</p>",
        "one",
    ),
    "html without a type": (f"{FROM}\r\n<html><body><p>one</p></body></html>", "one"),
    "html of a broken type": (f"{FROM}Content-Type: foo\r\n\r\n<!DOCTYPE html><p>one</p>", "one"),
    "prose that begins with an angle": (f"{FROM}\r\n<p.s. call me>", "<p.s. call me>"),
    "nul octets": (f"{FROM}\r\no\x00ne", "one"),
    "digest": (
        f"{FROM}Content-Type: multipart/digest; boundary=b\r\n\r\n"
        "--b\r\n\r\nSubject: inner\r\n\r\nx\r\n--b--",
        "",
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(kind: str) -> None:
    raw, text = READ[kind]
    assert parsed(raw).body_text == text


def encoded(encoding: str, body: str, content_type: str = "text/plain; charset=utf-8") -> str:
    return f"{FROM}Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"


LONG = "The printer on the second floor is broken again. Jörg has seen it, and so has Ann. " * 3
AS_BASE64 = base64.encodebytes(LONG.encode()).decode().replace("\n", "\r\n")


@pytest.mark.parametrize("written", ["7bit", "8bit", "8-bit", "binary", "none", "", "7 bit"])
def test_base64_under_another_label(written: str) -> None:
    assert parsed(encoded(written, AS_BASE64)).body_text == LONG


@pytest.mark.parametrize("written", ["base64", "BASE64", "base-64", "base64 (x)", '"base64"', "Base64;", "b"])
def test_names_of_base64(written: str) -> None:
    assert parsed(encoded(written, AS_BASE64)).body_text == LONG


@pytest.mark.parametrize("body", ["It is broken, says Ann.", "Hello Ann,\r\n\r\nit is broken.\r\n"])
def test_plain_text_called_base64(body: str) -> None:
    assert parsed(encoded("base64", body)).body_text == body.replace("\r\n", "\n").strip("\n")


@pytest.mark.parametrize(
    "body", ["d41d8cd98f00b204e9800998ecf8427e", "A" * 64, "hello", "x" * 76 + "\r\n" + "y" * 76]
)
def test_words_that_might_be_base64_stay(body: str) -> None:
    assert parsed(encoded("7bit", body)).body_text == body.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("written", "body", "text"),
    [
        ("quoted-printable", "J=C3=B6rg", "Jörg"),
        ("quoted_printable", "J=C3=B6rg", "Jörg"),
        ("Quoted-Printable (x)", "J=C3=B6rg", "Jörg"),
        ("quoted-printable;", "J=C3=B6rg", "Jörg"),
        ("quoted-printable", "J=C3=\r\n=B6rg", "Jörg"),
        ("quoted-printable", "J=C3= \t\r\n=B6rg", "Jörg"),
        ("quoted-printable", "one =\r\r\ntwo", "one two"),
        ("quoted-printable", "J=c3=b6rg", "Jörg"),
        ("quoted-printable", "a = b =ZZ 100=", "a = b =ZZ 100"),
        ("7bit", "J=C3=B6rg and =\r\nJ=C3=B6rg", "Jörg and Jörg"),
        ("7bit", "a=3D and b=\r\nc=d", "a=3D and b=\nc=d"),  # not all of it is
        ("7bit", "x=1\r\ny=2", "x=1\ny=2"),
    ],
)
def test_quoted_printable(written: str, body: str, text: str) -> None:
    assert parsed(encoded(written, body)).body_text == text


def test_of_two_encodings_the_first_that_is_one_counts() -> None:
    two = "?\r\nContent-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit"
    assert parsed(encoded(two, AS_BASE64)).body_text == LONG


def part(head: str, content: bytes) -> bytes:
    return MIXED.encode() + b"--b\r\n" + head.encode() + b"\r\n" + content + b"\r\n--b--\r\n"


OCTETS = "Content-Type: application/octet-stream"
SNIFFED = {
    "picture without a type": ("", PNG, ("picture-1.png", "image/png")),
    "picture of no type": (f"{OCTETS}\r\n", PNG, ("picture-1.png", "image/png")),
    "picture of a broken type": ("Content-Type: picture; name=a.png\r\n", PNG, ("a.png", "image/png")),
    "pdf by name": (f"{OCTETS}; name=a.pdf\r\n", PDF, ("a.pdf", "application/pdf")),
    "pdf without a type": ("", PDF, ("part-1.pdf", "application/pdf")),
    "a name that lies": (f"{OCTETS}; name=a.pdf\r\n", b"hello", ("a.pdf", "application/octet-stream")),
    "zip": (f"{OCTETS}; name=a.zip\r\n", b"PK\x03\x04abc", ("a.zip", "application/zip")),
    "word": (
        f"{OCTETS}; name=a.docx\r\n",
        b"PK\x03\x04abc",
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ),
    "old excel": (
        f"{OCTETS}; name=a.xls\r\n",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1abc",
        ("a.xls", "application/vnd.ms-excel"),
    ),
    "calendar": (
        f"{OCTETS}; name=a.ics\r\n",
        b"BEGIN:VCALENDAR\r\nEND:VCALENDAR",
        ("a.ics", "text/calendar"),
    ),
    "calendar without a type": ("", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR", ("invite.ics", "text/calendar")),
    "mail by name": (
        f"{OCTETS}; name=a.eml\r\n",
        b"From: a@b\r\nTo: c@d\r\n\r\nx",
        ("a.eml", "message/rfc822"),
    ),
    "html stays a file": (f"{OCTETS}; name=a.html\r\n", b"<html><p>x", ("a.html", "text/html")),
    "html of no type is no body": (f"{OCTETS}\r\n", b"<html><p>x", ("part-1", "application/octet-stream")),
    "base64 picture called 7bit": (
        "Content-Type: image/png\r\nContent-Transfer-Encoding: 7bit\r\n",
        base64.encodebytes(PNG),
        ("picture-1.png", "image/png"),
    ),
    "name in octets": (
        'Content-Type: application/pdf; name="R\u00e9sum\u00e9.pdf"\r\n',
        PDF,
        ("Résumé.pdf", "application/pdf"),
    ),
    "external body": (
        "Content-Type: message/external-body; access-type=URL\r\n",
        b"Content-Type: image/png\r\n\r\n",
        ("part-1.txt", "message/external-body"),
    ),
}


@pytest.mark.parametrize("kind", SNIFFED)
def test_what_a_part_is(kind: str) -> None:
    head, content, expected = SNIFFED[kind]
    assert files(parsed(part(head, content))) == [expected]


def test_a_hidden_base64_picture_has_its_own_size() -> None:
    message = parsed(part(f"{OCTETS}; name=a.png\r\n", base64.encodebytes(PNG)))
    assert (message.attachments[0].size, message.attachments[0].content_type) == (len(PNG), "image/png")


def test_a_raw_file_name_is_read_in_the_charset_of_the_text() -> None:
    raw = (
        MIXED.encode() + b"--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\r\n--b\r\n"
        b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\xf0\xd2\xc9.pdf\r\n\r\n"
        b"%PDF-\r\n--b--\r\n"
    )
    assert files(parsed(raw)) == [("При.pdf", "application/pdf")]


def test_uuencode() -> None:
    body = "begin 644 a.txt\r\n%:&5L;&\\\r\n`\r\nend\r\n"
    assert parsed(encoded("x-uuencode", body)).body_text == "hello"
    assert parsed(encoded("x-uue", body)).body_text == "hello"


def test_a_nested_message_in_base64() -> None:
    head = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n"
    inner = b"Subject: inner\r\n\r\nhello"
    message = parsed(part(head, base64.encodebytes(inner)))
    assert files(message) == [("inner.eml", "message/rfc822")]
    assert message.attachments[0].size == len(inner)


def test_related_with_the_root_behind_the_picture() -> None:
    raw = (
        f'{FROM}Content-Type: multipart/related; boundary=b; start="<root@x>"; type=text/html\r\n\r\n'
        "--b\r\nContent-Type: image/png\r\nContent-ID: <p@x>\r\n\r\nx\r\n"
        '--b\r\nContent-Type: text/html\r\nContent-ID: <root@x>\r\n\r\n<p>one<img src="cid:p@x"></p>\r\n--b--'
    )
    message = parsed(raw)
    assert "one" in message.body_text
    assert [(attachment.filename, attachment.inline) for attachment in message.attachments] == [
        ("picture-1.png", True)
    ]


def test_a_partial_message_is_a_file() -> None:
    raw = f"{FROM}Content-Type: message/partial; id=a; number=2; total=3\r\n\r\nthe middle"
    assert files(parsed(raw)) == [("part-1.eml", "message/partial")]


@pytest.mark.parametrize(
    "defect", ["multipart labelled as text", "more than one Content-Type", "malformed Content-Type"]
)
def test_the_defect_is_noted(defect: str) -> None:
    raws = {
        "multipart labelled as text": READ["labelled as text"][0],
        "more than one Content-Type": READ["two types, the first broken"][0],
        "malformed Content-Type": READ["html of a broken type"][0],
    }
    assert defect in parsed(raws[defect]).defects
