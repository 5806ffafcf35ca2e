"""What people do about deliveries in the outbox; each act answers with a sentence."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.desk import audit, undeliverable
from webapp.models import DeliveryState, Role, Row
from webapp.outbound import by_hand
from webapp.outbound import outbox as engine
from webapp.views import current
from webapp.views.access import own_path, requires
from webapp.views.outbox import ID
from webapp.views.queries import outbox as queries

blueprint = Blueprint("outbox_actions", __name__, url_prefix="/outbox")
PERIODS = {
    "hour": ("the last hour", timedelta(hours=1)),
    "day": ("the last 24 hours", timedelta(days=1)),
    "week": ("the last 7 days", timedelta(days=7)),
    "month": ("the last 30 days", timedelta(days=30)),
}
DEFAULT_PERIOD = "day"


@blueprint.post(f"/<{ID}:delivery_id>/resend")
@requires(Role.TECHNICIAN)
def resend(delivery_id: int) -> ResponseReturnValue:
    """One again. Of one that is uncertain the person is asked first: it may arrive twice."""
    row = _load(delivery_id)
    sure = request.form.get("sure") == "yes"
    if row.delivery.state is DeliveryState.UNCERTAIN and not sure:
        return render_template("outbox/resend.html", row=row)
    try:
        with current.instance().database.writing() as session:
            by_hand.resend(
                session,
                delivery_id,
                now=current.now(),
                by=_actor(),
                despite_doubt=sure,
                seen_attempts=_seen(),
            )
            audit.record(session, current.now(), _actor(), "outbox.resend", str(delivery_id))
    except by_hand.CannotResend as refused:
        return _back(delivery_id, f"Not sent again. {refused}", "warning")
    return _back(delivery_id, f"The message to {row.delivery.recipient} is sent again.")


@blueprint.post(f"/<{ID}:delivery_id>/stop")
@requires(Role.TECHNICIAN)
def stop(delivery_id: int) -> ResponseReturnValue:
    """Give up one that waits, once the person has said so twice."""
    row = _load(delivery_id)
    if request.form.get("sure") != "yes":
        return render_template("outbox/stop.html", row=row)
    with current.instance().database.writing() as session:
        done = by_hand.give_up(session, delivery_id, now=current.now(), by=_actor())
        if done:
            audit.record(session, current.now(), _actor(), "outbox.give_up", str(delivery_id))
    if not done:
        return _back(delivery_id, "It was not waiting any more, or is just being sent.", "warning")
    return _back(delivery_id, f"The message to {row.delivery.recipient} is not sent.")


@blueprint.post(f"/<{ID}:delivery_id>/try")
@requires(Role.TECHNICIAN)
def try_now(delivery_id: int) -> ResponseReturnValue:
    _load(delivery_id)
    with current.instance().database.writing() as session:
        done = by_hand.try_now(session, delivery_id, now=current.now())
    if not done:
        return _back(delivery_id, "It was not waiting any more, or is just being sent.", "warning")
    return _back(delivery_id, "It is being tried now.")


@blueprint.post(f"/<{ID}:delivery_id>/dismiss")
@requires(Role.TECHNICIAN)
def dismiss(delivery_id: int) -> ResponseReturnValue:
    """A person has seen to it."""
    _load(delivery_id)
    with current.instance().database.writing() as session:
        if by_hand.dismiss(session, delivery_id):
            audit.record(session, current.now(), _actor(), "outbox.dismiss", str(delivery_id))
    return _back(delivery_id, "This delivery needs no attention any more.")


@blueprint.post(f"/<{ID}:delivery_id>/allow-address")
@requires(Role.TECHNICIAN)
def allow_address(delivery_id: int) -> ResponseReturnValue:
    """Mail may go to its recipient again: most of those who are no users have no page where to say so."""
    address = _load(delivery_id).delivery.recipient
    with current.instance().database.writing() as session:
        undeliverable.send_again(session, address, now=current.now(), actor=_actor())
    return _back(delivery_id, f"Mail is sent to {address} again.")


@blueprint.post("/servers/<row>/try")
@requires(Role.TECHNICIAN)
def ask_server(row: str) -> ResponseReturnValue:
    """Ask a failing mail server now instead of at its next time."""
    if row not in (one.value for one in engine.LABELS):
        abort(404, "There is no such mail server row.")
    with current.instance().database.writing() as session:
        fails = by_hand.ask_server_now(session, Row(row), now=current.now())
    return _back(None, "The mail server is being asked now." if fails else "It works again already.")


@blueprint.get("/resend-failed")
@requires(Role.TECHNICIAN)
def ask_resend_failed() -> ResponseReturnValue:
    """How many it would be, before anything is done."""
    period = _period(request.args.get("period", ""))
    since = current.now() - PERIODS[period][1]
    with current.instance().database.reading() as session:
        number = by_hand.count_failed(session, since=since)
    return render_template(
        "outbox/resend_failed.html", number=number, since=since, period=period, periods=PERIODS
    )


@blueprint.post("/resend-failed")
@requires(Role.TECHNICIAN)
def resend_failed() -> ResponseReturnValue:
    """All since the time the page named, however long it was open."""
    try:
        since = datetime.fromisoformat(request.form.get("since", ""))
    except ValueError:
        abort(400, "The time is missing. Open the page again.")
    if since.tzinfo is None:
        abort(400, "The time has no zone. Open the page again.")
    with current.instance().database.writing() as session:
        number = by_hand.resend_failed(session, since=since, now=current.now(), by=_actor())
        audit.record(
            session, current.now(), _actor(), "outbox.resend_failed", since.isoformat(), number=number
        )
    told = (
        f"{number} failed deliveries are sent again." if number != 1 else "1 failed delivery is sent again."
    )
    return _back(None, told if number else "Nothing was left to send again.", "good" if number else "warning")


def _load(delivery_id: int) -> queries.OutboxRow:
    with current.instance().database.reading() as session:
        return queries.load(session, delivery_id) or abort(404, "There is no such delivery.")


def _period(wanted: str) -> str:
    return wanted if wanted in PERIODS else DEFAULT_PERIOD


def _seen() -> int | None:
    """How often it had been tried when the page was shown."""
    text = request.values.get("seen", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _actor() -> str:
    person = current.person()
    assert person is not None
    return person.email


def _back(delivery_id: int | None, sentence: str, level: str = "good") -> ResponseReturnValue:
    """To the list where the button stood in it, else to the delivery."""
    flash(sentence, level)
    wanted = request.form.get("next")
    if wanted:
        return redirect(own_path(wanted), 303)
    if delivery_id is None:
        return redirect(url_for("outbox.index"), 303)
    return redirect(url_for("outbox.show", delivery_id=delivery_id), 303)
