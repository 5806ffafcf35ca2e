"""Single fields of an invoice as people type them: what they say, or a sentence in `errors` at their name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from webapp.mail.field_lines import checked
from webapp.mail.written_text import tidy

# Lines of text, so that a table's row stays on one page and an invoice has fewer than a hundred pages.
MOST_TEXT_LINES = {"address": 10, "note": 40, "line": 15}
_EARLIEST, _LATEST = date(2000, 1, 1), date(2099, 12, 31)


def one_line(text: str, name: str, most: int, errors: dict[str, str]) -> str:
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


def many_lines(text: str, name: str, most: int, errors: dict[str, str]) -> str:
    text = tidy(text).strip()
    if len(text) > most:
        errors[name] = f"At most {most:,} characters fit; these are {len(text):,}."
        return ""
    most_lines = MOST_TEXT_LINES.get(name.partition("-")[0])
    if most_lines and text.count("\n") >= most_lines:
        errors[name] = f"At most {most_lines} lines of text fit here."
        return ""
    return text


def day(text: str, name: str, errors: dict[str, str]) -> date | None:
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
