"""Calendar parts (RFC 5545, iTIP: RFC 5546) as an `Invitation`; broken and endless ones cost bounded time.

Recurrences are told in words and never expanded. A calendar library reads the whole object before one
can look at its first event; here reading stops when enough is known.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from webapp.mail.calendar_lines import MOST_OCTETS, Component, Property, read_calendar, unescaped
from webapp.mail.calendar_times import When, duration, when
from webapp.mail.calendar_words import repeats_in_words
from webapp.mail.charset import one_line, readable
from webapp.mail.message import Invitation
from webapp.mail.mime import Part

_ATTENDEES = 50
_LINE_CHARS = 500
_DESCRIPTION_CHARS = 20_000
_METHOD_CHARS = 20
_ANSWERS = {
    "ACCEPTED": "accepted",
    "DECLINED": "declined",
    "TENTATIVE": "tentative",
    "DELEGATED": "delegated",
    "COMPLETED": "completed",
    "IN-PROCESS": "in process",
}


def read_invitation(part: Part) -> tuple[Invitation | None, list[str]]:
    """What the calendar in `part` says of its first event (the master of a series); and the defects met."""
    data = part.content(most=2 * MOST_OCTETS)
    calendar, is_cut = read_calendar(data, part.charset)
    if calendar is None:
        return None, ["calendar without a VCALENDAR"]
    defects = ["calendar read only in part"] if is_cut else []
    events = [one for one in calendar.components if one.name in ("VEVENT", "VTODO")]
    if not events:
        return None, defects
    event = next((one for one in events if one.first("RECURRENCE-ID") is None), events[0])
    method = (calendar.text("METHOD") or part.parameters.get("method", "")).upper()
    if event.first("DTSTART") is not None and when(event.first("DTSTART"), []) is None:
        defects.append("calendar with a start that is no time")
    return _invitation(calendar, event, one_line(method)[:_METHOD_CHARS]), defects


def _invitation(calendar: Component, event: Component, method: str) -> Invitation:
    zones = [one for one in calendar.components if one.name == "VTIMEZONE"]
    start = when(event.first("DTSTART") or event.first("DUE"), zones)
    end = _end(event, start, zones)
    attendees = event.all("ATTENDEE")
    organizer = event.first("ORGANIZER")
    return Invitation(
        method=method,
        summary=_line(event.text("SUMMARY")),
        start=start.iso() if start else None,
        end=end.iso() if end else None,
        time_zone=_line(start.zone)[:100] if start and start.zone else None,
        location=_line(event.text("LOCATION")),
        organizer=_person(organizer) if organizer else "",
        attendees=tuple(_attendee(one) for one in attendees[:_ATTENDEES]),
        attendee_count=len(attendees),
        repeats=_repeats(event),
        description=readable(event.text("DESCRIPTION")).strip()[:_DESCRIPTION_CHARS],
        status=_status(event, method, attendees),
    )


def _end(event: Component, start: When | None, zones: list[Component]) -> When | None:
    """DTEND; or the start and DURATION; or the day after a whole day that has neither."""
    end = when(event.first("DTEND") or (event.first("DUE") if event.first("DTSTART") else None), zones)
    if end is not None or start is None:
        return end
    length = duration(event.text("DURATION"))
    is_day = not isinstance(start.value, datetime)
    if length is None and not is_day:
        return None
    try:
        return When(_later(start.value, timedelta(days=1) if length is None else length), start.zone)
    except OverflowError:
        return None


def _later(start: date | datetime, length: timedelta) -> date | datetime:
    """RFC 5545 section 3.3.6: days are of the calendar, hours of real time, also when the clocks change."""
    if not isinstance(start, datetime) or start.tzinfo is None:
        return start + length
    days = timedelta(days=length.days)
    return ((start + days).astimezone(UTC) + (length - days)).astimezone(start.tzinfo)


def _repeats(event: Component) -> str:
    rule = event.first("RRULE")
    if rule is not None:
        return repeats_in_words(rule.value)
    dates = sum(len(one.value[:4_000].split(",")) for one in event.all("RDATE")[:100])
    return f"on {dates} further dates" if dates > 1 else "on one further date" if dates else ""


def _status(event: Component, method: str, attendees: list[Property]) -> str:
    if method == "REPLY" and attendees:
        return _line(attendees[0].parameters.get("PARTSTAT", "")).upper()[:_METHOD_CHARS]
    return _line(event.text("STATUS")).upper()[:_METHOD_CHARS]


def _attendee(found: Property) -> str:
    answer = _ANSWERS.get(found.parameters.get("PARTSTAT", "").upper())
    return f"{_person(found)} ({answer})" if answer else _person(found)


def _person(found: Property) -> str:
    """ "Ann Lee <ann@acme.test>" of a CAL-ADDRESS with its CN."""
    address = _line(unescaped(found.value))
    if address.lower().startswith("mailto:"):
        address = address[7:].strip()
    if "@" not in address and found.parameters.get("EMAIL"):
        address = _line(found.parameters["EMAIL"])
    name = _line(unescaped(found.parameters.get("CN", "")))
    if "@" not in address:
        return name or address
    return f"{name} <{address}>" if name and name.lower() != address.lower() else address


def _line(text: str) -> str:
    return one_line(text)[:_LINE_CHARS].strip()
