"""An invoice leaves through the Invoice row only: itself, its PDF and its mail are one transaction.

A form sends one number once: it has a key, and the number is taken afterwards. Sent again by hand it is a new
message with the same PDF; what failed is sent again in the outbox, as the same message. PDF and mail are made
before the transaction: with a large file that takes a second or two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from webapp.database import Database
from webapp.desk import audit, invoice_form, invoice_mail, invoice_settings, options
from webapp.desk.invoice_amounts import Line, money
from webapp.desk.invoice_form import Checked, Entries, InvoiceRefused
from webapp.desk.invoice_settings import InvoiceSettings, fill
from webapp.models import (
    Invoice,
    InvoiceFile,
    InvoiceSource,
    MailServer,
    OutgoingKind,
    OutgoingMessage,
    Row,
)
from webapp.outbound import outbox
from webapp.outbound.outbox import Outgoing
from webapp.vault import Vault

OFF = "Invoice email is off, so this will be kept and not sent."


class SentAlready(Exception):
    """This very form has sent its invoice."""

    def __init__(self, invoice_id: int) -> None:
        super().__init__("This invoice was sent already.")
        self.invoice_id = invoice_id


def send(
    database: Database, vault: Vault, entries: Entries, *, now: datetime, by: str, form_key: str | None = None
) -> Invoice:
    """The new invoice, its mail in the outbox. Raises InvoiceRefused or SentAlready, with nothing written."""
    guard, loop_key = _guard(form_key, entries.number), options.have_loop_key(database, vault)
    with database.reading() as session:
        _refuse_twice(session, guard)
        checked, settings = invoice_form.read(session, entries), invoice_settings.load(session)
        server = _sending_row(session)
    pdf = checked.pdf if checked.pdf is not None else make_pdf(checked, settings)
    invoice = _made(checked, settings, now=now, by=by, form_key=guard)
    message = invoice_mail.compose(invoice, pdf, checked.recipients, settings.name, server, loop_key, now)
    with _one_of_each(database, checked.number, guard) as session:
        session.add(invoice)
        session.flush()
        session.add(InvoiceFile(invoice_id=invoice.id, pdf=pdf))
        _enqueue(session, invoice.id, message, checked.recipients, now=now, by=by)
        audit.record(
            session, now, by, "invoice.send", invoice.number,
            recipients=list(checked.recipients), total=invoice.total, currency=invoice.currency,
        )  # fmt: skip
        return invoice


def send_again(
    database: Database, vault: Vault, invoice_id: int, to: str, *, seen: int, now: datetime, by: str
) -> OutgoingMessage:
    """The same PDF and text as a new message. `seen` is the newest message the person knew of.

    Raises InvoiceRefused, SentAlready where there is a newer one.
    """
    loop_key = options.have_loop_key(database, vault)
    with database.reading() as session:
        _refuse_newer(session, invoice_id, seen)
        errors: dict[str, str] = {}
        recipients = invoice_form.read_recipients(session, to, errors)
        if errors:
            raise InvoiceRefused(errors)
        invoice, name = session.get_one(Invoice, invoice_id), invoice_settings.load(session).name
        pdf, server = load_pdf(session, invoice_id), _sending_row(session)
    message = invoice_mail.compose(invoice, pdf, recipients, name, server, loop_key, now)
    with database.writing() as session:
        session.get_one(Invoice, invoice_id, with_for_update=True)  # one at a time, in every database
        _refuse_newer(session, invoice_id, seen)
        audit.record(session, now, by, "invoice.send_again", invoice.number, recipients=list(recipients))
        return _enqueue(session, invoice_id, message, recipients, now=now, by=by)


def preview(session: Session, entries: Entries) -> bytes:
    """The PDF these entries would give. Raises InvoiceRefused."""
    return make_pdf(invoice_form.read(session, entries, to_preview=True), invoice_settings.load(session))


def make_pdf(checked: Checked, settings: InvoiceSettings) -> bytes:
    from webapp.desk import invoice_pdf  # many megabytes, and few processes need it

    return invoice_pdf.render(
        invoice_pdf.Sheet(
            number=checked.number,
            company=checked.company,
            address=checked.address,
            issued_on=checked.issued_on,
            due_on=checked.due_on,
            currency=checked.currency,
            lines=checked.lines,
            note=checked.note,
        ),
        settings,
    )


def sample_pdf(settings: InvoiceSettings, lines: Sequence[Line], *, issued_on: date, due_on: date) -> bytes:
    """What an invoice with these settings looks like."""
    from webapp.desk import invoice_pdf

    return invoice_pdf.render(
        invoice_pdf.Sheet(
            number="2026-0042",
            company="Acme Ltd",
            address="Road 5\n1000 Sofia",
            issued_on=issued_on,
            due_on=due_on,
            currency=settings.currency,
            lines=lines,
            note="",
        ),
        settings,
    )


def load_pdf(session: Session, invoice_id: int) -> bytes:
    return session.get_one(InvoiceFile, invoice_id).pdf


def messages_of(session: Session, invoice_ids: Sequence[int]) -> dict[int, list[OutgoingMessage]]:
    """The mails of these invoices, oldest first, with their deliveries and without their octets."""
    found: dict[int, list[OutgoingMessage]] = {}
    query = sa.select(OutgoingMessage).where(OutgoingMessage.invoice_id.in_(invoice_ids))
    query = query.options(selectinload(OutgoingMessage.deliveries))
    for message in session.scalars(query.order_by(OutgoingMessage.id)):
        assert message.invoice_id is not None
        found.setdefault(message.invoice_id, []).append(message)
    return found


def newest_message(session: Session, invoice_id: int) -> int:
    query = sa.select(sa.func.max(OutgoingMessage.id)).where(OutgoingMessage.invoice_id == invoice_id)
    return session.scalar(query) or 0


def next_number(session: Session) -> str:
    """The newest invoice's number and one more, "" where it does not end in digits or that one is taken."""
    last = session.scalar(sa.select(Invoice.number).order_by(Invoice.id.desc()).limit(1)) or ""
    stem = last.rstrip("0123456789")
    digits = last[len(stem) :]
    if not digits:
        return ""
    wanted = f"{stem}{int(digits) + 1:0{len(digits)}}"
    return "" if invoice_form.find_number(session, wanted) is not None else wanted


