"""Readable text from HTML, for mail without a text part: what a reader of the rendered page sees.

Links, lists, tables and quotations stay legible (`html_links`, `html_tables`); what nobody would see is left
out (`html_hidden`). One pass over the tokens, whatever the markup.
"""

from __future__ import annotations

import re
from html import unescape

from webapp.mail import limits
from webapp.mail.charset import readable
from webapp.mail.html_elements import (
    BLOCKS,
    CELLS,
    HIDDEN,
    IN_A_HEAD,
    NO_CONTENT,
    NO_MARGINS,
    PARAGRAPHS,
    SPECIAL,
    TABLE_PARTS,
)
from webapp.mail.html_fillers import without_fillers
from webapp.mail.html_hidden import Unseen, is_counter
from webapp.mail.html_links import address_of, says_the_same, written
from webapp.mail.html_lists import ItemList, bullet_of_word, level_of_word
from webapp.mail.html_page import Page
from webapp.mail.html_sheet import Sheet, sheet_of
from webapp.mail.html_tables import Table
from webapp.mail.html_tokens import attributes, tokens

_BLANKS = re.compile(r"[ \t\n\r\f\v]+")
_MAY_HIDE = re.compile(r"hidden|style", re.IGNORECASE)
_ALT_CHARS = 500
_FILE_NAME = re.compile(r"[\w %().+@~-]{1,120}\.(?:png|jpe?g|gif|bmp|webp|svg|tiff?)", re.IGNORECASE)
_RAISED = str.maketrans("0123456789+-=()nia", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃ")
_RAISED_CHARS = frozenset("0123456789+-")
_MAX_QUOTE_DEPTH = 20
_MAX_TABLE_DEPTH = 12  # tables deeper in tables flow with the text: each level copies its text once
_RULE = "-" * 40


def html_to_text(html: str, *, with_unseen: bool = False) -> str:
    """The text of an HTML document; markup beyond the limit is cut off.

    `with_unseen`: what is hidden too, for a document that shows nothing.
    """
    html = html[: limits.TEXT_CHARS]
    sheet = sheet_of(html)
    writer = _write(html, sheet, leave_out_unseen=not with_unseen)
    if writer.unseen.is_hidden:  # what hides was never closed: rather too much than nothing
        writer = _write(html, sheet, leave_out_unseen=False)
    return writer.result()


def _write(html: str, sheet: Sheet, *, leave_out_unseen: bool) -> _Writer:
    writer = _Writer(sheet, leave_out_unseen=leave_out_unseen)
    for kind, name, rest in tokens(html):
        if kind == "text":
            writer.text(name)
        elif kind == "open":
            writer.open(name, rest)
        else:
            writer.close(name)
    return writer


class _Writer:
    """Collects text by the block structure that a reader of the rendered page would see."""

    def __init__(self, sheet: Sheet, *, leave_out_unseen: bool) -> None:
        self.sheet = sheet if sheet.hiding else None
        self.are_paragraphs_tight = NO_MARGINS.search(sheet.rules.get("p", "")) is not None
        self.page = Page()
        self.pages: list[Page] = []  # those around: of the cells that this one stands in
        self.tables: list[Table] = []
        self.deeper_tables = 0  # that are not followed
        self.unseen = Unseen()
        self.leave_out_unseen = leave_out_unseen
        self.in_head = False
        self.hidden = 0
        self.pre = 0
        self.raised = 0
        self.base = ""
        self.link: tuple[str, int] | None = None  # address, where its words begin on the page
        self.last_address = ""
        self.bullet_expected = False

    def text(self, text: str) -> None:
        if self.hidden or self.in_head or self.unseen.now:
            return
        text = unescape(text)
        if self.pre:
            self.page.flow(text.replace("\r\n", "\n").replace("\r", "\n"))
            return
        self._inline(text)

    def open(self, name: str, rest: str) -> None:
        if not (self.in_head or self.hidden or name in SPECIAL):
            self._open_seen(name, rest)
            return
        if self.in_head:
            self.in_head = name in IN_A_HEAD or ":" in name
        if name == "base":
            self.base = self.base or _http(attributes(rest).get("href", ""))
        if name == "head":
            self.in_head = True
        elif name in HIDDEN:
            self.hidden += not rest.rstrip().endswith("/")
        elif self.hidden:
            self.hidden = 0 if name == "body" else self.hidden
        elif not self.in_head:
            self._open_seen(name, rest)

    def close(self, name: str) -> None:
        if name == "head":
            self.in_head = False
        elif name in HIDDEN:
            self.hidden = max(0, self.hidden - 1)
        elif not self.hidden:
            was_hidden = False
            if self.unseen.is_within:
                was_hidden = self.unseen.is_hidden
                self.unseen.close(name)
            if name in CELLS or name in TABLE_PARTS or not (was_hidden or self.in_head):
                self._close_seen(name)

    def result(self) -> str:
        while self.tables:
            self._end_table()
        self._end_link()
        lines = readable(without_fillers(self.page.text())).strip("\n\t ").split("\n")
        while lines and not lines[-1].strip("> \t"):
            lines.pop()  # a quotation of nothing
        return "\n".join(lines)

    def _open_seen(self, name: str, rest: str) -> None:
        if (rest or self.unseen.is_within) and self.leave_out_unseen and name not in NO_CONTENT:
            found = attributes(rest) if rest and (self.sheet or _MAY_HIDE.search(rest)) else {}
            style = unescape(found.get("style", ""))
            hidden = "hidden" in found or (self.sheet is not None and self.sheet.hides(name, found))
            self.unseen.open(name, style, hidden)
        if name in CELLS or name in TABLE_PARTS:
            self._open_table_part(name, rest)
        elif self.unseen.is_hidden:
            return  # within words too small to see, pictures are seen
        elif name in PARAGRAPHS or name in BLOCKS:
            self._begin_block(name, rest)
        else:
            self._open_inline(name, rest)

    def _open_inline(self, name: str, rest: str) -> None:
        if name == "br":
            self.page.flow("\n")
        elif name == "a":
            self._begin_link(rest)
        elif name == "img":
            self._picture(attributes(rest))
        elif name == "hr":
            self.page.break_line(1)
            self.page.flow(f"{_RULE}\n")
        elif name == "q":
            self._inline("“")
        elif name in ("s", "del", "strike"):
            self.page.begin_struck()
        elif name == "sup":
            self.raised += 1
        elif name == "input":
            self._field(attributes(rest))

    def _close_seen(self, name: str) -> None:
        if name == "a":
            self._end_link()
        elif name in CELLS or name in TABLE_PARTS:
            self._close_table_part(name)
        elif name in PARAGRAPHS or name in BLOCKS:
            self._end_block(name)
        elif name == "q":
            self._inline("”")
        elif name in ("s", "del", "strike"):
            self.page.end_struck()
        elif name == "sup":
            self.raised = max(0, self.raised - 1)

    def _inline(self, text: str) -> None:
        text = _BLANKS.sub(" ", text)
        if self.bullet_expected and text.strip(" \xa0"):
            self.bullet_expected = False
            text = bullet_of_word(text)
            self.page.item(text)
            return
        if self.page.is_at_start:
            text = text.lstrip(" \xa0") if self.page.is_behind_marker else text.removeprefix(" ")
        if self.raised and text and _RAISED_CHARS.issuperset(text):
            text = text.translate(_RAISED)
        if text:
            self.page.flow(text)

    def _begin_block(self, name: str, rest: str) -> None:
        page = self.page
        lines = self._lines_around(name, rest)
        page.break_line(0 if page.is_behind_marker and name != "li" else lines)
        if name in ("ul", "ol"):
            page.lists.append(ItemList.of(name, attributes(rest)))
        elif name == "li":
            page.break_line(1)
            if page.lists:
                value = attributes(rest).get("value", "") if "value" in rest else ""
                page.item("  " * (min(len(page.lists), 10) - 1) + page.lists[-1].next_marker(value))
            else:
                page.item("- ")
        elif name == "dd":
            page.write("  ")
        elif name == "pre":
            self.pre += 1
        elif name == "blockquote" and len(page.prefix) < 2 * _MAX_QUOTE_DEPTH:
            page.prefix += "> "
        elif name == "p":
            self.bullet_expected = "MsoListParagraph" in rest and "mso-list" in rest
            if self.bullet_expected:
                page.indent = "  " * (level_of_word(rest) - 1)

    def _end_block(self, name: str) -> None:
        page = self.page
        self.bullet_expected = False
        if name == "blockquote":
            page.break_line(1)
            page.prefix = page.prefix[2:]
        elif name in ("ul", "ol") and page.lists:
            page.lists.pop()
        elif name == "pre":
            self.pre = max(0, self.pre - 1)
        page.break_line(page.paragraph_lines if name == "p" else self._lines_around(name, ""))

    def _lines_around(self, name: str, rest: str) -> int:
        """How many line ends stand between this block and what is beside it: 2 make an empty line."""
        if name not in PARAGRAPHS or (self.page.lists and name in ("ul", "ol", "p")):
            lines = 1
        elif name == "p" and self.are_paragraphs_tight and "margin" not in rest:
            lines = 1  # as Outlook on the web says in a sheet
        else:
            lines = 1 if rest and NO_MARGINS.search(rest) else 2
        if name == "p":
            self.page.paragraph_lines = lines
        return lines

    def _open_table_part(self, name: str, rest: str) -> None:
        if name == "table":
            if len(self.tables) == _MAX_TABLE_DEPTH:
                self.deeper_tables += 1
            else:
                self.page.break_line(2)
                self.tables.append(Table())
                self.pages.append(self.page)
                self.tables[-1].look_at(name, rest)
        if not self.tables or self.deeper_tables:
            self.page.break_line(1)
            return
        table = self.tables[-1]
        if name == "tr":
            self._end_cell()
            table.rows.append([])
        elif name in CELLS:
            self._end_cell()
            table.look_at(name, rest)
            if self.unseen.is_hidden:
                return
            self.page = Page()
            table.in_cell = True
            if self.link is not None:  # a link around a table: a button, as newsletters build them
                self.link = (self.link[0], 0)

    def _close_table_part(self, name: str) -> None:
        if not self.tables or self.deeper_tables:
            self.deeper_tables -= bool(self.deeper_tables) and name == "table"
            self.page.break_line(1)
        elif name == "table":
            self._end_table()
        else:
            self._end_cell()

    def _end_cell(self) -> None:
        table = self.tables[-1]
        if not table.in_cell:
            return
        table.in_cell = False
        link = self.link
        has_words = self._end_link()
        if not table.rows:
            table.rows.append([])
        table.rows[-1].append(without_fillers(self.page.text()).strip("\n\t "))
        self.page = self.pages[-1]
        self.link = link and (None if has_words else (link[0], len(self.page.out)))
        self.bullet_expected = False

    def _end_table(self) -> None:
        self._end_cell()
        table, self.page = self.tables.pop(), self.pages.pop()
        if text := table.as_text():
            self.page.break_line(2)
            self.page.write(text)
            self.page.break_line(2)

    def _picture(self, found: dict[str, str]) -> None:
        alt = unescape(found.get("alt", "")[:_ALT_CHARS]).strip()
        if alt and not _FILE_NAME.fullmatch(alt) and not is_counter(found):
            self._inline(alt)

    def _field(self, found: dict[str, str]) -> None:
        kind = found.get("type", "text").lower()
        if kind in ("checkbox", "radio"):
            self._inline("[x] " if "checked" in found else "[ ] ")
        elif kind in ("submit", "button", "reset", "text", "email", "tel", "number", "date", "url"):
            self._inline(unescape(found.get("value", "")[:_ALT_CHARS]))

    def _begin_link(self, rest: str) -> None:
        self._end_link()
        if self.page.waiting and not self.page.was_word_since_link:
            self.page.write_addresses()
        if (address := address_of(attributes(rest).get("href", ""), self.base)) is not None:
            self.link = (address, len(self.page.out))

    def _end_link(self) -> bool:
        """Whether a link ended here that had words."""
        if self.link is None:
            return False
        address, begin = self.link
        self.link = None
        shown = "".join(self.page.out[begin:]).strip("\n\t >\xa0")
        if shown and address != self.last_address and not says_the_same(shown, address):
            self.page.await_address(written(address), begin)
        if shown:
            self.last_address = address
        return bool(shown)


def _http(href: str) -> str:
    return href.strip() if href.strip().lower().startswith(("http://", "https://")) else ""
