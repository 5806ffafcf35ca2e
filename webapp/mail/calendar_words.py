"""Calendar values in words: how often something repeats, and an invitation as text."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from webapp.mail.message import Invitation

_UNITS = {
    "SECONDLY": "second", "MINUTELY": "minute", "HOURLY": "hour", "DAILY": "day", "WEEKLY": "week",
    "MONTHLY": "month", "YEARLY": "year",
}  # fmt: skip
_DAYS = {
    "MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday",
    "SU": "Sunday",
}  # fmt: skip
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_ORDINALS = {
    "1": "first",
    "2": "second",
    "3": "third",
    "4": "fourth",
    "5": "fifth",
    "-1": "last",
    "-2": "last but one",
}
_WORKDAYS = {"MO", "TU", "WE", "TH", "FR"}
_HEADINGS = {
    "REQUEST": "Invitation",
    "CANCEL": "Cancelled",
    "REPLY": "Answer to an invitation",
    "COUNTER": "Another time is proposed",
    "DECLINECOUNTER": "The proposed time is declined",
}
_ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "accepted tentatively"}
_SHOWN_PEOPLE = 20


def repeats_in_words(rule: str) -> str:
    """An RRULE (RFC 5545 section 3.3.10) as "every 2 weeks on Monday, until 24 December 2026"."""
    parts: dict[str, str] = {}
    for piece in rule.upper()[:1_000].split(";"):
        name, _, value = piece.partition("=")
        parts.setdefault(name.strip(), value.strip())
    unit = _UNITS.get(parts.get("FREQ", ""))
    if unit is None:
        return ""
    interval = _number(parts.get("INTERVAL", "")) or 1
    words = f"every {unit}" if interval == 1 else f"every {interval} {unit}s"
    return words + _on(parts) + _until(parts)


def invitation_text(invitation: Invitation) -> str:
    """What, when, where and who, for a message that has no other text."""
    heading = _HEADINGS.get(invitation.method, "Event")
    if invitation.method == "REPLY" and invitation.status in _ANSWERS and invitation.attendees:
        heading = f"{invitation.attendees[0].partition(' (')[0]} {_ANSWERS[invitation.status]}"
    lines = [f"{heading}: {invitation.summary or '(no title)'}", ""]
    lines += [f"When: {when_in_words(invitation)}"] if invitation.start else []
    lines += [f"Repeats: {invitation.repeats}"] if invitation.repeats else []
    lines += [f"Where: {invitation.location}"] if invitation.location else []
    lines += [f"Organizer: {invitation.organizer}"] if invitation.organizer else []
    if invitation.attendees and invitation.method != "REPLY":
        shown = invitation.attendees[:_SHOWN_PEOPLE]
        more = invitation.attendee_count - len(shown)
        lines += [f"Who: {', '.join(shown)}" + (f" and {more} more" if more > 0 else "")]
    lines += ["", invitation.description] if invitation.description else []
    return "\n".join(lines).strip()


def when_in_words(invitation: Invitation) -> str:
    """ "24 November 2026, 10:00 to 11:00 (Europe/Berlin)"."""
    start, end = _moment(invitation.start), _moment(invitation.end)
    if start is None:
        return invitation.start or ""
    if not isinstance(start, datetime):
        last = (
            end - timedelta(days=1)
            if end is not None and not isinstance(end, datetime) and end > start
            else start
        )
        return f"{_day(start)}" + (f" to {_day(last)}" if last != start else "") + " (whole day)"
    words = f"{_day(start)}, {start:%H:%M}"
    if isinstance(end, datetime):
        words += f" to {end:%H:%M}" if end.date() == start.date() else f" to {_day(end)}, {end:%H:%M}"
    if start.tzinfo is None:
        return words + (f" ({invitation.time_zone})" if invitation.time_zone else "")
    offset = f"UTC{start:%z}" if start.utcoffset() else "UTC"
    return f"{words} ({invitation.time_zone or offset})"


def _on(parts: dict[str, str]) -> str:
    by_day = parts.get("BYDAY", "")
    days = [one.strip() for one in by_day.split(",")[:20] if one.strip()]
    position = parts.get("BYSETPOS", "")
    words = ""
    if set(days) == _WORKDAYS and len(days) == 5:
        words = f" on the {_ORDINALS[position]} working day" if position in _ORDINALS else " on working days"
    elif days:
        named = [_named_day(one, position) for one in days]
        if all(named):
            words = " on " + _listed(named)
    numbers = [one for one in parts.get("BYMONTHDAY", "").split(",")[:31] if _number(one.lstrip("+-"))]
    if numbers and not words:
        words = " on day " + _listed(["the last" if one == "-1" else one for one in numbers])
    months = [
        _MONTHS[number - 1]
        for one in parts.get("BYMONTH", "").split(",")[:12]
        if (number := _number(one)) and number <= 12
    ]
    return words + (" in " + _listed(months) if months else "")


def _named_day(text: str, position: str) -> str:
    day = _DAYS.get(text[-2:], "")
    which = text[:-2].lstrip("+") or position
    if not which:
        return day
    return f"the {_ORDINALS[which]} {day}" if day and which in _ORDINALS else ""


def _until(parts: dict[str, str]) -> str:
    if count := _number(parts.get("COUNT", "")):
        return f", {count} times" if count > 1 else ", once"
    text = parts.get("UNTIL", "")[:8]
    try:
        return f", until {_day(date(int(text[:4]), int(text[4:6]), int(text[6:8])))}"
    except ValueError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _moment(text: str | None) -> date | datetime | None:
    try:
        if text is None:
            return None
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        return None


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
