"""Text and HTML out of trees of parts, charsets and format=flowed."""

from __future__ import annotations

import pytest

from webapp.mail.flowed import unflow
from webapp.mail.message import InboundMessage
from webapp.mail.parse import parse

HEAD = "From: alice@example.org\r\nMIME-Version: 1.0\r\n"


def part(content_type: str, text: str, *fields: str) -> str:
    return "\r\n".join([f"Content-Type: {content_type}", *fields, "", text, ""])


def multi(subtype: str, *parts: str, boundary: str = "b") -> str:
    inside = "".join(f"--{boundary}\r\n{one}" for one in parts)
    return part(f"multipart/{subtype}; boundary={boundary}", f"{inside}--{boundary}--")


def read(entity: str) -> InboundMessage:
    return parse((HEAD + entity).encode())


TEXT = part("text/plain", "the text")
HTML = part("text/html", "<p>the <b>html</b></p>")
PICTURE = part("image/png", "x", "Content-ID: <p1>")


@pytest.mark.parametrize(
    ("entity", "text", "html"),
    [
        (TEXT, "the text", None),
        (HTML, "the html", "<p>the <b>html</b></p>"),
        (multi("alternative", TEXT, HTML), "the text", "<p>the <b>html</b></p>"),
        (multi("alternative", HTML, TEXT), "the text", "<p>the <b>html</b></p>"),
        (
            multi("alternative", TEXT, multi("related", HTML, PICTURE, boundary="c")),
            "the text",
            "<p>the <b>html</b></p>",
        ),
        (
            multi("related", multi("alternative", TEXT, HTML, boundary="c"), PICTURE),
            "the text",
            "<p>the <b>html</b></p>",
        ),
        (multi("mixed", TEXT, TEXT), "the text\n\nthe text", None),
        (multi("mixed", HTML, TEXT), "the html\n\nthe text", "<p>the <b>html</b></p>\n<pre>the text</pre>"),
        (multi("mixed", multi("mixed", TEXT, boundary="c"), PICTURE), "the text", None),
        (multi("alternative", part("text/plain", ""), HTML), "the html", "<p>the <b>html</b></p>"),
        (multi("alternative", part("text/plain", " \r\n"), HTML), "the html", "<p>the <b>html</b></p>"),
        (multi("alternative", TEXT, part("text/plain", "other")), "the text\n\nother", None),
        (multi("signed", TEXT, part("application/pgp-signature", "sig")), "the text", None),
        (multi("x-unheard-of", TEXT), "the text", None),
        (multi("mixed"), "--b--", None),
        (part("text/plain; name=a.txt", "x"), "", None),
        (part("text/plain", "x", "Content-Disposition: attachment"), "", None),
        (part("text/plain", "x", "Content-Disposition: inline"), "x", None),
        (part("text/x-unheard-of", "x"), "x", None),
        (part("text", "x"), "x", None),
        (part("garbage", "x"), "x", None),
        (part("text/enriched", "<bold>x</bold>"), "x", None),
        (part("application/octet-stream", "x"), "", None),
        ("\r\nno content type", "no content type", None),
    ],
)
def test_what_is_read(entity: str, text: str, html: str | None) -> None:
    message = read(entity)
    assert message.body_text == text
    assert message.body_html == html


@pytest.mark.parametrize(
    "raw",
    [
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nthe text\r\n',  # never closed
        b'Content-Type: multipart/mixed; boundary="other"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nthe text\r\n--b--",
        b"Content-Type: multipart/mixed\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nthe text\r\n--b--",
        b'Content-Type: multipart/mixed; boundary="b"\n\n--b \t\n\nthe text\n--b--  \n',
        b"Content-Type: multipart/mixed; boundary==b\n\n--=b\n\nthe text\n--=b--\n",
        b'Content-Type: multipart/mixed; boundary="b"\r\rx\r--b\r\rthe text\r--b--\r',  # old Macintosh
        b'Content-Type: multipart/mixed; boundary="b"\n\n--bb\n\nno\n--b\n\nthe text\n--b--\n',
        b'Content-Type: multipart/mixed; boundary="b"\nContent-Transfer-Encoding: base64\n\n'
        b"LS1iCgp0aGUgdGV4dAotLWItLQo=",
    ],
)
def test_boundaries_in_disorder(raw: bytes) -> None:
    assert (
        parse(b"From: a@b.org\n".replace(b"\n", b"\r" if b"\n" not in raw else b"\n") + raw).body_text
        == "the text"
    )


def test_an_inner_multipart_with_the_boundary_of_the_outer_one_loses_nothing() -> None:
    message = read(multi("mixed", multi("alternative", TEXT, HTML), part("application/pdf; name=a.pdf", "x")))
    assert message.body_text.startswith("the text")
    assert [attachment.filename for attachment in message.attachments] == ["a.pdf"]


