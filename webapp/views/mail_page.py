"""What the pages of the mail server rows share: the row in an address, the page of rows, the open form."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from typing import Any, cast

from flask import Flask, current_app, flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.routing import BaseConverter

from webapp.desk import mail_hints, mail_servers, options
from webapp.desk.connection_tests import ConnectionTest, ConnectionTests
from webapp.desk.mail_form import FormErrors
from webapp.desk.mail_protocols import PROTOCOLS
from webapp.desk.mail_servers import Draft
from webapp.desk.suggestions import SettingsSearches
from webapp.inbound.previews import Previews
from webapp.mailserver.base import MailProtocol
from webapp.mailserver.providers import PROVIDERS
from webapp.models import MailServer, Row
from webapp.views import charts, current, mail_verdicts
from webapp.views.mail_forms import SECRET_WORDS, MailServerForm
from webapp.views.mail_kept import TYPED, KeptEntries
from webapp.views.partials import is_partial, toast
from webapp.views.queries import mail_rows
from webapp.views.queries.mail_rows import LABELS, RowView

PREFIX = "/settings/service-desk/mail"
FIELD_LABELS = {"username": "User name", "password": "Password", "host": "Host name", "port": "Port",
                "from_address": "From", "archive_folder": "Archive folder", "timeout_ms": "Timeout",
                "tls_mode": "Encryption", "use_ssl": "Enable SSL", "requires_auth": "Requires Authentication",
                "send_to": "Send a test message to", "protocol": "Protocol", "ews_url": "EWS address",
                "mailbox": "Mailbox", "tenant_id": "Tenant ID", "client_id": "Application ID",
                "client_secret": "Client secret", "client_secret_expires_on": "Secret expires on",
                "connection": "the Microsoft account"}  # fmt: skip
HINTED = ("use_ssl", "tls_mode", "host", "port", "username", "mailbox", "from_address", "ews_url",
          "client_secret_expires_on")  # fmt: skip
ROW_CHANGED = "mail-row-changed"  # the event after which the rows look at themselves again


class RowConverter(BaseConverter):
    """The <row> of an address: outgoing, invoice or incoming."""

    regex = "outgoing|invoice|incoming"

    def to_python(self, value: str) -> Row:
        return Row(value)

    def to_url(self, value: Row | str) -> str:
        return Row(value).value


def prepare(app: Flask) -> None:
    """Once an application, before the first address with a row in it."""
    app.url_map.converters["mail_row"] = RowConverter
    app.extensions["connection_tests"] = ConnectionTests()
    app.extensions["mail_kept"] = KeptEntries()
    app.extensions["mail_searches"] = SettingsSearches(ca_file=_ca_file(app))
    app.extensions["mail_previews"] = Previews(app.extensions["instance"])
    app.jinja_env.globals |= {
        "off_sentences": mail_rows.OFF_SENTENCES,
        "today_words": mail_rows.TODAY_WORDS,
        "activity": charts.activity,
        "hinted_fields": HINTED,
        "field_labels": FIELD_LABELS,
        "foreseen_sentence": mail_verdicts.foreseen_sentence,
        "control_of": _control_of,
    }


def _control_of(test: ConnectionTest, field: str) -> str:
    """The id of what to look at for this field."""
    if field == "connection":
        return f"connection-{test.row.value}"
    is_chosen = field == "from_address" and test.settings.protocol is MailProtocol.OFFICE365
    return f"{test.row.value}-{'from_own' if is_chosen else field}"


def _ca_file(app: Flask) -> str | None:
    return app.extensions["instance"].settings.mail_ca_file or None


def tests() -> ConnectionTests:
    return cast(ConnectionTests, current_app.extensions["connection_tests"])


def previews() -> Previews:
    return cast(Previews, current_app.extensions["mail_previews"])


def searches() -> SettingsSearches:
    return cast(SettingsSearches, current_app.extensions["mail_searches"])


def kept() -> KeptEntries:
    return cast(KeptEntries, current_app.extensions["mail_kept"])


def show_rows(status: int = 200, **what: Any) -> ResponseReturnValue:
    """The page with the three rows; `what` says what else stands there (see the template)."""
    with current.instance().database.reading() as session:
        views = [_load_view(session, row) for row in Row]
    shown = {"open_row": None, "waiting_row": None, "test": None, "row_test": None, "refresh": False,
             "waiting_template": "mail_settings/_test.html"}  # fmt: skip
    return render_template("mail_settings/index.html", views=views, **(shown | what)), status


def show_form(
    form: MailServerForm,
    stored: MailServer | None,
    *,
    status: int = 200,
    retarget: bool = False,
    **what: Any,
) -> ResponseReturnValue:
    """The row with its form: alone for htmx, else on the page with the other rows.

    `what` is what stands in and below it: a test, a search, a question, the other version; and what was
    `refused` where entries are marked.
    """
    with current.instance().database.reading() as session:
        zone = options.time_zone(session)
        form.show_hints(mail_hints.glimpse_hints(session, form.row, form.texts(stored, zone), zone=zone))
        outgoing = mail_servers.load(session, Row.OUTGOING) if form.row is Row.INVOICE else None
        if form.row is not Row.INCOMING and stored is not None and stored.protocol == MailProtocol.OFFICE365:
            form.offer_from(
                mail_servers.sendable_addresses(session, form.row, (form.mailbox.data or "").strip())
            )
    form.send_to.data = form.send_to.data or actor()
    shown: dict[str, Any] = {
        "form": form,
        "row": form.row,
        "label": LABELS[form.row],
        "stored": stored,
        "providers": providers_of(form.row),
        "can_copy": outgoing is not None and outgoing.is_set_up,
        "copies_account": outgoing is not None and outgoing.protocol == MailProtocol.OFFICE365,
        "app_default": _app_default(),
        "test": None,
        "search": None,
        "conflict": None,
        "question": None,
        "refused": "Not saved",
    } | what
    if not is_partial():
        return show_rows(status, open_row=form.row, **shown)
    response = make_response(render_template("mail_settings/_form.html", **shown), status)
    if retarget:
        response.headers["HX-Retarget"] = f"#row-{form.row.value}"
        response.headers["HX-Reswap"] = "outerHTML"
    return response


def _app_default() -> dict[str, bool]:
    """What of an app registration the settings of this installation name already."""
    settings = current.instance().settings
    return {
        "tenant": not settings.ms_authority.endswith("/organizations"),
        "client": bool(settings.ms_client_id),
    }


def show_row(row: Row, sentence: str, level: str = "good") -> ResponseReturnValue:
    """The row as it is saved, with its pencil in focus, and a short message."""
    if not is_partial():
        flash(sentence, level)
        return redirect(url_for("mail_settings.index", _anchor=f"row-{row.value}"), 303)
    response = make_response(render_template("mail_settings/_row.html", view=row_view(row), focus=True))
    response.headers["HX-Retarget"] = f"#row-{row.value}"
    response.headers["HX-Reswap"] = "outerHTML"
    return toast(response, sentence, level)


def ask(
    form: MailServerForm, stored: MailServer | None, sentence: str, button: str, address: str = ""
) -> ResponseReturnValue:
    """A question before this form is taken. To htmx alone: what was typed stays, the password too."""
    asked_by = "copy" if address else "save"  # the button that is pressed once more, or left
    question = {"sentence": sentence, "button": button, "address": address, "asked_by": asked_by}
    if not is_partial():
        form.ask_for_password_again()
        return show_form(form, stored, question=question)
    response = make_response(
        render_template("mail_settings/_question.html", row=form.row, question=question, focus=True)
    )
    response.headers["HX-Retarget"] = f"#question-{form.row.value}"
    response.headers["HX-Reswap"] = "outerHTML"
    return response


def load(row: Row) -> MailServer | None:
    with current.instance().database.reading() as session:
        return mail_servers.load(session, row)


def row_view(row: Row) -> RowView:
    with current.instance().database.reading() as session:
        return _load_view(session, row)


def _load_view(session: Session, row: Row) -> RowView:
    view = mail_rows.load_row(session, row, **clock(session))
    return replace(view, state=mail_rows.TESTING) if row in tests().running_rows() else view


def clock(session: Session) -> dict[str, Any]:
    now, zone = current.now(), options.time_zone(session)
    return {
        "now": now,
        "midnight": datetime.combine(now.astimezone(zone).date(), time(), zone),
        "zone": zone,
        "interval": current.instance().settings.poll_interval,
    }


def draft_of(session: Session, form: MailServerForm, stored: MailServer | None, *, active: bool) -> Draft:
    """What the form means. Raises FormErrors."""
    secret = form.secret
    if form[f"{secret}{TYPED}"].data and not form[secret].data:
        raise FormErrors({secret: f"Enter the {SECRET_WORDS[secret]} again."})
    texts = form.texts(stored, options.time_zone(session))
    texts["active"] = "true" if active else "false"
    return mail_servers.draft(
        session,
        current.instance(),
        form.row,
        texts,
        form.password.data or None,
        client_secret=form.client_secret.data or None,
    )


def tested_by(form: MailServerForm, wanted: Draft) -> ConnectionTest | None:
    """The test whose result stands below the form, if it was one of just these settings and has ended."""
    test = tests().find(form.tested.data or "")
    if test is None or test.row is not form.row or test.running or test.stopped or test.crashed:
        return None
    settings = mail_servers.server_settings(wanted, current.instance())
    return test if test.is_of(settings) else None


def providers_of(row: Row) -> list[tuple[str, dict[str, str]]]:
    """Name of each provider that is of use to this row, and what to enter for it."""
    found = []
    for provider in PROVIDERS:
        server = provider.server(PROTOCOLS[row][0])
        if provider.office365:
            found.append((f"{provider.name} (Office365)", {"protocol": MailProtocol.OFFICE365.value}))
        elif server is not None:
            mode, port = server.tls_mode.value, str(server.port)
            found.append(
                (provider.name, {"host": server.host, "port": port, "use_ssl": "true", "tls_mode": mode})
            )
    return found


def actor() -> str:
    person = current.person()
    assert person is not None
    return person.email
