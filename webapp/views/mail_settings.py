"""Settings > Service desk > Mail server configuration: three rows, edited in place and tested on the spot.

Every address answers with a whole page, and to htmx with the row alone. A test works on the values in the
form, unsaved.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from typing import Any, cast

from flask import Blueprint, abort, current_app, flash, make_response, redirect, render_template, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.routing import BaseConverter

from webapp.desk import audit, mail_servers, options
from webapp.desk.connection_tests import ConnectionTest, ConnectionTests, TooManyTests
from webapp.desk.mail_form import FormErrors, fields_of, values_of
from webapp.desk.mail_servers import ChangedMeanwhile, Draft
from webapp.models import MailServer, Role, Row
from webapp.views import current
from webapp.views.access import requires
from webapp.views.mail_forms import MailServerForm
from webapp.views.partials import is_partial, toast
from webapp.views.queries import mail_rows
from webapp.views.queries.mail_rows import LABELS, RowView

blueprint = Blueprint("mail_settings", __name__, url_prefix="/settings/service-desk/mail")
WITHOUT_SCRIPT_SECONDS = 60.0
NOT_KNOWN = "This test is not known any more. Start it again."


class RowConverter(BaseConverter):
    """The <row> of an address: outgoing, invoice or incoming."""

    regex = "outgoing|invoice|incoming"

    def to_python(self, value: str) -> Row:
        return Row(value)

    def to_url(self, value: Row | str) -> str:
        return Row(value).value


@blueprint.record
def _register_converter(state: BlueprintSetupState) -> None:
    app = state.app
    app.url_map.converters["mail_row"] = RowConverter
    app.extensions["connection_tests"] = ConnectionTests()
    app.jinja_env.globals |= {"off_sentences": mail_rows.OFF_SENTENCES, "today_words": mail_rows.TODAY_WORDS}


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def index() -> ResponseReturnValue:
    return _page()


@blueprint.get("/<mail_row:row>")
@requires(Role.ADMINISTRATOR)
def show(row: Row) -> ResponseReturnValue:
    if not is_partial():
        return _page()
    return render_template("mail_settings/_row.html", view=_row_view(row), focus=True)


@blueprint.get("/<mail_row:row>/edit")
@requires(Role.ADMINISTRATOR)
def edit(row: Row) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        stored = mail_servers.load(session, row)
        form = MailServerForm.of_saved(row, stored, options.time_zone(session))
    return _form(form, stored)


@blueprint.post("/<mail_row:row>")
@requires(Role.ADMINISTRATOR)
def save(row: Row) -> ResponseReturnValue:
    form, instance = MailServerForm(row), current.instance()
    person = current.person()
    assert person is not None
    with instance.database.reading() as session:
        before = mail_servers.load(session, row)
    try:
        with instance.database.writing() as session:
            wanted = _draft(session, form, before, active=form.active.data)
            stored = mail_servers.save(
                session,
                instance.vault,
                wanted,
                now=current.now(),
                actor=person.email,
                expected_version=_version(form),
            )
    except FormErrors as refused:
        form.show_errors(refused.errors)
        return _form(form, before, status=422)
    except ChangedMeanwhile as changed:
        return _conflict(form, changed.stored)
    return _saved(row, stored)


@blueprint.post("/<mail_row:row>/test")
@requires(Role.ADMINISTRATOR)
def start_test(row: Row) -> ResponseReturnValue:
    """Test the values in the form; nothing is saved and nothing on the server is changed."""
    form, instance = MailServerForm(row), current.instance()
    with instance.database.reading() as session:
        stored = mail_servers.load(session, row)
        try:
            wanted = _draft(session, form, stored, active=False)
        except FormErrors as refused:
            form.show_errors(refused.errors)
            return _form(form, stored, status=422, retarget=True)
    try:
        test = _start(row, wanted, stored)
    except TooManyTests as refused:
        if is_partial():
            return render_template("mail_settings/_test_refused.html", row=row, sentence=str(refused)), 429
        form.refuse(str(refused))
        return _form(form, stored, status=429)
    if is_partial():
        return render_template("mail_settings/_test.html", test=test)
    test.wait(WITHOUT_SCRIPT_SECONDS)
    return _form(form, stored, test=test)


@blueprint.get("/<mail_row:row>/test/<test_id>")
@requires(Role.ADMINISTRATOR)
def show_test(row: Row, test_id: str) -> ResponseReturnValue:
    if is_partial() and _known(row, test_id) is None:  # a page that asks on and on is told to stop
        return render_template("mail_settings/_test_refused.html", row=row, sentence=NOT_KNOWN), 404
    return render_template("mail_settings/_test.html", test=_find(row, test_id))


@blueprint.post("/<mail_row:row>/test/<test_id>/stop")
@requires(Role.ADMINISTRATOR)
def stop_test(row: Row, test_id: str) -> ResponseReturnValue:
    test = _find(row, test_id)
    test.stopping.set()
    test.wait(2)
    return render_template("mail_settings/_test.html", test=test)


def _page() -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        views = mail_rows.load_rows(session, **_clock(session))
    return render_template("mail_settings/index.html", views=views, open_row=None)


def _form(
    form: MailServerForm,
    stored: MailServer | None,
    *,
    status: int = 200,
    test: ConnectionTest | None = None,
    conflict: list[tuple[str, str, str]] | None = None,
    retarget: bool = False,
) -> ResponseReturnValue:
    """The row with its form: alone for htmx, else on the page with the other rows."""
    what: dict[str, Any] = {
        "form": form,
        "row": form.row,
        "stored": stored,
        "test": test,
        "conflict": conflict,
    }
    what["label"] = LABELS[form.row]
    if is_partial():
        response = make_response(render_template("mail_settings/_form.html", **what), status)
        if retarget:
            response.headers["HX-Retarget"] = f"#row-{form.row.value}"
        return response
    with current.instance().database.reading() as session:
        views = mail_rows.load_rows(session, **_clock(session))
    return render_template("mail_settings/index.html", views=views, open_row=form.row, **what), status


def _saved(row: Row, stored: MailServer) -> ResponseReturnValue:
    sentence = f"{LABELS[row]} saved." + ("" if stored.last_test_passed else " Not tested yet.")
    if not is_partial():
        flash(sentence, "good")
        return redirect(url_for("mail_settings.index", _anchor=f"row-{row.value}"), 303)
    response = make_response(render_template("mail_settings/_row.html", view=_row_view(row), focus=True))
    return toast(response, sentence)


def _conflict(form: MailServerForm, stored: MailServer) -> ResponseReturnValue:
    """Somebody else saved in between: both versions, and saving again overwrites theirs."""
    with current.instance().database.reading() as session:
        zone = options.time_zone(session)
    theirs, mine = MailServerForm.of_saved(form.row, stored, zone), form
    differing = [
        (control.label.text, _shown(control.data), _shown(theirs[control.name].data))
        for control in mine
        if control.name in (*fields_of(form.row), "cutoff_date", "cutoff_time")
        and _shown(control.data) != _shown(theirs[control.name].data)
    ]
    form.version.data = str(stored.version)
    form.show_errors({})
    return _form(form, stored, status=409, conflict=differing)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value or "")


def _draft(session: Session, form: MailServerForm, stored: MailServer | None, *, active: bool) -> Draft:
    instance = current.instance()
    texts = form.texts(stored, options.time_zone(session))
    texts["active"] = "true" if active else "false"
    return mail_servers.draft(session, instance.vault, form.row, texts, form.password.data or None)


def _start(row: Row, wanted: Draft, stored: MailServer | None) -> ConnectionTest:
    instance = current.instance()
    version = stored.version if stored and _is_as_saved(wanted, stored) else 0

    def remember(test: ConnectionTest) -> None:
        with instance.database.writing() as session:
            mail_servers.record_test(
                session, row, version=version, passed=test.passed, sentence=test.sentence, now=current.now()
            )

    tests = cast(ConnectionTests, current_app.extensions["connection_tests"])
    settings = mail_servers.server_settings(wanted, instance.settings)
    test = tests.start(row, settings, remember if version else lambda _: None)
    _write_down(row, settings.host, settings.port)
    return test


def _write_down(row: Row, host: str, port: int) -> None:
    """Who had which server asked: a test is a port scanner in the wrong hands."""
    person = current.person()
    assert person is not None
    with current.instance().database.writing() as session:
        audit.record(
            session, current.now(), person.email, "mail_server.test", row.value, host=host, port=port
        )


def _is_as_saved(wanted: Draft, stored: MailServer) -> bool:
    """Whether this test says something about the saved settings; being switched on is no part of that."""
    return not wanted.typed and replace(values_of(stored), active=False) == wanted.values


def _known(row: Row, test_id: str) -> ConnectionTest | None:
    tests = cast(ConnectionTests, current_app.extensions["connection_tests"])
    test = tests.find(test_id)
    return test if test is not None and test.row is row else None


def _find(row: Row, test_id: str) -> ConnectionTest:
    return _known(row, test_id) or abort(404, NOT_KNOWN)


def _row_view(row: Row) -> RowView:
    with current.instance().database.reading() as session:
        return mail_rows.load_row(session, row, **_clock(session))


def _clock(session: Session) -> dict[str, Any]:
    zone = options.time_zone(session)
    today = datetime.combine(current.now().astimezone(zone).date(), time(), zone)
    return {"midnight": today, "interval": current.instance().settings.poll_interval}


def _version(form: MailServerForm) -> int:
    text = form.version.data or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
