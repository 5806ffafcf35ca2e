"""The lines that Outlook and others put above a quoted message: From/Sent/To/Subject, "Original Message"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from webapp.mail import quotes_words as words

_DASHES = r"[-_‐–—=]"
_ORIGINAL = re.compile(
    rf"^[>\s*|]*{_DASHES}{{2,}}\s*(?:{words.ORIGINAL_MESSAGE})\s*{_DASHES}{{2,}}[\s*]*$",
    re.IGNORECASE | re.VERBOSE,
)
_BARE_ORIGINAL = re.compile(rf"^\**(?:{words.ORIGINAL_MESSAGE})\**\s*[:：]?$", re.IGNORECASE | re.VERBOSE)
_FORWARDED = re.compile(
    rf"^[\s*]*{_DASHES}{{2,}}\s*(?:{words.FORWARDED})|^(?:{words.BEGINS_FORWARDED})\s*[:：]$",
    re.IGNORECASE | re.VERBOSE,
)
_ANNOUNCES_HEADER = re.compile(words.ANNOUNCES_HEADER, re.IGNORECASE)
_RULE = re.compile(rf"^[\s*]*{_DASHES}{{10,}}[\s*]*$")
_TIME = re.compile(r"\d{1,2}[:.]\d\d|\d時|\d시|\d年")
_IP = re.compile(r"^\d{1,3}(?:\.\d{1,3}){3}\b")
_KIND = {word.strip(): kind for kind, row in words.HEADER_FIELDS.items() for word in row.split("/")}
_RAW = {word.strip() for word in words.RAW_FIELDS.split("/")}
_LINES = 16
_LINE_CHARS = 300
_NAME_CHARS = 30
MARK_BEGINS = "-_*|‐–—="
_DECORATION = " \t>*|\xa0"


def may_be_mark(line: str) -> bool:
    """Whether the line can be one of the marks below, cheaply; `line` without blanks at its ends."""
    return len(line) < 120 and line[0] in MARK_BEGINS and any(map(str.isalpha, line[:60]))


def is_field(line: str) -> bool:
    """Whether the line names a field that header blocks have."""
    return (one := field(line)) is not None and one[0] in _KIND


def is_original_message(line: str) -> bool:
    """Whether the line is "-----Original Message-----" in some language."""
    return line[:1] in (*MARK_BEGINS, ">") and len(line) < 120 and _ORIGINAL.match(line) is not None


def is_forward_mark(line: str) -> bool:
    """Whether the line says that what stands below it was forwarded ("Begin forwarded message:")."""
    is_possible = line[:1] in tuple(MARK_BEGINS) or line.endswith((":", "："))
    return is_possible and len(line) < 120 and _FORWARDED.match(line) is not None


def is_rule(line: str) -> bool:
    """Whether the line is drawn of ten dashes or underscores."""
    return line[:1] in tuple(MARK_BEGINS) and len(line) < _LINE_CHARS and _RULE.match(line) is not None


def field(line: str) -> tuple[str, str] | None:
    """Name in lower case and value of "Name: value", with decoration removed; None for another line."""
    name, colon, value = line[:_LINE_CHARS].partition(":")
    if not colon or "：" in name:
        name, colon, value = line[:_LINE_CHARS].partition("：")
    name = name.strip(_DECORATION)
    if not colon or not name or len(name) > _NAME_CHARS:
        return None
    return name.casefold(), value.strip(_DECORATION)


def begins_header_block(lines: Sequence[str], number: int) -> bool:
    """Whether a program's header block of a quoted message begins with line `number`.

    From and at least two of date, recipient and subject, and something that only a program writes: an
    address, a time or its line above. A raw header, and one that the words above announce, were pasted.
    `lines` have no blanks at their ends.
    """
    if (first := field(lines[number])) is None or (kind := _KIND.get(first[0])) is None:
        return False
    found = _block(lines, number)
    kinds = set(found)
    if "from" not in kinds or len(kinds & {"from", "to", "subject"}) + bool(kinds & {"sent", "date"}) < 3:
        return False
    if _IP.match(found["from"]) or "raw" in kinds or _is_pasted(lines, number):
        return False
    has_mark = _has_mark_above(lines, number)
    if has_mark or any("@" in value for value in found.values()):
        return True
    is_outlook = kind == "from" and "sent" in kinds and "subject" in kinds
    return is_outlook or (kind in ("from", "sent") and _TIME.search(found.get("date", "")) is not None)


def history_begin(lines: Sequence[str], number: int) -> int:
    """Where the history begins whose block stands at `number`: the rule and mark above belong to it."""
    for _ in range(3):
        above = _line_above(lines, number)
        if above < 0 or not (
            is_rule(lines[above])
            or is_original_message(lines[above])
            or _BARE_ORIGINAL.match(lines[above][:60])
        ):
            break
        number = above
    return number


def _block(lines: Sequence[str], number: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines[number : number + _LINES]:
        if not line:
            continue
        one = field(line)
        if one is None:
            if "@" not in line and ";" not in line:
                break
        elif one[0] in _RAW or one[0].startswith("x-"):
            found["raw"] = ""
        elif (kind := _KIND.get(one[0])) is not None:
            if kind in found:
                break
            found[kind] = one[1]
    return found


def _line_above(lines: Sequence[str], number: int) -> int:
    above = number - 1
    while above >= 0 and not lines[above] and number - above < _LINES:
        above -= 1
    return above if above >= 0 and lines[above] else -1


def _has_mark_above(lines: Sequence[str], number: int) -> bool:
    above = _line_above(lines, number)
    return above >= 0 and (is_rule(lines[above]) or is_original_message(lines[above]))


def _is_pasted(lines: Sequence[str], number: int) -> bool:
    above = _line_above(lines, number)
    if above < 0:
        return False
    line = lines[above]
    if any((one := field(each)) and one[0] in _RAW for each in lines[max(0, number - 4) : number]):
        return True
    if is_original_message(line) or _BARE_ORIGINAL.match(line[:60]):
        return False
    is_announced = line.endswith((":", "：")) and not any(char.isdigit() or char == "@" for char in line)
    return is_announced or _ANNOUNCES_HEADER.search(line[:_LINE_CHARS]) is not None
