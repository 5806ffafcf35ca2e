"""What a person typed, as the two bodies of a mail: plain text, and simple HTML that says the same.

The typed text is never read as HTML. Paragraphs stand between empty lines; lines that begin with "- ", "* "
or "1. " are lists; web and mail addresses become links; line ends and indents stay.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape
from itertools import groupby

_LINK = re.compile(
    r"\b(?:https?://|www\.)[^\s<>\"'\u00ab\u00bb\u201c\u201d]+|\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}\b"
)
_TRAILING = ".,;:!?*_"
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_BULLET = re.compile(r"[-*\u2022] +(?=\S)")
_NUMBER = re.compile(r"([0-9]{1,4})[.)] +(?=\S)")
_DROPPED = ("Cc", "Cs")  # control characters, and halves of characters
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_QUOTE_STYLE = "margin:0 0 0 4px;padding-left:10px;border-left:3px solid #c5ccd6"


def tidy(text: str) -> str:
    """Lines end with LF, tabs stay, other control characters and direction overrides go; outer blanks too."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (
        letter
        for letter in text
        if letter in "\n\t" or (unicodedata.category(letter) not in _DROPPED and letter not in _DIRECTION)
    )
    lines = [line.rstrip() for line in "".join(kept).split("\n")]
    return "\n".join(lines).strip("\n")


def quoted(text: str) -> str:
    """Each line behind "> ", as plain text quotes."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def as_html(text: str) -> str:
    """The typed text as paragraphs and lists."""
    return "\n".join(_block(block) for block in re.split(r"\n{2,}", text) if block.strip())


def signature_html(text: str) -> str:
    return f'<p style="color:#4b5563">{_lines(text)}</p>'


def quote_html(attribution: str, text: str) -> str:
    """A quote with the line above it that says whose words they are."""
    quote = f'<blockquote type="cite" style="{_QUOTE_STYLE}">\n{as_html(text)}\n</blockquote>'
    return f"<p>{_inline(attribution)}</p>\n{quote}"


def document(body: str) -> str:
    """A whole HTML document; its styles are its own, for nothing else reaches a mail."""
    return (
        '<!doctype html>\n<html><head><meta charset="utf-8"></head>\n'
        '<body style="font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:1.5">\n'
        f"{body}\n</body></html>\n"
    )


def _block(block: str) -> str:
    """Lines between empty lines: runs of list items become lists, the others a paragraph."""
    pieces = []
    for kind, run in groupby(block.split("\n"), _kind):
        lines = list(run)
        if kind == "bullet":
            items = "".join(f"<li>{_inline(_BULLET.sub('', line.strip(), count=1))}</li>" for line in lines)
            pieces.append(f"<ul>{items}</ul>")
        elif kind == "number":
            found = _NUMBER.match(lines[0].strip())
            start = f' start="{int(found[1])}"' if found and int(found[1]) != 1 else ""
            items = "".join(f"<li>{_inline(_NUMBER.sub('', line.strip(), count=1))}</li>" for line in lines)
            pieces.append(f"<ol{start}>{items}</ol>")
        else:
            pieces.append(f"<p>{_lines(chr(10).join(lines))}</p>")
    return "\n".join(pieces)


def _kind(line: str) -> str:
    indent = len(line) - len(line.lstrip())
    if indent < 4 and _BULLET.match(line.strip()):
        return "bullet"
    return "number" if indent < 4 and _NUMBER.match(line.strip()) else "text"


def _lines(text: str) -> str:
    return "<br>\n".join(_indented(line) for line in text.split("\n"))


def _indented(line: str) -> str:
    bare = line.expandtabs(4).lstrip(" ")
    return "&nbsp;" * (len(line.expandtabs(4)) - len(bare)) + _inline(bare)


def _inline(line: str) -> str:
    """Escaped, with addresses as links."""
    pieces, begin = [], 0
    for found in _LINK.finditer(line):
        address = _without_punctuation(found[0])
        if address.count(":") and not address.partition(":")[2].strip("/"):
            continue  # "https://" and nothing behind it
        end = found.start() + len(address)
        pieces.append(escape(line[begin : found.start()]))
        pieces.append(f'<a href="{escape(_href(address))}">{escape(address)}</a>')
        begin = end
    return "".join(pieces) + escape(line[begin:])


def _href(address: str) -> str:
    if address.startswith(("http://", "https://")):
        return address
    return f"https://{address}" if address.startswith("www.") else f"mailto:{address}"


def _without_punctuation(address: str) -> str:
    """What ends a sentence ends the link, and a bracket that was opened before it."""
    unopened = {
        closing: address.count(closing) - address.count(opening) for closing, opening in _BRACKETS.items()
    }
    end = len(address)
    while end and (address[end - 1] in _TRAILING or unopened.get(address[end - 1], 0) > 0):
        end -= 1
        if address[end] in unopened:
            unopened[address[end]] -= 1
    return address[:end]
