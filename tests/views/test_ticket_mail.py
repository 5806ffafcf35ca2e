"""What a ticket shows of a received mail: views, files, pictures, attached mails, card, oddities."""

from __future__ import annotations

import io
import re
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import event

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.instance import Instance
from webapp.mail.parse import parse
from webapp.models import Entry, EntryKind
from webapp.views import pictures

FRAME = "/tickets/1/entries/1/formatted"
INVITATION: dict[str, Any] = {
    "method": "REQUEST", "summary": "Printer visit", "start": "2026-11-25T09:30:00+01:00",
    "end": "2026-11-25T10:30:00+01:00", "time_zone": "Europe/Berlin", "location": "2nd floor",
    "organizer": "Ann Lee <ann@acme.test>", "attendees": ["Bob Ray <bob@binder.test> (accepted)"],
    "attendee_count": 60, "repeats": "every week", "description": "Bring a drum.", "status": "CONFIRMED",
}  # fmt: skip


def png(width: int = 900, height: int = 600) -> bytes:
    written = io.BytesIO()
    Image.effect_noise((width, height), 90).save(written, "PNG")
    return written.getvalue()


PICTURE = png(120, 90)


def mail(subject: str, text: str, html: str | None = None) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Ann Lee <ann@acme.test>"
    message["To"] = "help@desk.test"
    message["Subject"] = subject
    message["Date"] = "Mon, 23 Nov 2026 11:53:00 +0000"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def attach(message: EmailMessage, content: bytes, content_type: str, filename: str) -> None:
    maintype, _, subtype = content_type.partition("/")
    message.add_attachment(content, maintype=maintype, subtype=subtype, filename=filename)


def full_mail() -> bytes:
    """With an inline picture, a photo, a file called one, a drawing, a table, and mails inside of a mail."""
    message = mail("Printer", "It broke.\n", '<p>It <b>broke</b>. <img src="cid:Shot@acme"></p>')
    part = message.get_payload()[1]  # type: ignore[index]
    part.add_related(PICTURE, "image", "png", cid="<Shot@acme>", filename="shot.png")  # type: ignore[union-attr]
    attach(message, png(), "image/png", "photo.png")
    attach(message, b"<script>alert(1)</script>", "image/png", "fake.png")
    attach(message, b"<svg><script>alert(1)</script></svg>", "image/svg+xml", "drawing.svg")
    attach(message, b"a,b\r\n", "text/csv", "table.csv")
    inner = mail("The order", "We order.\n", '<p>We <i>order</i>. <img src="cid:logo"></p>')
    part = inner.get_payload()[1]  # type: ignore[index]
    part.add_related(PICTURE, "image", "png", cid="<logo>", filename="logo.png")  # type: ignore[union-attr]
    attach(inner, b"in a mail", "text/csv", "inner.csv")
    inner.add_attachment(mail("Deep inside", "Very deep.\n"))
    message.add_attachment(inner)
    return message.as_bytes()


def receive(instance: Instance, raw: bytes, **values: Any) -> None:
    """T-1 with that message, as the parser writes it."""
    understood = parse(raw)
    told: dict[str, Any] = {
        "reply_text": understood.reply_text,
        "body_html": understood.body_html,
        "recipients": {
            name: [[one.display_name, one.addr_spec] for one in getattr(understood, name)]
            for name in ("to", "cc", "reply_to")
        },
        "from_addr": understood.sender.addr_spec,
    }
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        inbound = make.make_inbound(
            session, make.make_mailbox(session), ticket_id=ticket.id, raw=raw, size=len(raw),
            defects=values.pop("defects", list(understood.defects)),
        )  # fmt: skip
        entry = make.make_entry(
            session, ticket, understood.body_text, inbound_id=inbound.id, **(told | values)
        )
        for info in understood.attachments:
            make.make_attachment(
                session, entry, info.filename, position=info.position, content_type=info.content_type,
                size=info.size, inline=info.inline, content_id=info.content_id, sha256=info.sha256,
            )  # fmt: skip


def picture_in(frame: str) -> str:
    """The address of the one picture of a formatted mail."""
    [address] = re.findall(r'src="(/mail-pictures/[^"]+)"', frame)
    return str(address)


def addresses(page: str, ending: str) -> list[str]:
    return re.findall(rf'"(/tickets/[^"]*{ending})"', page)


