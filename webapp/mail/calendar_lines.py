"""iCalendar content lines (RFC 5545 section 3.1): unfolded, cut into name, parameters and value, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from webapp.mail.charset import TextDecoder

MOST_OCTETS = 1024 * 1024
_MOST_LINES = 20_000
_MOST_EVENTS = 50
_LINE_CHARS = 64 * 1024
_FOLD = re.compile(r"\n[ \t]")
_PARAMETER = re.compile(r';([A-Za-z0-9-]{1,40})=((?:"[^"]*+"|[^";:,]*+)(?:,(?:"[^"]*+"|[^";:,]*+))*+)')
_NAME = re.compile(r"[A-Za-z0-9-]{1,60}(?=[;:])")
_ESCAPED = re.compile(r"\\([\\;,nN:\"])")
_CARET = {"^n": "\n", "^'": '"', "^^": "^"}
_COMPONENTS = frozenset({"VEVENT", "VTODO", "VTIMEZONE", "STANDARD", "DAYLIGHT", "VFREEBUSY", "VJOURNAL"})


@dataclass(frozen=True, slots=True)
class Property:
    name: str
    parameters: dict[str, str]
    value: str  # still escaped


@dataclass(slots=True)
class Component:
    name: str
    properties: list[Property] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)

    def first(self, name: str) -> Property | None:
        return next((one for one in self.properties if one.name == name), None)

    def text(self, name: str) -> str:
        found = self.first(name)
        return "" if found is None else unescaped(found.value).strip()

    def all(self, name: str) -> list[Property]:
        return [one for one in self.properties if one.name == name]


def read_calendar(data: bytes, charset: str | None) -> tuple[Component | None, bool]:
    """The first calendar in `data`, None where there is none; and whether it was cut at a limit.

    Alarms are left out. After the first 50 events, or 20,000 lines, nothing more is read.
    """
    text = TextDecoder(detections=1).decode(data[:MOST_OCTETS], charset or "utf-8").lstrip("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    is_cut = len(data) > MOST_OCTETS
    calendar: Component | None = None
    open_ones: list[Component] = []
    skipped: list[str] = []
    events = 0
    for count, line in enumerate(_FOLD.sub("", text).split("\n", _MOST_LINES)):
        if count == _MOST_LINES:
            return calendar, True
        if (found := _property(line)) is None:
            continue
        if found.name == "BEGIN":
            name = found.value.strip().upper()
            if calendar is None:
                if name == "VCALENDAR":
                    calendar = Component(name)
                    open_ones = [calendar]
            elif skipped or name not in _COMPONENTS or len(open_ones) > 4:
                if len(skipped) < 50:
                    skipped.append(name)
            else:
                events += name in ("VEVENT", "VTODO")
                if events > _MOST_EVENTS:
                    return calendar, True
                component = Component(name)
                open_ones[-1].components.append(component)
                open_ones.append(component)
        elif found.name == "END":
            name = found.value.strip().upper()
            if skipped:
                skipped.pop()
            elif name == "VCALENDAR" and calendar is not None:
                return calendar, is_cut
            elif len(open_ones) > 1:
                open_ones.pop()
        elif open_ones and not skipped:
            open_ones[-1].properties.append(found)
    return calendar, is_cut


def unescaped(value: str) -> str:
    """A TEXT value as a person wrote it (RFC 5545 section 3.3.11)."""
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def _property(line: str) -> Property | None:
    line = line[:_LINE_CHARS]
    name = _NAME.match(line)
    if name is None:
        return None
    at = name.end()
    parameters: dict[str, str] = {}
    for found in _parameters(line, at):
        parameters.setdefault(found[1].upper(), _parameter_value(found[2]))
        at = found.end()
    colon = line.find(":", at)
    if colon < 0:
        return None
    return Property(name[0].upper(), parameters, line[colon + 1 :])


def _parameters(line: str, at: int) -> Iterator[re.Match[str]]:
    for _ in range(40):
        found = _PARAMETER.match(line, at)
        if found is None:
            return
        yield found
        at = found.end()


def _parameter_value(value: str) -> str:
    """Without its quotes; "^n" and the like of RFC 6868 undone."""
    value = value.replace('"', "").strip()
    return re.sub(r"\^[n'^]", lambda found: _CARET[found[0]], value)
