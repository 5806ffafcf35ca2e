"""Texts with variables in braces, such as `Hello {requester}`: read, checked, filled in.

Only names that are offered are replaced, in one pass, so nothing a stranger wrote is ever read as a template.
`{{` and `}}` are braces. A line whose variables are all empty is left out: no "Company: " of nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")
_TAGS = frozenset(
    """
    a abbr b big blockquote br caption center code col colgroup dd del div dl dt em font h1 h2 h3 h4 h5 h6
    hr i img ins li ol p pre q s small span strike strong sub sup table tbody td tfoot th thead tr tt u ul
    """.split()  # noqa: SIM905 - fifty quoted names read worse
)
_ATTRIBUTES = frozenset(
    """
    align alt bgcolor border cellpadding cellspacing color colspan dir face height href hspace lang rel
    rowspan size src start style target title type valign vspace width
    """.split()  # noqa: SIM905
)
_LONE = "this < begins no whole tag. Write &lt; for the character itself"
_END_TAG_WITH_VARIABLE = re.compile(r"</[A-Za-z][^<>]*[{}]")
_QUOTED_LINK = re.compile(r"""href\s*=\s*(?:"\{link\}"|'\{link\}')""", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:https?://|mailto:)[^\s{}]*", re.IGNORECASE)
_STYLE = re.compile(r"url\s*\(|expression\s*\(|@import|[{}\\]", re.IGNORECASE)


class TemplateRefused(Exception):
    """Not a template; the message is a sentence that says where, and what would be right."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text as it stands, or the name of a variable."""

    text: str
    is_variable: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A text that was checked, line by line."""

    lines: tuple[tuple[Piece, ...], ...]

    def fill(self, values: Mapping[str, str], *, quote: Callable[[str], str] = str) -> str:
        """The text with each variable's value, which `quote` makes fit for where it stands."""
        kept = []
        for line in self.lines:
            named = [piece.text for piece in line if piece.is_variable]
            if named and not any(values[name] for name in named):
                continue
            kept.append(
                "".join(quote(values[piece.text]) if piece.is_variable else piece.text for piece in line)
            )
        return "\n".join(kept)


def read(text: str, known: Collection[str]) -> Template:
    """Raises TemplateRefused for a variable that is not `known` and for a brace that opens none."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Template(tuple(_pieces(line, number, known) for number, line in enumerate(lines, 1)))


def read_html(text: str, known: Collection[str]) -> Template:
    """The same for HTML; values are escaped with `quote_html`. Raises TemplateRefused, also for what no mail
    program shows (scripts, forms, frames), and for a variable inside a tag other than a whole href."""
    template = read(text, known)
    if found := _END_TAG_WITH_VARIABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise TemplateRefused(f"Line {line}: a variable stands between tags, not inside one.")
    checker = _Checker()
    checker.feed(text)
    checker.finish()
    return template


def quote_html(value: str) -> str:
    """A value inside HTML, its line ends kept."""
    return escape(value).replace("\n", "<br>\n")


def _pieces(line: str, number: int, known: Collection[str]) -> tuple[Piece, ...]:
    pieces, begin = [], 0
    for found in _TOKEN.finditer(line):
        pieces.append(Piece(line[begin : found.start()]))
        begin = found.end()
        where = f"Line {number}, character {found.start() + 1}"
        if found[0] in ("{{", "}}"):
            pieces.append(Piece(found[0][0]))
        elif found[1] is None:
            raise TemplateRefused(
                f"{where}: this {found[0]} belongs to no variable. Write {found[0] * 2} for a brace itself."
            )
        elif found[1] not in known:
            offered = ", ".join(f"{{{name}}}" for name in known)
            raise TemplateRefused(f"{where}: there is no {{{found[1][:40]}}} here. There are {offered}.")
        else:
            pieces.append(Piece(found[1], is_variable=True))
    pieces.append(Piece(line[begin:]))
    return tuple(piece for piece in pieces if piece.text)


class _Checker(HTMLParser):
    """Refuses, with the place, what has no business in a mail of ours."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            raise self._refusal(f"<{tag[:40]}> has no place in a mail. Leave it out")
        written = self.get_starttag_text() or ""
        if (
            "{" in written and "\n" in written
        ):  # a line with an empty variable is left out, and half the tag with it
            raise self._refusal("a tag with a variable in it stands on one line")
        for name, value in attrs:
            self._check_attribute(name, value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _TAGS:
            raise self._refusal(f"</{tag[:40]}> has no place in a mail. Leave it out")

    def handle_data(self, data: str) -> None:
        if "<" in data:  # with a variable behind it, its value would make the tag
            raise self._refusal(_LONE)

    def handle_comment(self, data: str) -> None:
        raise self._refusal("comments would be sent to everybody. Leave them out")

    def handle_decl(self, decl: str) -> None:
        raise self._refusal("only what stands inside of <body> is written here. Leave <! out")

    def unknown_decl(self, data: str) -> None:
        self.handle_decl(data)

    def handle_pi(self, data: str) -> None:
        raise self._refusal("<? has no place in a mail. Leave it out")

    def finish(self) -> None:
        if "<" in self.rawdata:  # what no tag was made of
            raise self._refusal(_LONE)

    def _check_attribute(self, name: str, value: str) -> None:
        if name not in _ATTRIBUTES:
            raise self._refusal(f"the attribute {name[:40]} has no place in a mail. Leave it out")
        if name == "href" and value == "{link}":
            if not _QUOTED_LINK.search(self.get_starttag_text() or ""):
                raise self._refusal('put quotes around it: href="{link}"')
        elif name in ("href", "src"):
            if not _ADDRESS.fullmatch(value):
                raise self._refusal(f'{name} is a web address (https://…), a mailto: or, as href, "{{link}}"')
        elif name == "style" and _STYLE.search(value):
            raise self._refusal("a style has neither url(...) nor variables")
        elif "{" in value or "}" in value:
            raise self._refusal("a variable stands between tags, not inside one; only href may be “{link}”")

    def _refusal(self, sentence: str) -> TemplateRefused:
        line, column = self.getpos()
        return TemplateRefused(f"Line {line}, character {column + 1}: {sentence}.")
