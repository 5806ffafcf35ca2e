"""The tag in a subject that names a ticket: `[T-1042]`, or another form where the desk has set one.

A form is a text with `{number}` in it. Whatever a desk has sent with is understood for ever, and the first
form always is: customers answer mail of years ago.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

FIRST = "[T-{number}]"
MAX_CHARACTERS = 40
_TAGS_IN_SUBJECT = 10
_NUMBER = "{number}"
_PREFIX = "{prefix}"
_IS_PREFIX = re.compile(r"[A-Za-z](?:[A-Za-z0-9]{0,8}[A-Za-z])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TicketTags:
    """The form this desk sends with, and those it has sent with before."""

    current: str = FIRST
    former: tuple[str, ...] = ()

    def of(self, ticket_id: int) -> str:
        """What stands in a subject: [T-1042]."""
        return self.current.replace(_NUMBER, str(ticket_id))

    def found_in(self, subject: str) -> list[tuple[int, str]]:
        """The tickets a subject names, in order, each once, and the tag that names it."""
        found: dict[int, str] = {}
        for tag, number in self._matches(subject):
            found.setdefault(number, tag)
        return list(found.items())[:_TAGS_IN_SUBJECT]

    def strip_from(self, subject: str) -> str:
        """`subject` without its tags, on one line: for a new ticket that must not claim the old one."""
        return " ".join(self._pattern().sub(" ", subject).split())

    def _matches(self, subject: str) -> Iterator[tuple[str, int]]:
        for match in self._pattern().finditer(subject):
            yield match[0], int(next(filter(None, match.groups())))

    def _pattern(self) -> re.Pattern[str]:
        return _pattern((FIRST, self.current, *self.former))


def read_form(form: str, prefix: str) -> str:
    """The form as it is kept, from what was typed: `[{prefix}-{number}]` and `T`. ValueError, a sentence."""
    form = form.strip()
    if _PREFIX in form and not _IS_PREFIX.fullmatch(prefix):
        raise ValueError("Enter 1 to 10 letters from A to Z; digits may stand between them.")
    if form.count(_NUMBER) != 1:
        raise ValueError("Write {number} once, where the ticket's number stands.")
    if form.count(_PREFIX) > 1:
        raise ValueError("Write {prefix} once at most.")
    whole = form.replace(_PREFIX, prefix)
    before, _, after = whole.partition(_NUMBER)
    if not whole.isascii() or not whole.isprintable() or set(before + after) & set("{}") or "=?" in whole:
        raise ValueError("Use letters, digits and signs that every mail program shows, and no other braces.")
    if len(whole) > MAX_CHARACTERS:
        raise ValueError(f"At most {MAX_CHARACTERS} characters fit.")
    if before[-1:].isdigit() or after[:1].isdigit():
        raise ValueError("Put a sign between {number} and another digit.")
    if not re.search(r"[A-Za-z#]", before):
        raise ValueError("Put {prefix}, letters or # before {number}, or any number would be a ticket's.")
    return whole


@functools.lru_cache(maxsize=64)
def _pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_as_pattern, dict.fromkeys(forms))), re.IGNORECASE | re.ASCII)


def _as_pattern(form: str) -> str:
    """A tag stands by itself: no letter or digit goes on where it begins or ends with one."""
    before, _, after = form.partition(_NUMBER)
    start = r"(?<![A-Za-z0-9])" if before[:1].isalnum() else ""
    end = r"(?![A-Za-z0-9])" if not after or after[-1].isalnum() else ""
    return f"{start}{re.escape(before)}([1-9][0-9]{{0,17}}){re.escape(after)}{end}"
