"""What a message holds besides text is understood in the closed-off parser process as well.

Some modules are imported only for messages that need them, long after files were taken away.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mail import tnef_made as made
from tests.mail.test_calendar import CUSTOM_ZONE, EVENT, calendar, mail
from tests.mail.test_protection import compressed
from tests.mail.test_protection import mail as smime
from tests.mail.test_tnef import HTML_RTF
from webapp.inbound.parser_process import ParserProcess
from webapp.mail.parse import parse

SISIMAI = Path(__file__).parent.parent / "messages" / "sisimai"
MEETING = made.SIGNATURE + made.attribute(
    made.MAPI,
    made.properties(
        made.variable(0x1009, made.BINARY, made.literal_rtf(HTML_RTF)),
        made.fixed(0x3FDE, made.LONG, struct.pack("<I", 1252)),
    ),
)
MESSAGES = {
    "winmail.dat": made.mail(MEETING + made.file("plan.pdf", b"%PDF") + made.attached_mail(MEETING)),
    "zone of the database": mail(calendar()),
    "zone of Windows": mail(calendar(EVENT.replace("Europe/Berlin", "W. Europe Standard Time"))),
    "zone of the calendar": mail(calendar(before=CUSTOM_ZONE)),
    "S/MIME": smime(compressed(b"Content-Type: text/plain\r\n\r\nHello")),
    "a bounce": (SISIMAI / "lhost-exim-06.eml").read_bytes(),
}


@pytest.fixture(scope="module")
def process() -> Iterator[ParserProcess]:
    with ParserProcess(seconds=20) as running:
        yield running


@pytest.mark.parametrize("name", MESSAGES)
def test_the_closed_off_process_understands_the_same(process: ParserProcess, name: str) -> None:
    with ParserProcess(seconds=20) as fresh:
        message = fresh.parse(MESSAGES[name])
    assert message == parse(MESSAGES[name]) == process.parse(MESSAGES[name])
    assert message.invitation or message.report or message.body_text
    for attachment in message.attachments:
        assert process.file(MESSAGES[name], [attachment.position])[0] == attachment


def test_the_zones_are_known_there(process: ParserProcess) -> None:
    for name in ("zone of the database", "zone of Windows"):
        invitation = process.parse(MESSAGES[name]).invitation
        assert invitation is not None
        assert invitation.start == "2026-11-24T10:00:00+01:00"


def test_a_large_winmail_dat_fits_in_its_memory(process: ParserProcess) -> None:
    raw = made.mail(made.SIGNATURE + made.file("film.mp4", b"\0" * (30 << 20)), b"x")
    assert process.parse(raw).attachments[0].size == 30 << 20
