"""Who may do what, decided in one place before any view runs.

Every view names its role with `@requires(...)` or says `@public`; a view that does neither is refused to
everybody, and so is a change asked for by another website. Sign-ins are Flask-Login's, on top of
server-side sessions (`webapp.desk.accounts`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask, abort, current_app, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, login_user, logout_user

from webapp.desk import accounts
from webapp.models import Account, Role
from webapp.views import current
from webapp.views.current import Person
from webapp.views.partials import is_tick

View = TypeVar("View", bound=Callable[..., Any])
PUBLIC = "public"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

logger = logging.getLogger(__name__)


def requires(role: Role) -> Callable[[View], View]:
    """This view is for people of at least this role."""

    def mark(view: View) -> View:
        view.access = role  # type: ignore[attr-defined]
        return view

    return mark


def public(view: View) -> View:
    """This view is for anybody, signed in or not."""
    view.access = PUBLIC  # type: ignore[attr-defined]
    return view


def accepts_files(octets: int) -> Callable[[View], View]:
    """A request to this view may be so large: asked only once its sender is known to be somebody who may."""

    def mark(view: View) -> View:
        view.max_octets = octets  # type: ignore[attr-defined]
        return view

    return mark


def access_of(app: Flask, endpoint: str) -> Role | str | None:
    """The role an endpoint names, PUBLIC, or None where somebody forgot."""
    return PUBLIC if endpoint == "static" else getattr(app.view_functions[endpoint], "access", None)


def init_app(app: Flask) -> None:
    """Register before anything else that looks at requests."""
    login_manager = LoginManager(app)
    login_manager.session_protection = None  # ours are kept on the server
    login_manager.user_loader(_load_person)
    app.before_request(_check)


def sign_in(account: Account, password: str) -> bool:
    """Begin a new sign-in in this browser: new token, new session, new CSRF token."""
    now, idle = current.now(), _idle()
    with current.instance().database.writing() as database:
        token = accounts.start_session(database, account.id, now=now, idle=idle, password=password)
    if token is None:
        return False
    session.clear()
    login_user(Person(account.id, account.email, account.name, account.role, token))
    return True


def sign_out() -> None:
    """End the sign-in on the server, and forget everything in the browser's session."""
    if person := current.person():
        with current.instance().database.writing() as database:
            accounts.end_session(database, person.token)
    logout_user()
    session.clear()


def own_path(text: str | None) -> str:
    """`text` if it is a path of this site to go on to, else the start page (no open redirects)."""
    if not text or not text.isprintable() or "\\" in text or not text.startswith("/") or text[1:2] == "/":
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc else text


def _check() -> ResponseReturnValue | None:
    if request.method not in SAFE_METHODS and request.headers.get("Sec-Fetch-Site", "none") not in (
        "same-origin",
        "none",
    ):
        abort(403, "Another website sent this request. Nothing was changed.")
    if request.endpoint is None or request.method == "OPTIONS":
        return None
    access = access_of(current_app, request.endpoint)
    if access == PUBLIC:
        return None
    if not isinstance(access, Role):
        logger.error("view %s names no role", request.endpoint)
        abort(403)
    person = current.person()
    if person is None:
        return _ask_to_sign_in()
    if not person.may(access):
        abort(403, f"Only {_people(access)} can do this.")
    if octets := getattr(current_app.view_functions[request.endpoint], "max_octets", 0):
        request.max_content_length = octets
    return None


def _ask_to_sign_in() -> ResponseReturnValue:
    if request.method not in SAFE_METHODS:
        flash("Your session ended. Sign in again, your entries were not saved.", "warning")
        address = url_for("sign_in.form")
    else:
        wanted = request.full_path.rstrip("?")
        address = url_for("sign_in.form", next=wanted if wanted != "/" else None)
    if request.headers.get("HX-Request") == "true":  # a redirect would be followed into the fragment
        return "", 204, {"HX-Redirect": address}
    return redirect(address, 303)


def _load_person(token: str) -> Person | None:
    now = current.now()
    with current.instance().database.reading() as database:
        found = accounts.find_session(database, token, now=now, idle=_idle())
    if found is None:
        return None
    if found.seen_at <= now - accounts.SEEN_PRECISION and not is_tick():
        _touch(token)
    account = found.account
    return Person(account.id, account.email, account.name, account.role, token)


def _touch(token: str) -> None:
    try:
        with current.instance().database.writing() as database:
            accounts.touch_session(database, token, now=current.now())
    except sa.exc.OperationalError:  # a busy database must not keep anybody from reading
        logger.warning("the time of a click could not be stored")


def _idle() -> timedelta:
    return timedelta(hours=current.instance().settings.session_hours)


def _people(role: Role) -> str:
    return {
        Role.ADMINISTRATOR: "administrators",
        Role.TECHNICIAN: "technicians and administrators",
        Role.VIEWER: "people with an account",
    }[role]
