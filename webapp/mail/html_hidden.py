"""What a page holds and nobody sees: preheaders, copies for other programs, counters of one pixel."""

from __future__ import annotations

import re

# Mail programs show none of these, or browsers do not.
_DISPLAY = re.compile(r"(?<![\w-])display\s*:\s*([\w-]{1,20})", re.IGNORECASE)
_HIDES = re.compile(
    r"""(?<![\w-])(?:visibility\s*:\s*hidden | mso-hide\s*:\s*all
    | max-height\s*:\s*0(?:\.0*)?(?:px|pt|em)?\s*(?:[;!]|$) | opacity\s*:\s*0(?:\.0*)?\s*(?:[;!]|$))""",
    re.IGNORECASE | re.VERBOSE,
)
_FONT_SIZE = re.compile(r"(?<![\w-])font-size\s*:\s*([^;]{1,40})", re.IGNORECASE)
_TINY = re.compile(r"\s*[01](?:\.\d*)?(?:px|pt|%)?\s*(?:!|$)|\s*0?\.\d+(?:px|pt)", re.IGNORECASE)
_SMALL_SIZE = re.compile(r"\s*[0-2](?:px)?\s*", re.IGNORECASE)
_SMALL_STYLE = re.compile(r"(?<![\w-])(?:width|height)\s*:\s*[0-2](?:\.0*)?px\s*(?:[;!]|$)", re.IGNORECASE)


def is_hidden(style: str) -> bool:
    """Whether an element with these declarations is not seen, whatever stands in it."""
    displays = _DISPLAY.findall(style)  # the last one counts
    return (bool(displays) and displays[-1].lower() == "none") or _HIDES.search(style) is not None


def is_tiny(style: str) -> bool | None:
    """Whether the words are too small to see; None where the style says nothing of their size.

    Layout columns have a size of 0 as well, and their content brings its own.
    """
    found = _FONT_SIZE.search(style)
    return _TINY.match(found[1]) is not None if found else None


def is_counter(attributes: dict[str, str]) -> bool:
    """Whether a picture is there to be loaded and not to be seen."""
    sizes = [attributes[name] for name in ("width", "height") if name in attributes]
    if any(_SMALL_SIZE.fullmatch(size) for size in sizes):
        return True
    style = attributes.get("style", "")
    return bool(style) and (_SMALL_STYLE.search(style) is not None or is_hidden(style))


class Unseen:
    """Follows the elements of a document, and knows whether text at this place is seen.

    Only elements that say something about it are kept, with a count of those of their name within.
    """

    def __init__(self) -> None:
        self._scopes: list[tuple[str, bool, bool]] = []  # name, hidden, tiny
        self._within: list[int] = []
        self.now = False

    @property
    def is_within(self) -> bool:
        """Whether an element that says something about it is open."""
        return bool(self._scopes)

    @property
    def is_hidden(self) -> bool:
        return bool(self._scopes) and self._scopes[-1][1]

    def open(self, name: str, style: str, otherwise: bool) -> None:
        """`otherwise`: hidden by something else than its own style."""
        tiny = is_tiny(style) if style else None
        was_hidden, was_tiny = self._scopes[-1][1:] if self._scopes else (False, False)
        hides = otherwise or (bool(style) and is_hidden(style))
        if hides or tiny is not None:
            hidden = was_hidden or hides
            self._scopes.append((name, hidden, was_tiny if tiny is None else tiny))
            self._within.append(0)
            self.now = hidden or self._scopes[-1][2]
        elif self._scopes and self._scopes[-1][0] == name and name != "p":  # no <p> within a <p>
            self._within[-1] += 1

    def close(self, name: str) -> None:
        if not self._scopes or self._scopes[-1][0] != name:
            return
        if self._within[-1]:
            self._within[-1] -= 1
            return
        self._scopes.pop()
        self._within.pop()
        self.now = bool(self._scopes) and (self._scopes[-1][1] or self._scopes[-1][2])
