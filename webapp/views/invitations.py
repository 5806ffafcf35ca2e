"""A calendar invitation as a card: what, when in the desk's zone, where, and who answered what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

_SHOWN_PEOPLE = 50
_DESCRIPTION_CHARS = 2_000
_ANSWERS = {
    "ACCEPTED": "Accepted",
    "DECLINED": "Declined",
    "TENTATIVE": "Accepted tentatively",
    "DELEGATED": "Passed on to somebody else",
}
_NOT_NAME = re.compile(r" [<(]")
_METHODS = {
    "REQUEST": "Invitation",
    "CANCEL": "Cancelled",
    "COUNTER": "Another time is proposed",
    "DECLINECOUNTER": "The other time does not suit",
    "REFRESH": "Asks for the newest version",
    "ADD": "Further dates",
    "PUBLISH": "Event",
    "": "Event",
}


@dataclass(frozen=True, slots=True)
class Card:
    heading: str  # the method in words
    is_off: bool  # cancelled or declined
    what: str
    when: str
    zone_note: str
    where: str
    organizer: str
    people: tuple[str, ...]
    more_people: int
    repeats: str
    description: str


def card(invitation: Mapping[str, Any] | None, zone: ZoneInfo) -> Card | None:
    """`invitation` has the fields of `webapp.mail.message.Invitation`."""
    if not invitation:
        return None
    people = tuple(invitation["attendees"])
    when, note = _when(invitation, zone)
    heading = _heading(invitation, people)
    return Card(
        heading=heading,
        is_off=invitation["method"] == "CANCEL"
        or "CANCELLED" in invitation["status"]
        or heading.startswith("Declined"),
        what=invitation["summary"] or "(no title)",
        when=when,
        zone_note=note,
        where=invitation["location"],
        organizer=invitation["organizer"],
        people=people[:_SHOWN_PEOPLE],
        more_people=max(0, invitation["attendee_count"] - len(people[:_SHOWN_PEOPLE])),
        repeats=invitation["repeats"],
        description=invitation["description"][:_DESCRIPTION_CHARS],
    )


def _heading(invitation: Mapping[str, Any], people: tuple[str, ...]) -> str:
    method, status = invitation["method"].upper(), invitation["status"].upper()
    if method == "REPLY":
        answer = _ANSWERS.get(status, "Answered")
        return f"{answer} by {_NOT_NAME.split(people[0])[0]}" if people else answer
    if status == "CANCELLED":
        return _METHODS["CANCEL"]
    return _METHODS.get(method, f"Calendar message ({method.title()})")


def _when(invitation: Mapping[str, Any], zone: ZoneInfo) -> tuple[str, str]:
    """When it is in words, and what is to be known about the zone."""
    written_start, written_end = invitation["start"] or "", invitation["end"] or ""
    if not written_start:
        return "no time given", ""
    if (first := _date(written_start)) is not None:
        return _days(first, _date(written_end)), ""
    start, end = _time(written_start, zone), _time(written_end, zone)
    if start is None:  # not a time we know: as it was written
        return " to ".join(filter(None, (written_start, written_end))), ""
    if start.tzinfo is None:
        named = invitation["time_zone"]
        what = f"the time zone “{named}”, which is not known here" if named else "no time zone"
        return _span(start, end), f"Given with {what}: the time is that of the sender's clock."
    return f"{_span(start, end)}, {zone.key}", ""


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _time(text: str, zone: ZoneInfo) -> datetime | None:
    """In `zone`, or without one where none was given."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(zone) if at.tzinfo else at
    except (ValueError, OverflowError):
        return None


def _days(first: date, behind: date | None) -> str:
    """Whole days; the end of RFC 5545 (section 3.6.1) is the day behind the last."""
    last = behind - timedelta(days=1) if behind and behind > first else first
    if last == first:
        return f"{_day(first)}, the whole day"
    return f"{_day(first)} to {_day(last)}, whole days"


def _span(start: datetime, end: datetime | None) -> str:
    begins = f"{_day(start)}, {start:%H:%M}"
    if end is None or end == start or (end.tzinfo is None) != (start.tzinfo is None):
        return begins
    if end.date() == start.date():
        return f"{begins} to {end:%H:%M}"
    return f"{begins} to {_day(end)}, {end:%H:%M}"


def _day(day: date) -> str:
    return f"{day:%A}, {day.day} {day:%b} {day.year}"
