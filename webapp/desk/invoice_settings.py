"""Settings > Invoices: who makes them out, and the mail they come with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy.orm import Session

from webapp.desk.invoice_amounts import CURRENCIES
from webapp.mail.field_lines import checked
from webapp.mail.written_text import tidy
from webapp.models import Setting

NAME = "invoices"
SUBJECT = "Invoice {number}"
TEXT = """\
Hello,

please find attached our invoice {number}.

Total: {total}
Due on: {due}

Kind regards
{desk}"""
VARIABLES = {
    "number": "the invoice's number",
    "company": "whom it is made out to",
    "total": "such as 1,234.50 EUR",
    "due": "the day it is due, such as 24 Dec 2026",
    "desk": "the name above",
}
LIMITS = {"name": 100, "address": 500, "tax_number": 100, "payment": 1_000, "subject": 200, "text": 10_000}
MOST_LINES = {"address": 10, "payment": 20}
LABELS = {
    "name": "the name",
    "tax_number": "the tax number",
    "subject": "the subject",
}
_VARIABLE = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceSettings:
    """`name`, `address`, `tax_number` and `payment` stand on every invoice made here."""

    name: str = ""
    address: str = ""
    tax_number: str = ""
    payment: str = ""  # where to pay, and how
    currency: str = "EUR"
    subject: str = SUBJECT
    text: str = TEXT


class SettingsRefused(Exception):
    """Not saved: a sentence a field."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


def load(session: Session) -> InvoiceSettings:
    """What is saved; what this version does not know is left out, what is missing has its default."""
    row = session.get(Setting, NAME)
    saved: dict[str, Any] = row.value if row and isinstance(row.value, dict) else {}
    known = {field.name for field in fields(InvoiceSettings)}
    return InvoiceSettings(**{name: value for name, value in saved.items() if name in known})


def save(session: Session, settings: InvoiceSettings) -> None:
    session.merge(Setting(name=NAME, value=asdict(settings)))


def read(entries: Mapping[str, str]) -> InvoiceSettings:
    """What somebody entered. Raises SettingsRefused."""
    errors: dict[str, str] = {}
    values: dict[str, str] = {}
    for name, most in LIMITS.items():
        text = entries.get(name, "")
        text = " ".join(text.split()) if name in LABELS else tidy(text).strip()
        values[name] = text
        if len(text) > most:
            errors[name] = f"At most {most:,} characters fit."
        elif text.count("\n") >= MOST_LINES.get(name, most):
            errors[name] = f"At most {MOST_LINES[name]} lines fit."
        elif name in LABELS and not _is_clean(LABELS[name], text):
            errors[name] = f"Type {LABELS[name]} anew: it has a control character or a direction mark in it."
        elif name in ("subject", "text") and (unknown := unknown_variables(text)):
            errors[name] = unknown
    for name in ("subject", "text"):
        if not values[name]:
            errors[name] = "Write something, or take the proposed wording with Reset."
    values["currency"] = entries.get("currency", "")
    if values["currency"] not in CURRENCIES:
        errors["currency"] = "Choose one of these."
    if errors:
        raise SettingsRefused(errors)
    return InvoiceSettings(**values)


def unknown_variables(template: str) -> str:
    """The sentence about {names} a template has and we do not know; "" where all is well."""
    unknown = [name for name in _VARIABLE.findall(template) if name not in VARIABLES]
    if not unknown:
        return ""
    return f"{{{unknown[0]}}} is none of {', '.join(f'{{{name}}}' for name in VARIABLES)}."


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its variables; what a value holds is never read as a variable.

    A line that has nothing but empty variables and the words around them stays out: an invoice without a
    due date says nothing about one.
    """
    kept = []
    for line in template.split("\n"):
        names = [name for name in _VARIABLE.findall(line) if name in values]
        if names and not any(values[name] for name in names):
            continue
        kept.append(_VARIABLE.sub(lambda found: values.get(found[1], found[0]), line))
    return "\n".join(kept)


def _is_clean(label: str, text: str) -> bool:
    try:
        checked(label, text)
    except ValueError:
        return False
    return True