# Views


def test_text_comes_first_and_formatted_is_one_click_away(vera: Browser, instance: Instance) -> None:
    receive(instance, full_mail())
    page = vera.get("/tickets/1").text
    assert '<div class="text">It broke.</div>' in page
    assert "<iframe" not in page
    assert "Formatted · 1 picture</a>" in page
    part = vera.get("/tickets/1/entries/1?view=formatted", headers={"HX-Request": "true"})
    assert part.text.startswith("<div")
    assert (
        'sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer" loading="lazy" '
        f'title="Message from Ann Lee" src="{FRAME}"' in part.text
    )
    assert '<div class="text">' not in part.text
    whole = vera.get("/tickets/1/entries/1?view=text").text
    assert whole.count("<h1>") == 1
    assert '<div class="text">It broke.</div>' in whole


def test_the_view_somebody_chose_is_the_next_ones_too(vera: Browser, instance: Instance) -> None:
    receive(instance, full_mail())
    cookie = vera.get("/tickets/1/entries/1?view=formatted").headers["Set-Cookie"]
    assert cookie.startswith("mail_view=formatted;")
    for attribute in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert attribute in cookie
    assert f'src="{FRAME}"' in vera.get("/tickets/1").text
    assert "Set-Cookie" not in vera.get("/tickets/1/entries/1").headers
    assert "Set-Cookie" not in vera.get("/tickets/1/entries/1?view=other").headers
    vera.get("/tickets/1/entries/1?view=text")
    assert "<iframe" not in vera.get("/tickets/1").text


def test_a_message_without_html_has_one_view(vera: Browser, instance: Instance) -> None:
    receive(instance, mail("x", "Only text.\n").as_bytes())
    vera.get("/tickets/1/entries/1?view=formatted")
    page = vera.get("/tickets/1").text
    assert "Formatted" not in page
    assert "<iframe" not in page
    assert vera.get(FRAME).status_code == 404


def test_the_frame_runs_nothing_and_loads_nothing_from_elsewhere(vera: Browser, instance: Instance) -> None:
    receive(instance, full_mail())
    answer = vera.get(FRAME)
    policy = dict(part.partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "sandbox": "allow-popups allow-popups-to-escape-sandbox",
        "default-src": "'none'",
        "img-src": "http://localhost/mail-pictures/ data:",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
    }
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<b>broke</b>" in answer.text
    assert '<base target="_blank">' in answer.text
    assert "<script" not in answer.text


