"""Settings > Service desk > Mail server configuration: three rows, edited in place.

Every address answers with a whole page, and to htmx with the part that changes. Testing, the dry run, turning
on and suggestions have a module each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from flask import Blueprint, Flask, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from webapp.desk import activation, mail_hints, mail_servers, options
from webapp.desk.connection_tests import ConnectionTest
from webapp.desk.mail_form import FormErrors, values_of
from webapp.desk.mail_protocols import fields_of
from webapp.desk.mail_servers import ChangedMeanwhile, Draft, NothingToCopy
from webapp.models import MailServer, Role, Row
from webapp.views import current, mail_activation, mail_page, mail_tests
from webapp.views.access import requires
from webapp.views.live import live_part
from webapp.views.mail_forms import MailServerForm, read_changes, with_changes
from webapp.views.mail_page import show_form, show_row, show_rows
from webapp.views.partials import is_partial, is_tick
from webapp.views.queries.mail_rows import LABELS, OFF_SENTENCES

blueprint = Blueprint("mail_settings", __name__, url_prefix=mail_page.PREFIX)
REPLACE_INVOICE = "Invoice has settings already. Replace them with those of Outgoing?"


@blueprint.record
def _prepare(state: BlueprintSetupState) -> None:
    mail_page.prepare(cast(Flask, state.app))


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def index() -> ResponseReturnValue:
    return show_rows()


@blueprint.get("/<mail_row:row>")
@requires(Role.ADMINISTRATOR)
def show(row: Row) -> ResponseReturnValue:
    if row is Row.INCOMING and "cancelled" in request.args and not _is_on(row):
        return show_row(row, "Incoming email is off.", "warning")
    if not is_partial():
        return show_rows()
    view = mail_page.row_view(row)
    if is_tick():
        return live_part("mail_settings/_facts.html", view=view, focus=False)
    return render_template("mail_settings/_row.html", view=view, focus=True)


@blueprint.get("/<mail_row:row>/edit")
@requires(Role.ADMINISTRATOR)
def edit(row: Row) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        stored = mail_servers.load(session, row)
        form = MailServerForm.of_saved(row, stored, options.time_zone(session))
    if entries := mail_page.kept().find(request.args.get("kept", "")):
        form = MailServerForm.of_entries(row, entries)
    return show_form(form, stored)


@blueprint.post("/<mail_row:row>")
@requires(Role.ADMINISTRATOR)
def save(row: Row) -> ResponseReturnValue:
    """Turning incoming mail on is a step of its own: here it is saved, and stays off until then."""
    form, before = MailServerForm(row), mail_page.load(row)
    _stop_test(form)
    try:
        with current.instance().database.writing() as session:
            wanted = mail_page.draft_of(session, form, before, active=form.active.data)
            test = mail_page.tested_by(form, wanted)
            asks_first = mail_activation.must_ask(wanted, before)
            question = _question(wanted, before, test)
            if question and "anyway" not in request.form:
                return mail_page.ask(form, before, question, "Turn on anyway")
            if asks_first:
                wanted = replace(wanted, values=replace(wanted.values, active=False))
            stored = _store(session, form, wanted, test)
    except FormErrors as refused:
        if before is not None and form.version_number != before.version:
            return _conflict(form, before)  # what is refused here may be what somebody else did
        form.show_errors(refused.errors)
        return show_form(form, before, status=422)
    except ChangedMeanwhile as changed:
        return _conflict(form, changed.stored)
    if asks_first:
        return mail_activation.begin("Incoming email settings saved.")
    return show_row(row, _saved_sentence(before, stored))


@blueprint.get("/<mail_row:row>/hints")
@requires(Role.ADMINISTRATOR)
def hints(row: Row) -> ResponseReturnValue:
    """What is worth a second look in a form that is being filled in: asked on every change."""
    with current.instance().database.reading() as session:
        zone = options.time_zone(session)
        texts = {name: request.args.get(name, "") for name in fields_of(row)}
        found = mail_hints.glimpse_hints(session, row, texts, zone=zone)
    return render_template("mail_settings/_hints.html", row=row, found=found)


@blueprint.post("/<mail_row:row>/fill")
@requires(Role.ADMINISTRATOR)
def fill(row: Row) -> ResponseReturnValue:
    """Without a script: enter what a provider, a suggestion or the cure of a failed test says."""
    wanted = request.form.get("fill") or request.form.get("provider", "")
    form = MailServerForm(row, formdata=with_changes(request.form, read_changes(row, wanted)))
    form.ask_for_password_again()
    return show_form(form, mail_page.load(row))


@blueprint.post("/invoice/copy")
@requires(Role.ADMINISTRATOR)
def copy_outgoing() -> ResponseReturnValue:
    """Give Invoice what Outgoing has. The password goes from row to row, never through the browser."""
    form, before = MailServerForm(Row.INVOICE), mail_page.load(Row.INVOICE)
    is_filled = bool((before and before.is_set_up) or (form.host.data or "").strip())
    if is_filled and "anyway" not in request.form:
        address = url_for("mail_settings.copy_outgoing")
        return mail_page.ask(form, before, REPLACE_INVOICE, "Replace them", address)
    try:
        with current.instance().database.writing() as session:
            mail_servers.copy_outgoing(
                session, now=current.now(), actor=mail_page.actor(), expected_version=form.version_number
            )
    except NothingToCopy:
        form.refuse("Outgoing is not set up, so there is nothing to copy.")
        return show_form(form, before, status=422)
    except ChangedMeanwhile as changed:
        return _conflict(form, changed.stored)
    return show_row(
        Row.INVOICE, "Copied from Outgoing. Invoices are not sent by email until you turn this on."
    )


def _store(session: Session, form: MailServerForm, wanted: Draft, test: ConnectionTest | None) -> MailServer:
    """The row as saved, with the result of a test of just these settings."""
    now = current.now()
    stored = mail_servers.save(
        session,
        current.instance().vault,
        wanted,
        now=now,
        actor=mail_page.actor(),
        expected_version=form.version_number,
    )
    if test is not None:
        session.flush()
        mail_servers.record_test(
            session, form.row, version=stored.version, passed=test.passed, sentence=test.sentence, now=now,
            takes=test.takes,
        )  # fmt: skip
        session.refresh(stored)
    return stored


def _is_on(row: Row) -> bool:
    stored = mail_page.load(row)
    return stored is not None and stored.active


def _stop_test(form: MailServerForm) -> None:
    test = mail_page.tests().find(form.tested.data or "")
    if test is not None and test.row is form.row:
        test.stop()


def _question(wanted: Draft, before: MailServer | None, test: ConnectionTest | None) -> str:
    """What is asked before this is saved; turning incoming mail on asks in a step of its own."""
    passed = test.passed if test else None
    if passed is None and before is not None and mail_tests.is_as_saved(wanted, before):
        passed = before.last_test_passed
    was = values_of(before) if before else None
    asked = activation.needs_confirmation(was, wanted.values, last_test_passed=passed)
    return "" if asked.step else asked.question


def _saved_sentence(before: MailServer | None, stored: MailServer) -> str:
    row = Row(stored.row)
    parts = [f"{LABELS[row]} saved."]
    if before is not None and before.active and not stored.active:
        parts.append(f"Not active. {OFF_SENTENCES[row]}")
    elif stored.last_test_passed is None:
        parts.append("Not tested yet.")
    elif not stored.last_test_passed:
        parts.append("The last test failed.")
    return " ".join(parts)


def _conflict(form: MailServerForm, stored: MailServer) -> ResponseReturnValue:
    """Somebody else saved in between: both versions, and saving again overwrites theirs."""
    with current.instance().database.reading() as session:
        zone = options.time_zone(session)
    theirs = MailServerForm.of_saved(form.row, stored, zone)
    form.version.data = str(stored.version)
    form.show_errors({})
    return show_form(form, stored, status=409, conflict=form.differences(theirs))
