"""Settings > Service desk > Notifications: which automatic mail is sent, and its wording, with a preview."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from wtforms import BooleanField, StringField, TextAreaField

from webapp.desk import audit, notice_preview, notification_settings
from webapp.desk.notification_settings import (
    EVENTS,
    Event,
    NotificationSettings,
    Wording,
    WordingRefused,
    as_json,
)
from webapp.models import Role, Row
from webapp.outbound import outbox
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm

blueprint = Blueprint("notification_settings", __name__, url_prefix="/settings/service-desk/notifications")
# The mail's HTML is an administrator's; in a sandbox it can do nothing, and fetches only pictures.
_POLICY = (
    "sandbox; default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# The styles are part of the document: from an origin of its own it may load none of ours.
_DOCUMENT = Markup("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>Preview</title>
<style>
html {{ background: #fff; color: #1a1d21; overflow-wrap: break-word; }}
body {{ margin: 12px 14px; font: 14px/1.5 Arial, Helvetica, sans-serif; }}
h1 {{ font-size: 17px; margin: 0 0 12px; }}
h2 {{ font-size: 14px; margin: 20px 0 8px; padding-top: 10px; border-top: 1px solid #d5dae1; }}
pre {{ white-space: pre-wrap; font: 13px/1.5 monospace; margin: 0; }}
a {{ color: #0a5aa6; }}
</style>
</head>
<body>
{content}
</body>
</html>
""")
_SAID = Markup("<h1>{subject}</h1>\n{body}\n<h2>As plain text</h2>\n<pre>{text}</pre>")
_REFUSED = Markup("<p>{problem}</p>")


class SwitchesForm(DeskForm):
    acknowledgement = BooleanField(EVENTS[Event.ACKNOWLEDGEMENT].title)
    closed = BooleanField(EVENTS[Event.CLOSED].title)
    unknown_senders = BooleanField("Also to senders the directory does not know")
    assigned = BooleanField(EVENTS[Event.ASSIGNED].title)
    updated = BooleanField(EVENTS[Event.UPDATED].title)
    pool_updates = BooleanField("Updates of tickets in the pool go to all technicians")
    opened = BooleanField(EVENTS[Event.OPENED].title)


class WordingForm(DeskForm):
    subject = StringField("Subject")
    text = TextAreaField("Text")
    html = TextAreaField("HTML")


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def form() -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        saved = notification_settings.load(session)
        is_sending = outbox.is_on(session, Row.OUTGOING)
    switches = {event.value: event in saved.on for event in Event}
    shown = SwitchesForm(
        formdata=None,
        data=switches | {"unknown_senders": saved.unknown_senders, "pool_updates": saved.pool_updates},
    )
    return render_template(
        "notification_settings/index.html",
        form=shown,
        events=EVENTS,
        own_wording={event.value for event in saved.wordings},
        is_sending=is_sending,
        public_url=current.instance().settings.public_url,
    )


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def save() -> ResponseReturnValue:
    entered = SwitchesForm()

    def change(before: NotificationSettings) -> NotificationSettings:
        return replace(
            before,
            on=frozenset(event for event in Event if entered[event.value].data),
            unknown_senders=bool(entered.unknown_senders.data),
            pool_updates=bool(entered.pool_updates.data),
        )

    _save(change)
    flash("Saved. Notifications are sent by these settings from now on.", "good")
    return redirect(url_for("notification_settings.form"), 303)


@blueprint.get("/<event_name>")
@requires(Role.ADMINISTRATOR)
def edit(event_name: str) -> ResponseReturnValue:
    event = _event(event_name)
    with current.instance().database.reading() as session:
        saved = notification_settings.load(session)
    wording = saved.wording(event)
    data = {"subject": wording.subject, "text": wording.text, "html": wording.html}
    return _edit_page(event, WordingForm(formdata=None, data=data), event in saved.wordings)


@blueprint.post("/<event_name>")
@requires(Role.ADMINISTRATOR)
def save_wording(event_name: str) -> ResponseReturnValue:
    """Save the wording, or go back to the default."""
    event, entered = _event(event_name), WordingForm()
    wording = EVENTS[event].default if "reset" in request.form else _wording(entered)
    try:
        notification_settings.check(event, wording)
    except WordingRefused as refused:
        entered.refuse(str(refused), refused.field)
        return _edit_page(event, entered, False), 422

    def change(before: NotificationSettings) -> NotificationSettings:
        others = {one: kept for one, kept in before.wordings.items() if one is not event}
        own = {} if wording == EVENTS[event].default else {event: wording}
        return replace(before, wordings=others | own)

    _save(change)
    flash("Saved. The next mail is worded like this.", "good")
    return redirect(url_for("notification_settings.edit", event_name=event.value), 303)


@blueprint.get("/<event_name>/preview")
@requires(Role.ADMINISTRATOR)
def preview(event_name: str) -> ResponseReturnValue:
    """The saved wording, as a document for a frame."""
    event = _event(event_name)
    with current.instance().database.reading() as session:
        saved = notification_settings.load(session)
    return _preview(event, saved.wording(event))


@blueprint.post("/<event_name>/preview")
@requires(Role.ADMINISTRATOR)
def preview_entered(event_name: str) -> ResponseReturnValue:
    """The same of what stands in the form, which nothing is saved of."""
    return _preview(_event(event_name), _wording(WordingForm()))


def _preview(event: Event, wording: Wording) -> Response:
    instance = current.instance()
    try:
        checked = notification_settings.check(event, wording)
        with instance.database.reading() as session:
            said = notice_preview.preview(session, checked, public_url=instance.settings.public_url)
        body = Markup(said.body)  # noqa: S704 - checked, its values escaped, and in a sandbox
        status, content = 200, _SAID.format(subject=said.subject, body=body, text=said.text)
    except WordingRefused as refused:
        field = "HTML" if refused.field == "html" else refused.field.capitalize()
        status, content = 422, _REFUSED.format(problem=f"{field}: {refused}")
    response = make_response(_DOCUMENT.format(content=content), status)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def _save(change: Callable[[NotificationSettings], NotificationSettings]) -> None:
    """What is saved, changed; the audit says what, and by whom."""
    person = current.person()
    assert person is not None
    with current.instance().database.writing() as session:
        before = notification_settings.load(session)
        wanted = change(before)
        if wanted != before:
            notification_settings.save(session, wanted)
            audit.record(
                session, current.now(), person.email, "settings.notifications", "notifications",
                before=as_json(before), after=as_json(wanted),
            )  # fmt: skip


def _event(name: str) -> Event:
    return Event(name) if name in list(Event) else abort(404, "There is no such notification.")


def _wording(entered: WordingForm) -> Wording:
    def lines(text: str | None) -> str:
        return (text or "").replace("\r\n", "\n").replace("\r", "\n").strip()

    return Wording(lines(entered.subject.data), lines(entered.text.data), lines(entered.html.data))


def _edit_page(event: Event, shown: WordingForm, has_own: bool) -> str:
    return render_template(
        "notification_settings/edit.html",
        form=shown,
        event=event,
        about=EVENTS[event],
        has_own=has_own,
        public_url=current.instance().settings.public_url,
    )
