"""Users & companies: the users of the customers' companies, listed, shown, added and edited.

Whoever comes from elsewhere to add or edit a user (a ticket, a message) is led back there: `next`.
"""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, HiddenField, StringField, TextAreaField

from webapp.desk import people
from webapp.desk.directory import export_users, row_of
from webapp.desk.people import ChangedMeanwhile, Entries, Refused, Saved
from webapp.models import Role, User
from webapp.views import current
from webapp.views.access import own_path, requires
from webapp.views.downloads import download
from webapp.views.forms import DeskForm
from webapp.views.paging import filter_text, page_number
from webapp.views.queries import people as queries
from webapp.views.queries.people import PeopleFilter

blueprint = Blueprint("people", __name__, url_prefix="/people")
ID = "int(max=2147483647)"
BYTE_ORDER_MARK = "\ufeff"  # without it a spreadsheet takes UTF-8 for something else
COLUMN_WORDS = {
    "email": "Email",
    "name": "Name",
    "company": "Company",
    "other_emails": "Other emails",
    "phone": "Phone",
    "active": "Active",
}


class UserForm(DeskForm):
    name = StringField("Name")
    email = StringField("Email")
    other_emails = TextAreaField("Other emails")
    company = StringField("Company")
    phone = StringField("Phone")
    active = BooleanField("Active", default=True)
    fingerprint = HiddenField()
    next = HiddenField()

    @classmethod
    def of_saved(cls, user: User) -> UserForm:
        row = row_of(user)
        entries = row | {
            "other_emails": row["other_emails"].replace(";", "\n"),
            "active": user.active,
            "fingerprint": people.fingerprint(user),
            "next": request.args.get("next", ""),
        }
        return cls(formdata=None, data=entries)

    def entries(self) -> Entries:
        return Entries(
            name=self.name.data or "",
            email=self.email.data or "",
            other_emails=self.other_emails.data or "",
            company=self.company.data or "",
            phone=self.phone.data or "",
            active=bool(self.active.data),
        )


@blueprint.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    wanted = PeopleFilter(filter_text("q"), _company_id())
    with current.instance().database.reading() as session:
        page = queries.list_users(session, wanted, page_number())
        any_user = bool(page.items) or queries.any_user(session)
        companies = queries.company_choices(session)
    return render_template(
        "people/index.html", page=page, wanted=wanted, any_user=any_user, companies=companies, **may()
    )


@blueprint.get(f"/<{ID}:user_id>")
@requires(Role.VIEWER)
def show(user_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        user = queries.load_user(session, user_id) or abort(404, "There is no such user.")
        tickets = queries.newest_tickets(session, user_id)
        number = queries.count_tickets(session, user_id)
    return render_template("people/show.html", user=user, tickets=tickets, number=number, **may())


@blueprint.get("/new")
@requires(Role.TECHNICIAN)
def new() -> ResponseReturnValue:
    """An empty form, or one filled in from elsewhere; then the company is the one of the sender's domain."""
    entries = {name: filter_text(name) for name in ("name", "email", "company", "next")}
    if entries["email"] and not entries["company"]:
        with current.instance().database.reading() as session:
            entries["company"] = queries.company_of_domain(session, entries["email"])
    return _page(UserForm(formdata=None, data=entries))


@blueprint.post("/new")
@requires(Role.TECHNICIAN)
def create() -> ResponseReturnValue:
    form = UserForm()
    try:
        with current.instance().database.writing() as session:
            saved = people.create_user(session, form.entries(), now=current.now(), actor=actor())
    except Refused as refused:
        return _refused(form, refused)
    flash(f"{saved.user.name} added.{earlier_tickets(saved)}", "good")
    return redirect(after(form.next.data, url_for("people.index")), 303)


@blueprint.get(f"/<{ID}:user_id>/edit")
@requires(Role.TECHNICIAN)
def edit(user_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        user = queries.load_user(session, user_id) or abort(404, "There is no such user.")
        form = UserForm.of_saved(user)
    return _page(form, user_id)


@blueprint.post(f"/<{ID}:user_id>/edit")
@requires(Role.TECHNICIAN)
def save(user_id: int) -> ResponseReturnValue:
    form = UserForm()
    try:
        with current.instance().database.writing() as session:
            user = queries.load_user(session, user_id) or abort(404, "There is no such user.")
            saved = people.update_user(
                session,
                user,
                form.entries(),
                now=current.now(),
                actor=actor(),
                expected=form.fingerprint.data or "",
            )
    except Refused as refused:
        return _refused(form, refused, user_id)
    except ChangedMeanwhile as changed_meanwhile:
        return _conflict(form, changed_meanwhile, user_id)
    said = f"{user.name} saved." if saved.changed else f"Nothing was changed for {user.name}."
    flash(f"{said}{earlier_tickets(saved)}", "good")
    return redirect(after(form.next.data, url_for("people.index")), 303)


@blueprint.get("/export.csv")
@requires(Role.ADMINISTRATOR)
def export() -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        content = BYTE_ORDER_MARK + export_users(session)
    return download(content.encode("utf-8"), filename="users.csv")


def may() -> dict[str, bool]:
    """What the person signed in may do here, for the templates."""
    person = current.person()
    return {
        "may_edit": person is not None and person.may(Role.TECHNICIAN),
        "may_import": person is not None and person.is_administrator,
    }


def earlier_tickets(saved: Saved) -> str:
    """What became of tickets of before, to be said after what was done."""
    if not saved.earlier_tickets:
        return ""
    if saved.earlier_tickets == 1:
        return " 1 earlier ticket is theirs now."
    return f" {saved.earlier_tickets:,} earlier tickets are theirs now."


def after(wanted: str | None, otherwise: str) -> str:
    """Where to go on: where the person came from, if that is a page of ours and they came from somewhere."""
    return own_path(wanted) if wanted else otherwise


def actor() -> str:
    person = current.person()
    assert person is not None
    return person.email


def _page(
    form: UserForm, user_id: int | None = None, *, status: int = 200, theirs: dict[str, str] | None = None
) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        companies = queries.company_choices(session)
    told = {"user_id": user_id, "companies": companies, "theirs": theirs, "column_words": COLUMN_WORDS}
    back = after(form.next.data, url_for("people.index"))
    return render_template("people/edit.html", form=form, back=back, **told), status


def _refused(form: UserForm, refused: Refused, user_id: int | None = None) -> ResponseReturnValue:
    for field, sentence in refused.errors.items():
        form.refuse(sentence, field)
    return _page(form, user_id, status=422)


def _conflict(form: UserForm, changed: ChangedMeanwhile, user_id: int) -> ResponseReturnValue:
    """Theirs beside what was typed; saving again overwrites it."""
    form.fingerprint.data = changed.fingerprint
    return _page(form, user_id, status=409, theirs=changed.row)


def _company_id() -> int | None:
    text = request.args.get("company", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
