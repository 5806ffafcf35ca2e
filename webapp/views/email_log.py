"""The email log: every message, what became of it, and why."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue

from webapp.inbound.attachments import read_original
from webapp.models import Disposition, Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.downloads import download
from webapp.views.paging import filter_text, page_number
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


@blueprint.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    period, wanted, mailbox = _period(), _filter(), shell().mail.mailbox
    with current.instance().database.reading() as session:
        page = queries.list_page(session, wanted, page_number())
        any_message = bool(page.items) or queries.any_message(session)
        run = mail_state.last_run(session, mailbox) if mailbox else None
        ignored = mail_state.ignored_mail_sentence(session, shell().mail)
    return render_template(
        "email_log/index.html",
        page=page, wanted=wanted, period=period, periods=PERIODS, outcomes=OUTCOME_CHOICES,
        any_message=any_message, run=run, messages_of=mail_state.messages_of, ignored=ignored,
        next_run_at=mail_state.next_run(shell().mail, run, current.instance().settings.poll_interval),
    )  # fmt: skip


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
