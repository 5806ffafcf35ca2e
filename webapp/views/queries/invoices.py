"""Invoices as their pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import Company, Delivery, Invoice, OutgoingMessage, User
from webapp.views.paging import PAGE_SIZE, Page, make_page, offset

MOST_ADDRESSES = 50


@dataclass(frozen=True, slots=True)
class Sending:
    """One mail of an invoice, with what became of it for each recipient."""

    message: OutgoingMessage
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    invoice: Invoice
    sendings: tuple[Sending, ...]

    @property
    def deliveries(self) -> list[Delivery]:
        """Of the newest mail to each address, in the order they were written first."""
        newest = {one.recipient_key: one for sending in self.sendings for one in sending.deliveries}
        return list(newest.values())


def list_page(session: Session, text: str, number: int) -> Page[InvoiceRow]:
    """Newest first; `text` is part of a number or a company's name."""
    query = sa.select(Invoice).order_by(Invoice.id.desc())
    if text:
        query = query.where(
            Invoice.number.icontains(text, autoescape=True)
            | Invoice.company_name.icontains(text, autoescape=True)
        )
    found = session.scalars(query.limit(PAGE_SIZE + 1).offset(offset(number))).all()
    return make_page(_with_sendings(session, found), number)


def load(session: Session, invoice_id: int) -> InvoiceRow | None:
    invoice = session.get(Invoice, invoice_id)
    return _with_sendings(session, [invoice])[0] if invoice is not None else None


def any_invoice(session: Session) -> bool:
    return session.scalar(sa.select(Invoice.id).limit(1)) is not None


def addresses_of(session: Session, company: str) -> list[tuple[str, str]]:
    """Name and primary address of each active user of the company with this name."""
    query = (
        sa.select(User)
        .join(Company)
        .where(Company.name_key == " ".join(company.split()).casefold(), User.active)
        .order_by(sa.func.lower(User.name), User.id)
        .limit(MOST_ADDRESSES)
    )
    return [(user.name, user.email) for user in session.scalars(query) if user.email]


def _with_sendings(session: Session, invoices: Sequence[Invoice]) -> list[InvoiceRow]:
    found: dict[int, dict[int, tuple[OutgoingMessage, list[Delivery]]]] = {}
    query = (
        sa.select(OutgoingMessage, Delivery)
        .join(Delivery, Delivery.outgoing_id == OutgoingMessage.id)
        .where(OutgoingMessage.invoice_id.in_([invoice.id for invoice in invoices]))
        .order_by(Delivery.id)
    )
    for message, delivery in session.execute(query):
        assert message.invoice_id is not None
        of_invoice = found.setdefault(message.invoice_id, {})
        of_invoice.setdefault(message.id, (message, []))[1].append(delivery)
    return [
        InvoiceRow(
            invoice,
            tuple(Sending(message, tuple(those)) for message, those in found.get(invoice.id, {}).values()),
        )
        for invoice in invoices
    ]