@contextmanager
def _one_of_each(database: Database, number: str, guard: str | None) -> Iterator[Session]:
    """A writing session for an invoice whose form and number are new; the table has the last word."""

    def refuse(session: Session) -> None:
        _refuse_twice(session, guard)
        if (taken_by := invoice_form.find_number(session, number)) is not None:
            raise InvoiceRefused({"number": invoice_form.taken_sentence(number)}, taken_by=taken_by)

    try:
        with database.writing() as session:
            refuse(session)
            yield session
    except sa.exc.IntegrityError:
        with database.reading() as session:
            refuse(session)
        raise


def _guard(form_key: str | None, number: str) -> str | None:
    """What one form sends once. With another number in it, back in the browser, it sends another invoice."""
    if form_key is None:
        return None
    return hashlib.sha256(f"{form_key}:{invoice_form.number_key(number)}".encode()).hexdigest()


def _refuse_twice(session: Session, guard: str | None) -> None:
    if guard is None:
        return
    known = session.scalar(sa.select(Invoice.id).where(Invoice.form_key == guard))
    if known is not None:
        raise SentAlready(known)


def _refuse_newer(session: Session, invoice_id: int, seen: int) -> None:
    if newest_message(session, invoice_id) != seen:
        raise SentAlready(invoice_id)


def _sending_row(session: Session) -> MailServer | None:
    return session.get(MailServer, Row.INVOICE.value)


def _made(
    checked: Checked, settings: InvoiceSettings, *, now: datetime, by: str, form_key: str | None
) -> Invoice:
    """As it will be stored."""
    values = invoice_mail.variables(
        settings,
        number=checked.number,
        company=checked.company,
        total=money(checked.total, checked.currency) if checked.total is not None else "",
        due=checked.due_on,
    )
    return Invoice(
        number=checked.number,
        number_key=checked.number_key,
        source=InvoiceSource.MADE if checked.pdf is None else InvoiceSource.UPLOADED,
        company_id=checked.company_id,
        company_name=checked.company,
        address=checked.address,
        recipients=list(checked.recipients),
        issued_on=checked.issued_on,
        due_on=checked.due_on,
        currency=checked.currency,
        lines=[_stored(line) for line in checked.lines],
        total="" if checked.total is None else str(checked.total),
        note=checked.note,
        # Of a subject that is all variables nothing may be left.
        subject=" ".join(fill(checked.subject, values).split()) or f"Invoice {checked.number}",
        text=fill(checked.text, values),
        form_key=form_key,
        created_at=now,
        created_by=by,
    )


def _enqueue(
    session: Session,
    invoice_id: int,
    message: Outgoing,
    recipients: Sequence[str],
    *,
    now: datetime,
    by: str,
) -> OutgoingMessage:
    written = outbox.enqueue(
        session, message, recipients, row=Row.INVOICE, kind=OutgoingKind.INVOICE, created_by=by, now=now
    )
    assert written is not None  # only what a received message causes may be there already
    written.invoice_id = invoice_id
    session.flush()
    return written


def _stored(line: Line) -> dict[str, str]:
    return {
        "text": line.text,
        "quantity": str(line.quantity),
        "price": str(line.price),
        "tax": "" if line.tax is None else str(line.tax),
    }


def lines_of(invoice: Invoice) -> list[Line]:
    """The lines as they were stored."""
    return [
        Line(
            row["text"],
            Decimal(row["quantity"]),
            Decimal(row["price"]),
            Decimal(row["tax"]) if row["tax"] else None,
        )
        for row in invoice.lines
    ]
