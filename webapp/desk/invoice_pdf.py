"""An invoice as a PDF, printed with a font of our own; nothing is looked up anywhere.

Imported only when an invoice is made: fpdf2 and the fonts are a few dozen megabytes of memory. The same
invoice gives the same octets.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace, TTFFont

from webapp.desk.invoice_amounts import Line, Totals, figure, money, plain, totals
from webapp.desk.invoice_settings import InvoiceSettings

FONTS = Path(__file__).with_name("fonts")
FONT = "DejaVu"
MARGIN = 18  # millimetres
LABEL = 38
WIDTHS = (84, 20, 26, 16, 28)  # of the table's columns; in all what is between the margins
# Becomes the number of pages in the end. No font of ours has it, so `unprintable` keeps it out of all texts.
_PAGES = "\ue000" * 2  # as wide as two digits
# Letters that change with their neighbours, or are written from right to left, need a shaper, which we do not
# have: better none than wrong ones, or a name spelt backwards.
_SHAPED = ((0x0590, 0x08FF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFC))
_NEEDS_NO_GLYPH = ("Zs", "Cf", "Cc")

logging.getLogger("fontTools").setLevel(logging.WARNING)  # tells every table of a font it leaves out


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What stands on an invoice, besides what the settings say about its sender."""

    number: str
    company: str
    address: str
    issued_on: date
    due_on: date | None
    currency: str
    lines: Sequence[Line]
    note: str


def render(sheet: Sheet, sender: InvoiceSettings) -> bytes:
    """The PDF. ValueError for a line of more than about 40 lines of text: a row stays on one page."""
    pdf = _laid_out(sheet, sender)
    content = bytes(pdf.output())
    pdf.close_fonts()
    return content


def unprintable(text: str) -> str:
    """The letters of a text that the font has not, each once, at most ten."""
    known = _letters()
    found = (
        letter
        for letter in unicodedata.normalize("NFC", text)
        if letter != "\n" and unicodedata.category(letter) not in _NEEDS_NO_GLYPH
        if ord(letter) not in known or any(low <= ord(letter) <= high for low, high in _SHAPED)
    )
    return "".join(list(dict.fromkeys(found))[:10])


def day(one: date) -> str:
    """24 Dec 2026: no doubt which of two numbers is the month."""
    return f"{one.day} {one:%b %Y}"


@cache
def _letters() -> frozenset[int]:
    """What both weights have."""
    pdf = _Page("", "")
    found = frozenset.intersection(*(frozenset(font.cmap) for font in pdf.loaded()))
    pdf.close_fonts()
    return found


class _Page(FPDF):
    def __init__(self, sender: str, number: str) -> None:
        super().__init__(format="A4")
        self._foot = " · ".join(filter(None, (sender, f"Invoice {number}")))
        self.alias_nb_pages(_PAGES)
        self.add_font(FONT, "", FONTS / "DejaVuSans.ttf")
        self.add_font(FONT, "B", FONTS / "DejaVuSans-Bold.ttf")
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(True, margin=MARGIN + 8)

    def close_fonts(self) -> None:
        """They are read while they are needed, from files that stay open else."""
        for font in self.loaded():
            font.ttfont.close()

    def loaded(self) -> list[TTFFont]:
        return [font for font in self.fonts.values() if isinstance(font, TTFFont)]

    def footer(self) -> None:
        self.set_y(-MARGIN - 2)
        self.set_font(FONT, size=7.5)
        number = f"Page {self.page_no()} of {_PAGES}"
        foot = _fitting(self, self._foot, self.epw - self.get_string_width(number) - 4)
        self.cell(self.epw / 2, 5, foot)
        self.cell(0, 5, number, align="R")


def _laid_out(sheet: Sheet, sender: InvoiceSettings) -> _Page:
    pdf = _Page(_nfc(sender.name), _nfc(sheet.number))
    pdf.set_creation_date(datetime.combine(sheet.issued_on, time(), UTC))
    pdf.set_title(f"Invoice {sheet.number}")
    pdf.set_author(sender.name)
    pdf.set_lang("en")
    pdf.add_page()
    _head(pdf, sheet, sender)
    _lines(pdf, sheet)
    _totals(pdf, totals(sheet.lines, sheet.currency), sheet.currency)
    for title, text in (("", sheet.note), ("Payment", sender.payment)):
        _block(pdf, title, text)
    return pdf


