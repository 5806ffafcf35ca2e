"""The Date field in its many dialects (RFC 5322 section 3.3): for showing only, never trusted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan januar january janvier gennaio enero ene",
            "feb februar february fevrier fev febbraio febrero",
            "mar maerz märz mrz march mars marzo",
            "apr april avril avr aprile abril abr",
            "may mai mei maggio mayo",
            "jun juni june juin giugno junio",
            "jul juli july juillet luglio julio",
            "aug august aout août agosto ago",
            "sep sept september septembre settembre septiembre",
            "oct okt october oktober octobre ottobre octubre",
            "nov november novembre noviembre",
            "dec dez december dezember decembre décembre dicembre diciembre dic",
        ),
        start=1,
    )
    for name in names.split()
}
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_DAY_FIRST = re.compile(
    r"(\d{1,2})[-. /]+([^\W\d]+)[-. /,]+(\d{4})\D{0,5}(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?"
)
_MONTH_FIRST = re.compile(r"([^\W\d]+)[. ]+(\d{1,2}),? +(\d{4})\D{0,5}(\d{1,2}):(\d{2})(?::(\d{2}))?")
_ZONE = re.compile(r"(?:GMT|UTC)?([+-])(\d{2}):?(\d{2})\b")
_HALF = re.compile(r"\b([ap])\.?m\b", re.IGNORECASE)


def parse_date(value: str) -> datetime | None:
    """`value` as an aware UTC datetime, None where it is no date."""
    value = value[:200].strip()
    if not value:
        return None
    try:
        return (_iso(value) or _standard(value) or _dialect(value)) if any(map(str.isdigit, value)) else None
    except (ValueError, OverflowError, TypeError, IndexError, KeyError, AttributeError):
        return None


def _standard(value: str) -> datetime | None:
    found = parsedate_tz(value)
    if found is None:
        return None
    try:
        naive = datetime(*found[:6], tzinfo=UTC)
    except ValueError:
        return None
    offset = found[9] or 0
    return naive - timedelta(seconds=offset) if abs(offset) < 86_400 else naive


def _iso(value: str) -> datetime | None:
    found = _ISO.match(value)
    if found is None:
        return None
    numbers = [int(number or 0) for number in found.groups()]
    return _in_zone(datetime(*numbers), value[found.end() :])  # type: ignore[arg-type]  # noqa: DTZ001


def _dialect(value: str) -> datetime | None:
    found = _DAY_FIRST.search(value)
    if found is not None:
        day, month = found[1], _MONTHS.get(found[2].lower())
    else:
        found = _MONTH_FIRST.search(value)
        if found is None:
            return None
        day, month = found[2], _MONTHS.get(found[1].lower())
    if month is None:
        return None
    hour, minute, second = int(found[4]), int(found[5]), int(found[6] or 0)
    rest = value[found.end() :]
    half = _HALF.search(rest)
    if half is not None:
        hour = hour % 12 + (12 if half[1].lower() == "p" else 0)
    return _in_zone(datetime(int(found[3]), month, int(day), hour, minute, second), rest)  # noqa: DTZ001


def _in_zone(naive: datetime, rest: str) -> datetime:
    zone = _ZONE.search(rest)
    offset = timedelta(0)
    if zone is not None:
        offset = timedelta(hours=int(zone[2]), minutes=int(zone[3])) * (1 if zone[1] == "+" else -1)
    if abs(offset) >= timedelta(hours=24):
        offset = timedelta(0)
    return naive.replace(tzinfo=timezone(offset)).astimezone(UTC)
