"""The PDF of an invoice, read again: letters of many alphabets, many pages, and the same octets each time."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pypdf
import pytest

from webapp.desk import invoice_pdf
from webapp.desk.invoice_amounts import CURRENCIES, Line, money, plain, read_number, rounded, totals
from webapp.desk.invoice_pdf import FONTS, Sheet, render, unprintable
from webapp.desk.invoice_settings import InvoiceSettings

SENDER = InvoiceSettings(
    name="Example Desk",
    address="Main Street 1\n1000 Sofia",
    tax_number="BG123456789",
    payment="IBAN BG00 TEST",
)
LETTERS = [
    "Ремонт на принтер",
    "Επισκευή εκτυπωτή",
    "Zażółć gęślą jaźń",
    "Yazıcı onarımı ğüşİö",
    "Größe 5 € – „ok“",
]


def sheet(*lines: Line, **changes: object) -> Sheet:
    usual = Sheet(
        number="2026-0042",
        company="Acme Ltd",
        address="Road 5",
        issued_on=date(2026, 11, 24),
        due_on=date(2026, 12, 24),
        currency="EUR",
        lines=lines or [Line("Work", Decimal(2), Decimal("80.50"), Decimal(20))],
        note="Thank you.",
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def pages_of(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def test_what_stands_on_it() -> None:
    (words,) = pages_of(render(sheet(), SENDER))
    for told in (
        "Example Desk", "Main Street 1", "1000 Sofia", "BG123456789", "Acme Ltd", "Road 5", "2026-0042",
        "24 Nov 2026", "24 Dec 2026", "Work 2 80.50 20 % 161.00", "Net 161.00 EUR",
        "Tax 20 % of 161.00 32.20 EUR", "Total 193.20 EUR", "Thank you.", "IBAN BG00 TEST", "Page 1 of 1",
    ):  # fmt: skip
        assert told in words


def test_what_is_not_said_leaves_no_heading() -> None:
    bare = sheet(Line("Work", Decimal(1), Decimal(5)), company="", address="", due_on=None, note="")
    (words,) = pages_of(render(bare, InvoiceSettings()))
    assert not re.search("Billed|Due|Tax|Net|Payment", words)
    assert "Total 5.00 EUR" in words


@pytest.mark.parametrize("text", LETTERS)
def test_letters_of_many_alphabets(text: str) -> None:
    assert unprintable(text) == ""
    (words,) = pages_of(render(sheet(Line(text, Decimal(1), Decimal(1)), company=text, note=text), SENDER))
    assert words.count(text) == 3


def test_letters_the_font_has_not() -> None:
    assert unprintable("Work 名前 é ok") == "名前"
    assert unprintable("مرحبا").startswith("م")  # has glyphs, but they would not be joined
    assert (
        unprintable("\u05e9\u05dc\u05d5\u05dd 5") == "\u05e9\u05dc\u05d5\u05dd"
    )  # they would stand in reverse
    assert unprintable("e\u0301\n\u00a0") == ""


def test_many_lines_go_over_pages_that_are_counted() -> None:
    lines = [Line(f"Position {number}", Decimal(1), Decimal(1), Decimal(9)) for number in range(150)]
    pages = pages_of(render(sheet(*lines), SENDER))
    assert len(pages) > 2
    for number, words in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in words
    assert all("Description" in words for words in pages[:-1])  # the table's head, again
    assert [re.findall(r"Position (\d+)", words) for words in pages if "Position" in words]
    found = [int(number) for words in pages for number in re.findall(r"Position (\d+) 1 1\.00", words)]
    assert found == list(range(150))
    assert "Total 163.50 EUR" in pages[-1]


def test_a_word_longer_than_its_column_and_a_line_of_many_lines() -> None:
    word = "x" * 400
    pdf = render(
        sheet(Line(word, Decimal(1), Decimal(1)), Line("\n".join("abcdefgh"), Decimal(1), Decimal(1))), SENDER
    )
    words = "".join(pages_of(pdf))
    assert words.replace("\n", "").count("x") == 400 + words.replace("x" * 30, "").count(
        "Example Desk"
    ) + words.count("Tax number")
    assert "a\nb\nc" in words


def test_the_same_invoice_gives_the_same_octets_and_names_nothing_outside() -> None:
    first, second = render(sheet(), SENDER), render(sheet(), SENDER)
    assert first == second
    assert render(sheet(number="2"), SENDER) != first
    reader = pypdf.PdfReader(io.BytesIO(first))
    assert reader.metadata is not None
    assert reader.metadata.creation_date is not None
    assert reader.metadata.creation_date.date() == date(2026, 11, 24)
    assert not re.search(rb"/(URI|JavaScript|JS|Launch|EmbeddedFile)\b", first)
    fonts = [font.get_object() for font in cast(Any, reader.pages[0]["/Resources"])["/Font"].values()]
    assert len(fonts) == 2
    for font in fonts:
        described = font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        assert "/FontFile2" in described


def test_numbers_stand_flush_right() -> None:
    """The amounts of a column end at one place, however long they are."""
    ends: dict[str, float] = {}
    ruler = invoice_pdf._Page("", "")
    ruler.set_font(invoice_pdf.FONT, size=9)

    def visit(text: str, _cm: object, tm: list[float], _font: object, _size: float) -> None:
        if re.fullmatch(r"[\d,]+\.\d\d", text.strip()):
            ends[text.strip()] = tm[4] / 72 * 25.4 + ruler.get_string_width(text.strip())

    lines = [Line("a", Decimal(1), Decimal(amount)) for amount in ("5", "12345.67", "999999")]
    pypdf.PdfReader(io.BytesIO(render(sheet(*lines), SENDER))).pages[0].extract_text(visitor_text=visit)
    ruler.close_fonts()
    assert set(ends) >= {"5.00", "12,345.67", "999,999.00"}
    amounts = [ends[one] for one in ("5.00", "12,345.67", "999,999.00")]
    assert max(amounts) - min(amounts) < 0.2


def test_the_fonts_are_the_ones_we_know() -> None:
    lines = re.findall(r"^([0-9a-f]{64})  (\S+)$", (FONTS / "VENDOR.txt").read_text(), flags=re.MULTILINE)
    assert {name for _, name in lines} == {path.name for path in FONTS.glob("*.ttf")}
    for digest, name in lines:
        assert hashlib.sha256((FONTS / name).read_bytes()).hexdigest() == digest
    assert "bitstream-vera" in (FONTS / "LICENSE").read_text()


def test_the_pdf_library_is_loaded_by_nobody_who_makes_no_invoice() -> None:
    program = "import webapp.app, webapp.cli, sys; print('fpdf' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("text", "decimals", "number"),
    [("1500", 2, "1500"), ("12.5", 2, "12.5"), ("12,50", 2, "12.50"), ("-3", 2, "-3"), ("1 500", 2, "1500"),
     ("0.125", 3, "0.125"), ("7", 0, "7"), ("1.50", 2, "1.50")],
)  # fmt: skip
def test_numbers_as_people_type_them(text: str, decimals: int, number: str) -> None:
    assert read_number(text, decimals) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3", "1,234", "1'000", "+1", "1e3", "inf", "--1", ".5", "٣", "1.234"]
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        read_number(text, 2)


def test_sums_are_exact_and_rounded_half_up_once_a_rate() -> None:
    lines = [Line("a", Decimal("0.5"), Decimal("0.01"), Decimal(20)) for _ in range(3)]  # 0.005 each
    found = totals(lines, "EUR")
    assert (found.net, found.taxes, found.total) == (
        Decimal("0.03"), ((Decimal(20), Decimal("0.03"), Decimal("0.01")),), Decimal("0.04"),
    )  # fmt: skip
    mixed = totals(
        [Line("a", Decimal(1), Decimal(10), Decimal(9)), Line("b", Decimal(1), Decimal(10))], "EUR"
    )
    assert mixed.total == Decimal("20.90")
    assert totals([Line("a", Decimal(3), Decimal("0.1"))] * 10, "EUR").total == Decimal("3.00")


def test_decimals_are_the_currencys() -> None:
    assert money(Decimal("1234.5"), "EUR") == "1,234.50 EUR"
    assert money(Decimal("1234.5"), "JPY") == "1,235 JPY"
    assert money(Decimal("1.0005"), "KWD") == "1.001 KWD"
    assert rounded(Decimal("0.005"), "EUR") == Decimal("0.01")
    assert set(CURRENCIES.values()) == {0, 2, 3}
    assert [plain(Decimal(text)) for text in ("2.00", "1.50", "100", "0")] == ["2", "1.5", "100", "0"]


def test_a_foot_too_long_for_its_line_is_cut() -> None:
    (words,) = pages_of(render(sheet(), replace(SENDER, name="Desk " * 20)))
    assert "…" in words
    assert "Page 1 of 1" in words
    assert invoice_pdf.day(date(2026, 3, 4)) == "4 Mar 2026"
