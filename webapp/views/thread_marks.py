"""Settings > Service desk > Answers: how an answer to our mail finds its ticket, as far as it can be set."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField

from webapp.desk import thread_marks
from webapp.desk.thread_marks import MarksRefused, ThreadMarks
from webapp.mail.conversation import answer_subject
from webapp.mail.ticket_tag import FIRST, TicketTags
from webapp.models import MailServer, Role, Row
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.setting_page import SettingPage

blueprint = Blueprint("thread_marks", __name__, url_prefix="/settings/service-desk/answers")
PAGE = SettingPage(
    thread_marks.STORED,
    endpoint="thread_marks.form",
    action="settings.answers",
    subject="answers",
    saved="Saved. New mail goes out like this; answers to older mail are still understood.",
)
EXAMPLE = 1042  # the ticket of the examples


class MarksForm(DeskForm):
    tag_form = StringField("Tag in the subject")
    tag_prefix = StringField("Letters of the tag")
    answers_to = StringField("Answers go to")
    plus_address = BooleanField("The address answers go to names the ticket")


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def form() -> ResponseReturnValue:
    return _page(MarksForm(formdata=None, data=PAGE.as_data()), PAGE.load())


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def save() -> ResponseReturnValue:
    entered = MarksForm()
    try:
        with current.instance().database.reading() as session:
            wanted = thread_marks.read(
                session,
                tag_form=entered.tag_form.data or "",
                tag_prefix=entered.tag_prefix.data or "",
                answers_to=entered.answers_to.data or "",
                plus_address=bool(entered.plus_address.data),
            )
    except MarksRefused as refused:
        entered.refuse(str(refused), refused.field)
        return _page(entered, None), 422
    return PAGE.keep(wanted)


def _page(shown: MarksForm, marks: ThreadMarks | None) -> str:
    """With how the next mail would begin; `marks` None: what was entered makes none."""
    subject = reply_to = ""
    known: tuple[str, ...] = ()
    if marks is not None:
        subject = answer_subject("Printer offline", EXAMPLE, marks.tags)
        # An example's proof is of no use to anybody: it is made with no key of ours.
        reply_to = marks.reply_to(b"example", _from_address() or "help@example.com", EXAMPLE)
        forms = dict.fromkeys((marks.tags.current, *reversed(marks.former_tags), FIRST))
        known = tuple(TicketTags(one).of(EXAMPLE) for one in forms)
    return render_template(
        "thread_marks/index.html", form=shown, subject=subject, reply_to=reply_to, known=known,
        sender=_from_address(),
    )  # fmt: skip


def _from_address() -> str:
    with current.instance().database.reading() as session:
        row = session.get(MailServer, Row.OUTGOING.value)
    return row.from_address if row else ""
