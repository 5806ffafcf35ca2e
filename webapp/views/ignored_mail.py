"""Settings > Service desk > Ignored mail: where mail goes that makes no ticket."""

from __future__ import annotations

from flask import Blueprint, flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, SelectChoice

from webapp.desk import audit, options
from webapp.desk.options import IgnoredMail
from webapp.models import Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.partials import is_partial, toast
from webapp.views.queries import mail_state

blueprint = Blueprint("ignored_mail", __name__, url_prefix="/settings/service-desk/ignored-mail")
CHOICES = [
    SelectChoice(IgnoredMail.MOVE.value, "Move it out of the inbox"),
    SelectChoice(IgnoredMail.LEAVE.value, "Leave it in the inbox"),
]
SAVED = {
    IgnoredMail.MOVE: "Saved. Ignored mail is moved from the next run on.",
    IgnoredMail.LEAVE: "Saved. Ignored mail stays in the inbox from the next run on.",
}


class IgnoredMailForm(DeskForm):
    ignored_mail = RadioField("What happens to ignored mail", choices=CHOICES, validate_choice=False)


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def form() -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        saved = options.ignored_mail(session)
    return _page(IgnoredMailForm(formdata=None, data={"ignored_mail": saved.value}))


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def save() -> ResponseReturnValue:
    entered = IgnoredMailForm()
    choice = entered.ignored_mail.data
    if choice not in list(IgnoredMail):
        entered.refuse("Choose what happens to ignored mail.", "ignored_mail")
        return _page(entered, status=422)
    wanted, person = IgnoredMail(choice), current.person()
    assert person is not None
    with current.instance().database.writing() as session:
        before = options.ignored_mail(session)
        if before is not wanted:
            options.set_ignored_mail(session, wanted)
            audit.record(
                session, current.now(), person.email, "settings.ignored-mail", "ignored mail",
                before=before.value, after=wanted.value,
            )  # fmt: skip
    if is_partial():
        return toast(
            make_response(render_template("ignored_mail/_form.html", **_told(entered))), SAVED[wanted]
        )
    flash(SAVED[wanted], "good")
    return redirect(url_for("ignored_mail.form"), 303)


def _page(shown: IgnoredMailForm, *, status: int = 200) -> ResponseReturnValue:
    template = "ignored_mail/_form.html" if is_partial() else "ignored_mail/index.html"
    return render_template(template, **_told(shown)), status


def _told(shown: IgnoredMailForm) -> dict[str, object]:
    with current.instance().database.reading() as session:
        return {"form": shown, "folder": mail_state.ignored_folder(session, mail_state.load(session))}
