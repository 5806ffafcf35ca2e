"""A new invoice: made here from lines, or an uploaded PDF. Sums and suggestions come from the server.

Without a script every button sends the whole form and gets the page back; with one only the part changes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge
from wtforms import FileField, SelectChoice, SelectField, StringField, TextAreaField

from webapp.desk import invoice_form, invoice_settings, invoices
from webapp.desk.invoice_amounts import CURRENCIES
from webapp.desk.invoice_form import MAX_PDF, Entries, InvoiceRefused
from webapp.desk.invoice_lines import MOST_LINES, sums
from webapp.desk.invoices import SentAlready
from webapp.models import Invoice, InvoiceSource, Role, Row
from webapp.outbound import outbox
from webapp.views import current
from webapp.views.access import accepts_files, requires
from webapp.views.errors import error_page
from webapp.views.forms import DeskForm
from webapp.views.invoices import actor, pdf_response, say_sent
from webapp.views.partials import is_partial
from webapp.views.queries import invoices as queries
from webapp.views.queries import people
from webapp.views.shell import desk_zone

blueprint = Blueprint("invoice_forms", __name__, url_prefix="/invoices")
MAX_OCTETS = 25_000_000  # of one request; more than a PDF may have, so that a sentence says what is wrong
LINE_FIELDS = ("text", "quantity", "price", "tax")
EMPTY_LINE = {"text": "", "quantity": "1", "price": "", "tax": ""}
FIRST_LINES = 3
CHOICES = [SelectChoice(code) for code in CURRENCIES]


class NewForm(DeskForm):
    number = StringField("Number")
    company = StringField("Company")
    address = TextAreaField("Address of the company")
    to = TextAreaField("To")
    issued_on = StringField("Date")
    due_on = StringField("Due")
    currency = SelectField("Currency", choices=CHOICES, validate_choice=False)
    note = TextAreaField("Note on the invoice")
    subject = StringField("Subject")
    text = TextAreaField("Text")


class UploadForm(DeskForm):
    number = StringField("Number")
    pdf = FileField("PDF of the invoice")
    company = StringField("Company")
    to = TextAreaField("To")
    issued_on = StringField("Date")
    due_on = StringField("Due")
    total = StringField("Total")
    currency = SelectField("Currency", choices=CHOICES, validate_choice=False)
    subject = StringField("Subject")
    text = TextAreaField("Text")


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line of the form as typed, with what is wrong with it by field."""

    typed: Mapping[str, str]
    errors: Mapping[str, str]


@blueprint.get("/new")
@requires(Role.TECHNICIAN)
def new() -> ResponseReturnValue:
    """An empty form, or a copy of an invoice with the next number and today's date."""
    copied = _copied()
    if copied is not None and copied.source is InvoiceSource.UPLOADED:
        return redirect(url_for("invoice_forms.upload", copy=copied.id), 303)
    form = NewForm(formdata=None, data=_proposed(copied))
    lines = [dict(line) for line in copied.lines] if copied else []
    return _new_page(form, [*lines, *[dict(EMPTY_LINE)] * (1 if lines else FIRST_LINES)])


@blueprint.post("/new")
@requires(Role.TECHNICIAN)
def send() -> ResponseReturnValue:
    form = NewForm()
    try:
        return _sent(_entries(form))
    except InvoiceRefused as refused:
        return _new_page(form, _lines(), refused=refused), 422


@blueprint.post("/new/lines")
@requires(Role.TECHNICIAN)
def change_lines() -> ResponseReturnValue:
    """A line more or less, the sums as they are now, or whom the company's addresses are."""
    form, lines = NewForm(), _lines()
    removed = request.form.get("remove", "")
    if removed.isascii() and removed.isdigit() and len(removed) < 4 and int(removed) < len(lines):
        del lines[int(removed)]
    focus = -1
    if "add" in request.form and len(lines) < MOST_LINES:
        lines.append(dict(EMPTY_LINE))
        focus = len(lines) - 1
    if not lines:
        lines = [dict(EMPTY_LINE)]
    if is_partial():
        return render_template("invoices/_lines.html", **_shown_lines(form, lines, {}), focus=focus)
    return _new_page(form, lines, focus=focus)


@blueprint.get("/addresses")
@requires(Role.TECHNICIAN)
def addresses() -> ResponseReturnValue:
    """The addresses of a company's users, for the form."""
    if not is_partial():
        return redirect(url_for("invoice_forms.new"), 303)
    with current.instance().database.reading() as session:
        found = queries.addresses_of(session, request.args.get("company", ""))
    return render_template("invoices/_addresses.html", addresses=found)


@blueprint.post("/preview")
@requires(Role.TECHNICIAN)
def preview() -> ResponseReturnValue:
    """The PDF as it would be sent; nothing is kept."""
    form = NewForm()
    try:
        with current.instance().database.reading() as session:
            content = invoices.preview(session, _entries(form))
    except InvoiceRefused as refused:
        return render_template("invoices/no_preview.html", sentences=_sentences(form, refused)), 422
    return pdf_response(content, "preview.pdf", as_attachment=False)


@blueprint.get("/upload")
@requires(Role.TECHNICIAN)
def upload() -> ResponseReturnValue:
    return _upload_page(UploadForm(formdata=None, data=_proposed(_copied())))


@blueprint.post("/upload")
@requires(Role.TECHNICIAN)
@accepts_files(MAX_OCTETS)
def send_upload() -> ResponseReturnValue:
    form = UploadForm()
    try:
        chosen = request.files.get("pdf")
        if chosen is None or not chosen.filename:
            raise InvoiceRefused(
                {"pdf": "Choose the PDF of the invoice."} | _errors_of(_entries(form, pdf=None), form)
            )
        with chosen.stream:
            content = chosen.stream.read(MAX_PDF + 1)
        return _sent(_entries(form, pdf=content))
    except InvoiceRefused as refused:
        return _upload_page(form, refused=refused), 422


