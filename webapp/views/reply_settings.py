"""Settings > Service desk > Replies: sender's name, signature, size of files; with a preview."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from wtforms import RadioField, SelectChoice, StringField, TextAreaField

from webapp.desk import answers, reply_recipients, reply_settings
from webapp.desk.reply_settings import ReplySettings, SenderName, SettingRefused
from webapp.models import Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.setting_page import SettingPage

blueprint = Blueprint("reply_settings", __name__, url_prefix="/settings/service-desk/replies")
PAGE = SettingPage(
    reply_settings.STORED,
    endpoint="reply_settings.form",
    action="settings.replies",
    subject="replies",
    saved="Saved. Replies look like this from now on.",
)
SENDER_CHOICES = [
    (SenderName.PERSON.value, "The technician's name, with the service desk's name behind it"),
    (SenderName.DESK.value, "The service desk's name alone"),
    (SenderName.NONE.value, "No name, only the address"),
]


class RepliesForm(DeskForm):
    desk_name = StringField("Name of the service desk")
    sender_name = RadioField(
        "Who a reply is from", choices=[SelectChoice(*one) for one in SENDER_CHOICES], validate_choice=False
    )
    signature = TextAreaField("Signature")
    files_mb = StringField("Attachments of a reply, in all (MB)")


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def form() -> ResponseReturnValue:
    return _page(RepliesForm(formdata=None, data=PAGE.as_data()), PAGE.load())


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def save() -> ResponseReturnValue:
    """Save, or only show what it would look like."""
    entered = RepliesForm()
    try:
        wanted = reply_settings.read(
            desk_name=entered.desk_name.data or "",
            sender_name=entered.sender_name.data or "",
            signature=entered.signature.data or "",
            files_mb=entered.files_mb.data or "",
        )
    except SettingRefused as refused:
        entered.refuse(str(refused), refused.field)
        return _page(entered, None), 422
    if "preview" in request.form:
        return _page(entered, wanted)
    return PAGE.keep(wanted)


def _page(shown: RepliesForm, settings: ReplySettings | None) -> str:
    """With what a reply of the person who looks would begin and end with."""
    person = current.person()
    name = person.name if person else ""
    sender = signature = ""
    if settings is not None:
        with current.instance().database.reading() as session:
            _, address = answers.from_mailbox(session, name)
        sender = reply_recipients.written((settings.sender_for(name), address or "help@example.com"))
        signature = settings.signature_for(name)
    return render_template(
        "reply_settings/index.html",
        form=shown,
        sender=sender,
        signature=signature,
        most=reply_settings.MAX_FILES_MB,
    )
