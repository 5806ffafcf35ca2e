"""Users & companies: an unknown sender's address becomes one more address of a user who is there already.

Two steps, each a page of its own: choose the user, then confirm what that changes. Whoever comes from a
ticket or a message is led back there (`next`).
"""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from wtforms import HiddenField

from webapp.desk import people
from webapp.desk.earlier_tickets import count_nobodys
from webapp.desk.people import Refused, Saved
from webapp.models import Role, User
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.paging import filter_text
from webapp.views.partials import is_partial
from webapp.views.people import ID, actor, after, earlier_tickets
from webapp.views.queries import people as queries
from webapp.views.queries.email_log import user_by_address
from webapp.views.queries.people import PeopleFilter

blueprint = Blueprint("people_link", __name__, url_prefix="/people")
MAX_ADDRESS_CHARACTERS = 320


class LinkForm(DeskForm):
    email = HiddenField()
    next = HiddenField()


@blueprint.get("/link")
@requires(Role.TECHNICIAN)
def choose() -> ResponseReturnValue:
    """Who the address is of: likely users at first, then those who are searched for."""
    email, text = _address(request.args.get("email")), filter_text("q")
    with current.instance().database.reading() as session:
        owner = user_by_address(session, email)
        problem = "" if owner else _problem(session, email)
        if text:
            found = queries.list_users(session, PeopleFilter(text), 1)
        else:
            found = queries.likely_users(session, email, filter_text("name"))
    what = {"email": email, "owner": owner, "problem": problem, "found": found, "text": text} | _way(
        request.args.get("next")
    )
    template = "people/_link_choices.html" if is_partial() else "people/link.html"
    return render_template(template, name=filter_text("name"), **what)


@blueprint.get(f"/<{ID}:user_id>/link")
@requires(Role.TECHNICIAN)
def confirm(user_id: int) -> ResponseReturnValue:
    return _confirmation(user_id, _address(request.args.get("email")), request.args.get("next"))


@blueprint.post(f"/<{ID}:user_id>/link")
@requires(Role.TECHNICIAN)
def link(user_id: int) -> ResponseReturnValue:
    form = LinkForm()
    email = _address(form.email.data)
    try:
        with current.instance().database.writing() as session:
            user = queries.load_user(session, user_id) or abort(404, "There is no such user.")
            saved = people.link_address(session, user, email, now=current.now(), actor=actor())
    except Refused as refused:
        return _confirmation(user_id, email, form.next.data, problem=str(refused))
    flash(_said(email, saved), "good")
    return redirect(after(form.next.data, url_for("people.show", user_id=user_id)), 303)


def _confirmation(user_id: int, email: str, wanted: str | None, problem: str = "") -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        user = queries.load_user(session, user_id) or abort(404, "There is no such user.")
        status = 422 if problem else 200
        problem = problem or _problem(session, email, user)
        what = {"user": user, "email": email, "tickets": count_nobodys(session, email), "problem": problem}
    return render_template("people/link_confirm.html", **what, **_way(wanted)), status


def _problem(session: Session, email: str, user: User | None = None) -> str:
    """Why the address cannot be linked, "" if it can."""
    try:
        people.check_link(session, email, user)
    except Refused as refused:
        return str(refused)
    return ""


def _said(email: str, saved: Saved) -> str:
    linked = "is an address of" if saved.changed else "was already an address of"
    return f"{email} {linked} {saved.user.name}{' now' if saved.changed else ''}.{earlier_tickets(saved)}"


def _way(wanted: str | None) -> dict[str, str]:
    """Where the person came from, as the page hands it on, and where Cancel leads."""
    return {"next": wanted or "", "back": after(wanted, url_for("people.index"))}


def _address(text: str | None) -> str:
    address = (text or "").strip()
    if not address or len(address) > MAX_ADDRESS_CHARACTERS or not address.isprintable():
        abort(404, "There is no address to link.")
    return address
