"""Invoices that were sent, or could not be; what became of each mail stands in the outbox."""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UtcDateTime, text_enum


class InvoiceSource(enum.StrEnum):
    """Where the PDF comes from."""

    MADE = "made"  # from the lines, here
    UPLOADED = "uploaded"  # another program's, sent as it is


class Invoice(Base):
    """One invoice. Its mails are the `OutgoingMessage`s with its id: the first, and those sent later."""

    __tablename__ = "invoice"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(sa.String(60))  # as written
    number_key: Mapped[str] = mapped_column(sa.String(180), unique=True)  # as compared: case-folded
    source: Mapped[InvoiceSource] = mapped_column(text_enum(InvoiceSource))
    company_id: Mapped[int | None] = mapped_column(sa.ForeignKey("company.id"), index=True)
    company_name: Mapped[str] = mapped_column(sa.String(200), default="")  # as on the invoice
    address: Mapped[str] = mapped_column(sa.Text, default="")  # whom it is made out to, below the name
    recipients: Mapped[list[str]] = mapped_column(sa.JSON)  # addr-specs of the first mail
    issued_on: Mapped[date] = mapped_column(sa.Date)
    due_on: Mapped[date | None] = mapped_column(sa.Date)
    currency: Mapped[str] = mapped_column(sa.String(3))  # ISO 4217
    # [{"text", "quantity", "price", "tax"}]: decimal strings; tax in per cent or ""
    lines: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    total: Mapped[str] = mapped_column(sa.String(24), default="")  # decimal; "" where nobody said
    note: Mapped[str] = mapped_column(sa.Text, default="")
    subject: Mapped[str] = mapped_column(sa.Text)  # of the mail
    text: Mapped[str] = mapped_column(sa.Text)
    form_key: Mapped[str | None] = mapped_column(sa.String(64), unique=True)  # whose form sent it
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(sa.String(320))

    @property
    def file_name(self) -> str:
        """invoice-2026-0042.pdf; what a file's name cannot have becomes "_"."""
        return f"invoice-{''.join(one if one.isalnum() or one in '-._' else '_' for one in self.number)}.pdf"


class InvoiceFile(Base):
    """The PDF of an invoice, apart from it so that lists do not read it."""

    __tablename__ = "invoice_file"

    invoice_id: Mapped[int] = mapped_column(sa.ForeignKey("invoice.id"), primary_key=True)
    pdf: Mapped[bytes] = mapped_column(sa.LargeBinary)
