"""When a calendar event is (RFC 5545 sections 3.3.4 to 3.3.6): dates, times, durations and time zones."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from webapp.mail.calendar_lines import Component, Property

_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)\Z")
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?(?:\.\d{1,9})?(Z?)\Z", re.IGNORECASE)
_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,5})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?\Z",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)(\d\d)?\Z")
_ZONE_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,40}(?:/[A-Za-z0-9_+-]{1,40}){0,2}\Z")
_UTC_OFFSET = re.compile(r"\(?(?:UTC|GMT) ?([+-]\d\d):?(\d\d)\)?", re.IGNORECASE)
_BY_DAY = re.compile(r"([+-]?\d)?(MO|TU|WE|TH|FR|SA|SU)\Z")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_MOST_ONSETS = 100  # definitions of one zone that are looked at


@dataclass(frozen=True, slots=True)
class When:
    """`value` is a date for a whole day; a time without tzinfo where the zone is not known."""

    value: date | datetime
    zone: str | None  # as written

    def iso(self) -> str:
        if isinstance(self.value, datetime):
            return self.value.isoformat(timespec="seconds")
        return self.value.isoformat()


def when(found: Property | None, zones: list[Component]) -> When | None:
    """The moment of a DTSTART, DTEND or DUE; None where it says nothing we understand."""
    if found is None:
        return None
    value = found.value.strip()
    zone = found.parameters.get("TZID") or None
    try:
        if match := _DATE.match(value):
            return When(date(*(int(part) for part in match.groups())), zone)
        if (match := _TIME.match(value)) is None:
            return None
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        local = datetime(year, month, day, hour % 24, minute, min(second, 59))  # noqa: DTZ001 - floating
        local += timedelta(days=hour // 24)
    except (ValueError, OverflowError):
        return None
    if match[7]:
        return When(local.replace(tzinfo=UTC), "UTC")
    known = zone_of(zone, zones, local) if zone else None
    return When(local.replace(tzinfo=known), zone)


def duration(text: str) -> timedelta | None:
    found = _DURATION.match(text.strip())
    if found is None or not any(found.groups()[1:]):
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -length if found[1] == "-" else length


def zone_of(name: str, zones: list[Component], local: datetime) -> tzinfo | None:
    """The zone called `name`: of the zone database, of Windows, or as the calendar defines it."""
    name = name.strip().strip('"')
    known = _named(name)
    if known is not None:
        return known
    for zone in zones:
        if zone.text("TZID").strip('"') == name and (offset := _defined(zone, local)) is not None:
            return offset
    if found := _UTC_OFFSET.match(name):  # "(UTC+01:00) Amsterdam, Berlin": as some servers write it
        return timezone(timedelta(hours=int(found[1]), minutes=int(found[1][0] + found[2])))
    return None


def _named(name: str) -> tzinfo | None:
    from tzlocal.windows_tz import win_tz

    parts = name.strip("/").split("/")
    # "/freeassociation.sourceforge.net/Europe/Berlin": a path with the zone at its end.
    keys = [name, *("/".join(parts[-count:]) for count in (3, 2) if len(parts) > count)]
    for key in keys:
        key = win_tz.get(key, key)
        if key.upper() in ("UTC", "GMT", "Z"):
            return UTC
        if _ZONE_KEY.match(key) and "/" in key:
            try:
                return ZoneInfo(key)
            except (LookupError, ValueError, OSError):
                continue
    return None


def _defined(zone: Component, local: datetime) -> timezone | None:
    """The offset that a VTIMEZONE (RFC 5545 section 3.6.5) gives for `local`."""
    onsets: list[tuple[datetime, timedelta]] = []
    for definition in zone.components[:_MOST_ONSETS]:
        offset = _offset(definition.text("TZOFFSETTO"))
        start = when(definition.first("DTSTART"), [])
        if offset is None or start is None or not isinstance(start.value, datetime):
            continue
        begins = start.value.replace(tzinfo=None)
        rule = _rule(definition.text("RRULE"))
        onsets += [(begins, offset)]
        for year in (local.year - 1, local.year):
            onset = _onset(rule, year, begins) if rule else None
            if onset is not None and onset >= begins:
                onsets.append((onset, offset))
    if not onsets:
        return None
    before = [onset for onset in onsets if onset[0] <= local]
    try:
        return timezone(max(before)[1] if before else min(onsets)[1])
    except ValueError:
        return None


def _rule(text: str) -> dict[str, str]:
    pairs = (piece.partition("=") for piece in text.upper().split(";", 20)[:20])
    return {name.strip(): value.strip() for name, _, value in pairs if value}


def _onset(rule: dict[str, str], year: int, begins: datetime) -> datetime | None:
    """When a yearly rule such as "the last Sunday of March" begins in `year`."""
    by_day = _BY_DAY.match(rule.get("BYDAY", ""))
    month_text = rule.get("BYMONTH", "")
    if not (month_text.isdigit() and 1 <= int(month_text) <= 12):
        return None
    month = int(month_text)
    try:
        if by_day is None:
            return begins.replace(year=year, month=month)
        last = calendar.monthrange(year, month)[1]
        weekday = _WEEKDAYS.index(by_day[2])
        days = [day for day in range(1, last + 1) if date(year, month, day).weekday() == weekday]
        which = int(by_day[1] or 1)
        day = days[which - 1] if which > 0 else days[which]
        return begins.replace(year=year, month=month, day=day)
    except (ValueError, IndexError, calendar.IllegalMonthError):
        return None


def _offset(text: str) -> timedelta | None:
    found = _OFFSET.match(text)
    if found is None:
        return None
    length = timedelta(hours=int(found[2]), minutes=int(found[3]), seconds=int(found[4] or 0))
    return -length if found[1] == "-" else length
