"""The first minutes: the one-time code of the log becomes the first administrator."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import PasswordField, SelectField, StringField

from webapp.desk import accounts, options
from webapp.desk.accounts import AccountError
from webapp.models import Account, Row
from webapp.views import access, current
from webapp.views.access import public
from webapp.views.forms import DeskForm
from webapp.views.sign_in import throttle, too_many

blueprint = Blueprint("setup", __name__, url_prefix="/setup")


@cache
def zone_names() -> list[str]:
    """Places, and UTC; not the historical and numeric names."""
    return ["UTC", *sorted(n for n in available_timezones() if "/" in n and not n.startswith("Etc/"))]


class SetupForm(DeskForm):
    code = StringField("One-time code")
    email = StringField("Your email address")
    name = StringField("Your name")
    password = PasswordField("Password")
    time_zone = SelectField("Time zone", choices=zone_names, validate_choice=False, default="UTC")


@blueprint.get("")
@public
def form() -> ResponseReturnValue:
    return _already() or render_template("setup/index.html", form=SetupForm())


@blueprint.post("")
@public
def submit() -> ResponseReturnValue:
    if already := _already():
        return already
    form, client = SetupForm(), request.remote_addr or ""
    if wait := throttle().wait(client, "setup", current.now()):
        return too_many(form, wait)
    account = _create(form)
    if account is None:
        if form.code.errors:
            throttle().failed(client, "setup", current.now())
        return render_template("setup/index.html", form=form), 422
    access.sign_in(account, form.password.data)
    flash(f"Welcome, {account.name}. You are the first administrator.", "good")
    return redirect(url_for("mail_settings.edit", row=Row.INCOMING), 303)


def _already() -> ResponseReturnValue | None:
    with current.instance().database.reading() as session:
        return redirect(url_for("sign_in.form"), 303) if accounts.any_account(session) else None


def _create(form: SetupForm) -> Account | None:
    """All or nothing: a refused password does not use up the code."""
    try:
        with current.instance().database.writing() as session:
            account = accounts.create_first_administrator(
                session,
                code=form.code.data or "",
                email=form.email.data or "",
                name=form.name.data or "",
                password=form.password.data or "",
                now=current.now(),
            )
            options.set_time_zone(session, form.time_zone.data or "UTC")
        return account
    except AccountError as error:
        form.refuse(str(error), error.field)
    except ValueError as error:
        form.refuse(str(error), "time_zone")
    return None
