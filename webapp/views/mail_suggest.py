"""Suggest settings for the address in the form. Only the address is used; no password is sent anywhere."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.desk.jobs import TooManyJobs
from webapp.desk.suggestions import SettingsSearch
from webapp.models import Role, Row
from webapp.views import mail_page
from webapp.views.access import requires
from webapp.views.mail_forms import MailServerForm
from webapp.views.mail_page import show_form, show_rows
from webapp.views.partials import is_partial

blueprint = Blueprint("mail_suggest", __name__, url_prefix=mail_page.PREFIX)
NOT_KNOWN = "This search is not known any more. Start it again."


@blueprint.post("/<mail_row:row>/suggest")
@requires(Role.ADMINISTRATOR)
def start(row: Row) -> ResponseReturnValue:
    form = MailServerForm(row)
    typed = [(form.username.data or "").strip(), (form.from_address.data or "").strip()]
    address = next((text for text in typed if "@" in text), typed[0] or typed[1])
    try:
        search = mail_page.searches().start(address, sending=row is not Row.INCOMING)
    except TooManyJobs as refused:
        if is_partial():
            return _part(row, None, str(refused))
        form.refuse(str(refused))
        return show_form(form, mail_page.load(row), status=429)
    if is_partial():
        return _part(row, search)
    mail_page.kept().keep(search.job_id, request.form)
    return redirect(url_for("mail_suggest.show", row=row, search_id=search.job_id), 303)


@blueprint.get("/<mail_row:row>/suggest/<search_id>")
@requires(Role.ADMINISTRATOR)
def show(row: Row, search_id: str) -> ResponseReturnValue:
    search = mail_page.searches().find(search_id)
    if is_partial():
        return _part(row, search, "" if search else NOT_KNOWN)
    if search is None:
        abort(404, NOT_KNOWN)
    if search.running:
        return show_rows(
            waiting_row=row,
            row=row,
            search=search,
            refresh=True,
            waiting_template="mail_settings/_suggest.html",
        )
    entries = mail_page.kept().find(search_id)
    if entries is None:
        return redirect(url_for("mail_settings.edit", row=row), 303)
    return show_form(MailServerForm.of_entries(row, entries), mail_page.load(row), search=search)


@blueprint.post("/<mail_row:row>/suggest/<search_id>/stop")
@requires(Role.ADMINISTRATOR)
def stop(row: Row, search_id: str) -> ResponseReturnValue:
    search = mail_page.searches().find(search_id) or abort(404, NOT_KNOWN)
    search.stop()
    search.wait(2)
    if is_partial():
        return _part(row, search)
    return redirect(url_for("mail_suggest.show", row=row, search_id=search_id), 303)


def _part(row: Row, search: SettingsSearch | None, sentence: str = "") -> ResponseReturnValue:
    return render_template("mail_settings/_suggest.html", row=row, search=search, search_refusal=sentence)
