from __future__ import annotations

import struct
import time
from datetime import UTC, datetime

import pytest

from tests.mail import tnef_made as made
from webapp.mail.attachments import attachment_content
from webapp.mail.message import InboundMessage, Report
from webapp.mail.nested import content_at
from webapp.mail.parse import parse
from webapp.mail.rtf import read_rtf, unpack

HTML_RTF = (
    rb"{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0\fswiss Arial;}}{\colortbl\red0\green0\blue0;}"
    rb"{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 Gr\'fc\'dfe {\*\htmltag84 <b>}\htmlrtf {\b\htmlrtf0 Ann"
    rb"{\*\htmltag92 </b>}\htmlrtf }\htmlrtf0 \htmlrtf\par}\htmlrtf0 {\*\htmltag72 </p>}}"
)


def names(message: InboundMessage) -> list[str]:
    return [attachment.filename for attachment in message.attachments]


def test_files_are_attachments_behind_all_others_and_winmail_dat_is_gone() -> None:
    png = made.variable(0x370E, made.UNICODE, "image/png\0".encode("utf-16-le"))
    cid = made.text(0x3712, "pic@acme")
    raw = made.mail(
        made.SIGNATURE + made.file("Größe.pdf", b"%PDF-1") + made.file("a.png", b"\x89PNG", png, cid),
        b"Hello",
    )
    message = parse(raw)
    assert [
        (one.filename, one.content_type, one.position, one.content_id) for one in message.attachments
    ] == [
        ("Größe.pdf", "application/pdf", 2, None),
        ("a.png", "image/png", 3, "pic@acme"),
    ]
    assert attachment_content(raw, 2)[1] == b"%PDF-1"
    assert message.body_text == "Hello"
    assert message.defects == ()
    assert attachment_content(raw, 1)[0].filename == "winmail.dat"  # as rows of older messages have it


def test_a_file_that_is_base64_stays_as_it_is() -> None:
    content = b"VGhpcyBpcyBiYXNlNjQgYW5kIHN0YXlzIGFzIGl0IGlzLg==\n" * 3
    raw = made.mail(made.SIGNATURE + made.file("key.bin", content), b"x")
    assert attachment_content(raw, 2)[1] == content


@pytest.mark.parametrize("pack", [made.stored_rtf, made.literal_rtf])
def test_the_text_is_taken_from_rtf_where_there_is_no_other(pack: object) -> None:
    assert callable(pack)
    rtf = pack(HTML_RTF)
    stream = made.SIGNATURE + made.attribute(
        made.MAPI, made.properties(made.variable(0x1009, made.BINARY, rtf))
    )
    message = parse(made.mail(stream))
    assert message.body_text == "Grüße Ann"
    assert message.body_html is not None
    assert "<b>Ann</b>" in message.body_html
    assert names(message) == []
    assert parse(made.mail(stream, b"Hello")).body_text == "Hello"


def test_plain_and_html_are_one_content() -> None:
    both = made.properties(
        made.text(0x1000, "Hello Ann"),
        made.variable(0x1013, made.BINARY, "<p>Hello <i>Ann</i> €</p>".encode()),
        made.fixed(0x3FDE, made.LONG, struct.pack("<I", 65001)),
    )
    message = parse(made.mail(made.SIGNATURE + made.attribute(made.MAPI, both)))
    assert message.body_text == "Hello Ann"
    assert message.body_html is not None
    assert "<i>Ann</i> €" in message.body_html


@pytest.mark.parametrize(("page", "codec"), [(28592, "iso8859-2"), (20866, "koi8_r"), (50220, "iso2022_jp")])
def test_html_in_the_code_pages_that_mail_has_names_for(page: int, codec: str) -> None:
    text = {"iso8859-2": "Błąd źródła", "koi8_r": "Принтер", "iso2022_jp": "直りました"}[codec]
    found = made.properties(
        made.variable(0x1013, made.BINARY, f"<p>{text}</p>".encode(codec)),
        made.fixed(0x3FDE, made.LONG, struct.pack("<I", page)),
    )
    assert parse(made.mail(made.SIGNATURE + made.attribute(made.MAPI, found))).body_text == text


def test_compressed_rtf_with_references_into_the_dictionary() -> None:
    # The example of MS-OXRTFCP section 3.1.1.
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert unpack(packed) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_a_run_that_repeats_what_it_writes() -> None:
    # The example of MS-OXRTFCP section 3.1.2.
    packed = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert unpack(packed) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"


