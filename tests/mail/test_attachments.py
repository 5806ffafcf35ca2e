from __future__ import annotations

import hashlib

import pytest

from webapp.mail.attachments import attachment_content
from webapp.mail.filenames import safe_filename
from webapp.mail.message import AttachmentInfo
from webapp.mail.parse import parse

HEAD = b"From: alice@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"


def mail(*parts: str) -> bytes:
    return HEAD + "".join(f"--b\r\n{part}\r\n" for part in parts).encode() + b"--b--\r\n"


def listed(*parts: str) -> tuple[AttachmentInfo, ...]:
    return parse(mail(*parts)).attachments


TEXT = "Content-Type: text/plain\r\n\r\nhello"
PDF = "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg=="


@pytest.mark.parametrize(
    ("part", "filename", "content_type", "inline"),
    [
        (PDF, "a.pdf", "application/pdf", False),
        ("Content-Type: application/pdf\r\n\r\nx", "part-2.pdf", "application/pdf", False),
        ("Content-Type: application/x-unheard-of\r\n\r\nx", "part-2", "application/x-unheard-of", False),
        ("Content-Disposition: attachment; filename=a.bin\r\n\r\nx", "a.bin", "text/plain", False),
        (
            "Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nx",
            "part-2.txt",
            "text/plain",
            False,
        ),
        ("Content-Type: text/html; name=a.html\r\n\r\nx", "a.html", "text/html", False),
        ("Content-Type: text/calendar; method=REQUEST\r\n\r\nx", "invite.ics", "text/calendar", False),
        ("Content-Type: text/csv\r\n\r\nx", "part-2.csv", "text/csv", False),
        (
            "Content-Type: image/png\r\nContent-Disposition: inline\r\n\r\nx",
            "picture-1.png",
            "image/png",
            True,
        ),
        ("Content-Type: image/png\r\nContent-ID: <p1>\r\n\r\nx", "picture-1.png", "image/png", False),
        (
            "Content-Type: message/rfc822\r\n\r\nSubject: Re: a/b\r\n\r\nx",
            "Re_ a-b.eml",
            "message/rfc822",
            False,
        ),
        (
            "Content-Type: message/rfc822\r\n\r\nFrom: a@b.org\r\n\r\nx",
            "message.eml",
            "message/rfc822",
            False,
        ),
        (
            "Content-Type: message/rfc822; name=x.eml\r\n\r\nSubject: a\r\n\r\nx",
            "x.eml",
            "message/rfc822",
            False,
        ),
        (
            "Content-Type: application/pgp-signature\r\n\r\nx",
            "signature.asc",
            "application/pgp-signature",
            False,
        ),
        (
            "Content-Type: application/ms-tnef; name=winmail.dat\r\n\r\nx",
            "winmail.dat",
            "application/ms-tnef",
            False,
        ),
        ("Content-Type: application/pdf; name=a.pdf\r\n", "a.pdf", "application/pdf", False),  # empty
        ("Content-Type: garbage; name=a.pdf\r\n\r\nx", "a.pdf", "application/octet-stream", False),
    ],
)
def test_one_attachment(part: str, filename: str, content_type: str, inline: bool) -> None:
    (attachment,) = listed(TEXT, part)
    assert (attachment.filename, attachment.content_type, attachment.inline) == (
        filename,
        content_type,
        inline,
    )


def test_no_attachment() -> None:
    assert listed(TEXT) == ()
    assert listed(TEXT, "Content-Type: text/plain\r\n") == ()
    assert parse(b"").attachments == ()


def test_a_picture_the_html_shows_is_inline_whatever_its_disposition() -> None:
    html = 'Content-Type: text/html\r\n\r\n<img src="CID:P1@x">'
    picture = (
        "Content-Type: image/png; name=a.png\r\nContent-ID: <p1@x>\r\n"
        "Content-Disposition: attachment; filename=a.png\r\n\r\nx"
    )
    (attachment,) = listed(html, picture)
    assert attachment.inline
    assert attachment.content_id == "p1@x"


def names(*parts: str) -> list[str]:
    return [attachment.filename for attachment in listed(*parts)]


def named(disposition: str) -> str:
    return f"Content-Type: application/pdf\r\nContent-Disposition: {disposition}\r\n\r\nx"


def test_no_two_files_of_a_message_have_one_name() -> None:
    pdf = named("attachment; filename=a.pdf")
    assert names(
        pdf, pdf, named("attachment; filename=A.pdf"), named('attachment; filename="a (2).pdf"')
    ) == [
        "a.pdf",
        "a (2).pdf",
        "A (3).pdf",
        "a (2) (2).pdf",
    ]
    picture = "Content-Type: image/png\r\n\r\nx"
    nested = "Content-Type: message/rfc822\r\n\r\nSubject: Hi\r\n\r\nx"
    assert names(picture, nested, picture, nested) == [
        "picture-1.png",
        "Hi.eml",
        "picture-2.png",
        "Hi (2).eml",
    ]
    long = named(f"attachment; filename={'x' * 200}.pdf")
    assert [len(name) for name in names(long, long)] == [150, 150]


def test_the_second_of_two_equal_names_is_found_again() -> None:
    pdf = named("attachment; filename=a.pdf")
    raw = mail(TEXT, pdf, pdf)
    first, second = parse(raw).attachments
    assert attachment_content(raw, second.position)[0] == second
    assert attachment_content(raw, first.position)[0] == first


