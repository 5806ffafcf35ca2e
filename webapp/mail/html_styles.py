"""Style declarations of a stranger, cut down to those that colour and space: none loads or covers anything.

Lengths are bounded, margins are never negative, and what hides an element hides it as in any mail program.
"""

from __future__ import annotations

import re
from functools import lru_cache

from webapp.mail.html_hidden import is_hidden

_LONGEST = 4_000  # characters of one attribute
_MOST = 60  # declarations of one element
_DECLARATION = re.compile(
    r"""\s*([a-z-]{1,40})\s*:((?:[^;"'()]|"[^"]*"|'[^']*'|\([^()]*\))*)(?:;|$)""", re.IGNORECASE
)
_IMPORTANT = re.compile(r"\s*!\s*important\s*$", re.IGNORECASE)
# No escape, no comment, no character that could end a declaration or begin another.
_PLAIN = re.compile(r"""[\w\s#%.,+/'"()-]{1,300}""")
_FUNCTION = re.compile(r"([\w-]*)\(")
_COLOR_FUNCTIONS = frozenset({"rgb", "rgba", "hsl", "hsla"})
_LENGTH = re.compile(
    r"([+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}))(px|pt|pc|em|rem|ex|ch|in|cm|mm|%)?", re.IGNORECASE
)
_PIXELS = {
    "": 1,
    "px": 1,
    "pt": 4 / 3,
    "pc": 16,
    "em": 16,
    "rem": 16,
    "ex": 8,
    "ch": 8,
    "in": 96,
    "cm": 37.8,
    "mm": 3.78,
}
_TOKEN = re.compile(r"""[\w-]*\([^()]*\)|"[^"]*"|'[^']*'|[^\s,/"'()]+""")
_LENGTH_BEGIN = re.compile(r"[+-]?\.?\d")
_WHITE_OR_PARENTHESES = re.compile(r"[^\s()]*\([^()]*\)|[^\s()]+")
_COLOR = re.compile(
    r"#[0-9a-f]{3,8}|(?:rgb|hsl)a?\([\d\s.,%/-]{1,60}\)|[a-z]{3,24}", re.IGNORECASE
)  # fmt: skip
# Words of `background` that name no colour (CSS Backgrounds 3, section 3.10).
_NO_COLORS = frozenset(
    """none repeat repeat-x repeat-y no-repeat space round scroll fixed local left right top bottom center
    border-box padding-box content-box cover contain auto inherit initial unset revert url text""".split()  # noqa: SIM905
)
_GAP = 120  # pixels of a margin or padding
_SIZE = 96  # of letters
_WIDTH = 2_000
_LINE = 200
_BORDER = 40
# Property -> most pixels of each length in its value; None where it has none that matters.
_PROPERTIES: dict[str, int | None] = {
    "color": None, "background-color": None, "font-weight": None, "font-style": None, "font-family": None,
    "font-variant": None, "text-align": None, "text-decoration": None, "text-transform": None,
    "vertical-align": _LINE, "white-space": None, "list-style-type": None, "border-collapse": None,
    "direction": None, "word-break": None, "overflow-wrap": None,
    "font-size": _SIZE, "font": _SIZE, "line-height": _LINE, "letter-spacing": 20, "border-spacing": _BORDER,
    "width": _WIDTH, "max-width": _WIDTH,
    "border-radius": _WIDTH, "border-color": None, "border-style": None,
    **{f"{side}-{part}": None for side in ("border-top", "border-right", "border-bottom", "border-left")
       for part in ("color", "style")},
    **{f"border{side}{width}": _BORDER for side in ("", "-top", "-right", "-bottom", "-left")
       for width in ("", "-width")},
    **{f"{gap}{side}": _GAP for gap in ("margin", "padding")
       for side in ("", "-top", "-right", "-bottom", "-left")},
}  # fmt: skip
_WORDS = {
    "display": frozenset({"none", "block", "inline", "inline-block"}),
    "float": frozenset({"left", "right", "none"}),
    "clear": frozenset({"left", "right", "both", "none"}),
}
_MAY_BE_NEGATIVE = frozenset({"vertical-align", "letter-spacing"})
_FACTORS = {"line-height": 4, "font": 900}  # a number without a unit is no length there
_OUR_BOUND = re.compile(rf"min\(\d[\d.]*(?:em|%|ex|ch), ?{_SIZE}px\)")  # what was bounded once stays as it is
_LARGER = f"min(1.2em,{_SIZE}px)"
PROPERTIES = frozenset(_PROPERTIES) | frozenset(_WORDS)


@lru_cache(maxsize=2_048)
def safe_style(written: str) -> str:
    """The declarations of a `style` attribute that may be shown, "" where there is none."""
    if is_hidden(written[:_LONGEST]):
        return "display:none"
    kept: dict[str, str] = {}
    for count, found in enumerate(_DECLARATION.finditer(written[:_LONGEST])):
        if count == _MOST:
            break
        name, value = found[1].lower(), _IMPORTANT.sub("", found[2]).strip()
        if name == "background":
            name, value = "background-color", _color_of(value)
        if value and (safe := _safe(name, value)):
            kept.pop(name, None)
            kept[name] = safe
    return ";".join(f"{name}:{value}" for name, value in kept.items())


def bounded_attribute(value: str, most: int) -> str | None:
    """A width, height or span as HTML writes it ("600", "100%"), at most `most`; None where it is none."""
    found = re.match(r"\s*(\d{1,9})(?:\.\d*)?\s*(%?)", value)
    if found is None:
        return None
    return f"{min(int(found[1]), 100 if found[2] else most)}{found[2]}"


def _safe(name: str, value: str) -> str:
    if name in _WORDS:
        return value.lower() if value.lower() in _WORDS[name] else ""
    if name not in _PROPERTIES or not _PLAIN.fullmatch(value):
        return ""
    foreign = _OUR_BOUND.sub("", value)
    if any(found[1].lower() not in _COLOR_FUNCTIONS for found in _FUNCTION.finditer(foreign)):
        return ""
    if _PROPERTIES[name] is None:
        return value
    try:
        return _TOKEN.sub(lambda found: _bounded(name, found[0]), value)
    except ValueError:
        return ""


def _bounded(name: str, token: str) -> str:
    """A length within the limit of its property; any other word as it is. ValueError for what is neither."""
    if token.lower() == "larger":
        return _LARGER
    if not _LENGTH_BEGIN.match(token):
        return token
    found = _LENGTH.fullmatch(token)
    if found is None:
        raise ValueError(token)
    number, unit = float(found[1]), (found[2] or "").lower()
    limit = _limit(name, unit)
    if number < 0 and name not in _MAY_BE_NEGATIVE:
        return "0"
    if abs(number) > limit:
        token = f"{limit if number > 0 else -limit:.4g}{unit}"
    if name in ("font", "font-size") and unit in ("em", "%", "ex", "ch") and number > 1:
        return f"min({token},{_SIZE}px)"  # letters that grow with each level would grow without end
    return token


def _limit(name: str, unit: str) -> float:
    if unit == "%":
        return 30 if name.startswith(("margin", "padding")) else 100 if "width" in name else 300
    if not unit and name in _FACTORS:
        return _FACTORS[name]
    return (_PROPERTIES[name] or 0) / _PIXELS[unit]


def _color_of(background: str) -> str:
    """The colour in a `background` shorthand, "" where it has none; never its picture."""
    for found in _WHITE_OR_PARENTHESES.finditer(background):
        word = found[0].strip(",")
        if _COLOR.fullmatch(word) and word.lower() not in _NO_COLORS:
            return word
    return ""
