"""HTML cut into tags and text: what `html_text` and `html_safe` both stand on.

One linear pass that never fails. It need not agree with a browser about broken markup: what is sanitised
is written anew from these tokens, so that the sanitiser cannot see another structure than was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# An attribute value is quoted only behind "="; a quote elsewhere is part of a name (HTML 13.2.5.32-40).
# Possessive, so that a tag that never ends costs one look and not one a starting point.
_TAG = re.compile(
    r"""<(/?)([A-Za-z][^\s/>]{0,60})((?:[^>"'=]++|=\s*+(?>"[^"]*"|'[^']*')|["'=])*+)>""",
)
_DECLARATION = re.compile(r"<(?:!--(?:-?>|(.*?)(?:--!?>|\Z))|[!?/][^>]*>?)", re.DOTALL)
_ATTRIBUTE = re.compile(r"""([^\s=/"'<>]{1,60})(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
# Elements whose content is no markup; none of it is text to read either, but for a text area's.
_RAW = frozenset({"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "template"})
_RAW_END = {name: re.compile(rf"</{name}[\s/>]", re.IGNORECASE) for name in _RAW}
_MAX_ATTRIBUTES = 50

Token = tuple[str, str, str]  # kind ("open" | "close" | "text"), tag name or text, attributes as written


def tokens(html: str) -> Iterator[Token]:
    """Text still has its character references; comments, declarations and raw elements are left out."""
    position = 0
    while (start := html.find("<", position)) >= 0:
        if start > position:
            yield "text", html[position:start], ""
        tag = _TAG.match(html, start)
        if tag is not None:
            position = tag.end()
            name = tag[2].lower()
            if name not in _RAW:
                yield ("close" if tag[1] else "open"), name, tag[3]
            elif not tag[1]:
                position = _behind(name, html, position)
        elif declaration := _DECLARATION.match(html, start):
            position = declaration.end()
        elif html[start + 1 : start + 2].isalpha():
            yield "text", html[start:], ""  # a tag that never ends: nothing behind it can be one either
            return
        else:
            yield "text", "<", ""
            position = start + 1
    if position < len(html):
        yield "text", html[position:], ""


def up_to(html: str, most: int) -> tuple[str, int]:
    """`html` as far as its first `most` tags, and how many it has; each "<" counts, whatever it begins.

    A tag costs a thousand times what a character of text does, so characters alone bound no time.
    """
    count = html.count("<")
    if count <= most:
        return html, count
    rest = html.split("<", most + 1)[-1]
    return html[: len(html) - len(rest) - 1], most


def attributes(written: str) -> dict[str, str]:
    """A tag's attributes by lower name, the first of each, character references still in."""
    result: dict[str, str] = {}
    for count, found in enumerate(_ATTRIBUTE.finditer(written)):
        if count == _MAX_ATTRIBUTES:
            break
        result.setdefault(found[1].lower(), found[2] or found[3] or found[4] or "")
    return result


def _behind(name: str, html: str, position: int) -> int:
    """The position behind the end tag of a raw element."""
    end = _RAW_END[name].search(html, position)
    if end is None:
        return len(html)
    close = html.find(">", end.start())
    return close + 1 if close >= 0 else len(html)
