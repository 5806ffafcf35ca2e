"""Signing in and out."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import cast

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, PasswordField, StringField

from webapp.desk import accounts
from webapp.mail.address import fold_addr_spec
from webapp.models import Account, Role
from webapp.views import access, current
from webapp.views.access import public, requires
from webapp.views.forms import DeskForm
from webapp.views.throttle import Throttle

blueprint = Blueprint("sign_in", __name__)


class SignInForm(DeskForm):
    email = StringField("Email address")
    password = PasswordField("Password")
    next = HiddenField()


@blueprint.get("/login")
@public
def form() -> ResponseReturnValue:
    if current.person() is not None:
        return redirect(access.own_path(request.args.get("next")), 303)
    with current.instance().database.reading() as session:
        if not accounts.any_account(session):
            return redirect(url_for("setup.form"), 303)
    return _page(SignInForm(data={"next": request.args.get("next", "")}))


@blueprint.post("/login")
@public
def submit() -> ResponseReturnValue:
    form = SignInForm()
    email, client = (form.email.data or "").strip(), request.remote_addr or ""
    subject = fold_addr_spec(email)[:320]
    if wait := throttle().wait(client, subject, current.now()):
        return too_many(form, wait)
    account = _check(email, form.password.data or "")
    if account is None or not access.sign_in(account, form.password.data or ""):
        throttle().failed(client, subject, current.now())
        form.refuse("The email address or the password is not right.")
        return _page(form, 422)
    throttle().succeeded(client, subject)
    return redirect(access.own_path(form.next.data), 303)


@blueprint.post("/logout")
@requires(Role.VIEWER)
def sign_out() -> ResponseReturnValue:
    access.sign_out()
    return redirect(url_for("sign_in.form"), 303)


def throttle() -> Throttle:
    return cast(Throttle, current_app.extensions["throttle"])


def too_many(form: DeskForm, wait: timedelta) -> ResponseReturnValue:
    seconds = math.ceil(wait.total_seconds())
    form.refuse(f"Too many attempts. Try again in {seconds} s.")
    template = "sign_in/index.html" if isinstance(form, SignInForm) else "setup/index.html"
    return render_template(template, form=form), 429, {"Retry-After": str(seconds)}


def _check(email: str, password: str) -> Account | None:
    with current.instance().database.reading() as session:
        return accounts.check_password(session, email, password)


def _page(form: SignInForm, status: int = 200) -> ResponseReturnValue:
    return render_template("sign_in/index.html", form=form), status
