"""The part of a text that its sender wrote: quoted history and signature folded away, conservatively.

Where it is not clear that a line begins history, the line is kept. On screen what is left
out is folded, never deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from webapp.mail import quotes_words as words
from webapp.mail.attribution import (
    attribution_begin,
    is_groupwise,
    is_lost_end,
    may_be_newer_groupwise,
    may_end_one,
)
from webapp.mail.forwarding import is_forward
from webapp.mail.header_block import (
    MARK_BEGINS,
    begins_header_block,
    history_begin,
    is_field,
    is_forward_mark,
    is_original_message,
    may_be_mark,
)
from webapp.mail.signature import without_tail

MARKER = "-- reply above this line --"

_MARKER = re.compile(r"\breply[\s>|]{1,6}above[\s>|]{1,6}this[\s>|]{1,6}line\b", re.IGNORECASE)
_FRAME_CHARS = 40
_MARKER_FRAME = re.compile(r"[\s>|*_#~=.\-]*(?:please[\s>]*)?", re.IGNORECASE)
_ANSWERS_BELOW = re.compile(words.ANSWERS_BELOW, re.IGNORECASE | re.VERBOSE)
_QUOTED_OTHERWISE = re.compile(r"^(?:[A-Za-z]{1,3}>|\|)")
_WORD = re.compile(r"\w+")
_ANSWER_WORDS = 6
_ANSWER_CHARS = 12
_TOP_LINES = 12
_LOOKED_AT = 50_000  # lines with a colon or a dash
_TRIED = 300  # attributions and header blocks looked at closely, so that a hostile text costs one pass


class _Text(NamedTuple):
    """A text by lines: as they are, without blanks at their ends, and whether a ">" quotes them.

    `last_answer` is the last line of the sender's above line `last_quoted`, -1 where there is none.
    """

    lines: list[str]
    bare: list[str]
    quoted: list[bool]
    last_quoted: int
    last_answer: int
    has_text_behind: bool  # below line `last_quoted` is more than what programs add


def reply_text(text: str, *, subject: str = "") -> str:
    """`text` without quoted history and signature; all of it where nothing would be left.

    A `subject` that says "Fwd:" keeps what stands below the sender's own words: it was forwarded to be read.
    """
    whole = _by_lines(text)
    start = _answer_below_quote(whole)
    if start:
        whole = _by_lines("\n".join(whole.lines[start:]))
    marker = _marker_line(whole, text) if not start else None
    forwards = marker is None and is_forward(subject, text)
    end, is_forwarded = _end_of_reply(whole, marker, forwards)
    if is_forwarded:
        return text.strip()
    own = whole.lines[:end]
    if not forwards:
        own = _without_trailing_quotes(whole, end)
    kept = "\n".join(without_tail(own)).strip()
    return kept or "\n".join(own).strip() or text.strip()


def without_signature(text: str) -> str:
    """A text that has no history, without its signature and what a mail program added; maybe ""."""
    return "\n".join(without_tail(text.split("\n"))).strip()


def _by_lines(text: str) -> _Text:
    lines = text.split("\n")
    bare = [line.strip() for line in lines]
    quoted = [line.startswith(">") for line in bare]
    last = -1
    if ">" in text:
        for number, line in enumerate(bare):
            if not quoted[number]:
                continue
            is_below_quote = number > 0 and quoted[number - 1]
            if (
                is_groupwise(line)
                or (number and is_lost_end(line) and bare[number - 1] and not is_below_quote)
                or (not is_below_quote and may_be_newer_groupwise(line) and not _is_deep(bare, number + 1))
            ):
                quoted[number] = False
            else:
                last = number
    answer = last
    while answer >= 0 and (quoted[answer] or not bare[answer]):
        answer -= 1
    has_text_behind = last >= 0 and any(line.strip() for line in without_tail(lines[last + 1 :]))
    return _Text(lines, bare, quoted, last, answer, has_text_behind)


def _is_deep(bare: list[str], number: int) -> bool:
    return number < len(bare) and bare[number].startswith(">>")


def _marker_line(whole: _Text, text: str) -> int | None:
    """The line of our own "-- reply above this line --", alone there, maybe quoted, in bold or wrapped."""
    for found in _MARKER.finditer(text):
        before = text[max(0, found.start() - _FRAME_CHARS) : found.start()].rpartition("\n")[2]
        behind = text[found.end() : found.end() + _FRAME_CHARS].partition("\n")[0]
        if max(len(before), len(behind)) < _FRAME_CHARS and all(
            _MARKER_FRAME.fullmatch(part) for part in (before, behind)
        ):
            return text.count("\n", 0, found.start())
    return None


def _answer_below_quote(whole: _Text) -> int:
    """An attribution with its quote on top and only the answer below: the lines before the answer."""
    if whole.last_quoted < 0 or not whole.has_text_behind:
        return 0
    first_quoted = whole.quoted.index(True)
    if first_quoted > _TOP_LINES or whole.last_answer > first_quoted:
        return 0
    last = first_quoted - 1
    while last > 0 and not whole.bare[last]:
        last -= 1
    begin = attribution_begin(whole.bare, last, is_quoted_below=True) if last >= 0 else None
    if begin is None or any(whole.bare[:begin]):
        return 0
    return whole.last_quoted + 1


def _end_of_reply(whole: _Text, marker: int | None, forwards: bool) -> tuple[int, bool]:
    """The line where history begins (or the number of lines), and whether it was forwarded to be read."""
    bare, quoted = whole.bare, whole.quoted
    has_answers = _has_text_below(whole, whole.last_quoted)
    tried = 0
    is_answered_below: bool | None = None
    last_answers: dict[str, int] = {}
    for number in _candidates(whole, marker):
        line = bare[number]
        if number == marker:
            if not quoted[number] or not has_answers:
                return _above_marker(whole, number), False
            continue
        if is_forward_mark(line):
            return len(bare), True
        if tried > _TRIED:
            continue
        tried += 1
        is_block = is_original_message(line) or begins_header_block(bare, number)
        begin: int | None = None
        is_quote_below = False
        if is_block:
            begin = history_begin(bare, number)
        elif may_end_one(bare, number):
            is_quote_below = _is_quoted_below(whole, number)
            begin = attribution_begin(bare, number, is_quoted_below=is_quote_below)
            if begin is not None and is_quote_below and _is_answered(whole, number, last_answers):
                continue
        if begin is None:
            continue
        if forwards and not (is_quote_below and _is_real_answer(bare[:begin])):
            return len(bare), True
        if not is_quote_below:
            if is_answered_below is None:
                is_answered_below = _ANSWERS_BELOW.search("\n".join(whole.lines[:begin])[:20_000]) is not None
            if is_answered_below:
                continue
            begin = history_begin(bare, begin)
        return (history_begin(bare, begin) if begin else begin), False
    return len(bare), False


def _candidates(whole: _Text, marker: int | None) -> Iterator[int]:
    """The lines that may begin history or end an attribution, found by what costs little."""
    bare = whole.bare
    looked_at = 0
    for number, line in enumerate(bare):
        if not line or (whole.quoted[number] and number != marker):
            continue
        if number == marker:
            yield number
            continue
        has_colon = ":" in line or "：" in line
        if not has_colon and line[0] not in MARK_BEGINS and line[-1] not in "->":
            continue
        looked_at += 1
        if looked_at > _LOOKED_AT:
            return
        if (
            may_be_mark(line)
            or (has_colon and (is_field(line) or is_forward_mark(line)))
            or may_end_one(bare, number)
        ):
            yield number


def _above_marker(whole: _Text, number: int) -> int:
    """Where the history begins that our marker stands in: quotes and the attribution above belong to it."""
    while number > 0 and (whole.quoted[number - 1] or not whole.bare[number - 1]):
        number -= 1
    if number > 0 and (line := whole.bare[number - 1]).endswith((":", "：")):
        begin = attribution_begin(whole.bare, number - 1, is_quoted_below=True)
        if begin is not None:
            return begin
        if len(line) < 200 and any(char.isdigit() or char == "@" for char in line):
            return number - 1
    return number


def _is_quoted_below(whole: _Text, number: int) -> bool:
    for below in range(number + 1, min(number + 5, len(whole.bare))):
        if whole.bare[below]:
            return whole.quoted[below] or _QUOTED_OTHERWISE.match(whole.bare[below]) is not None
    return False


def _is_answered(whole: _Text, number: int, last_answers: dict[str, int]) -> bool:
    """Whether the sender's words stand below or between the quotes that begin below line `number`.

    `last_answers` remembers by the mark of quotes other than ">" what is costly to find.
    """
    below = next(n for n in range(number + 1, len(whole.bare)) if whole.bare[n])
    if whole.quoted[below]:
        return _has_text_below(whole, below)
    mark = _QUOTED_OTHERWISE.match(whole.bare[below])
    prefix = mark[0] if mark else ">"
    if prefix not in last_answers:
        last_answers[prefix] = _last_answer(whole, prefix)
    return last_answers[prefix] > below


def _last_answer(whole: _Text, prefix: str) -> int:
    """The last line of the sender's where quotes begin with `prefix`, -1 where there is none."""
    numbers = [n for n, line in enumerate(whole.bare) if not line.startswith((prefix, ">"))]
    kept = len(without_tail([whole.lines[n] for n in numbers]))
    return next((n for n in reversed(numbers[:kept]) if whole.bare[n]), -1)


