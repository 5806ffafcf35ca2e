"""The mail an invoice comes with: what its variables stand for, and the message, composed and compressed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from webapp.desk.invoice_form import InvoiceRefused
from webapp.desk.invoice_settings import InvoiceSettings
from webapp.mail import invoice_message
from webapp.mail.conversation import File
from webapp.mail.field_lines import ascii_addr_spec
from webapp.mail.invoice_message import Letter
from webapp.models import Invoice, InvoiceSource, MailServer
from webapp.outbound import outbox
from webapp.outbound.outbox import Outgoing


def variables(
    settings: InvoiceSettings, *, number: str, company: str, total: str, due: date | None
) -> dict[str, str]:
    """What the variables of a subject or text stand for."""
    return {
        "number": number,
        "company": company,
        "total": total,
        "due": f"{due.day} {due:%b %Y}" if due else "",
        "desk": settings.name,
    }


def compose(
    invoice: Invoice,
    pdf: bytes,
    recipients: Sequence[str],
    name: str,
    server: MailServer | None,
    loop_key: bytes,
    now: datetime,
) -> Outgoing:
    """The mail, compressed. Raises InvoiceRefused where the row's server takes none of that size."""
    from_addr = server.from_address if server and server.from_address else outbox.NOBODY
    try:
        from_addr = ascii_addr_spec("From", from_addr)
        message_id = invoice_message.make_message_id(from_addr)
        letter = Letter(
            sender=(name, from_addr),
            recipients=recipients,
            subject=invoice.subject,
            text=invoice.text,
            file=File(invoice.file_name, pdf),
        )
        raw = invoice_message.compose(letter, message_id=message_id, loop_key=loop_key, now=now)
    except ValueError as error:
        raise InvoiceRefused(
            {"": f"No mail can be made of this: {error}. Check the From address of the Invoice row."}
        ) from error
    most = server.largest_octets if server else None
    if most is not None and len(raw) > most:
        raise InvoiceRefused(
            {"pdf" if invoice.source is InvoiceSource.UPLOADED else "": _too_large(raw, most)}
        )
    return Outgoing(raw=raw, message_id=message_id, from_addr=from_addr, subject=invoice.subject)


def _too_large(raw: bytes, most: int) -> str:
    return (
        f"With this PDF the mail has {len(raw) / 1e6:.1f} MB; the mail server of the Invoice row takes at "
        f"most {most // 100_000 / 10:g} MB. Make the PDF smaller."
    )