def _head(pdf: _Page, sheet: Sheet, sender: InvoiceSettings) -> None:
    if sender.name:
        pdf.set_font(FONT, "B", 13)
        _paragraph(pdf, sender.name, 6.5)
    pdf.set_font(FONT, size=9)
    _paragraph(pdf, sender.address, 4.6)
    _paragraph(pdf, f"Tax number {sender.tax_number}" if sender.tax_number else "", 4.6)
    pdf.ln(9)
    pdf.set_font(FONT, "B", 20)
    _paragraph(pdf, "Invoice", 9)
    pdf.ln(3)
    if sheet.company or sheet.address:
        pdf.set_font(FONT, size=8)
        _paragraph(pdf, "Billed to", 4.6)
        pdf.set_font(FONT, "B", 10)
        _paragraph(pdf, sheet.company, 5.2)
        pdf.set_font(FONT, size=10)
        _paragraph(pdf, sheet.address, 5.2)
        pdf.ln(4)
    for label, value in (
        ("Number", sheet.number),
        ("Date", day(sheet.issued_on)),
        ("Due", day(sheet.due_on) if sheet.due_on else ""),
    ):
        if value:
            pdf.set_font(FONT, size=9.5)
            pdf.cell(LABEL, 5.4, label)
            pdf.set_font(FONT, "B", 9.5)
            _paragraph(pdf, value, 5.4)
    pdf.ln(6)


def _lines(pdf: _Page, sheet: Sheet) -> None:
    """The table; its head stands on every page it goes over to."""
    pdf.set_font(FONT, size=9)
    pdf.set_draw_color(150)
    pdf.set_line_width(0.2)
    with_tax = any(line.tax is not None for line in sheet.lines)
    widths = WIDTHS if with_tax else (WIDTHS[0] + WIDTHS[3], *WIDTHS[1:3], WIDTHS[4])
    heads = ["Description", "Quantity", "Unit price", *(["Tax"] if with_tax else []), "Amount"]
    with pdf.table(
        borders_layout="HORIZONTAL_LINES",
        col_widths=widths,
        headings_style=FontFace(emphasis="BOLD"),
        line_height=4.8,
        padding=(1.2, 1),
        text_align=("LEFT", *["RIGHT"] * (len(heads) - 1)),
        v_align="TOP",
        width=sum(widths),
    ) as table:
        table.row(heads)
        for line in sheet.lines:
            tax = [f"{plain(line.tax)} %" if line.tax is not None else "–"] if with_tax else []
            table.row(
                [
                    _nfc(line.text),
                    plain(line.quantity),
                    figure(line.price, sheet.currency),
                    *tax,
                    figure(line.net(sheet.currency), sheet.currency),
                ]
            )
    pdf.ln(3)


def _totals(pdf: _Page, sums: Totals, currency: str) -> None:
    rows = [("Net", sums.net)] if sums.taxes else []
    rows += [(f"Tax {plain(rate)} % of {figure(of, currency)}", tax) for rate, of, tax in sums.taxes]
    height = 5.6
    if pdf.will_page_break(height * (len(rows) + 1) + 2):
        pdf.add_page()
    pdf.set_font(FONT, size=9.5)
    for label, amount in rows:
        _sum(pdf, label, money(amount, currency), height)
    pdf.set_font(FONT, "B", 11)
    _sum(pdf, "Total", money(sums.total, currency), height + 1)
    pdf.ln(7)


def _sum(pdf: _Page, label: str, amount: str, height: float) -> None:
    pdf.cell(pdf.epw - 45, height, label, align="R")
    pdf.cell(45, height, amount, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _block(pdf: _Page, title: str, text: str) -> None:
    if not text:
        return
    if title:
        pdf.set_font(FONT, "B", 9.5)
        _paragraph(pdf, title, 5.4)
    pdf.set_font(FONT, size=9.5)
    _paragraph(pdf, text, 5)
    pdf.ln(4)


def _paragraph(pdf: _Page, text: str, height: float) -> None:
    if text:
        pdf.multi_cell(0, height, _nfc(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _fitting(pdf: _Page, text: str, width: float) -> str:
    if pdf.get_string_width(text) <= width:
        return text
    while text and pdf.get_string_width(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
