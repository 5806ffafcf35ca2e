"""Connecting a row to a Microsoft account: off to Microsoft, back, who that was, and the explicit yes.

Start is a plain link: htmx never follows a redirect to another origin, and the form-action of our policy
would stop a form that is answered with one. Microsoft sends the browser back with a GET from another site,
which brings the session cookie (SameSite=Lax). Its query holds a one-time code: it is used at once, stands in
no page and no log, and the browser is sent on to an address without it.
"""

from __future__ import annotations

from flask import Blueprint, Flask, flash, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

from webapp.desk import mail_servers, microsoft_connections, microsoft_sign_in
from webapp.desk.mail_form import FormErrors
from webapp.desk.microsoft_connections import NotConfirmed
from webapp.desk.microsoft_registration import other_mailbox
from webapp.desk.microsoft_sign_in import UnknownSignIn
from webapp.mailserver.errors import MailServerError
from webapp.mailserver.microsoft_answers import SignInFailed
from webapp.models import Role, Row
from webapp.vault import VaultError
from webapp.views import current, office365_words
from webapp.views.access import public, requires
from webapp.views.mail_page import actor
from webapp.views.office365_words import Stopped
from webapp.views.queries import microsoft as queries
from webapp.views.queries.mail_rows import LABELS

blueprint = Blueprint("office365", __name__, url_prefix="/oauth/office365")
SESSION_ENDED = (
    "Your session ended while you were at Microsoft. Nothing changed. Sign in, and press Connect again."
)
ANSWER_LENGTH = 8_000


@blueprint.record
def _prepare(state: BlueprintSetupState) -> None:
    app: Flask = state.app  # type: ignore[assignment]
    app.jinja_env.globals["office365_card"] = queries.load_card