def test_what_others_wrote_has_no_frame(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_entry(session, make.make_ticket(session), kind=EntryKind.NOTE, body_html="<p>x</p>")
    assert vera.get("/tickets/1/entries/1").status_code == 404
    assert vera.get(FRAME).status_code == 404
    assert "It does not print." in vera.get("/tickets/1").text


def test_the_list_of_messages_does_not_read_the_html(vera: Browser, instance: Instance) -> None:
    receive(instance, full_mail())
    asked: list[str] = []
    event.listen(instance.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    vera.get("/tickets/1")
    assert not [one for one in asked if re.search(r"body_html(?! IS NOT NULL)", one)]
    assert [one for one in asked if "body_html IS NOT NULL" in one]


@pytest.mark.parametrize(
    ("whole", "reply", "label"),
    [
        ("Yes.\n\n> a\n> b\n> c", "Yes.", "Show earlier messages (3 lines)"),
        ("Yes.\n\n-- \nAnn\nAcme", "Yes.", "Show signature (3 lines)"),
        ("Hi\n> a\nyes\n> b\nno\n-- \nAnn", "Hi\nyes\nno", "Show whole message (7 lines)"),
        ("Yes.\n\n> a", "Yes.", "Show earlier messages (1 line)"),
    ],
)
def test_what_is_folded_is_named(
    vera: Browser, instance: Instance, whole: str, reply: str, label: str
) -> None:
    with instance.database.writing() as session:
        make.make_entry(session, make.make_ticket(session), whole, reply_text=reply)
    assert f"<summary>{label}</summary>" in vera.get("/tickets/1").text


# Remote pictures


def test_remote_pictures_are_asked_for_once_a_message(
    vera: Browser, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = mail("x", "Look.\n", '<p>Look <img src="https://pictures.example/a.png"></p>').as_bytes()
    receive(instance, raw)
    shown = vera.get("/tickets/1/entries/1?view=formatted").text
    assert "This message has remote pictures." in shown
    assert f'src="{FRAME}"' in shown
    assert "pictures.example" not in vera.get(FRAME).text
    assert "https:" not in vera.get(FRAME).headers["Content-Security-Policy"]
    address = "/tickets/1/entries/1?view=formatted&amp;pictures=remote"
    assert f'href="{address}"' in shown
    asked = vera.get(address.replace("&amp;", "&")).text
    assert f'src="{FRAME}?pictures=remote"' in asked
    assert "Hide remote pictures" in asked
    frame = vera.get(f"{FRAME}?pictures=remote")
    assert 'src="https://pictures.example/a.png"' in frame.text
    assert "https:" in frame.headers["Content-Security-Policy"]
    assert frame.headers["Referrer-Policy"] == "no-referrer"
    again = vera.get("/tickets/1?pictures=remote").text  # nothing is remembered, nothing is for all messages
    assert f'src="{FRAME}"' in again


# Pictures


def test_pictures_of_the_text_have_signed_addresses(
    app: Flask, vera: Browser, anonymous: Browser, instance: Instance
) -> None:
    receive(instance, full_mail())
    address = picture_in(vera.get(FRAME).text)
    answer = anonymous.get(address)
    assert (answer.status_code, answer.data) == (200, PICTURE)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Cache-Control"] == "private, max-age=300"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert "Set-Cookie" not in answer.headers
    assert anonymous.get(address[:-1]).status_code == 404


def test_a_signed_address_expires(
    vera: Browser, anonymous: Browser, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(instance, full_mail())
    address = picture_in(vera.get(FRAME).text)
    monkeypatch.setattr(pictures, "SIGNED_SECONDS", -1)
    assert anonymous.get(address).status_code == 404


@pytest.mark.parametrize("attachment_id", [3, 4, 5])
def test_only_a_picture_is_ever_sent_as_one(
    app: Flask, vera: Browser, instance: Instance, attachment_id: int
) -> None:
    """Something called a picture, a drawing that may hold a script, a table."""
    receive(instance, full_mail())
    with app.test_request_context():
        signed = pictures._serializer().dumps([attachment_id])
    for address in (f"/mail-pictures/{signed}", f"/tickets/1/attachments/{attachment_id}/picture"):
        assert vera.get(address).status_code == 404
    small = vera.get(f"/tickets/1/attachments/{attachment_id}/thumbnail")
    assert small.status_code == 302
    assert small.location.startswith("/static/no-picture.svg")
    assert small.headers["Cache-Control"] == "no-store"


def test_thumbnails(vera: Browser, instance: Instance) -> None:
    receive(instance, full_mail())
    page = vera.get("/tickets/1").text
    assert addresses(page, "/thumbnail") == [
        f"/tickets/1/attachments/{number}/thumbnail" for number in (1, 2, 3)
    ]
    assert 'alt="photo.png" loading="lazy"' in page
    small = vera.get("/tickets/1/attachments/2/thumbnail")
    assert small.headers["Content-Type"] == "image/webp"
    assert small.headers["Cache-Control"] == "private, no-cache"
    assert Image.open(io.BytesIO(small.data)).size == (320, 213)
    again = vera.get("/tickets/1/attachments/2/thumbnail", headers={"If-None-Match": small.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    whole = vera.get("/tickets/1/attachments/2/picture")
    assert whole.headers["Content-Type"] == "image/png"
    assert whole.headers["Content-Disposition"] == "inline"
    assert whole.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert whole.headers["Cache-Control"] == "no-store"
    assert Image.open(io.BytesIO(whole.data)).size == (900, 600)
    for kind in ("thumbnail", "picture"):
        assert vera.get(f"/tickets/2/attachments/2/{kind}").status_code == 404


def test_a_message_no_longer_kept_shows_the_sign_of_a_file(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_attachment(session, make.make_entry(session, make.make_ticket(session)))
    assert vera.get("/tickets/1/attachments/1/thumbnail").location.startswith("/static/no-picture.svg")
    assert vera.get("/tickets/1/attachments/1/picture").status_code == 404
    assert vera.get("/tickets/1/attachments/1/mail").status_code == 404


def test_logos_of_a_signature_are_folded(vera: Browser, instance: Instance) -> None:
    message = mail("x", "Hello.\n", '<p>Hello.</p><img src="cid:a"><img src="cid:b">')
    part = message.get_payload()[1]  # type: ignore[index]
    for name in "ab":
        part.add_related(png(20, 20), "image", "png", cid=f"<{name}>", filename=f"{name}.png")  # type: ignore[union-attr]
    receive(instance, message.as_bytes())
    page = vera.get("/tickets/1").text
    assert "<summary>2 small pictures in the text</summary>" in page
    assert "Formatted</a>" in page


# Attached mails


def test_an_attached_mail_is_read_on_a_page_of_its_own(vera: Browser, instance: Instance) -> None:
    receive(instance, full_mail())
    [mail_address] = addresses(vera.get("/tickets/1").text, "/mail")
    page = vera.get(mail_address).text
    assert "<h1>The order</h1>" in page
    assert '<div class="text">We order.</div>' in page
    assert "inner.csv" in page
    contents = {vera.get(address).data for address in set(addresses(page, "/inside/[0-9]+"))}
    assert b"in a mail" in contents
    assert PICTURE in contents
    [small] = addresses(page, "/thumbnail")
    assert vera.get(small).headers["Content-Type"] == "image/webp"
    [deeper] = addresses(page, "/inside/[0-9]+/mail")
    inner = vera.get(deeper).text
    assert "<h1>Deep inside</h1>" in inner
    assert '<div class="text">Very deep.</div>' in inner
    assert f'href="{mail_address}"' in inner
    assert "Download .eml" in inner


def test_the_formatted_view_of_an_attached_mail(
    vera: Browser, anonymous: Browser, instance: Instance
) -> None:
    receive(instance, full_mail())
    [mail_address] = addresses(vera.get("/tickets/1").text, "/mail")
    page = vera.get(f"{mail_address}?view=formatted").text
    assert f'src="{mail_address}/formatted"' in page
    frame = vera.get(f"{mail_address}/formatted")
    assert "<i>order</i>" in frame.text
    assert frame.headers["Content-Security-Policy"].startswith("sandbox ")
    assert anonymous.get(picture_in(frame.text)).data == PICTURE


@pytest.mark.parametrize("path", ["inside/99", "inside/99/mail", "inside/0.0/mail", "inside/1.2.3.4.5.6.7"])
def test_what_is_not_inside_is_not_there(vera: Browser, instance: Instance, path: str) -> None:
    receive(instance, full_mail())
    [mail_address] = addresses(vera.get("/tickets/1").text, "/mail")
    base = mail_address.removesuffix("/mail")
    assert vera.get(f"{base}/{path}").status_code == 404
    assert vera.get("/tickets/1/attachments/2/mail").status_code == 404  # a photo


def test_mails_in_mails_end_somewhere(vera: Browser, instance: Instance) -> None:
    message = mail("level 0", "text\n")
    for level in range(1, 10):
        outer = mail(f"level {level}", "text\n")
        outer.add_attachment(message)
        message = outer
    receive(instance, message.as_bytes())
    [address] = addresses(vera.get("/tickets/1").text, "/mail")
    for level in range(8, 4, -1):
        page = vera.get(address).text
        assert f"<h1>level {level}</h1>" in page
        [address] = addresses(page, "/mail")[-1:]
    page = vera.get(address).text
    assert "<h1>level 4</h1>" in page
    [deepest] = addresses(page, r"/inside/[0-9]\.[0-9]\.[0-9]\.[0-9]\.[0-9]")[-1:]
    assert b"Subject: level 3" in vera.get(deepest).data
    assert f'"{deepest}/mail"' not in page
    assert vera.get(f"{deepest}/mail").status_code == 404


def test_a_message_that_could_not_be_read_is_only_a_download(vera: Browser, instance: Instance) -> None:
    raw = full_mail()
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        inbound = make.make_inbound(session, make.make_mailbox(session), ticket_id=ticket.id, raw=raw)
        entry = make.make_entry(session, ticket, inbound_id=inbound.id)
        make.make_attachment(
            session, entry, "message.eml", position=-1, content_type="message/rfc822", size=len(raw)
        )
    page = vera.get("/tickets/1").text
    assert "message.eml" in page
    assert "/mail" not in page.replace("/mail-", "")
    assert vera.get("/tickets/1/attachments/1").data == raw
    assert vera.get("/tickets/1/attachments/1/mail").status_code == 404
    assert vera.get("/tickets/1/attachments/1/inside/1").status_code == 404


# Invitation, protection, recipients, oddities


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ["Invitation", "Printer visit", "Wednesday, 25 Nov 2026, 08:30 to 09:30, UTC", "2nd floor",
              "every week", "Bob Ray &lt;bob@binder.test&gt; (accepted)", "and 59 more", "Bring a drum."]),
        ({"method": "CANCEL"}, ["Cancelled", "invitation-off"]),
        ({"status": "CANCELLED"}, ["Cancelled", "invitation-off"]),
        ({"method": "REPLY", "status": "ACCEPTED"}, ["Accepted by Bob Ray"]),
        ({"method": "REPLY", "status": "DECLINED"}, ["Declined by Bob Ray", "invitation-off"]),
        ({"method": "REPLY", "status": "TENTATIVE"}, ["Accepted tentatively by Bob Ray"]),
        ({"method": "REPLY", "status": "", "attendees": []}, ["Answered"]),
        ({"method": "COUNTER"}, ["Another time is proposed"]),
        ({"method": ""}, ["Event"]),
        ({"method": "X-NEW"}, ["Calendar message (X-New)"]),
        ({"start": "2026-11-25", "end": "2026-11-26"}, ["Wednesday, 25 Nov 2026, the whole day"]),
        ({"start": "2026-11-25", "end": None}, ["Wednesday, 25 Nov 2026, the whole day"]),
        ({"start": "2026-11-25", "end": "2026-11-28"},
         ["Wednesday, 25 Nov 2026 to Friday, 27 Nov 2026, whole days"]),
        ({"start": "2026-11-25T09:30:00", "end": None, "time_zone": None},
         ["Wednesday, 25 Nov 2026, 09:30", "Given with no time zone: the time is that of the sender"]),
        ({"start": "2026-11-25T09:30:00", "time_zone": "Fancy/Zone"},
         ["Given with the time zone “Fancy/Zone”, which is not known here"]),
        ({"start": "2026-11-25T22:00:00+00:00", "end": "2026-11-26T02:00:00+00:00"},
         ["22:00 to Thursday, 26 Nov 2026, 02:00, UTC"]),
        ({"start": None, "end": None}, ["no time given"]),
        ({"start": "tomorrow", "end": "later"}, ["tomorrow to later"]),
        ({"start": "0001-01-01T00:00:00+14:00", "end": None}, ["0001-01-01T00:00:00+14:00"]),
        ({"summary": ""}, ["(no title)"]),
    ],
)  # fmt: skip
def test_an_invitation_is_a_card(
    vera: Browser, instance: Instance, changes: dict[str, Any], told: list[str]
) -> None:
    message = mail("Visit", "See you.\n")
    attach(message, b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "text/calendar", "invite.ics")
    receive(instance, message.as_bytes(), invitation=INVITATION | changes)
    page = vera.get("/tickets/1").text
    for words in told:
        assert words in page
    assert ("invitation-off" in page) == ("invitation-off" in told)
    assert re.search(r'<a href="/tickets/1/attachments/1" download>.*Add to a calendar', page, re.DOTALL)


@pytest.mark.parametrize(
    ("protection", "words"),
    [
        ("smime-signed", "Signed (S/MIME). The signature is not checked here."),
        ("pgp-signed", "Signed (PGP). The signature is not checked here."),
        ("smime-encrypted", "This message is encrypted (S/MIME)."),
        ("pgp-encrypted", "This message is encrypted (PGP)."),
    ],
)
def test_protection_is_said(vera: Browser, instance: Instance, protection: str, words: str) -> None:
    receive(instance, mail("x", "Hello.\n").as_bytes(), protection=protection)
    assert words in vera.get("/tickets/1").text


def test_whom_it_was_sent_to_and_where_answers_are_wanted(vera: Browser, instance: Instance) -> None:
    message = mail("x", "Hello.\n")
    message.replace_header("To", "Help <help@desk.test>, amy@acme.test")
    message["Cc"] = "Bob Ray <bob@binder.test>"
    message["Reply-To"] = "ANN@acme.test, Office <office@acme.test>"
    receive(instance, message.as_bytes())
    page = vera.get("/tickets/1").text
    assert "<summary>to Help &lt;help@desk.test&gt; and 2 more</summary>" in page
    for address in ("amy@acme.test", "Bob Ray &lt;bob@binder.test&gt;"):
        assert f'<span class="address">{address}</span>' in page
    [wanted] = re.findall(r'<p class="reply-to">(.*?)</p>', page)
    assert "Office &lt;office@acme.test&gt;" in wanted
    assert "ANN@" not in wanted


def test_an_old_entry_without_recipients(vera: Browser, instance: Instance) -> None:
    receive(instance, mail("x", "Hello.\n").as_bytes(), recipients=None)
    assert "<summary>to " not in vera.get("/tickets/1").text


def test_oddities_are_told_in_words(vera: Browser, instance: Instance) -> None:
    defects = [
        "header line without a colon", "unknown charset 'x-nope'", "Something of its own",
        "header line without a colon", "130 attachments, 100 listed", "Date not understood: ValueError",
    ]  # fmt: skip
    receive(instance, full_mail(), defects=defects)
    page = vera.get("/tickets/1").text
    assert "<summary>This message has 4 oddities</summary>" in page
    for words in (
        "A line among the header fields is none; it was skipped.",
        "The character set “&#39;x-nope&#39;” is not known; it was guessed.",
        "Something of its own.",
        "The Date of this message could not be understood.",
        "30 more attachments are not listed.",
    ):
        assert words in page


def test_files_tell_their_name_kind_and_size(vera: Browser, instance: Instance) -> None:
    receive(instance, full_mail())
    page = vera.get("/tickets/1").text
    for words in ("table.csv", "CSV table, 5 bytes", "SVG drawing, 36 bytes", "PNG picture", "mail, "):
        assert words in page


# The original


def test_technicians_read_the_original(bob: Browser, vera: Browser, instance: Instance) -> None:
    raw = b"Subject: x\r\nX-Odd: \xe2\x80\xaegpj <script>alert(1)</script>\r\n\r\nbody\x00\xff\r\n"
    receive(instance, raw)
    page = bob.get("/tickets/1/entries/1/original").text
    assert "X-Odd: \ufffdgpj &lt;script&gt;alert(1)&lt;/script&gt;\n\nbody\ufffd\ufffd" in page
    with bob.get("/tickets/1/entries/1/original.eml") as answer:
        assert answer.data == raw
        assert answer.headers["Content-Disposition"] == "attachment; filename=message-1.eml"
    assert "/original" in bob.get("/tickets/1").text
    assert "/original" not in vera.get("/tickets/1").text
    assert "/email-log/1/headers" in vera.get("/tickets/1").text


def test_a_long_original_is_shown_in_part(bob: Browser, instance: Instance) -> None:
    receive(instance, mail("x", "word " * 100_000).as_bytes())
    page = bob.get("/tickets/1/entries/1/original").text
    assert "The first 200 KB of" in page
    assert len(page) < 300_000


def test_an_original_that_is_not_kept_is_said(bob: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        inbound = make.make_inbound(session, make.make_mailbox(session), ticket_id=ticket.id)
        make.make_entry(session, ticket, inbound_id=inbound.id)
        make.make_entry(session, ticket)
    for path in ("1/original", "1/original.eml", "2/original", "2/original.eml"):
        answer = bob.get(f"/tickets/1/entries/{path}")
        assert answer.status_code == 404
        assert "no longer kept" in answer.text


def test_html_of_an_entry_is_what_a_frame_shows(vera: Browser, instance: Instance) -> None:
    """The document keeps what the sanitiser left, and adds no way out of it."""
    receive(instance, full_mail())
    with instance.database.writing() as session:
        session.get_one(Entry, 1).body_html = "<p>braces {sender} {0} %s {{ 7*7 }}</p>"
        session.get_one(Entry, 1).from_name = "</title><script>alert(1)</script>{body}"
    text = vera.get(FRAME).text
    assert "<p>braces {sender} {0} %s {{ 7*7 }}</p>" in text
    assert "<script>" not in text