@blueprint.errorhandler(RequestEntityTooLarge)
def too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """Refused before anything of it is read, so there is nothing to show again."""
    return error_page(
        413, f"This is too large: of a PDF at most {MAX_PDF // 1_000_000} MB can be sent. Nothing was sent."
    )


def _sent(entries: Entries) -> ResponseReturnValue:
    instance, key = current.instance(), request.form.get("form_key", "")
    if not (key.isascii() and key.isalnum() and len(key) == 32):
        abort(400, "The form is incomplete. Open the page again.")
    try:
        invoice = invoices.send(
            instance.database, instance.vault, entries, now=current.now(), by=actor(), form_key=key
        )
    except SentAlready as already:
        flash("This invoice was sent already: it was not sent twice.", "warning")
        return redirect(url_for("invoices.show", invoice_id=already.invoice_id), 303)
    say_sent(invoice)
    return redirect(url_for("invoices.show", invoice_id=invoice.id), 303)


def _entries(form: NewForm | UploadForm, *, pdf: bytes | None = None) -> Entries:
    def typed(name: str) -> str:
        found = form.data.get(name)
        return found if isinstance(found, str) else ""

    return Entries(
        number=typed("number"),
        to="\n".join([typed("to"), *request.form.getlist("pick")]),
        company=typed("company"),
        address=typed("address"),
        issued_on=typed("issued_on"),
        due_on=typed("due_on"),
        currency=typed("currency"),
        lines=_lines(),
        total=typed("total"),
        note=typed("note"),
        subject=typed("subject"),
        text=typed("text"),
        pdf=pdf,
    )


def _errors_of(entries: Entries, form: UploadForm) -> dict[str, str]:
    """What else is wrong with an upload that has no file."""
    try:
        with current.instance().database.reading() as session:
            invoice_form.read(session, entries)
    except InvoiceRefused as refused:
        return {name: told for name, told in refused.errors.items() if name in form._fields}
    return {}


def _lines() -> list[dict[str, str]]:
    """The lines as they were typed: one list a field, each as long."""
    columns = [request.form.getlist(f"line_{name}")[: MOST_LINES + 1] for name in LINE_FIELDS]
    return [dict(zip(LINE_FIELDS, row, strict=True)) for row in zip(*columns, strict=False)]


def _proposed(copied: Invoice | None) -> dict[str, str]:
    today = current.now().astimezone(desk_zone()).date().isoformat()
    with current.instance().database.reading() as session:
        settings = invoice_settings.load(session)
        number = invoices.next_number(session)
    entries = {
        "number": number,
        "issued_on": today,
        "currency": settings.currency,
        "subject": settings.subject,
        "text": settings.text,
    }
    if copied is None:
        return entries
    return entries | {
        "company": copied.company_name,
        "address": copied.address,
        "to": "\n".join(copied.recipients),
        "currency": copied.currency,
        "note": copied.note,
    }


def _copied() -> Invoice | None:
    text = request.args.get("copy", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    with current.instance().database.reading() as session:
        return session.get(Invoice, int(text))


def _new_page(
    form: NewForm, lines: list[dict[str, str]], *, refused: InvoiceRefused | None = None, focus: int = -1
) -> str:
    errors = refused.errors if refused else {}
    shown = _shown_lines(form, lines, errors)
    return _page("invoices/new.html", form, refused, focus=focus, **shown)


def _upload_page(form: UploadForm, *, refused: InvoiceRefused | None = None) -> str:
    return _page("invoices/upload.html", form, refused)


def _page(template: str, form: NewForm | UploadForm, refused: InvoiceRefused | None, **what: Any) -> str:
    """With what was picked in the field of addresses, and each complaint at its field."""
    form.to.data = "\n".join(filter(None, [(form.to.data or "").strip(), *request.form.getlist("pick")]))
    for name, sentence in (refused.errors if refused else {}).items():
        if not name.startswith("line"):
            form.refuse(sentence, name)
    with current.instance().database.reading() as session:
        what |= {
            "on": outbox.is_on(session, Row.INVOICE),
            "companies": people.company_choices(session),
            "addresses": queries.addresses_of(session, form.company.data or ""),
        }
    return render_template(
        template,
        form=form,
        taken_by=refused.taken_by if refused else None,
        form_key=request.form.get("form_key") or secrets.token_hex(16),
        variables=invoice_settings.VARIABLES,
        max_mb=MAX_PDF // 1_000_000,
        most=invoice_form.MOST_RECIPIENTS,
        **what,
    )


def _shown_lines(form: NewForm, lines: list[dict[str, str]], errors: Mapping[str, str]) -> dict[str, Any]:
    _, added = sums(lines, form.currency.data or "")
    rows = [
        LineRow(
            line,
            {
                name: errors[f"line-{index}-{name}"]
                for name in LINE_FIELDS
                if f"line-{index}-{name}" in errors
            },
        )
        for index, line in enumerate(lines)
    ]
    return {
        "lines": rows,
        "sums": added,
        "currency": form.currency.data or "",
        "lines_error": errors.get("lines", ""),
        "full": len(lines) >= MOST_LINES,
    }


def _sentences(form: NewForm, refused: InvoiceRefused) -> list[str]:
    """The complaints with their fields' names before them."""
    told = []
    for name, sentence in refused.errors.items():
        control = form._fields.get(name)
        if name.startswith("line-"):
            _, index, field = name.split("-")
            told.append(f"Line {int(index) + 1}, {field}: {sentence}")
        else:
            told.append(f"{control.label.text}: {sentence}" if control else sentence)
    return told
