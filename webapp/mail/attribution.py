"""The line above a quotation that says who wrote when: "On <date>, <name> wrote:", in any language."""

from __future__ import annotations

import re
from collections.abc import Sequence

from webapp.mail import quotes_words as words

MAX_LINES = 6
MAX_CHARS = 400
_COLONS = (":", "：")
_ENDS = (*_COLONS, "-", ">>>")

_WROTE = re.compile(
    rf"(?:^|[\s>\"'”»)、,，\d])(?:{words.WROTE})(?!\w)(?P<after>.{{0,100}})$|(?:{words.WROTE_ASIAN})\s*[:：]?$",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_LOST_END = re.compile(rf"^>\ ?(?:{words.WROTE})\s*[:：]$", re.IGNORECASE | re.VERBOSE)
_BEGINS = re.compile(
    rf"^(?:[-\s]*(?:{words.BEGIN})(?![\w'’])|\d{{1,4}}[-./年년,:]|\d{{1,2}}\ "
    r"|[^\W\d]{2,12}[.,]{0,2}\ {1,2}(?:\w{1,9}\ )?\d)",
    re.IGNORECASE | re.VERBOSE,
)
_DATE = re.compile(r"(?:19|20)\d\d(?!\d)|\d{1,4}[./-]\ ?\d{1,2}[./-]\ ?\d{1,4}|\d[年년]")
_TIME = re.compile(r"\d{1,2}[:.h時点]\d\d")
_ADDRESS = re.compile(r"[^\s<>@\"]{1,100}@[^\s<>@\"]{1,100}")
_ENDS_WITH_ADDRESS = re.compile(r"<[^\s<>@]{1,100}@[^\s<>@]{1,100}>{1,2}\s*[:：]$")
_PROSE = re.compile(rf"(?<![\w'’.@-])(?:{words.PROSE})(?![\w'’@])|\bI\b", re.VERBOSE)
_BEGINS_WITH_PROSE = re.compile(rf"^(?:{words.PROSE})\s", re.IGNORECASE | re.VERBOSE)
_LOTUS = re.compile(r"^.{1,80}---\d{1,4}[./-]\d{1,2}[./-]\d{1,4} \d{1,2}:\d\d(?::\d\d)?(?: [AP]M)?---")
_GROUPWISE_MARK = ">>> "
_GROUPWISE = re.compile(r"^>>> .{1,150}\d.{0,20}>>>$")
_INCOMPLETE = re.compile(rf"^(?:[<>]|mailto:|(?:{words.WROTE})\b)", re.IGNORECASE | re.VERBOSE)


def may_end_one(lines: Sequence[str], last: int) -> bool:
    """Whether an attribution can end with line `last`, cheaply; `lines` have no blanks at their ends."""
    line = lines[last]
    if not line.endswith(_ENDS):
        return "---" in line and _LOTUS.match(line[:MAX_CHARS]) is not None
    if line.endswith(">>>"):
        return is_groupwise(line)
    tail = line[-200:] if len(line) > 80 else " ".join(lines[max(0, last - 4) : last + 1])[-MAX_CHARS:]
    return "@" in tail or _has_stem(tail)


def is_groupwise(line: str) -> bool:
    """Whether the line is GroupWise's attribution: ">>> Name <address> 05.01.2024 10:12 >>>"."""
    return line.startswith(">>> ") and line.endswith(">>>") and _GROUPWISE.match(line[:MAX_CHARS]) is not None


def may_be_newer_groupwise(line: str) -> bool:
    """Whether the line can begin one of newer GroupWise: ">>> Name wrote on 05.01.2024 in message"."""
    return (
        line.startswith(_GROUPWISE_MARK)
        and _has_stem(line[:MAX_CHARS])
        and _DATE.search(line[:MAX_CHARS]) is not None
    )


def is_lost_end(line: str) -> bool:
    """Whether the line ends an attribution broken before its bracket ("> wrote:")."""
    return len(line) < 40 and line.endswith(_COLONS) and _LOST_END.match(line) is not None


def attribution_begin(lines: Sequence[str], last: int, *, is_quoted_below: bool) -> int | None:
    """The first line of the attribution that ends with line `last`, None where none does.

    `lines` have no blanks at their ends. With a quotation directly below less is asked for: a verb or
    an address is enough. Without one it must carry a date with year or a time, or an address, and
    must not read as prose ("On 3 January my colleague wrote:").
    """
    line = lines[last]
    if is_groupwise(line) or ("---" in line and _LOTUS.match(line[:MAX_CHARS])):
        return last
    if not line.endswith((*_COLONS, "-")) or (line.endswith("-") and "wrote -" not in line):
        return None
    joined = ""
    weak: int | None = None
    for begin in range(last, max(-1, last - MAX_LINES - 2), -1):
        piece = lines[begin]
        if not piece:
            if joined and _INCOMPLETE.match(joined):
                continue
            break
        is_marked = may_be_newer_groupwise(piece)
        if begin < last and ((piece.startswith(">") and not is_marked) or piece.endswith(_COLONS)):
            break
        if is_marked:
            piece = piece.removeprefix(_GROUPWISE_MARK)
        joined = f"{piece} {joined}" if joined else piece
        if len(joined) > MAX_CHARS:
            break
        is_begin = is_marked or (
            _BEGINS.match(piece) is not None and not (_TIME.match(piece) and not _DATE.search(joined))
        )
        if is_begin and _is_attribution(joined, is_quoted_below, has_begin=True):
            return _with_first_words(lines, begin)
        if weak is None and not is_begin and _is_attribution(joined, is_quoted_below, has_begin=False):
            weak = begin
    return weak


def _with_first_words(lines: Sequence[str], begin: int) -> int:
    """Short pieces that were left alone on the lines above belong to it: "On Mon,", "Jan 1, 2024"."""
    while begin:
        above = lines[begin - 1]
        is_piece = 0 < len(above) < 25 and (above[-1] == "," or above[-1].isdigit()) and _BEGINS.match(above)
        if not is_piece:
            break
        begin -= 1
    return begin


def _is_attribution(joined: str, is_quoted_below: bool, *, has_begin: bool) -> bool:
    if joined.count(">") > joined.count("<") and not joined.endswith(">>>"):
        return False  # its begin stands further up
    has_stem = _has_stem(joined)
    if not has_stem and "@" not in joined:
        return False
    has_address = "@" in joined and _ADDRESS.search(joined) is not None
    has_date, has_time = _DATE.search(joined) is not None, _TIME.search(joined) is not None
    if (wrote := _WROTE.search(joined) if has_stem else None) is None:
        return has_date and has_time and _is_mechanical(joined, is_quoted_below, has_begin, has_address)
    if is_quoted_below:
        return has_begin or has_address or (has_date and len(joined) < 120)
    if not has_begin and not has_address:
        return False
    if has_address and (has_date or has_time):
        return not _BEGINS_WITH_PROSE.match(joined)
    if not has_address and not has_date and not has_time:
        return False
    return not _PROSE.search(joined[: wrote.end()].partition(" ")[2]) and not _BEGINS_WITH_PROSE.match(joined)


def _has_stem(text: str) -> bool:
    text = text.lower()
    return any(stem in text for stem in words.WROTE_STEMS)


def _is_mechanical(joined: str, is_quoted_below: bool, has_begin: bool, has_address: bool) -> bool:
    """Date, time, name and address without a verb: "2024-01-05 10:12 GMT+02:00 Name <address>:"."""
    if _ENDS_WITH_ADDRESS.search(joined):
        return has_begin or is_quoted_below
    return has_address and is_quoted_below
