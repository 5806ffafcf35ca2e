from __future__ import annotations

import time

import pytest

from webapp.mail.calendar_words import repeats_in_words
from webapp.mail.message import Invitation
from webapp.mail.parse import parse

EVENT = """BEGIN:VEVENT
UID:1@acme
SUMMARY;LANGUAGE=en:Roll-out\\, part 2
DTSTART;TZID=Europe/Berlin:20261124T100000
DTEND;TZID=Europe/Berlin:20261124T113000
LOCATION:Room 4\\nBuilding B
ORGANIZER;CN="Lee, Ann":mailto:ann@acme.test
ATTENDEE;CN=Bob;PARTSTAT=ACCEPTED;RSVP=TRUE:MAILTO:bob@acme.test
ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:carol@acme.test
DESCRIPTION:Bring the\\n li
 st\\; and the plan
STATUS:CONFIRMED
BEGIN:VALARM
SUMMARY:not this one
TRIGGER:-PT15M
END:VALARM
END:VEVENT
"""
CUSTOM_ZONE = """BEGIN:VTIMEZONE
TZID:Customized Time Zone
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""


def calendar(events: str = EVENT, method: str = "REQUEST", before: str = "") -> bytes:
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:{method}\n{before}{events}END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def mail(data: bytes, header: str = "text/calendar; charset=utf-8; method=REQUEST") -> bytes:
    return f"From: ann@acme.test\r\nSubject: x\r\nContent-Type: {header}\r\n\r\n".encode() + data


def read(data: bytes, header: str = "text/calendar; charset=utf-8") -> Invitation:
    found = parse(mail(data, header)).invitation
    assert found is not None
    return found


def test_an_invitation() -> None:
    assert read(calendar()) == Invitation(
        method="REQUEST",
        summary="Roll-out, part 2",
        start="2026-11-24T10:00:00+01:00",
        end="2026-11-24T11:30:00+01:00",
        time_zone="Europe/Berlin",
        location="Room 4 Building B",
        organizer="Lee, Ann <ann@acme.test>",
        attendees=("Bob <bob@acme.test> (accepted)", "carol@acme.test"),
        attendee_count=2,
        repeats="",
        description="Bring the\n list; and the plan",
        status="CONFIRMED",
    )


def test_a_mail_without_text_says_it_in_words_and_has_the_file() -> None:
    message = parse(mail(calendar()))
    assert message.body_text == (
        "Invitation: Roll-out, part 2\n\nWhen: 24 November 2026, 10:00 to 11:30 (Europe/Berlin)\n"
        "Where: Room 4 Building B\nOrganizer: Lee, Ann <ann@acme.test>\n"
        "Who: Bob <bob@acme.test> (accepted), carol@acme.test\n\nBring the\n list; and the plan"
    )
    assert [one.filename for one in message.attachments] == ["invite.ics"]


def test_beside_a_text_the_text_stays() -> None:
    raw = mail(
        b"--b\r\n\r\nCome please\r\n--b\r\nContent-Type: text/calendar\r\n\r\n"
        + calendar()
        + b"\r\n--b--\r\n",
        "multipart/alternative; boundary=b",
    )
    message = parse(raw)
    assert message.body_text == "Come please"
    assert message.invitation is not None


@pytest.mark.parametrize(
    ("old", "new", "start", "end"),
    [
        (
            "Europe/Berlin",
            "W. Europe Standard Time",
            "2026-11-24T10:00:00+01:00",
            "2026-11-24T11:30:00+01:00",
        ),
        (
            "Europe/Berlin",
            "/freeassociation.sourceforge.net/Europe/Berlin",
            "2026-11-24T10:00:00+01:00",
            None,
        ),
        ("Europe/Berlin", "Nowhere", "2026-11-24T10:00:00", "2026-11-24T11:30:00"),
        ("Europe/Berlin", '"(UTC+05:30) Chennai, Kolkata"', "2026-11-24T10:00:00+05:30", None),
        ("Europe/Berlin", "Customized Time Zone", "2026-11-24T10:00:00+01:00", "2026-11-24T11:30:00+01:00"),
        (";TZID=Europe/Berlin:2026", ":2026", "2026-11-24T10:00:00", "2026-11-24T11:30:00"),
        (";TZID=Europe/Berlin:20261124T100000", ":20261124T090000Z", "2026-11-24T09:00:00+00:00", None),
        (
            "DTEND;TZID=Europe/Berlin:20261124T113000",
            "DURATION:P1DT45M",
            "2026-11-24T10:00:00+01:00",
            "2026-11-25T10:45:00+01:00",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20261124T100000\nDTEND;TZID=Europe/Berlin:20261124T113000",
            "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227",
            "2026-12-24",
            "2026-12-27",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20261124T100000\nDTEND;TZID=Europe/Berlin:20261124T113000",
            "DTSTART;VALUE=DATE:20261224",
            "2026-12-24",
            "2026-12-25",
        ),
    ],
)
def test_when(old: str, new: str, start: str, end: str | None) -> None:
    assert old in EVENT
    found = read(calendar(EVENT.replace(old, new), before=CUSTOM_ZONE))
    assert found.start == start
    assert end is None or found.end == end


@pytest.mark.parametrize(
    ("day", "offset"),
    [("20260701", "+02:00"), ("20260329", "+02:00"), ("20261101", "+01:00"), ("20260115", "+01:00")],
)
def test_a_zone_as_the_calendar_defines_it(day: str, offset: str) -> None:
    event = EVENT.replace("Europe/Berlin:20261124", f"Customized Time Zone:{day}")
    found = read(calendar(event, before=CUSTOM_ZONE))
    assert (found.start or "").endswith(offset)


@pytest.mark.parametrize("method", ["CANCEL", "COUNTER", "PUBLISH", "request"])
def test_the_method(method: str) -> None:
    assert read(calendar(method=method)).method == method.upper()
    without = calendar().replace(b"METHOD:REQUEST\r\n", b"")
    assert read(without, f"text/calendar; method={method}").method == method.upper()


def test_a_reply_has_the_attendees_answer() -> None:
    event = EVENT.replace("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:carol@acme.test\n", "")
    message = parse(mail(calendar(event.replace("ACCEPTED", "DECLINED"), "REPLY")))
    assert message.invitation is not None
    assert message.invitation.status == "DECLINED"
    assert message.body_text.startswith("Bob <bob@acme.test> declined: Roll-out")


def test_the_master_of_a_series_and_not_its_exception() -> None:
    exception = EVENT.replace("Roll-out", "Exception").replace("UID", "RECURRENCE-ID:20261201T100000\nUID")
    assert read(calendar(exception + EVENT)).summary == "Roll-out, part 2"
    assert read(calendar(exception)).summary == "Exception, part 2"


@pytest.mark.parametrize(
    ("header", "is_one"),
    [
        ("application/ics; name=a.ics", True),
        ("application/octet-stream; name=meeting.ICS", True),
        ("text/plain; name=a.ics", True),
        ("application/pdf; name=a.pdf", False),
        ("text/plain", False),
    ],
)
def test_known_by_type_or_name(header: str, is_one: bool) -> None:
    assert (parse(mail(calendar(), header)).invitation is not None) is is_one


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("FREQ=DAILY", "every day"),
        ("FREQ=WEEKLY;BYDAY=MO,WE", "every week on Monday and Wednesday"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU;COUNT=10", "every 2 weeks on Tuesday, 10 times"),
        (
            "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;UNTIL=20261224T000000Z",
            "every week on working days, until 24 December 2026",
        ),
        ("FREQ=MONTHLY;BYDAY=-1FR", "every month on the last Friday"),
        ("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2", "every month on the second Tuesday"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,15", "every month on day 1 and 15"),
        ("FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=1", "every year on day 1 in March"),
        ("FREQ=SECONDLY;COUNT=99999999999", "every second"),
        ("FREQ=NEVER", ""),
        ("", ""),
    ],
)
def test_repetition_in_words(rule: str, words: str) -> None:
    assert repeats_in_words(rule) == words


def test_at_most_fifty_attendees_are_named() -> None:
    many = "".join(f"ATTENDEE:mailto:p{number}@acme.test\n" for number in range(300))
    found = read(calendar(EVENT.replace("STATUS", f"{many}STATUS")))
    assert (len(found.attendees), found.attendee_count) == (50, 302)


HOSTILE = {
    "100,000 events": calendar(EVENT * 100_000),
    "one line of 20 MB": calendar(EVENT.replace("Roll-out", "x" * 20_000_000)),
    "parameters": calendar(EVENT.replace("SUMMARY;", "SUMMARY;" + "A=b;" * 200_000)),
    "quotes": calendar(EVENT.replace("SUMMARY;", 'SUMMARY;A="' + '",";' * 200_000)),
    "nested": calendar("BEGIN:VEVENT\n" * 100_000),
    "alarms": calendar("BEGIN:VEVENT\n" + "BEGIN:VALARM\n" * 100_000),
    "zones": calendar(before=CUSTOM_ZONE * 5_000),
    "year 0": calendar(EVENT.replace("20261124", "00000000")),
    "year 9999": calendar(EVENT.replace("20261124", "99991231").replace("T113000", "T995999")),
    "a long duration": calendar(
        EVENT.replace("DTEND;TZID=Europe/Berlin:20261124T113000", "DURATION:P99999W999999D")
    ),
    "folds": b"BEGIN:VCALENDAR" + b"\r\n " * 500_000,
    "octets": bytes(range(256)) * 4_000,
    "no end": calendar()[:200],
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_calendars_cost_bounded_time(data: bytes) -> None:
    raw = mail(data)
    begun = time.process_time()
    message = parse(raw)
    assert time.process_time() - begun < 3
    assert not [defect for defect in message.defects if "not understood" in defect]
