"""What an invoice adds up to: amounts as people type them, exact, each rounded once and half up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

# ISO 4217 code -> decimals of an amount.
CURRENCIES = {
    "EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "AED": 2, "ALL": 2, "AUD": 2, "BAM": 2, "BGN": 2, "BHD": 3,
    "BRL": 2, "CAD": 2, "CLP": 0, "CNY": 2, "CZK": 2, "DKK": 2, "GEL": 2, "HKD": 2, "HUF": 2, "ILS": 2,
    "INR": 2, "ISK": 0, "JPY": 0, "KRW": 0, "KWD": 3, "MDL": 2, "MKD": 2, "MXN": 2, "NOK": 2, "NZD": 2,
    "PLN": 2, "RON": 2, "RSD": 2, "SEK": 2, "SGD": 2, "TND": 3, "TRY": 2, "UAH": 2, "ZAR": 2,
}  # fmt: skip
MOST = Decimal(10) ** 9  # an amount, and a total, is below it
_NUMBER = re.compile(r"-?[0-9]{1,12}(?:[.,][0-9]{1,6})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """One position. `price` is for one, without tax; `tax` in per cent, None where the line names none."""

    text: str
    quantity: Decimal
    price: Decimal
    tax: Decimal | None = None

    def net(self, currency: str) -> Decimal:
        return rounded(self.quantity * self.price, currency)


@dataclass(frozen=True, slots=True)
class Totals:
    """`taxes` are (rate, what it is taken of, tax), by rate; rates of 0 are told, too."""

    net: Decimal
    taxes: tuple[tuple[Decimal, Decimal, Decimal], ...]
    total: Decimal


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Never -0.00: what is less than half a cent below nothing is nothing."""
    return amount.quantize(Decimal(1).scaleb(-CURRENCIES[currency]), ROUND_HALF_UP) + 0


def totals(lines: Sequence[Line], currency: str) -> Totals:
    """The tax of each rate is taken of the sum of its lines, so it is rounded once a rate."""
    by_rate: dict[Decimal, Decimal] = {}
    for line in lines:
        if line.tax is not None:
            by_rate[line.tax] = by_rate.get(line.tax, Decimal(0)) + line.net(currency)
    net = rounded(sum((line.net(currency) for line in lines), Decimal(0)), currency)
    taxes = tuple((rate, of, rounded(of * rate / 100, currency)) for rate, of in sorted(by_rate.items()))
    return Totals(net, taxes, rounded(net + sum((tax for _, _, tax in taxes), Decimal(0)), currency))


def read_number(text: str, decimals: int) -> Decimal:
    """A number as typed. Raises ValueError with a sentence.

    A comma is a decimal point where it cannot be anything else: "12,50", but not "1,500".
    """
    text = "".join(text.split())
    if not _NUMBER.fullmatch(text):
        raise ValueError("Enter a number such as 1500 or 12.50, without thousands separators.")
    if "," in text and len(text.partition(",")[2]) == 3:
        raise ValueError(
            f"{text} may mean two numbers. Write {text.replace(',', '')} or {text.replace(',', '.')}."
        )
    number = Decimal(text.replace(",", "."))
    if -number.as_tuple().exponent > decimals:  # type: ignore[operator]  # finite numbers have a number here
        kept = "No decimals fit" if decimals == 0 else f"At most {decimals} decimals fit"
        raise ValueError(f"{kept} here.")
    if abs(number) >= MOST:
        raise ValueError("This number is too large: it must be below 1,000,000,000.")
    return number


def money(amount: Decimal, currency: str) -> str:
    """1,234.50 EUR."""
    return f"{figure(amount, currency)} {currency}"


def figure(amount: Decimal, currency: str) -> str:
    """The same without its currency."""
    return f"{rounded(amount, currency):,}"


def plain(number: Decimal) -> str:
    """2, 1.5: without what says nothing."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
