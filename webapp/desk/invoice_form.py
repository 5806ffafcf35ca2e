"""An invoice as people enter it, checked: values, or one sentence a field. Nothing is written here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import invoice_settings
from webapp.desk.addresses import incoming_addresses, read_addr_spec, sending_addresses
from webapp.desk.invoice_amounts import CURRENCIES, MOST, Line, Totals, read_number, rounded, totals
from webapp.mail.address import fold_addr_spec
from webapp.mail.field_lines import ascii_addr_spec, checked
from webapp.mail.written_text import tidy
from webapp.models import Company, Invoice

MOST_RECIPIENTS = 20
MOST_LINES = 100
MAX_PDF = 15_000_000  # octets
MAX_NUMBER = 60
MAX_COMPANY = 200
MAX_LINE_TEXT = 300
MAX_ADDRESS = 500
MAX_NOTE = 2_000
MAX_SUBJECT = 300
MAX_TEXT = 10_000
_LINE_FIELDS = ("text", "quantity", "price", "tax")
# Lines of text, so that a table's row stays on one page and an invoice has fewer than a hundred pages.
MOST_TEXT_LINES = {"address": 10, "note": 40, "line": 15}
_SEPARATORS = re.compile(r"[,;\s]+")
_EARLIEST, _LATEST = date(2000, 1, 1), date(2099, 12, 31)


class InvoiceRefused(Exception):
    """Nothing was written or sent: a sentence a field.

    Fields are those of `Entries`; one of a line is `line-0-price`. `taken_by` is the invoice that has the
    number already.
    """

    def __init__(self, errors: Mapping[str, str], *, taken_by: int | None = None) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)
        self.taken_by = taken_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What was typed. `lines` are dicts of text, quantity, price and tax; `pdf` instead of them."""

    number: str
    to: str
    company: str = ""
    address: str = ""
    issued_on: str
    due_on: str = ""
    currency: str
    lines: Sequence[Mapping[str, str]] = ()
    total: str = ""  # of an uploaded one
    note: str = ""
    subject: str
    text: str
    pdf: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The same, read. `total` is None where an uploaded invoice names none."""

    number: str
    number_key: str
    recipients: tuple[str, ...]
    company: str
    company_id: int | None
    address: str
    issued_on: date
    due_on: date | None
    currency: str
    lines: tuple[Line, ...]
    total: Decimal | None
    note: str
    subject: str
    text: str
    pdf: bytes | None = field(repr=False)


def read(session: Session, entries: Entries, *, to_preview: bool = False) -> Checked:
    """Raises InvoiceRefused with everything that is wrong at once. A preview needs nobody to send it to."""
    errors: dict[str, str] = {}
    number = _one_line(entries.number, "number", MAX_NUMBER, errors)
    if not number:
        errors.setdefault("number", "Enter the invoice's number.")
    taken_by = find_number(session, number) if number else None
    if taken_by is not None:
        errors["number"] = taken_sentence(number)
    recipients = () if to_preview else read_recipients(session, entries.to, errors)
    company = _one_line(entries.company, "company", MAX_COMPANY, errors)
    issued_on = _day(entries.issued_on, "issued_on", errors)
    if issued_on is None:
        errors.setdefault("issued_on", "Enter the invoice's date.")
    due_on = _day(entries.due_on, "due_on", errors)
    if due_on and issued_on and due_on < issued_on:
        errors["due_on"] = "The invoice is due before its date. Correct one of the two."
    if entries.currency not in CURRENCIES:
        errors["currency"] = "Choose a currency of the list."
    lines, total = _amounts(entries, errors)
    subject = _one_line(entries.subject, "subject", MAX_SUBJECT, errors)
    text = _many_lines(entries.text, "text", MAX_TEXT, errors)
    for name, template in (("subject", subject), ("text", text)):
        if not template:
            errors.setdefault(name, "Write something: it is the mail the invoice comes with.")
        elif unknown := invoice_settings.unknown_variables(template):
            errors[name] = unknown
    address = _many_lines(entries.address, "address", MAX_ADDRESS, errors)
    note = _many_lines(entries.note, "note", MAX_NOTE, errors)
    if entries.pdf is None:
        refuse_unprintable(
            {"number": number, "company": company, "address": address, "note": note}
            | {f"line-{index}-text": line.text for index, line in lines.items()},
            errors,
        )
    if errors or issued_on is None:
        raise InvoiceRefused(errors, taken_by=taken_by)
    return Checked(
        number=number,
        number_key=number_key(number),
        recipients=recipients,
        company=company,
        company_id=_company_id(session, company),
        address=address,
        issued_on=issued_on,
        due_on=due_on,
        currency=entries.currency,
        lines=tuple(lines.values()),
        total=total,
        note=note,
        subject=subject,
        text=text,
        pdf=entries.pdf,
    )


def number_key(number: str) -> str:
    """What numbers are compared by."""
    return " ".join(number.split()).casefold()


def taken_sentence(number: str) -> str:
    return f"There is an invoice {number} already. Choose another number."


def find_number(session: Session, number: str) -> int | None:
    """The invoice that has it."""
    return session.scalar(sa.select(Invoice.id).where(Invoice.number_key == number_key(number)))


def read_recipients(session: Session, text: str, errors: dict[str, str]) -> tuple[str, ...]:
    """Addresses between commas, semicolons or line ends, each once; what is wrong is told at "to"."""
    pieces = [piece for piece in _SEPARATORS.split(text[:20_000]) if piece]
    if not pieces:
        errors["to"] = "Enter who gets this invoice."
        return ()
    if len(pieces) > MOST_RECIPIENTS:
        errors["to"] = f"These are {len(pieces)} addresses; an invoice goes to at most {MOST_RECIPIENTS}."
        return ()
    own = incoming_addresses(session) | sending_addresses(session)
    found: dict[str, str] = {}
    for piece in pieces:
        try:
            address = ascii_addr_spec("To", read_addr_spec(piece.strip("<>")))
        except ValueError as error:
            errors["to"] = _address_sentence(piece, str(error))
            return ()
        if fold_addr_spec(address) in own:
            errors["to"] = f"{address} is an address of this service desk itself. Remove it."
            return ()
        found.setdefault(fold_addr_spec(address), address)
    return tuple(found.values())


def sums(lines: Sequence[Mapping[str, str]], currency: str) -> tuple[list[str], Totals | None]:
    """The amount of each line and what they add up to, of whatever of it can be read so far."""
    errors: dict[str, str] = {}
    read = _read_lines(lines, currency, errors) if currency in CURRENCIES else {}
    amounts = [str(read[index].net(currency)) if index in read else "" for index in range(len(lines))]
    return amounts, totals(list(read.values()), currency) if read else None


def check_pdf(pdf: bytes) -> str:
    """The sentence about what is no PDF that can be sent, "" where all is well."""
    if not pdf:
        return "This file is empty. Choose another."
    if len(pdf) > MAX_PDF:
        return f"This file has {len(pdf) / 1e6:.1f} MB; at most {MAX_PDF // 1_000_000} MB can be sent."
    if not pdf.startswith(b"%PDF-"):
        return "This is no PDF file. Choose the PDF of the invoice."
    if b"%%EOF" not in pdf[-1024:]:
        return "This PDF has no end: it was cut off, or is still being written. Make it again."
    return ""


def _amounts(entries: Entries, errors: dict[str, str]) -> tuple[dict[int, Line], Decimal | None]:
    if entries.currency not in CURRENCIES:
        return {}, None
    if entries.pdf is not None:
        if problem := check_pdf(entries.pdf):
            errors["pdf"] = problem
        if not entries.total.strip():
            return {}, None
        try:
            total = rounded(read_number(entries.total, CURRENCIES[entries.currency]), entries.currency)
            if total < 0:
                raise ValueError("The total cannot be below zero.")
        except ValueError as error:
            errors["total"] = str(error)
            return {}, None
        return {}, total
    lines = _read_lines(entries.lines, entries.currency, errors)
    if len(entries.lines) > MOST_LINES:
        errors["lines"] = f"These are {len(entries.lines)} lines; at most {MOST_LINES} fit on an invoice."
        return {}, None
    if not lines:
        if not any(name.startswith("line-") for name in errors):
            errors["lines"] = "Enter at least one line with a description, a quantity and a price."
        return {}, None
    total = totals(list(lines.values()), entries.currency).total
    if total < 0:
        errors["lines"] = "The total is below zero. An invoice asks for money: leave the credit out."
    elif total >= MOST:
        errors["lines"] = "The total is too large: it must be below 1,000,000,000."
    return lines, total


def _read_lines(rows: Sequence[Mapping[str, str]], currency: str, errors: dict[str, str]) -> dict[int, Line]:
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

    text = _many_lines(row["text"], f"line-{index}-text", MAX_LINE_TEXT, errors)
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


def _one_line(text: str, name: str, most: int, errors: dict[str, str]) -> str:
    """Spaces around it and a line end behind it go; control characters inside are refused."""
    text = text.strip()
    try:
        checked("this field", text)
    except ValueError:
        errors[name] = "There is a control character or a direction mark in it. Type it anew."
        return ""
    text = " ".join(text.split())
    if len(text) > most:
        errors[name] = f"At most {most} characters fit; these are {len(text):,}."
        return ""
    return text


def _many_lines(text: str, name: str, most: int, errors: dict[str, str]) -> str:
    text = tidy(text).strip()
    if len(text) > most:
        errors[name] = f"At most {most:,} characters fit; these are {len(text):,}."
        return ""
    most_lines = MOST_TEXT_LINES.get(name.partition("-")[0])
    if most_lines and text.count("\n") >= most_lines:
        errors[name] = f"At most {most_lines} lines of text fit here."
        return ""
    return text


def _day(text: str, name: str, errors: dict[str, str]) -> date | None:
    text = text.strip()
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        errors[name] = "Enter a date such as 2026-12-24."
        return None
    if not _EARLIEST <= found <= _LATEST:
        errors[name] = "Enter a date from 2000 to 2099."
        return None
    return found


def refuse_unprintable(
    texts: Mapping[str, str], errors: dict[str, str], *, cure: str = "Write it another way, or upload a PDF."
) -> None:
    """Tell of each text that has letters the font of our PDFs has not."""
    if all(text.isascii() for text in texts.values()):
        return
    from webapp.desk import invoice_pdf  # many megabytes, and few need it

    for name, text in texts.items():
        if missing := invoice_pdf.unprintable(text):
            errors.setdefault(name, f"Our font for invoices cannot print {missing}. {cure}")


def _company_id(session: Session, name: str) -> int | None:
    return session.scalar(sa.select(Company.id).where(Company.name_key == name.casefold())) if name else None


def _address_sentence(piece: str, problem: str) -> str:
    if "not ASCII" in problem:
        return f"{piece[:80]} has letters before the @ that most mail servers cannot deliver to."
    sentence = problem if "mail address" in problem else f"{piece[:80]!r} is not an e-mail address."
    return sentence[:1].upper() + sentence[1:]