@pytest.mark.parametrize(
    ("part", "filename"),
    [
        (named("attachment; filename=J%C3%B6rg%20a.pdf"), "Jörg a.pdf"),
        (named("attachment; filename=100%25.pdf"), "100%.pdf"),
        (named('attachment; filename="100% sure.pdf"'), "100% sure.pdf"),
        (named("attachment; filename=100%zz.pdf"), "100%zz.pdf"),
        (named("attachment; filename=a%FF.pdf"), "a%FF.pdf"),
        (named("attachment; filename=..%2F..%2Fetc%2Fpasswd"), "passwd"),
        (named("attachment; filename=a%E2%80%AEfdp.exe"), "afdp.exe"),
        (named('attachment; filename=" "; name="b.pdf"'), "part-1.pdf"),
        ("Content-Type: application/pdf; name=b.pdf\r\nContent-Disposition: attachment\r\n\r\nx", "b.pdf"),
        (
            "Content-Type: application/pdf; name=b.pdf\r\n"
            "Content-Disposition: attachment; filename=c.pdf\r\n\r\nx",
            "c.pdf",
        ),
        (named("attachment; filename=///"), "part-1.pdf"),
        ("Content-Type: image/png\r\nContent-ID: <image001.png@01DA6F1B.5C8E2D40>\r\n\r\nx", "image001.png"),
        ("Content-Type: image/gif\r\nContent-Location: logo.gif\r\n\r\nx", "logo.gif"),
        ("Content-Type: image/gif\r\nContent-Location: http://a.org/l.gif\r\n\r\nx", "picture-1.gif"),
        ("Content-Type: audio/mpeg\r\n\r\nx", "sound-1.mp3"),
        ("Content-Type: text/vcard\r\n\r\nx", "contact.vcf"),
        ("Content-Type: message/partial; id=a; number=1\r\n\r\nx", "part-1.eml"),
        (
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            "U3ViamVjdDogUHJpbnRlcg0KDQp4",
            "Printer.eml",
        ),
    ],
)
def test_the_name_of_one_file(part: str, filename: str) -> None:
    assert names(part) == [filename]


def test_of_an_apple_double_only_the_file_is_listed() -> None:
    parts = (
        "Content-Type: multipart/appledouble; boundary=c\r\n\r\n"
        "--c\r\nContent-Type: application/applefile; name=a.pdf\r\n\r\nx\r\n"
        "--c\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\ny\r\n--c--"
    )
    (attachment,) = listed(TEXT, parts)
    assert (attachment.filename, attachment.content_type) == ("a.pdf", "application/pdf")


def test_size_and_hash_are_those_of_the_decoded_octets() -> None:
    (attachment,) = listed(TEXT, PDF)
    assert attachment.size == 4
    assert attachment.sha256 == hashlib.sha256(b"%PDF").hexdigest()


def test_the_position_finds_the_content_again() -> None:
    raw = mail(TEXT, PDF, PDF.replace("JVBERg==", "JVBERi0="))
    first, second = parse(raw).attachments
    assert attachment_content(raw, first.position) == (first, b"%PDF")
    assert attachment_content(raw, second.position) == (second, b"%PDF-")


@pytest.mark.parametrize("position", [-1, 0, 3, 10_000])
def test_no_content_where_no_attachment_is(position: int) -> None:
    with pytest.raises(LookupError):
        attachment_content(mail(TEXT, PDF), position)


def test_html_beyond_the_limits_is_there_to_download() -> None:
    raw = b"From: alice@example.org\r\nContent-Type: text/html\r\n\r\n" + b"<div>" * 1000 + b"deep"
    message = parse(raw)
    assert message.body_html is None
    assert message.body_text == "deep"
    (attachment,) = message.attachments
    assert attachment.filename == "part-1.html"
    assert attachment_content(raw, attachment.position)[1].endswith(b"deep")


def test_attachments_are_bounded() -> None:
    message = parse(mail(*[PDF] * 150))
    assert len(message.attachments) == 100
    assert "150 attachments, 100 listed" in message.defects


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.txt", "a.txt"),
        ("Angebot für Köln.pdf", "Angebot für Köln.pdf"),
        ("o\u0308.txt", "ö.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("/", "attachment"),
        ("..", "attachment"),
        ("", "attachment"),
        ("   ", "attachment"),
        (".htaccess", "htaccess"),
        (".\u200bhtaccess", "htaccess"),
        ("\u200b.htaccess", "htaccess"),
        ("a\u202etxt.exe", "atxt.exe"),
        ("a\u2066b.txt", "ab.txt"),
        ("a\r\nX: y.txt", "aX_ y.txt"),
        ("a\x00.txt", "a.txt"),
        ("a\tb.txt", "ab.txt"),
        ("a.txt.", "a.txt"),
        ('a<b>:"|?*.txt', "a_b______.txt"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("con .txt", "_con .txt"),
        ("COM¹.txt", "_COM¹.txt"),
        ("com10.txt", "com10.txt"),
        ("lpt1", "_lpt1"),
        ("console.txt", "console.txt"),
        ("a\u3164.txt", "a.txt"),
        ("a\ud800.txt", "a.txt"),
        ("x" * 500, "x" * 150),
        ("x" * 500 + ".pdf", "x" * 146 + ".pdf"),
        ("x." + "y" * 500, "x." + "y" * 148),
    ],
)
def test_safe_file_name(name: str, safe: str) -> None:
    assert safe_filename(name) == safe


def test_a_safe_name_is_safe_already() -> None:
    for name in ("ö.txt", "_CON", "a_b.txt", "x" * 146 + ".pdf"):
        assert safe_filename(name) == name
