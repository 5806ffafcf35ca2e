"""Invoices: what was sent, what became of it, the PDF, and sending it again. A new one: `invoice_forms`."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from wtforms import TextAreaField

from webapp.desk import invoices
from webapp.desk.invoice_amounts import money, plain, totals
from webapp.desk.invoice_form import MOST_RECIPIENTS, InvoiceRefused
from webapp.desk.invoices import SentAlready
from webapp.models import Invoice, Role, Row
from webapp.outbound import outbox
from webapp.outbound.by_hand import RESENDABLE
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.live import live_part
from webapp.views.paging import filter_text, page_number
from webapp.views.partials import is_partial
from webapp.views.queries import invoices as queries
from webapp.views.queries.invoices import InvoiceRow

blueprint = Blueprint("invoices", __name__, url_prefix="/invoices")
ID = "int(max=2147483647)"
# A browser's own viewer shows it, and nothing in it may reach anything.
PDF_POLICY = (
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class AgainForm(DeskForm):
    to = TextAreaField("To")


@blueprint.app_template_filter()
def total_of(invoice: Invoice) -> str:
    """1,234.50 EUR, or a dash where nobody said."""
    return money(Decimal(invoice.total), invoice.currency) if invoice.total else "–"


@blueprint.app_template_filter("money")
def money_of(amount: Decimal, currency: str) -> str:
    return money(amount, currency)


@blueprint.app_template_filter("plain")
def plain_number(number: Decimal) -> str:
    return plain(number)


@blueprint.app_template_filter()
def day(one: date) -> str:
    """24 Dec 2026: a day of the calendar, in no time zone."""
    return f"{one.day} {one:%b %Y}"


@blueprint.app_template_filter()
def wrapped(name: str) -> str:
    """{name}, as a variable is written."""
    return f"{{{name}}}"


@blueprint.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    text = filter_text("q")
    with current.instance().database.reading() as session:
        page = queries.list_page(session, text, page_number())
        any_invoice = bool(page.items) or queries.any_invoice(session)
    what = {"page": page, "text": text, "any_invoice": any_invoice}
    if is_partial():
        return live_part("invoices/_list.html", **what)
    return render_template("invoices/index.html", **what)


@blueprint.get(f"/<{ID}:invoice_id>")
@requires(Role.VIEWER)
def show(invoice_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        row, on = _load(invoice_id), outbox.is_on(session, Row.INVOICE)
    lines = invoices.lines_of(row.invoice)
    return render_template(
        "invoices/show.html",
        row=row,
        invoice=row.invoice,
        lines=lines,
        sums=totals(lines, row.invoice.currency) if lines else None,
        on=on,
        resendable=RESENDABLE,
        nobody=outbox.NOBODY,
    )


@blueprint.get(f"/<{ID}:invoice_id>/invoice.pdf")
@requires(Role.VIEWER)
def pdf(invoice_id: int) -> ResponseReturnValue:
    """The very PDF that was sent, as a file to keep."""
    row = _load(invoice_id)
    with current.instance().database.reading() as session:
        content = invoices.load_pdf(session, invoice_id)
    return pdf_response(content, row.invoice.file_name, as_attachment=True)


@blueprint.get(f"/<{ID}:invoice_id>/send-again")
@requires(Role.TECHNICIAN)
def ask_again(invoice_id: int) -> ResponseReturnValue:
    """To whom, before anything is sent."""
    row = _load(invoice_id)
    addresses = "\n".join(one.recipient for one in row.deliveries)
    return _again_page(row, AgainForm(formdata=None, data={"to": addresses}))


@blueprint.post(f"/<{ID}:invoice_id>/send-again")
@requires(Role.TECHNICIAN)
def send_again(invoice_id: int) -> ResponseReturnValue:
    row, form, instance = _load(invoice_id), AgainForm(), current.instance()
    seen = request.form.get("seen", "")
    if not (seen.isascii() and seen.isdigit() and len(seen) < 11):
        abort(400, "The form is incomplete. Open the invoice again.")
    try:
        invoices.send_again(
            instance.database,
            instance.vault,
            invoice_id,
            form.to.data or "",
            seen=int(seen),
            now=current.now(),
            by=actor(),
        )
    except InvoiceRefused as refused:
        for field, sentence in refused.errors.items():
            form.refuse(sentence, field)
        return _again_page(row, form), 422
    except SentAlready:
        flash("This invoice was just sent again: it was not sent twice. See below.", "warning")
        return redirect(url_for("invoices.show", invoice_id=invoice_id), 303)
    say_sent(row.invoice)
    return redirect(url_for("invoices.show", invoice_id=invoice_id), 303)


def say_sent(invoice: Invoice) -> None:
    with current.instance().database.reading() as session:
        on = outbox.is_on(session, Row.INVOICE)
    if on:
        flash(f"Invoice {invoice.number} is being sent.", "good")
    else:
        flash(f"Invoice {invoice.number} is kept. Not sent: Invoice email is off.", "warning")


def pdf_response(content: bytes, name: str, *, as_attachment: bool) -> Response:
    response = send_file(
        io.BytesIO(content),
        mimetype="application/pdf",
        as_attachment=as_attachment,
        download_name=name,
        conditional=False,
        etag=False,
        max_age=0,
    )
    response.headers["Content-Security-Policy"] = PDF_POLICY
    return response


def actor() -> str:
    person = current.person()
    assert person is not None
    return person.email


def _load(invoice_id: int) -> InvoiceRow:
    with current.instance().database.reading() as session:
        return queries.load(session, invoice_id) or abort(404, "There is no such invoice.")


def _again_page(row: InvoiceRow, form: AgainForm) -> str:
    with current.instance().database.reading() as session:
        on = outbox.is_on(session, Row.INVOICE)
    seen = row.sendings[-1].message.id if row.sendings else 0
    return render_template(
        "invoices/send_again.html",
        row=row,
        invoice=row.invoice,
        form=form,
        seen=seen,
        on=on,
        most=MOST_RECIPIENTS,
    )