@blueprint.get("/start/<mail_row:row>")
@requires(Role.ADMINISTRATOR)
def start(row: Row) -> ResponseReturnValue:
    """Off to Microsoft. A link on another site leads to the row only."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return redirect(_row_address(row), 303)
    try:
        address = microsoft_sign_in.begin_sign_in(
            current.instance(),
            row,
            session_token=_token(),
            choose_account="choose" in request.args,
            now=current.now(),
        )
    except (NotConfirmed, VaultError, MailServerError) as error:
        return _stopped(row, office365_words.of_error(error))
    return redirect(address, 303)


@blueprint.get("/callback")
@public  # asks for the role itself: the usual way would carry the code into the page of the sign-in
def callback() -> ResponseReturnValue:
    """Back from Microsoft. Whatever it says, the row stays as it is."""
    answer = {name: text[:ANSWER_LENGTH] for name, text in request.args.items()}
    if "admin_consent" in answer:
        return render_template(
            "office365/approved.html", approved=answer["admin_consent"].casefold() == "true"
        )
    person = current.person()
    if person is None:
        flash(SESSION_ENDED, "warning")
        return redirect(url_for("sign_in.form", next=url_for("mail_settings.index")), 303)
    if not person.is_administrator:
        return _stopped(None, Stopped("Only administrators can connect a Microsoft account."), 403)
    instance, now = current.instance(), current.now()
    try:
        row, flow = microsoft_sign_in.take_sign_in(
            instance, state=answer.get("state", ""), session_token=person.token, now=now
        )
    except UnknownSignIn as error:
        return _stopped(None, Stopped(str(error), "Press Connect again in the row."), 400)
    except VaultError as error:
        return _stopped(None, office365_words.of_error(error))
    try:
        microsoft_sign_in.finish_sign_in(instance, row, flow, answer, now=now, actor=person.email)
    except SignInFailed as failed:
        return _stopped(row, office365_words.of_failure(failed, queries.approval_address(row)))
    except (NotConfirmed, VaultError, MailServerError) as error:
        return _stopped(row, office365_words.of_error(error))
    return redirect(url_for("office365.account", row=row), 303)


@blueprint.get("/<mail_row:row>")
@requires(Role.ADMINISTRATOR)
def account(row: Row) -> ResponseReturnValue:
    """The identity card: who signed in, and the three answers."""
    return _card(row)


@blueprint.post("/<mail_row:row>/use")
@requires(Role.ADMINISTRATOR)
def use(row: Row) -> ResponseReturnValue:
    """The explicit yes; where another account goes for it, a second one that names both."""
    instance, own_mailbox = current.instance(), "own" in request.form
    with instance.database.reading() as session:
        waiting = microsoft_connections.find_pending(session, row)
        replaces = microsoft_connections.is_another(session, row, waiting) if waiting else None
    if replaces is not None and request.form.get("replace") != replaces.address:
        return _card(row, asks_to_replace=replaces.address, own_mailbox=own_mailbox)
    try:
        with instance.database.writing() as session:
            held = microsoft_connections.confirm(
                session,
                instance,
                row,
                mark=request.form.get("account", ""),
                own_mailbox=own_mailbox,
                now=current.now(),
                actor=actor(),
                replaces=request.form.get("replace", ""),
            )
            stored = mail_servers.load(session, row)
            was_turned_off = replaces is not None
    except (NotConfirmed, VaultError) as refused:
        return _card(row, refused=str(refused), status=422)
    except FormErrors as refused:
        return _card(row, refused=" ".join(refused.errors.values()), status=422)
    sentences = [f"{held.address} is connected."]
    if was_turned_off:
        sentences.append(f"{LABELS[row]} are off: this is another account. Turn them on when you are ready.")
    elif stored is not None and not stored.active:
        sentences.append("Test the connection, then turn the row on.")
    flash(" ".join(sentences), "good")
    return redirect(_row_address(row), 303)


@blueprint.post("/<mail_row:row>/cancel")
@requires(Role.ADMINISTRATOR)
def cancel(row: Row) -> ResponseReturnValue:
    """Forget who signed in; the row is as it was."""
    with current.instance().database.writing() as session:
        microsoft_connections.forget_pending(session, row)
    flash("Microsoft sign-in was cancelled. Nothing changed.", "info")
    return redirect(_row_address(row), 303)


@blueprint.get("/<mail_row:row>/disconnect")
@requires(Role.ADMINISTRATOR)
def ask_disconnect(row: Row) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        held = microsoft_connections.find(session, row)
    if held is None:
        return redirect(_row_address(row), 303)
    return render_template("office365/disconnect.html", row=row, label=LABELS[row], held=held)


@blueprint.post("/<mail_row:row>/disconnect")
@requires(Role.ADMINISTRATOR)
def disconnect(row: Row) -> ResponseReturnValue:
    """Forget the account and its tokens; the row is off."""
    instance = current.instance()
    with instance.database.writing() as session:
        address = microsoft_connections.disconnect(session, instance, row, now=current.now(), actor=actor())
    if not address:
        return redirect(_row_address(row), 303)
    return render_template("office365/disconnected.html", row=row, label=LABELS[row], address=address)


def _card(
    row: Row,
    *,
    asks_to_replace: str = "",
    own_mailbox: bool = False,
    refused: str = "",
    status: int = 200,
) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        waiting = microsoft_connections.find_pending(session, row)
        held = microsoft_connections.find(session, row)
        stored = mail_servers.load(session, row)
        if waiting is None or stored is None:
            if refused:
                flash(refused, "warning")
            return redirect(_row_address(row), 303)
        mailbox = other_mailbox(waiting.addresses, stored.mailbox)
        refusal = microsoft_connections.reason_against(session, row, waiting, stored.mailbox)
        own_refusal = microsoft_connections.reason_against(session, row, waiting, "")
    return (
        render_template(
            "office365/account.html",
            row=row,
            label=LABELS[row],
            waiting=waiting,
            held=held,
            mailbox=mailbox,
            mark=microsoft_connections.mark_of(waiting),
            refusal=refusal,
            own_refusal=own_refusal,
            asks_to_replace=asks_to_replace,
            own_mailbox=own_mailbox,
            refused=refused,
        ),
        status,
    )


def _stopped(row: Row | None, told: Stopped, status: int = 200) -> ResponseReturnValue:
    return render_template("office365/stopped.html", row=row, told=told), status


def _row_address(row: Row) -> str:
    return url_for("mail_settings.index", _anchor=f"row-{row.value}")


def _token() -> str:
    person = current.person()
    assert person is not None
    return person.token