def _has_text_below(whole: _Text, number: int) -> bool:
    """Whether anything but quotes, and what programs put below a text, stands below line `number`."""
    return whole.has_text_behind or whole.last_answer > number


def _is_real_answer(above: list[str]) -> bool:
    own = " ".join(above)[:2000]
    found = _WORD.findall(own)
    return len(found) >= _ANSWER_WORDS or (not own.isascii() and sum(map(len, found)) >= 3 * _ANSWER_CHARS)


def _without_trailing_quotes(whole: _Text, end: int) -> list[str]:
    """Without the quotes at the end of the sender's lines, where they are history and not shell prompts.

    History stands below an empty line, or begins with an attribution or header block of its own; what the
    line above announces with a colon is the sender's.
    """
    lines = whole.lines[:end]
    tailless = without_tail(lines)
    start = len(tailless)
    while start and (whole.quoted[start - 1] or not whole.bare[start - 1]):
        start -= 1
    if not any(whole.quoted[start : len(tailless)]) or start == 0:
        return lines
    if _is_history(whole, start, len(tailless)):
        return lines[:start]
    return lines


def _is_history(whole: _Text, start: int, end: int) -> bool:
    first = next(n for n in range(start, end) if whole.quoted[n])
    inner = [line.lstrip("> ").strip() for line in whole.bare[first : first + 8]]
    if is_original_message(inner[0]) or begins_header_block(inner, 0):
        return True
    if any(
        attribution_begin(inner, n, is_quoted_below=True) == 0 for n in range(min(3, len(inner))) if inner[n]
    ):
        return True
    above = whole.bare[start - 1]
    return first > start and not above.endswith((":", "："))
