"""My account: one's own name, the signature below one's replies, one's password."""

from __future__ import annotations

import math

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import PasswordField, StringField, TextAreaField

from webapp.desk import accounts, reply_settings
from webapp.desk.accounts import AccountError
from webapp.desk.reply_settings import SettingRefused
from webapp.mail.address import fold_addr_spec
from webapp.models import Account, Role
from webapp.views import access, current
from webapp.views.access import requires
from webapp.views.current import Person
from webapp.views.forms import DeskForm
from webapp.views.sign_in import throttle

blueprint = Blueprint("account", __name__, url_prefix="/account")


class AccountForm(DeskForm):
    name = StringField("Name")
    signature = TextAreaField("Signature")


class PasswordForm(DeskForm):
    now = PasswordField("Password now")
    password = PasswordField("New password")
    again = PasswordField("New password again")


@blueprint.get("")
@requires(Role.VIEWER)
def form() -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        account = session.get_one(Account, _person().account_id)
    shown = AccountForm(formdata=None, data={"name": account.name, "signature": account.signature or ""})
    return _page(shown, PasswordForm(formdata=None))


@blueprint.post("")
@requires(Role.VIEWER)
def save() -> ResponseReturnValue:
    """Save, or only show what would stand below a reply."""
    entered, person = AccountForm(), _person()
    name, signature = _read(entered, person)
    if entered.invalid:
        return _page(entered, PasswordForm(formdata=None)), 422
    if "preview" in request.form:
        return _page(entered, PasswordForm(formdata=None))
    with current.instance().database.writing() as session:
        account = session.get_one(Account, person.account_id)
        accounts.change_profile(session, account, name=name, signature=signature, now=current.now())
    flash("Saved.", "good")
    return redirect(url_for("account.form"), 303)


@blueprint.post("/password")
@requires(Role.VIEWER)
def change_password() -> ResponseReturnValue:
    """Every other browser this account is signed in with is signed out; this one begins anew."""
    entered, person = PasswordForm(), _person()
    client, subject = request.remote_addr or "", fold_addr_spec(person.email)[:320]
    if wait := throttle().wait(client, subject, current.now()):
        entered.refuse(f"Too many attempts. Try again in {math.ceil(wait.total_seconds())} s.", "now")
        return _password_page(entered), 429
    with current.instance().database.reading() as session:
        account = accounts.check_password(session, person.email, entered.now.data or "")
    if account is None:
        throttle().failed(client, subject, current.now())
        entered.refuse("This is not your password.", "now")
        return _password_page(entered), 422
    throttle().succeeded(client, subject)
    wanted = entered.password.data or ""
    if wanted != (entered.again.data or ""):
        entered.refuse("The two are not the same. Type them again.", "again")
        return _password_page(entered), 422
    try:
        with current.instance().database.writing() as session:
            accounts.reset_password(
                session, email=person.email, password=wanted, now=current.now(), actor=person.email
            )
    except AccountError as refused:
        entered.refuse(str(refused), refused.field)
        return _password_page(entered), 422
    if not access.sign_in(account, wanted):  # disabled in this very moment
        return redirect(url_for("sign_in.form"), 303)
    flash("Your password is changed. Other browsers you were signed in with are signed out.", "good")
    return redirect(url_for("account.form"), 303)


def _read(entered: AccountForm, person: Person) -> tuple[str, str | None]:
    """Name and signature; what is wrong with either stands at its field."""
    name, signature = "", None
    try:
        name = accounts.read_name(entered.name.data or "", person.email)
    except AccountError as refused:
        entered.refuse(str(refused), refused.field)
    try:
        if person.works_on_tickets:
            signature = reply_settings.read_signature(entered.signature.data or "") or None
    except SettingRefused as refused:
        entered.refuse(str(refused), refused.field)
    return name, signature


def _person() -> Person:
    person = current.person()
    assert person is not None
    return person


def _password_page(entered: PasswordForm) -> str:
    with current.instance().database.reading() as session:
        account = session.get_one(Account, _person().account_id)
    shown = AccountForm(formdata=None, data={"name": account.name, "signature": account.signature or ""})
    return _page(shown, entered)


def _page(shown: AccountForm, password: PasswordForm) -> str:
    """With the signature as it would stand below a reply, as far as what was entered can be read."""
    typed, name = shown.signature.data or "", (shown.name.data or "").strip()
    with current.instance().database.reading() as session:
        settings = reply_settings.load(session)
    preview = "" if shown.signature.errors else settings.signature_for(name, typed.strip() or None)
    return render_template(
        "account/index.html", form=shown, password=password, preview=preview, is_own=bool(typed.strip())
    )
