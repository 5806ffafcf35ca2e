"""Test Connection: of the values in the form, unsaved, or of a row as it is saved.

It runs as a job; the page asks how far it is, by htmx or, without a script, by asking for itself again.
Nothing is saved, and nothing on the mail server is changed.
"""

from __future__ import annotations

import json
from dataclasses import replace

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.desk import audit, mail_servers
from webapp.desk.addresses import read_addr_spec
from webapp.desk.connection_tests import ConnectionTest, sending
from webapp.desk.jobs import TooManyJobs
from webapp.desk.mail_form import FormErrors, values_of
from webapp.desk.mail_servers import Draft
from webapp.inbound.foresight import foresee
from webapp.models import MailServer, Role, Row
from webapp.vault import VaultError
from webapp.views import current, mail_page
from webapp.views.access import requires
from webapp.views.mail_forms import MailServerForm, read_changes, with_changes
from webapp.views.mail_page import show_form, show_rows
from webapp.views.partials import is_partial
from webapp.views.queries.mail_rows import LABELS

blueprint = Blueprint("mail_tests", __name__, url_prefix=mail_page.PREFIX)
NOT_KNOWN = "This test is not known any more. Start it again."


@blueprint.post("/<mail_row:row>/test")
@requires(Role.ADMINISTRATOR)
def start(row: Row) -> ResponseReturnValue:
    """Test what is entered; with `fill` after the changes it names, with `send` a message is sent as well."""
    entries = with_changes(request.form, read_changes(row, request.form.get("fill", "")))
    form, stored = MailServerForm(row, formdata=entries), mail_page.load(row)
    try:
        with current.instance().database.reading() as session:
            wanted = mail_page.draft_of(session, form, stored, active=False)
        send_to = _recipient(form) if "send" in entries else None
    except FormErrors as refused:
        form.show_errors(refused.errors)
        return show_form(form, stored, status=422, retarget=True, refused="Not tested")
    try:
        test = _start(row, wanted, stored, send_to)
    except TooManyJobs as refused:
        if is_partial():
            return _refused(row, str(refused), 429)
        form.refuse(str(refused))
        return show_form(form, stored, status=429)
    if is_partial():
        return _part(test)
    mail_page.kept().keep(test.job_id, entries)
    return redirect(url_for("mail_tests.show", row=row, test_id=test.job_id), 303)


@blueprint.post("/<mail_row:row>/test/saved")
@requires(Role.ADMINISTRATOR)
def start_saved(row: Row) -> ResponseReturnValue:
    """Test the row as it is saved, without opening it."""
    stored = mail_page.load(row)
    if stored is None or not stored.is_set_up:
        abort(404, "This row is not set up yet.")
    try:
        wanted = mail_servers.stored_draft(current.instance().vault, stored)
        test = _start(row, wanted, stored, None)
    except (TooManyJobs, VaultError) as refused:
        if is_partial():
            return _refused(row, str(refused), 429)
        flash(str(refused), "warning")
        return redirect(url_for("mail_settings.index", _anchor=f"row-{row.value}"), 303)
    if is_partial():
        return _part(test, begins=True)
    return redirect(url_for("mail_tests.show", row=row, test_id=test.job_id), 303)


@blueprint.get("/<mail_row:row>/test/<test_id>")
@requires(Role.ADMINISTRATOR)
def show(row: Row, test_id: str) -> ResponseReturnValue:
    test = _known(row, test_id)
    if test is None:
        return _refused(row, NOT_KNOWN, 404) if is_partial() else abort(404, NOT_KNOWN)
    if is_partial():
        return _part(test)
    entries = mail_page.kept().find(test_id)
    if entries is None:
        return show_rows(row_test=test, refresh=test.running)
    if test.running:
        return show_rows(waiting_row=row, test=test, refresh=True)
    form = MailServerForm.of_entries(row, entries)
    if test.remedy:
        form.show_cause(test.remedy.field, f"why-{row.value}")
    return show_form(form, mail_page.load(row), test=test)


@blueprint.post("/<mail_row:row>/test/<test_id>/stop")
@requires(Role.ADMINISTRATOR)
def stop(row: Row, test_id: str) -> ResponseReturnValue:
    test = _known(row, test_id) or abort(404, NOT_KNOWN)
    test.stop()
    test.wait(2)
    if is_partial():
        return _part(test)
    return redirect(url_for("mail_tests.show", row=row, test_id=test_id), 303)


def is_as_saved(wanted: Draft, stored: MailServer | None) -> bool:
    """Whether a test of this says something about the saved settings; being on or off is no part of it."""
    if stored is None or wanted.typed:
        return False
    return replace(values_of(stored), active=False) == replace(wanted.values, active=False)


def _start(row: Row, wanted: Draft, stored: MailServer | None, send_to: str | None) -> ConnectionTest:
    instance = current.instance()
    version = stored.version if stored is not None and is_as_saved(wanted, stored) else 0

    def remember(test: ConnectionTest) -> None:
        if not version:
            return
        with instance.database.writing() as session:
            mail_servers.record_test(
                session, row, version=version, passed=test.passed, sentence=test.sentence, now=current.now(),
                takes=test.takes,
            )  # fmt: skip

    settings = mail_servers.server_settings(wanted, instance)
    looks = foresee(instance, wanted) if row is Row.INCOMING else None
    sends = None
    if send_to:
        sends = sending(instance, settings, send_to, row_label=LABELS[row], now=current.now())
    test = mail_page.tests().start(row, settings, remember, foresee=looks, send=sends)
    with instance.database.writing() as session:  # a test is a port scanner in the wrong hands
        where = {"host": settings.host, "port": settings.port} | ({"send_to": send_to} if send_to else {})
        audit.record(session, current.now(), mail_page.actor(), "mail_server.test", row.value, **where)
    return test


def _recipient(form: MailServerForm) -> str:
    """Raises FormErrors."""
    try:
        return read_addr_spec((form.send_to.data or "").strip())
    except ValueError:
        raise FormErrors({"send_to": "Enter one email address, for example anna@example.com."}) from None


def _part(test: ConnectionTest, *, begins: bool = False) -> ResponseReturnValue:
    response = make_response(render_template("mail_settings/_test.html", test=test))
    if begins or not test.running:  # a row that is shown below says so
        response.headers["HX-Trigger"] = json.dumps({mail_page.ROW_CHANGED: {}})
    return response


def _refused(row: Row, sentence: str, status: int) -> ResponseReturnValue:
    """A page that asks on and on is told to stop."""
    return render_template("mail_settings/_test_refused.html", row=row, sentence=sentence), status


def _known(row: Row, test_id: str) -> ConnectionTest | None:
    test = mail_page.tests().find(test_id)
    return test if test is not None and test.row is row else None
