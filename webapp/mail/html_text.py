"""Readable text from HTML, for mail without a text part: links, lists, tables and quotes stay legible."""

from __future__ import annotations

import re
from html import unescape

from webapp.mail import limits
from webapp.mail.charset import readable
from webapp.mail.html_tokens import attributes, tokens

_BLANKS = re.compile(r"[ \t\n\r\f\v]+")
_MANY_NEWLINES = re.compile(r"\n(?:[ \t\xa0]*\n){2,}")
_LINE_END_BLANKS = re.compile(r"[ \t\xa0]+\n")
_PARAGRAPHS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "blockquote", "pre", "table"}
)
_BLOCKS = frozenset(
    """address article aside body center dd div dt fieldset figure figcaption footer form header html legend
    li main nav option section tbody tfoot thead tr caption o:p""".split()  # noqa: SIM905
)
_CELLS = frozenset({"td", "th"})
_HIDDEN = frozenset({"head", "select", "object", "svg", "math", "noscript"})
_MAX_QUOTE_DEPTH = 20
_URL_CHARS = 500


def html_to_text(html: str) -> str:
    """The text of an HTML document; markup beyond the limit is cut off."""
    writer = _Writer()
    for kind, name, rest in tokens(html[: limits.TEXT_CHARS]):
        if kind == "text":
            writer.text(name)
        elif kind == "open":
            writer.open(name, rest)
        else:
            writer.close(name)
    return writer.result()


class _Writer:
    """Collects text by the block structure that a reader of the rendered page would see."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.tail = "\n\n"  # the last characters written: how many line ends stand there
        self.prefix = ""
        self.hidden = 0
        self.pre = 0
        self.lists: list[int | None] = []
        self.links: list[tuple[str, int]] = []
        self.cell_open = False

    def text(self, text: str) -> None:
        if self.hidden:
            return
        text = unescape(text)
        if self.pre:
            self._write(text)
            return
        text = _BLANKS.sub(" ", text)
        if text.startswith(" ") and self.tail.endswith((" ", "\n")):
            text = text[1:]
        if text:
            self._write(text)

    def open(self, name: str, rest: str) -> None:
        if name in _HIDDEN:
            self.hidden += not rest.rstrip().endswith("/")
        elif self.hidden:
            self.hidden -= name == "body"
        elif name == "br":
            self._write("\n")
        elif name == "a":
            self._begin_link(rest)
        elif name == "img":
            self.text(attributes(rest).get("alt", "")[:_URL_CHARS])
        elif name == "hr":
            self._break(1)
            self._write("-" * 40 + "\n")
        elif name in _CELLS:
            self._begin_cell()
        elif name in _PARAGRAPHS or name in _BLOCKS:
            self._begin_block(name)

    def close(self, name: str) -> None:
        if name in _HIDDEN:
            self.hidden = max(0, self.hidden - 1)
        elif self.hidden:
            return
        elif name == "a":
            self._end_link()
        elif name in _CELLS:
            self.cell_open = True
        elif name in _PARAGRAPHS or name in _BLOCKS:
            self._end_block(name)

    def result(self) -> str:
        text = _LINE_END_BLANKS.sub("\n", "".join(self.out))
        lines = readable(_MANY_NEWLINES.sub("\n\n", text)).strip("\n\t ").split("\n")
        while lines and not lines[-1].strip("> \t"):
            lines.pop()  # a quotation of nothing
        return "\n".join(lines)

    def _write(self, text: str) -> None:
        if self.prefix and (self.tail.endswith("\n") or "\n" in text):
            text = self._quoted(text)
        self.out.append(text)
        self.tail = (self.tail + text)[-2:]

    def _quoted(self, text: str) -> str:
        """Each line that begins here gets the marks of the quotations it stands in."""
        body = text[:-1] if text.endswith("\n") else text
        marked = body.replace("\n", "\n" + self.prefix)
        start = self.prefix if self.tail.endswith("\n") else ""
        return start + marked + ("\n" if text.endswith("\n") else "")

    def _break(self, lines: int) -> None:
        """At least so many line ends before what comes next."""
        self.cell_open = False
        if not self.out:
            return
        for _ in range(lines - (len(self.tail) - len(self.tail.rstrip("\n")))):
            self.out.append(self.prefix.rstrip() + "\n" if self.tail.endswith("\n") else "\n")
            self.tail = (self.tail + "\n")[-2:]

    def _begin_block(self, name: str) -> None:
        nested_list = name in ("ul", "ol") and self.lists
        self._break(2 if name in _PARAGRAPHS and not nested_list else 1)
        if name in ("ul", "ol"):
            self.lists.append(1 if name == "ol" else None)
        elif name == "li":
            self._item()
        elif name == "pre":
            self.pre += 1
        elif name == "blockquote" and len(self.prefix) < 2 * _MAX_QUOTE_DEPTH:
            self.prefix += "> "

    def _end_block(self, name: str) -> None:
        if name == "blockquote":
            self._break(1)
            self.prefix = self.prefix[2:]
        elif name in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif name == "pre":
            self.pre = max(0, self.pre - 1)
        self._break(2 if name in _PARAGRAPHS and not (name in ("ul", "ol") and self.lists) else 1)

    def _item(self) -> None:
        indent = "  " * (min(len(self.lists), 10) - 1)
        number = self.lists[-1] if self.lists else None
        self._write(f"{indent}- " if number is None else f"{indent}{number}. ")
        if number is not None:
            self.lists[-1] = number + 1

    def _begin_cell(self) -> None:
        """Cells of one row stand beside each other, as long as each is no more than a line."""
        if self.cell_open and not self.tail.endswith("\n"):
            self._write(" | ")
        self.cell_open = False

    def _begin_link(self, rest: str) -> None:
        self._end_link()
        url = unescape(attributes(rest).get("href", "")).strip()[:_URL_CHARS]
        if url.lower().startswith(("http:", "https:", "mailto:", "ftp:", "tel:")):
            self.links.append((url, len(self.out)))

    def _end_link(self) -> None:
        if not self.links:
            return
        url, begin = self.links.pop()
        shown = "".join(self.out[begin:]).strip()
        if shown and not _says_the_same(shown, url):
            self._write(f" <{url}>")


def _says_the_same(shown: str, url: str) -> bool:
    bare = re.sub(r"^(?:https?://|mailto:|tel:)", "", url, flags=re.IGNORECASE).rstrip("/")
    text = re.sub(r"^(?:https?://|mailto:)", "", shown, flags=re.IGNORECASE).rstrip("/")
    return text.lower() == bare.lower() or shown == url