@pytest.mark.parametrize(
    ("rtf", "text"),
    [
        (rb"{\rtf1\ansi One\par Two\line Three\tab 4}", "One\nTwo\nThree\t4"),
        (rb"{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8}", "При"),
        (rb"{\rtf1{\fonttbl{\f0 A;}{\f7\fcharset204 B;}}\f7 \'cf\plain\f0 \'e9}", "Пé"),
        (rb"{\rtf1\uc1 \u8364?\u-10179?\u-8704?}", "€😀"),
        (rb"{\rtf1{\*\generator Riched20;}{\info{\author Bob}}{\pict 00ff}Text \{x\}}", "Text {x}"),
        (rb"{\rtf1 {\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "link"),
        (rb"{\rtf1 broken", "broken"),
        (rb"}}} nothing", ""),
        (rb"", ""),
    ],
)
def test_rtf_as_text(rtf: bytes, text: str) -> None:
    assert read_rtf(rtf).text == text


def test_an_attached_mail_is_an_eml() -> None:
    inner = made.SIGNATURE + made.attribute(
        made.MAPI,
        made.properties(
            made.text(0x37, "Inner: plan"), made.text(0x1000, "Read me"), made.text(0x0C1A, "Bob")
        ),
    )
    inner += made.file("inside.txt", b"deep")
    raw = made.mail(made.SIGNATURE + made.attached_mail(inner), b"See the mail")
    message = parse(raw)
    assert [(one.filename, one.content_type) for one in message.attachments] == [
        ("Inner_ plan.eml", "message/rfc822")
    ]
    nested = parse(content_at(raw, [2])[1])
    assert (nested.subject, nested.body_text) == ("Inner: plan", "Read me")
    assert names(nested) == ["inside.txt"]
    assert content_at(raw, [2, nested.attachments[0].position])[1] == b"deep"


def test_a_read_receipt_of_outlook() -> None:
    stream = made.SIGNATURE + made.attribute(made.MESSAGE_CLASS, b"REPORT.IPM.Note.IPNRN\0")
    raw = made.mail(stream).replace(b"MIME-Version", b"In-Reply-To: <one@desk>\r\nMIME-Version")
    message = parse(raw)
    assert message.report == Report("disposition-notification", "ann@acme.test", "displayed", "", "one@desk")
    assert message.automated[0].rule == "delivery-report"


def test_a_meeting_without_a_calendar_part() -> None:
    ticks = (
        int((datetime(2026, 11, 24, 9, tzinfo=UTC) - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds())
        * 10**7
    )
    stream = made.SIGNATURE + made.attribute(
        made.MAPI,
        made.properties(
            made.text(0x001A, "IPM.Schedule.Meeting.Request"),
            made.text(0x0037, "Roll-out"),
            made.fixed(0x8001, made.TIME, struct.pack("<Q", ticks), made.named(0x820D)),
            made.text(0x8002, "Room 4", made.named(0x8208)),
        ),
    )
    invitation = parse(made.mail(stream)).invitation
    assert invitation is not None
    assert (invitation.method, invitation.summary, invitation.location) == ("REQUEST", "Roll-out", "Room 4")
    assert invitation.start == "2026-11-24T09:00:00+00:00"


WHOLE = made.SIGNATURE + made.file("a.txt", b"content of a") + made.file("b.txt", b"content of b")


def boundaries(stream: bytes) -> set[int]:
    """Where an attribute ends: cut there, a stream looks whole."""
    at, found = 6, set()
    while at < len(stream):
        at += 9 + int.from_bytes(stream[at + 5 : at + 9], "little") + 2
        found |= {at - 2, at - 1, at}
    return found


@pytest.mark.parametrize("cut", sorted(set(range(4, len(WHOLE) - 2, 7)) - boundaries(WHOLE)))
def test_a_stream_cut_anywhere_keeps_winmail_dat(cut: int) -> None:
    message = parse(made.mail(WHOLE[:cut], b"Hello"))
    assert "winmail.dat" in names(message)
    assert message.body_text == "Hello"
    assert not [defect for defect in message.defects if "not understood" in defect]
    assert [defect for defect in message.defects if "winmail" in defect]


def deep() -> bytes:
    stream = made.SIGNATURE + made.file("core.txt", b"x")
    for _ in range(40):
        stream = made.SIGNATURE + made.attached_mail(stream)
    return stream


HOSTILE = {
    "count of properties": made.SIGNATURE + made.attribute(made.MAPI, b"\xff" * 40),
    "length of an attribute": made.SIGNATURE + b"\x01\x03\x90\x06\x00\xff\xff\xff\xff",
    "unknown type": made.SIGNATURE + made.attribute(made.MAPI, made.properties(b"\x99\x00\x01\x00")),
    "many attributes": made.SIGNATURE + made.attribute(made.SUBJECT, b"x") * 300_000,
    "many files": made.SIGNATURE + made.file("x", b"y") * 3_000,
    "deep": deep(),
    "rtf that says 4 GB": made.SIGNATURE
    + made.attribute(
        made.MAPI,
        made.properties(
            made.variable(
                0x1009, made.BINARY, struct.pack("<II4sI", 9, 2**32 - 1, b"LZFu", 0) + b"\xff\x00\x0f" * 2**20
            )
        ),
    ),
    "rtf of braces": made.SIGNATURE
    + made.attribute(
        made.MAPI, made.properties(made.variable(0x1009, made.BINARY, made.stored_rtf(b"{" * 2**21)))
    ),
    "rtf of codes": made.SIGNATURE
    + made.attribute(
        made.MAPI, made.properties(made.variable(0x1009, made.BINARY, made.stored_rtf(b"{\\f0\\u1" * 2**19)))
    ),
}


@pytest.mark.parametrize("stream", HOSTILE.values(), ids=HOSTILE)
def test_hostile_streams_cost_bounded_time(stream: bytes) -> None:
    begun = time.process_time()
    message = parse(made.mail(stream))
    assert time.process_time() - begun < 5
    assert not [defect for defect in message.defects if "not understood" in defect]


def test_at_most_so_many_are_opened() -> None:
    part = made.mail(WHOLE).partition(b"--b\r\nContent-Type: application")[2]
    part = b"--b\r\nContent-Type: application" + part.removesuffix(b"--b--\r\n")
    raw = made.mail(WHOLE, b"x").removesuffix(b"--b--\r\n") + part * 30 + b"--b--\r\n"
    message = parse(raw)
    assert len([name for name in names(message) if name.startswith("a")]) == 20
    assert len([name for name in names(message) if name.startswith("winmail")]) == 11
    assert "more winmail.dat or S/MIME parts than are opened" in message.defects
