"""Files out of mail never run as a part of this site."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.inbound.attachments import AttachmentReader
from webapp.inbound.parser_process import ParserDied
from webapp.instance import Instance
from webapp.views.downloads import download

RAW = (
    b"From: ann@acme.example\r\nSubject: photo\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nSee the photo.\r\n"
    b"--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=page.html\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nPHNjcmlwdD4xPC9zY3JpcHQ+\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("content_type", "sent_as"),
    [
        ("image/png", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("image/gif", "image/gif"),
        ("image/webp", "image/webp"),
        ("image/svg+xml", "application/octet-stream"),
        ("text/html", "application/octet-stream"),
        ("application/pdf", "application/octet-stream"),
        ("image/png; charset=x", "application/octet-stream"),
        ("IMAGE/PNG", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_only_harmless_pictures_keep_their_type(app: Flask, content_type: str, sent_as: str) -> None:
    with app.test_request_context():
        response = download(b"x", filename="a.bin", content_type=content_type)
    assert response.headers["Content-Type"] == sent_as
    assert response.headers["Content-Disposition"] == "attachment; filename=a.bin"
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    response.close()


@pytest.mark.parametrize(
    ("filename", "disposition"),
    [
        ("photo 1.jpg", 'attachment; filename="photo 1.jpg"'),
        ("Фото.jpg", "attachment; filename=.jpg; filename*=UTF-8''%D0%A4%D0%BE%D1%82%D0%BE.jpg"),
        ('a";x="b.txt', 'attachment; filename="a\\";x=\\"b.txt"'),
        ("a\r\nSet-Cookie: x=y.txt", 'attachment; filename="aSet-Cookie: x=y.txt"'),
        ("../../etc/passwd", "attachment; filename=_.._etc_passwd"),
        ("C:\\temp\\a.exe", 'attachment; filename="C:_temp_a.exe"'),
        ("photo\u202egpj.exe", "attachment; filename=photogpj.exe"),
        ("", "attachment; filename=attachment"),
        ("...", "attachment; filename=attachment"),
    ],
)
def test_names_are_safe_in_every_header_form(app: Flask, filename: str, disposition: str) -> None:
    with app.test_request_context():
        response = download(b"x", filename=filename)
    assert response.headers["Content-Disposition"] == disposition
    response.close()


def test_an_attachment_comes_out_of_the_raw_message(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        inbound = make.make_inbound(session, make.make_mailbox(session), ticket_id=ticket.id, raw=RAW)
        entry = make.make_entry(session, ticket, inbound_id=inbound.id)
        make.make_attachment(session, entry, "page.html", content_type="text/html", size=18, position=1)
    with vera.get("/tickets/1/attachments/1") as answer:
        assert answer.status_code == 200
        assert answer.data == b"<script>1</script>"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment; filename=page.html"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.headers["Cache-Control"] == "no-store"


def test_an_attachment_of_another_ticket_is_not_there(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session, "another")
        make.make_attachment(session, make.make_entry(session, make.make_ticket(session)))
    assert vera.get("/tickets/1/attachments/1").status_code == 404


def test_an_attachment_without_its_message_is_said(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_attachment(session, make.make_entry(session, make.make_ticket(session)))
    answer = vera.get("/tickets/1/attachments/1")
    assert answer.status_code == 404
    assert "no longer kept" in answer.text


def test_a_message_that_cannot_be_taken_apart_is_said(
    vera: Browser, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise ParserDied

    with instance.database.writing() as session:
        make.make_attachment(session, make.make_entry(session, make.make_ticket(session)))
    monkeypatch.setattr(AttachmentReader, "file", die)
    answer = vera.get("/tickets/1/attachments/1")
    assert answer.status_code == 404
    assert "could not be taken out of its message" in answer.text


def test_an_original_is_a_download(alice: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_inbound(session, make.make_mailbox(session), raw=RAW)
    with alice.get("/email-log/1/original") as answer:
        assert answer.data == RAW
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment; filename=message-1.eml"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
