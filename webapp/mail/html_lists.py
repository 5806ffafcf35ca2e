"""The marks of list items: as HTML counts them, and as Word writes them into paragraphs."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"-?\d{1,6}")
_WORD_BULLETS = frozenset("·o§•Ø\uf0b7\uf0a7\uf0d8v-–")  # of Symbol, Wingdings and Courier: no letters there
_WORD_LEVEL = re.compile(r"\blevel([1-9])\b")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_MOST_ROMAN = 3999


@dataclass
class ItemList:
    """One open list; `number` is that of the next item, None in a list that does not count."""

    number: int | None
    type: str = "1"

    @classmethod
    def of(cls, name: str, attributes: dict[str, str]) -> ItemList:
        if name == "ul":
            return cls(None)
        start = attributes.get("start", "").strip()
        return cls(int(start) if _NUMBER.fullmatch(start) else 1, attributes.get("type", "1").strip())

    def next_marker(self, value: str = "") -> str:
        """ "- " or the number of the next item; `value` is what the item itself says."""
        if self.number is None:
            return "- "
        if _NUMBER.fullmatch(value.strip()):
            self.number = int(value)
        number, self.number = self.number, self.number + 1
        return f"{_counted(number, self.type)}. "


def bullet_of_word(text: str) -> str:
    """The first words of a list paragraph of Word: its bullet of a symbol font as "- ", a number as it is."""
    stripped = text.strip(" \xa0")
    first, rest = stripped[:1], stripped[1:].lstrip(" \xa0")
    if first in _WORD_BULLETS and (not rest or stripped[1] in " \xa0"):
        return f"- {rest}"
    return f"{stripped} " if re.fullmatch(r"\(?\w{1,6}[.)]", stripped) else stripped


def level_of_word(attributes: str) -> int:
    found = _WORD_LEVEL.search(attributes)
    return int(found[1]) if found else 1


def _counted(number: int, kind: str) -> str:
    if number < 1 or kind not in ("a", "A", "i", "I"):
        return str(number)
    name = _letters(number) if kind in "aA" else _roman(number)
    return name.upper() if kind in "AI" else name


def _letters(number: int) -> str:
    out = ""
    while number:
        number, digit = divmod(number - 1, 26)
        out = chr(ord("a") + digit) + out
    return out


def _roman(number: int) -> str:
    if number > _MOST_ROMAN:
        return str(number)
    out = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        out += letters * count
    return out
