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
from webapp.desk.invoice_amounts import CURRENCIES, Line
from webapp.desk.invoice_fields import day, many_lines, one_line, refuse_unprintable
from webapp.desk.invoice_lines import made_amounts, uploaded_total
from webapp.desk.undeliverable import undeliverable
from webapp.mail.address import fold_addr_spec
from webapp.mail.field_lines import ascii_addr_spec
from webapp.models import Company, Invoice

MOST_RECIPIENTS = 20
MAX_PDF = 15_000_000  # octets
MAX_NUMBER = 60
MAX_COMPANY = 200
MAX_ADDRESS = 500
MAX_NOTE = 2_000
MAX_SUBJECT = 300
MAX_TEXT = 10_000
_SEPARATORS = re.compile(r"[,;\s]+")


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
    number, taken_by = _read_number(session, entries.number, errors)
    recipients = () if to_preview else read_recipients(session, entries.to, errors)
    company = one_line(entries.company, "company", MAX_COMPANY, errors)
    issued_on, due_on = _read_days(entries, errors)
    if entries.currency not in CURRENCIES:
        errors["currency"] = "Choose a currency of the list."
    lines, total = _amounts(entries, errors)
    subject, text = _read_mail(entries, errors)
    address = many_lines(entries.address, "address", MAX_ADDRESS, errors)
    note = many_lines(entries.note, "note", MAX_NOTE, errors)
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


def _read_number(session: Session, typed: str, errors: dict[str, str]) -> tuple[str, int | None]:
    """The number, and the invoice that has it already."""
    number = one_line(typed, "number", MAX_NUMBER, errors)
    if not number:
        errors.setdefault("number", "Enter the invoice's number.")
        return "", None
    taken_by = find_number(session, number)
    if taken_by is not None:
        errors["number"] = taken_sentence(number)
    return number, taken_by


def _read_days(entries: Entries, errors: dict[str, str]) -> tuple[date | None, date | None]:
    issued_on = day(entries.issued_on, "issued_on", errors)
    if issued_on is None:
        errors.setdefault("issued_on", "Enter the invoice's date.")
    due_on = day(entries.due_on, "due_on", errors)
    if due_on and issued_on and due_on < issued_on:
        errors["due_on"] = "The invoice is due before its date. Correct one of the two."
    return issued_on, due_on


def _read_mail(entries: Entries, errors: dict[str, str]) -> tuple[str, str]:
    """Subject and text, with variables in them."""
    subject = one_line(entries.subject, "subject", MAX_SUBJECT, errors)
    text = many_lines(entries.text, "text", MAX_TEXT, errors)
    for name, template in (("subject", subject), ("text", text)):
        if not template:
            errors.setdefault(name, "Write something: it is the mail the invoice comes with.")
        elif unknown := invoice_settings.unknown_variables(template):
            errors[name] = unknown
    return subject, text


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
    for gone in undeliverable(session, found.values()).values():
        errors["to"] = (
            f"{gone.addr_key} does not exist, as a delivery report said. Correct it, or allow it again on "
            "its user's page, or in the outbox on the page of a delivery to it."
        )
        return ()
    return tuple(found.values())


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
    if entries.pdf is not None and (problem := check_pdf(entries.pdf)):
        errors["pdf"] = problem
    if entries.currency not in CURRENCIES:
        return {}, None
    if entries.pdf is not None:
        return {}, uploaded_total(entries.total, entries.currency, errors)
    return made_amounts(entries.lines, entries.currency, errors)


def _company_id(session: Session, name: str) -> int | None:
    return session.scalar(sa.select(Company.id).where(Company.name_key == name.casefold())) if name else None


def _address_sentence(piece: str, problem: str) -> str:
    if "not ASCII" in problem:
        return f"{piece[:80]} has letters before the @ that most mail servers cannot deliver to."
    sentence = problem if "mail address" in problem else f"{piece[:80]!r} is not an e-mail address."
    return sentence[:1].upper() + sentence[1:]
