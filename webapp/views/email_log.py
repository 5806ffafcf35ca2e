"""The email log: every message, what became of it, and why. What people do about it: `email_log_actions`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from flask import (
    Blueprint,
    Response,
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

from webapp.inbound.again import entry_by_hand
from webapp.inbound.attachments import read_original
from webapp.inbound.background import BackgroundPoll
from webapp.inbound.stored import read_header_block
from webapp.models import Disposition, PollRun, Role
from webapp.views import charts, current
from webapp.views.access import requires
from webapp.views.downloads import download
from webapp.views.email_log_csv import rows_as_csv
from webapp.views.email_log_headers import read_fields
from webapp.views.live import live_part
from webapp.views.paging import filter_text, page_number
from webapp.views.partials import is_partial, toast
from webapp.views.queries import email_log as queries
from webapp.views.queries import mail_activity, mail_state, missed_mail
from webapp.views.queries.email_log import LogFilter
from webapp.views.queries.missed_mail import MissedMail
from webapp.views.shell import desk_zone, shell
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
ATTENTION = "attention"  # an outcome of the filter: what a person should look at
# The outcomes a day's totals always tell, in this order; the others only where there are any.
ALWAYS_TOLD = (Disposition.TICKET, Disposition.UPDATE, Disposition.IGNORED, Disposition.QUARANTINED)
NOT_KEPT = "The original of this message is no longer kept."


@blueprint.record
def _prepare_runs(state: BlueprintSetupState) -> None:
    state.app.extensions["background_poll"] = BackgroundPoll()


@blueprint.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    wanted = _filter()
    with current.instance().database.reading() as session:
        page = queries.list_page(session, wanted, page_number())
        what = {
            "page": page,
            "wanted": wanted,
            "any_message": bool(page.items) or queries.any_message(session),
        }
        what["last_check"] = _last_run(session)
        if is_partial():
            return live_part("email_log/_list.html", **what)
        what |= _state(session) | {"missed": _missed(session)}
    return render_template(
        "email_log/index.html",
        period=_period(),
        periods=PERIODS,
        outcomes=OUTCOME_CHOICES,
        attention=ATTENTION,
        **what,
    )


@blueprint.get("/state")
@requires(Role.VIEWER)
def state() -> ResponseReturnValue:
    """How the parser is doing: a part of the page that refreshes itself."""
    if not is_partial():
        return redirect(url_for("email_log.index"), 303)
    with current.instance().database.reading() as session:
        what = _state(session) | {"any_message": queries.any_message(session)}
    return live_part("email_log/_state.html", **what)


@blueprint.get("/log.csv")
@requires(Role.VIEWER)
def export() -> ResponseReturnValue:
    """The messages the list shows, all of its pages; sent while it is read."""
    wanted, zone = _filter(), desk_zone()
    response = Response(rows_as_csv(current.instance().database, wanted, zone), mimetype="text/csv")
    local = current.now().astimezone(zone)
    response.headers["Content-Disposition"] = f'attachment; filename="email-log-{local:%Y-%m-%d-%H%M}.csv"'
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


@blueprint.post("/run")
@requires(Role.ADMINISTRATOR)
def run_now() -> ResponseReturnValue:
    """Let the parser look now, without waiting for what it finds."""
    if problem := start_run():
        return _told(problem, "warning")
    return _told("The parser is looking into the mailbox now.", "good")


@blueprint.get(f"/<{ID}:inbound_id>")
@requires(Role.VIEWER)
def show(inbound_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        row = queries.load(session, inbound_id) or abort(404, "There is no such message.")
        what = {
            "row": row,
            "run": queries.run_of(session, row.inbound),
            "kept": queries.has_original(session, inbound_id),
            "actions": queries.actions_of(session, inbound_id),
            "settled": entry_by_hand(session, row.inbound) is not None,
            "wants_attention": queries.needs_attention(session, inbound_id),
            "user": queries.user_by_address(session, row.inbound.from_addr),
        }
    return render_template("email_log/show.html", **what)


@blueprint.get(f"/<{ID}:inbound_id>/headers")
@requires(Role.VIEWER)
def headers(inbound_id: int) -> ResponseReturnValue:
    """Every header field in order, decoded, or as it came with `?raw=1`."""
    with current.instance().database.reading() as session:
        row = queries.load(session, inbound_id) or abort(404, "There is no such message.")
    block = read_header_block(current.instance(), inbound_id)
    if block is None:
        abort(404, NOT_KEPT)
    what = {"inbound": row.inbound, "as_sent": request.args.get("raw") == "1", "found": read_fields(block)}
    return render_template("email_log/_headers.html" if is_partial() else "email_log/headers.html", **what)


@blueprint.get(f"/<{ID}:inbound_id>/original")
@requires(Role.ADMINISTRATOR)
def original(inbound_id: int) -> ResponseReturnValue:
    raw = read_original(current.instance(), inbound_id)
    if raw is None:
        abort(404, NOT_KEPT)
    return download(raw, filename=f"message-{inbound_id}.eml")


def start_run() -> str:
    """Begin a run in the background; a sentence where there is nothing to run."""
    mail = shell().mail
    if not mail.is_set_up:
        return "Incoming email is not set up. Set it up first."
    if not mail.is_active:
        return "Incoming email is not active. Turn it on first."
    cast(BackgroundPoll, current_app.extensions["background_poll"]).start(current.instance())
    return ""


def _told(sentence: str, level: str) -> ResponseReturnValue:
    if is_partial():
        return toast(make_response("", 204), sentence, level)
    flash(sentence, level)
    return redirect(url_for("email_log.index"), 303)


def _state(session: Session) -> dict[str, Any]:
    """The top of the page: how the parser is doing, its last runs, the last day."""
    mail, now = shell().mail, current.now()
    runs = mail_activity.last_runs(session, mail.mailbox.id) if mail.mailbox else []
    run = runs[-1] if runs else None
    hours = mail_activity.last_24_hours(session, now, desk_zone())
    totals = mail_activity.totals(hours)
    return {
        "run": run,
        "strip": charts.run_strip(runs) if runs else None,
        "chart": charts.activity(hours),
        "totals": [(kind, n) for kind, n in totals.items() if n or kind in ALWAYS_TOLD],
        "attention_count": queries.count_attention(session),
        "most_counted": queries.MOST_COUNTED,
        "messages_of": mail_state.messages_of,
        "ignored": mail_state.ignored_mail_sentence(session, mail),
        "next_run_at": mail_state.next_run(mail, run, current.instance().settings.poll_interval),
    }


def _last_run(session: Session) -> PollRun | None:
    mailbox = shell().mail.mailbox
    return mail_state.last_run(session, mailbox) if mailbox else None


def _missed(session: Session) -> MissedMail | None:
    mail = shell().mail
    return missed_mail.load(session, mail.mailbox.id) if mail.is_active and mail.mailbox else None


def _filter() -> LogFilter:
    outcome = request.args.get("outcome", "")
    span = PERIODS[_period()][1]
    return LogFilter(
        outcome=Disposition(outcome) if outcome in list(Disposition) else None,
        attention=outcome == ATTENTION,
        sender=filter_text("from"),
        subject=filter_text("subject"),
        since=current.now() - span if span else None,
    )


def _period() -> str:
    wanted = request.args.get("period", "")
    return wanted if wanted in PERIODS else DEFAULT_PERIOD
