"""The Date field in its many dialects (RFC 5322 sections 3.3 and 4.3): for showing only, never trusted.

What can be read in two ways (3/4/2024) is no date: a wrong day is worse than none.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta

from webapp.mail.month_names import MONTHS, month_of

_DATE_CHARS = 200
_FIRST_YEAR = 1950  # what two digits can say (RFC 5322 section 4.3)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STANDARD = re.compile(
    r"(?:[A-Za-z]{3},)? *(\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d)(?::(\d\d))?"
    r" ([+-])(\d\d)([0-5]\d)(?: \([^()]*\))? *",
    re.ASCII,
)
_COMMENT = re.compile(r"\([^()]*\)")
_BASIC_ISO = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)T?(\d\d)(\d\d)(\d\d)?(?!\d)")
_SECONDS_SINCE_1970 = re.compile(r"\d{9,10}")
_CLOCK = re.compile(r"(?<![\d.])(\d{1,2})\s?:\s?(\d\d)(?:\s?[:.]\s?(\d\d)(?:[.,]\d{1,9})?)?(?!\d)")
_DOTTED_CLOCK = re.compile(r"(?<![\d.:])(\d{1,2})[.hH](\d\d)(?:[.m](\d\d))?(?![\d.])")
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})\s?[-/.年년]\s?(\d{1,2})\s?[-/.月월]\s?(\d{1,2})(?!\d)\s?[日일.]?")
_NUMBERS = re.compile(r"(?<!\d)(\d{1,2})\s?([./-])\s?(\d{1,2})\s?\2\s?(\d{4}|\d\d)(?!\d)")
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d{1,4}(?!\d)")
_HALF = re.compile(r"(?<![^\W\d_])([ap])\.?\s?m\b|(上午|오전|午前)|(下午|오후|午後)", re.IGNORECASE)
_OFFSET = re.compile(r"([+\u2212-])\s?(?:(\d\d):?([0-5]\d)|(\d{1,2})(?::([0-5]\d))?)(?!\d)")
_SHORT_OFFSET = re.compile(r"([+-])(\d)([0-5]\d)(?!\d)")  # "+100"
# Hours ahead of UTC. The military letters were read the wrong way round for years: RFC 5322 says 0.
_ZONES = {
    "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7, "akst": -9,
    "akdt": -8, "hst": -10, "ast": -4, "adt": -3, "nst": -3.5, "ndt": -2.5, "brt": -3, "art": -3,
    "wet": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2, "mez": 1, "mesz": 2, "met": 1, "mest": 2, "eet": 2,
    "eest": 3, "msk": 3, "msd": 4, "sast": 2, "ist": 5.5, "pkt": 5, "ict": 7, "wib": 7, "sgt": 8, "hkt": 8,
    "awst": 8, "jst": 9, "kst": 9, "acst": 9.5, "acdt": 10.5, "aest": 10, "aedt": 11, "nzst": 12, "nzdt": 13,
}  # fmt: skip


def parse_date(value: str) -> datetime | None:
    """`value` as an aware UTC datetime, None where it is no date or may be two; never an exception."""
    value = value[:_DATE_CHARS]
    try:
        return _standard(value) or _dialect(value)
    except (ValueError, OverflowError):
        return None


def _standard(value: str) -> datetime | None:
    found = _STANDARD.fullmatch(value)
    if found is None or (month := MONTHS.get(found[2].lower())) is None:
        return None
    clock = (int(found[4]), int(found[5]), int(found[6] or 0))
    offset = timedelta(hours=int(found[8]), minutes=int(found[9]))
    return _moment((int(found[3]), month, int(found[1])), clock, -offset if found[7] == "-" else offset)


def _dialect(value: str) -> datetime | None:
    text = unicodedata.normalize("NFKC", _COMMENT.sub(" ", value)).strip()
    if (found := _BASIC_ISO.search(text)) is not None:
        year, month, day, hour, minute = map(int, found.groups()[:5])
        offset = _offset(text[found.end() :])
        return _moment((year, month, day), (hour, minute, int(found[6] or 0)), offset)
    if _SECONDS_SINCE_1970.fullmatch(text) is not None:
        return _EPOCH + timedelta(seconds=int(text))
    numeric = _numeric_date(text)
    date, text = numeric if numeric is not None else (None, text)
    clock, before, behind = _clock(text)
    if date is None:
        date = _worded_date(before, behind if clock is not None else "")
    if date is None:
        return None
    return _moment(date, clock or (0, 0, 0), _offset(behind))


def _moment(date: tuple[int, int, int], clock: tuple[int, int, int], offset: timedelta) -> datetime:
    """The time in UTC. Second 60 and hour 24 are the beginning of the next; no place is 24 hours off."""
    hour, minute, second = clock
    if date[0] < _FIRST_YEAR:
        raise ValueError("no year of a mail")
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError("no time of day")
    if abs(offset) >= timedelta(hours=24):
        offset = timedelta(0)
    midnight = datetime(*date, tzinfo=UTC)
    return midnight + timedelta(hours=hour, minutes=minute, seconds=second) - offset


def _numeric_date(text: str) -> tuple[tuple[int, int, int], str] | None:
    """A date of numbers alone, and the text without it. Day and month must not be exchangeable."""
    if (found := _YEAR_FIRST.search(text)) is not None:
        year, month, day = int(found[1]), int(found[2]), int(found[3])
    elif (found := _NUMBERS.search(text)) is not None and not _has_month(text):
        first, second, year = int(found[1]), int(found[3]), _full_year(found[4])
        is_month_first = second > 12 or (first <= 12 and found[2] != "." and _HALF.search(text) is not None)
        if found[2] != "." and not is_month_first and first <= 12 and first != second:
            raise ValueError("either of the two may be the month")
        month, day = (first, second) if is_month_first else (second, first)
    else:
        return None
    return (year, month, day), f"{text[: found.start()]} {text[found.end() :].removeprefix('T')}"


def _has_month(text: str) -> bool:
    return any(month_of(word) is not None for word in _WORD.findall(text))


def _clock(text: str) -> tuple[tuple[int, int, int] | None, str, str]:
    """The time of day, what stands before it and what behind."""
    found = _CLOCK.search(text) or _DOTTED_CLOCK.search(text)
    if found is None:
        return None, text, ""
    before, behind = text[: found.start()], text[found.end() :]
    hour = int(found[1])
    half = _HALF.search(behind) or _HALF.search(before)
    if half is not None and hour <= 12:
        is_afternoon = half[3] is not None or (half[1] or "").lower() == "p"
        hour = hour % 12 + (12 if is_afternoon else 0)
    return (hour, int(found[2]), int(found[3] or 0)), before, behind


def _worded_date(before: str, behind: str) -> tuple[int, int, int] | None:
    """Day, month and year where the month is a word; the year may stand behind the time (asctime)."""
    # "mar." is Tuesday in half of the Romance languages: the last month counts.
    for text, tail in ((before, behind), (behind, "")):
        words = [word for word in _WORD.finditer(text) if month_of(word[0]) is not None]
        if not words:
            continue
        month = month_of(words[-1][0]) or 0
        left = _NUMBER.findall(text[: words[-1].start()])[-1:]
        right = _NUMBER.findall(text[words[-1].end() :])
        if len(left) + len(right) < 2:
            right += _NUMBER.findall(_OFFSET.sub(" ", tail))
        numbers = (left + right)[:2]
        if len(numbers) < 2:
            return None
        first, second = numbers
        if len(first) > 2 or int(first) > 31:
            first, second = second, first
        return _full_year(second), month, int(first)
    return None


def _full_year(digits: str) -> int:
    """RFC 5322 section 4.3: two digits are 1950 to 2049, three count from 1900."""
    year = int(digits)
    if len(digits) <= 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _offset(behind: str) -> timedelta:
    """How far the zone named behind the time is ahead of UTC; 0 where none is named."""
    found = _SHORT_OFFSET.search(behind)
    if found is not None:
        hours, minutes = int(found[2]), int(found[3])
    elif (found := _OFFSET.search(behind)) is not None:
        hours, minutes = int(found[2] or found[4]), int(found[3] or found[5] or 0)
    else:
        names = (_ZONES.get(word.lower()) for word in _WORD.findall(behind))
        return timedelta(hours=next((hours for hours in names if hours is not None), 0))
    offset = timedelta(hours=hours, minutes=minutes)
    return offset if found[1] == "+" else -offset
