"""The email log: every message, what became of it, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from webapp.inbound.attachments import read_original
from webapp.inbound.background import BackgroundPoll
from webapp.models import Disposition, Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.downloads import download
from webapp.views.live import live_part
from webapp.views.paging import filter_text, page_number
from webapp.views.partials import is_partial, toast
from webapp.views.queries import email_log as queries
from webapp.views.queries import mail_state
from webapp.views.queries.email_log import LogFilter
from webapp.views.shell import shell
from webapp.views.words import OUTCOME_CHOICES

blueprint = Blueprint("email_log", __name__, url_prefix="/email-log")
ID = "int(max=2147483647)"
PERIODS = {
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
    "month": ("Last 30 days", timedelta(days=30)),
    "all": ("All", None),
}
DEFAULT_PERIOD = "week"


@blueprint.record
def _prepare_runs(state: BlueprintSetupState) -> None:
    state.app.extensions["background_poll"] = BackgroundPoll()


@blueprint.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    wanted = _filter()
    with current.instance().database.reading() as session:
        page = queries.list_page(session, wanted, page_number())
        what = _state(session) | {
            "page": page,
            "wanted": wanted,
            "any_message": bool(page.items) or queries.any_message(session),
        }
    if is_partial():
        return live_part("email_log/_list.html", **what)
    return render_template(
        "email_log/index.html", period=_period(), periods=PERIODS, outcomes=OUTCOME_CHOICES, **what
    )


@blueprint.get("/state")
@requires(Role.VIEWER)
def state() -> ResponseReturnValue:
    """How the parser is doing: a part of the page that refreshes itself."""
    if not is_partial():
        return redirect(url_for("email_log.index"), 303)
    with current.instance().database.reading() as session:
        what = _state(session)
    return live_part("email_log/_state.html", **what)


@blueprint.post("/run")
@requires(Role.ADMINISTRATOR)
def run_now() -> ResponseReturnValue:
    """Let the parser look now, without waiting for what it finds."""
    mail = shell().mail
    if not mail.is_set_up:
        return _told("Incoming email is not set up. Set it up first.", "warning")
    if not mail.is_active:
        return _told("Incoming email is not active. Turn it on first.", "warning")
    cast(BackgroundPoll, current_app.extensions["background_poll"]).start(current.instance())
    return _told("The parser is looking into the mailbox now.", "good")


@blueprint.get(f"/<{ID}:inbound_id>")
@requires(Role.VIEWER)
def show(inbound_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        row = queries.load(session, inbound_id) or abort(404, "There is no such message.")
        run = mail_state.run_of(session, row.inbound.mailbox_id, row.inbound.recorded_at)
        kept = queries.has_original(session, inbound_id)
    return render_template("email_log/show.html", row=row, run=run, kept=kept)


@blueprint.get(f"/<{ID}:inbound_id>/original")
@requires(Role.ADMINISTRATOR)
def original(inbound_id: int) -> ResponseReturnValue:
    raw = read_original(current.instance(), inbound_id)
    if raw is None:
        abort(404, "The original of this message is no longer kept.")
    return download(raw, filename=f"message-{inbound_id}.eml")


def _told(sentence: str, level: str) -> ResponseReturnValue:
    if is_partial():
        return toast(make_response("", 204), sentence, level)
    flash(sentence, level)
    return redirect(url_for("email_log.index"), 303)


def _state(session: Session) -> dict[str, Any]:
    mail = shell().mail
    run = mail_state.last_run(session, mail.mailbox) if mail.mailbox else None
    return {
        "run": run,
        "messages_of": mail_state.messages_of,
        "ignored": mail_state.ignored_mail_sentence(session, mail),
        "next_run_at": mail_state.next_run(mail, run, current.instance().settings.poll_interval),
    }


def _filter() -> LogFilter:
    outcome = request.args.get("outcome", "")
    span = PERIODS[_period()][1]
    return LogFilter(
        outcome=Disposition(outcome) if outcome in list(Disposition) else None,
        sender=filter_text("from"),
        subject=filter_text("subject"),
        since=current.now() - span if span else None,
    )


def _period() -> str:
    wanted = request.args.get("period", "")
    return wanted if wanted in PERIODS else DEFAULT_PERIOD