@pytest.mark.parametrize(
    ("charset", "octets", "text", "defect"),
    [
        ("utf-8", b"J\xc3\xb6rg", "Jörg", False),
        ("iso-8859-1", b"J\xf6rg \x96 \x80", "Jörg – €", False),
        ("cp-850", b"J\x94rg", "Jörg", False),
        ("windows-1252", b"J\xf6rg", "Jörg", False),
        ("x-sjis", b"\x93\xfa\x96\x7b", "日本", False),
        ("unicode-1-1-utf-7", b"J+APY-rg", "Jörg", False),
        ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本", False),
        ("gb2312", b"\xd6\xd0\x87\xf6", "中囉"[0] + b"\x87\xf6".decode("gb18030"), False),
        ('"utf-8"', b"J\xc3\xb6rg", "Jörg", False),
        ("ISO-8859-15", b"\xa4", "€", False),
        ("ascii", b"J\xc3\xb6rg", "Jörg", False),
        ("utf-8", b"J\xf6rg", "Jörg", True),
        ("us-ascii", b"J\xf6rg", "Jörg", True),
        ("utf-8", b"J\xc3\xb6rg \xc3\xb6 \xc3", "Jörg ö \ufffd", True),
        ("x-nope", b"J\xc3\xb6rg", "Jörg", True),
        ("x-nope", b"J\xf6rg", "Jörg", True),
        ("hex", b"4a", "4a", True),
        ("zlib", b"J\xf6rg", "Jörg", True),
        ("idna", b"xn--jrg-sna", "xn--jrg-sna", True),
        ("punycode", b"jrg-sna", "jrg-sna", True),
        ("unicode_escape", b"\\u0041", "\\u0041", True),
        ("utf-8\x00", b"J\xc3\xb6rg", "Jörg", False),
        ("utf-7", b"+2AA-x", "\ufffdx", False),
        ("euc-jp", b"J\xf6", "Jö", True),
        ("", b"J\xc3\xb6rg", "Jörg", False),
        ("utf-8", b"a\x00b\x07c\r\nd\re", "abc\nd\ne", False),
    ],
)
def test_charsets(charset: str, octets: bytes, text: str, defect: bool) -> None:
    head = f"From: alice@example.org\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()
    message = parse(head + octets)
    assert message.body_text == text
    assert bool(message.defects) is defect


def test_detection_reads_text_without_a_label() -> None:
    text = "Здравствуйте, принтер не печатает уже второй день. Пожалуйста, помогите."
    message = parse(b"From: alice@example.org\r\nContent-Type: text/plain\r\n\r\n" + text.encode("cp1251"))
    assert message.body_text == text


@pytest.mark.parametrize(
    ("encoding", "octets", "text"),
    [
        ("quoted-printable", b"J=C3=B6rg=\r\n!", "Jörg!"),
        ("Quoted-Printable", b"a=ZZ", "a=ZZ"),
        ("base64", b"SsO2\r\ncmc=", "Jörg"),
        ("BASE64", b"SsO2cmc", "Jörg"),
        ("base64", b"SsO2cm!c=", "Jörg"),
        ("base64", b"SsO2cmc=\r\n-- \r\nlist footer", "Jörg"),
        ("base64", b"Sg==\r\nw7ZyZw==", "Jörg"),
        ("8bit", b"J\xc3\xb6rg", "Jörg"),
        ("x-unheard-of", b"J\xc3\xb6rg", "Jörg"),
        ("x-uuencode", b"begin 644 a\n#86)C\n`\nend\n", "abc"),
        ("", b"begin 644 a\n#86)C\n`\nend", "begin 644 a\n#86)C\n`\nend"),
    ],
)
def test_transfer_encodings(encoding: str, octets: bytes, text: str) -> None:
    head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    assert parse(head.encode() + octets).body_text == text


@pytest.mark.parametrize(
    ("flowed", "text"),
    [
        ("one \ntwo\nthree", "one two\nthree"),
        (" >not quoted", ">not quoted"),
        ("> a \n> b\nc", "> a b\nc"),
        ("> a \n>> b", "> a\n>> b"),
        ("a \n-- \nAlice", "a\n-- \nAlice"),
        (">> a\n>\n> b", ">> a\n>\n> b"),
        ("a \n", "a "),
        ("", ""),
    ],
)
def test_format_flowed(flowed: str, text: str) -> None:
    assert unflow(flowed) == text


def test_format_flowed_with_delsp() -> None:
    assert unflow("日 \n本\nx", delete_space=True) == "日本\nx"
    message = read(part("text/plain; format=flowed; delsp=yes; charset=utf-8", "日 \r\n本"))
    assert message.body_text == "日本"
