"""Settings > Service desk > Invoices: who makes them out, and the mail they come with; with a preview."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SelectField, StringField, TextAreaField

from webapp.desk import audit, invoice_fields, invoice_mail, invoice_settings, invoices
from webapp.desk.invoice_amounts import Line, money, totals
from webapp.desk.invoice_settings import InvoiceSettings, SettingsRefused, fill
from webapp.models import Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.invoice_forms import CHOICES
from webapp.views.invoices import actor, pdf_response
from webapp.views.shell import desk_zone

blueprint = Blueprint("invoice_settings", __name__, url_prefix="/settings/service-desk/invoices")
SAMPLE = (Line("Work on the printer", Decimal("1.5"), Decimal(80)), Line("Toner", Decimal(2), Decimal(40)))


class SettingsForm(DeskForm):
    name = StringField("Name")
    address = TextAreaField("Address")
    tax_number = StringField("Tax number")
    payment = TextAreaField("How to pay")
    currency = SelectField("Currency of new invoices", choices=CHOICES, validate_choice=False)
    subject = StringField("Subject")
    text = TextAreaField("Text")


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def form() -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        saved = invoice_settings.load(session)
    return _page(SettingsForm(formdata=None, data=asdict(saved)), saved)


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def save() -> ResponseReturnValue:
    """Save, put the proposed wording back into the form, or only show what it would look like."""
    entered = SettingsForm()
    if "reset" in request.form:
        entered.subject.data, entered.text.data = invoice_settings.SUBJECT, invoice_settings.TEXT
        flash("The proposed wording is in the form. Save to use it.", "good")
        return _page(entered, None)
    try:
        wanted = invoice_settings.read({name: str(value or "") for name, value in entered.data.items()})
        _refuse_unprintable(wanted)
    except SettingsRefused as refused:
        for field, sentence in refused.errors.items():
            entered.refuse(sentence, field)
        return _page(entered, None), 422
    if "preview" in request.form:
        return _page(entered, wanted)
    if "pdf" in request.form:
        return pdf_response(_sample_pdf(wanted), "preview.pdf", as_attachment=False)
    with current.instance().database.writing() as session:
        before = invoice_settings.load(session)
        if before != wanted:
            invoice_settings.save(session, wanted)
            audit.record(
                session, current.now(), actor(), "settings.invoices", "invoices",
                before=asdict(before), after=asdict(wanted),
            )  # fmt: skip
    flash("Saved. New invoices look like this from now on.", "good")
    return redirect(url_for("invoice_settings.form"), 303)


def _refuse_unprintable(settings: InvoiceSettings) -> None:
    texts = {name: getattr(settings, name) for name in ("name", "address", "tax_number", "payment")}
    errors: dict[str, str] = {}
    invoice_fields.refuse_unprintable(texts, errors, cure="Write it another way.")
    if errors:
        raise SettingsRefused(errors)


def _page(shown: SettingsForm, settings: InvoiceSettings | None) -> str:
    """With the mail of a sample invoice."""
    subject = text = ""
    if settings is not None:
        values = invoice_mail.variables(
            settings,
            number="2026-0042",
            company="Acme Ltd",
            total=money(totals(SAMPLE, settings.currency).total, settings.currency),
            due=_today() + timedelta(days=14),
        )
        subject, text = fill(settings.subject, values), fill(settings.text, values)
    return render_template(
        "invoice_settings/index.html",
        form=shown,
        subject=subject,
        text=text,
        variables=invoice_settings.VARIABLES,
    )


def _sample_pdf(settings: InvoiceSettings) -> bytes:
    return invoices.sample_pdf(settings, SAMPLE, issued_on=_today(), due_on=_today() + timedelta(days=14))


def _today() -> date:
    return current.now().astimezone(desk_zone()).date()
