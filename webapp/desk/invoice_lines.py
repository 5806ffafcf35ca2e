"""The lines of an invoice as people type them, read: positions with amounts, or one sentence a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from webapp.desk.invoice_amounts import CURRENCIES, MOST, Line, Totals, read_number, rounded, totals
from webapp.desk.invoice_fields import many_lines

MOST_LINES = 100
MAX_LINE_TEXT = 300
_LINE_FIELDS = ("text", "quantity", "price", "tax")


def made_amounts(
    rows: Sequence[Mapping[str, str]], currency: str, errors: dict[str, str]
) -> tuple[dict[int, Line], Decimal | None]:
    """The lines of an invoice made here, by position, and what they add up to."""
    lines = read_lines(rows, currency, errors)
    if len(rows) > MOST_LINES:
        errors["lines"] = f"These are {len(rows)} lines; at most {MOST_LINES} fit on an invoice."
        return {}, None
    if not lines:
        if not any(name.startswith("line-") for name in errors):
            errors["lines"] = "Enter at least one line with a description, a quantity and a price."
        return {}, None
    total = totals(list(lines.values()), currency).total
    if total < 0:
        errors["lines"] = "The total is below zero. An invoice asks for money: leave the credit out."
    elif total >= MOST:
        errors["lines"] = "The total is too large: it must be below 1,000,000,000."
    return lines, total


def uploaded_total(typed: str, currency: str, errors: dict[str, str]) -> Decimal | None:
    """What an uploaded invoice comes to; None where nobody said."""
    if not typed.strip():
        return None
    try:
        total = rounded(read_number(typed, CURRENCIES[currency]), currency)
        if total < 0:
            raise ValueError("The total cannot be below zero.")
    except ValueError as error:
        errors["total"] = str(error)
        return None
    return total


def sums(lines: Sequence[Mapping[str, str]], currency: str) -> tuple[list[str], Totals | None]:
    """The amount of each line and what they add up to, of whatever of it can be read so far."""
    errors: dict[str, str] = {}
    read = read_lines(lines, currency, errors) if currency in CURRENCIES else {}
    amounts = [str(read[index].net(currency)) if index in read else "" for index in range(len(lines))]
    return amounts, totals(list(read.values()), currency) if read else None


def read_lines(rows: Sequence[Mapping[str, str]], currency: str, errors: dict[str, str]) -> dict[int, Line]:
    """By position; empty rows are left out, as the form always has one more."""
    found = {}
    for index, row in enumerate(rows[:MOST_LINES]):
        entered = {name: row.get(name, "").strip() for name in _LINE_FIELDS}
        if not any(entered[name] for name in ("text", "price")):
            continue
        line = _read_line(index, entered, currency, errors)
        if line is not None:
            found[index] = line
    return found


def _read_line(index: int, row: Mapping[str, str], currency: str, errors: dict[str, str]) -> Line | None:
    def number(name: str, decimals: int, low: int, high: Decimal, bounds: str) -> Decimal | None:
        try:
            value = read_number(row[name], decimals)
            if not low <= value <= high:
                raise ValueError(bounds)
        except ValueError as error:
            errors[f"line-{index}-{name}"] = str(error)
            return None
        return value

    text = many_lines(row["text"], f"line-{index}-text", MAX_LINE_TEXT, errors)
    if not text:
        errors.setdefault(f"line-{index}-text", "Describe what this line is for.")
    quantity: Decimal | None = Decimal(1)
    if row["quantity"]:
        quantity = number("quantity", 3, 0, Decimal(1_000_000), "Enter a quantity from 0 to 1,000,000.")
    price = number("price", CURRENCIES[currency], -int(MOST), MOST, "This price is too large.")
    tax = number("tax", 2, 0, Decimal(100), "Enter per cent from 0 to 100.") if row["tax"] else None
    if quantity is None or price is None or (row["tax"] and tax is None) or not text:
        return None
    line = Line(text, quantity, price, tax)
    if abs(line.net(currency)) >= MOST:
        errors[f"line-{index}-price"] = "This amount is too large: it must be below 1,000,000,000."
        return None
    return line
