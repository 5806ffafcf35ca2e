"""The style sheets of a mail, for its elements by name, class and id; what else a sheet can say is left out.

Mail programs of today keep sheets, and senders count on it: Outlook puts the margins of its paragraphs there.
A sheet cannot be made safe where declarations can, so these go to the elements they are for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape

from webapp.mail.html_hidden import is_hidden
from webapp.mail.html_styles import safe_style

_STYLE_OR_COMMENT = re.compile(r"<!--|<style\b([^<>]{0,500})>", re.IGNORECASE)
_STYLE_END = re.compile(r"</style\b", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|<!--|-->", re.DOTALL)
_FOR_PRINT = re.compile(r"media\s*=\s*[\"']?\s*print\b", re.IGNORECASE)
# "p", ".note", "p.note", "#top", "table#top"; a link that was not visited yet looks like any.
_SELECTOR = re.compile(r"([a-z][a-z0-9]{0,15})?([.#][\w-]{1,80})?(?::link)?", re.IGNORECASE)
_MOST_CHARS = 100_000
_MOST_RULES = 1_000
_MOST_OF_A_RULE = 1_000  # characters
_CLASSES = 10  # looked at of one element
_STRUCTURE = re.compile(r"[{};]")
_DEPTHS = {"{": 1, "}": -1, ";": 0}
# Word says so in a sheet that gateways and web mailers drop: its paragraphs have no margins.
_WORD = re.compile(r"(?:x_)*Mso(?:Normal|PlainText|NoSpacing|ListParagraph(?:CxSp(?:First|Middle|Last))?)")


@dataclass(slots=True)
class Sheet:
    """Declarations by selector, as `safe_style` leaves them."""

    rules: dict[str, str] = field(default_factory=dict)
    hiding: frozenset[str] = frozenset()  # the selectors of those that hide

    def hides(self, name: str, attributes: dict[str, str]) -> bool:
        """Whether an element is hidden by its class or id; what its own style says counts more."""
        keys = [f".{one}" for one in attributes.get("class", "").split()[:_CLASSES]]
        keys.append(f"#{attributes.get('id', '')}")
        found = any(key in self.hiding or f"{name}{key}" in self.hiding for key in keys)
        return found and "display" not in attributes.get("style", "").lower()

    def style_of(self, name: str, attributes: dict[str, str]) -> str:
        """The whole style of an element: by its name, classes, id and its own attribute, in this order."""
        found = [self.rules.get(name, "")]
        if classes := attributes.get("class", "").split()[:_CLASSES]:
            if any(_WORD.fullmatch(one) for one in classes):
                found.append("margin:0")
            found += [self.rules.get(f".{one}", "") for one in classes]
            found += [self.rules.get(f"{name}.{one}", "") for one in classes]
        if own_id := attributes.get("id", ""):
            found += [self.rules.get(f"#{own_id}", ""), self.rules.get(f"{name}#{own_id}", "")]
        found.append(unescape(attributes.get("style", "")))
        return safe_style(";".join(filter(None, found)))


def sheet_of(html: str) -> Sheet:
    """What the sheets in `html` say to every reader, whatever the size of the screen."""
    rules: dict[str, str] = {}
    for count, block in enumerate(_without_conditions(_written_in(html)).split("}")):
        if count == _MOST_RULES:
            break
        selectors, brace, declarations = block.partition("{")
        safe = safe_style(declarations.strip()) if brace else ""
        for selector in selectors.split(",") if safe else ():
            known = _SELECTOR.fullmatch(selector.strip())
            if known and (known[1] or known[2]):
                key = f"{(known[1] or '').lower()}{known[2] or ''}"
                whole = f"{rules[key]};{safe}" if key in rules else safe
                rules[key] = whole if len(whole) <= _MOST_OF_A_RULE else rules.get(key, "")
    return Sheet(rules, frozenset(selector for selector, style in rules.items() if is_hidden(style)))


def _written_in(html: str) -> str:
    """The text of the style elements, but for those in comments: they are for Outlook, or for nobody."""
    out: list[str] = []
    chars = position = 0
    while chars < _MOST_CHARS and (found := _STYLE_OR_COMMENT.search(html, position)):
        if found[1] is None:
            end = html.find("-->", found.start() + 2)
            position = end + 3
        else:
            close = _STYLE_END.search(html, found.end())
            end = close.start() if close else -1
            position = end
            if not _FOR_PRINT.search(found[1]):
                out.append(_COMMENT.sub(" ", html[found.end() : max(end, 0)][: _MOST_CHARS - chars]))
                chars += len(out[-1])
        if end < 0:
            break
    return "}".join(out)


def _without_conditions(css: str) -> str:
    """`css` without its at-rules: for print, for small screens, for fonts from elsewhere."""
    out: list[str] = []
    position = 0
    while (start := css.find("@", position)) >= 0:
        out.append(css[position:start])
        position = _behind_at_rule(css, start)
    out.append(css[position:])
    return "".join(out)


def _behind_at_rule(css: str, start: int) -> int:
    depth = 0
    for found in _STRUCTURE.finditer(css, start):
        depth += _DEPTHS[found[0]]
        if depth <= 0:
            return found.end()
    return len(css)
