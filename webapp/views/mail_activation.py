"""Turning incoming mail on: a step of its own, which says what is in the inbox and asks what to take in.

The row is saved and off while the step is open. Nothing is preselected but a date that is set already.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
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
from flask.typing import ResponseReturnValue

from webapp.desk import activation, mail_servers, options
from webapp.desk.activation import Choice
from webapp.desk.jobs import TooManyJobs
from webapp.desk.mail_form import FormErrors, values_of
from webapp.desk.mail_servers import ChangedMeanwhile, Draft
from webapp.inbound.background import BackgroundPoll
from webapp.inbound.previews import PreviewJob
from webapp.models import MailServer, Role, Row, User
from webapp.vault import VaultError
from webapp.views import current, mail_page, mail_previews
from webapp.views.access import requires
from webapp.views.mail_forms import date_and_time, version_number
from webapp.views.mail_page import show_row
from webapp.views.mail_verdicts import counts_sentence
from webapp.views.partials import is_partial, toast

blueprint = Blueprint("mail_activation", __name__, url_prefix=f"{mail_page.PREFIX}/incoming/activate")
TURNED_ON = "Incoming email is on. The parser is looking into the mailbox now."
OFF_UNTIL = "Incoming email is off until you choose."
ON_ALREADY = "Incoming email is on already."
ON_MEANWHILE = "{who} turned incoming email on in the meantime. Your choice was not taken."
CHANGED = "{who} changed these settings in the meantime. Look at the numbers again before you turn this on."
FORGOTTEN = "Not turned on: the numbers you saw are not known any more. Look at them again, and choose."


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def show() -> ResponseReturnValue:
    """Look into the inbox, then ask. A link on another site shows the step, but looks into nothing."""
    if request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none"):
        return begin()
    stored = mail_page.load(Row.INCOMING)
    if stored is None or not stored.is_set_up or stored.active:
        return begin()
    return _step(stored, None)


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def look_again() -> ResponseReturnValue:
    """Look into the inbox anew, however fresh the last look is."""
    return begin(anew=True)


@blueprint.get("/<preview_id>")
@requires(Role.ADMINISTRATOR)
def look(preview_id: str) -> ResponseReturnValue:
    """How far the look into the inbox is; in the end, the question."""
    stored = mail_page.load(Row.INCOMING)
    if stored is not None and stored.active:
        return show_row(Row.INCOMING, ON_ALREADY)
    job = _look_of(preview_id, stored)
    if stored is None or job is None:
        return redirect(url_for("mail_activation.show"), 303)
    return _step(stored, job)


@blueprint.post("/<preview_id>/stop")
@requires(Role.ADMINISTRATOR)
def stop(preview_id: str) -> ResponseReturnValue:
    """Enough was seen."""
    stored = mail_page.load(Row.INCOMING)
    job = _look_of(preview_id, stored) or abort(404)
    job.stop()
    job.wait(2)
    if is_partial() and stored is not None and not stored.active:
        return _step(stored, job)
    return redirect(url_for("mail_activation.look", preview_id=preview_id), 303)


@blueprint.post("/<preview_id>")
@requires(Role.ADMINISTRATOR)
def turn_on(preview_id: str) -> ResponseReturnValue:
    """Take the answer, turn the row on and let the parser look at once.

    An answer counts only for the mailbox and the version of the row whose numbers were shown; for another
    one the look begins anew.
    """
    instance, stored = current.instance(), mail_page.load(Row.INCOMING)
    if stored is None:
        return redirect(url_for("mail_settings.edit", row=Row.INCOMING), 303)
    if stored.active:
        return _is_on(stored)
    shown_version = version_number(request.form.get("version", ""))
    job = _look_of(preview_id, stored)
    if job is None or shown_version != stored.version:
        changed = shown_version != stored.version
        return begin(CHANGED.format(who=stored.updated_by) if changed else FORGOTTEN, level="warning")
    seen = job.result if job.result and job.result.all_dated else None
    try:
        with instance.database.writing() as session:
            cutoff = activation.choose_cutoff(
                request.form.get("choice", ""),
                _moment(),
                zone=options.time_zone(session),
                newest=seen.newest if seen else None,
                inbox_seen=seen is not None,
                now=current.now(),
            )
            changes = activation.changes_of(cutoff)
            wanted = mail_servers.draft(session, instance, Row.INCOMING, changes, None)
            mail_servers.save(
                session,
                instance.vault,
                wanted,
                now=current.now(),
                actor=mail_page.actor(),
                expected_version=stored.version,
            )
    except FormErrors as refused:
        return _step(stored, job, status=422, errors=refused.errors)
    except ChangedMeanwhile as changed:
        if changed.stored.active:
            return _is_on(changed.stored)
        return begin(CHANGED.format(who=changed.stored.updated_by), level="warning")
    cast(BackgroundPoll, current_app.extensions["background_poll"]).start(instance)
    return show_row(Row.INCOMING, TURNED_ON)


def must_ask(wanted: Draft, before: MailServer | None) -> bool:
    """Whether this step comes before the row is on, as somebody wants it."""
    was = values_of(before) if before else None
    return activation.needs_confirmation(was, wanted.values, last_test_passed=None).step


def begin(saved: str = "", *, level: str = "good", anew: bool = False) -> ResponseReturnValue:
    """The step for the row as it is saved; `saved` says what was done so far.

    A look that goes on or has just ended is taken up, so that a page opened twice signs in once; `anew`
    begins another one.
    """
    stored = mail_page.load(Row.INCOMING)
    if stored is None or not stored.is_set_up:
        return redirect(url_for("mail_settings.edit", row=Row.INCOMING), 303)
    if stored.active:
        return show_row(Row.INCOMING, ON_ALREADY)
    try:
        job = None if anew else _fresh_look(stored)
        if job is None:
            wanted = activation.without_cutoff(mail_servers.stored_draft(current.instance().vault, stored))
            job = mail_previews.begin_job(wanted, version=stored.version)
    except (TooManyJobs, VaultError) as refused:
        return show_row(Row.INCOMING, f"{saved} It stays off: {refused}".strip(), "warning")
    if is_partial():
        response = make_response(_step(stored, job))
        return toast(response, saved, level) if saved else response
    if saved:
        flash(saved, level)
    return redirect(url_for("mail_activation.look", preview_id=job.job_id), 303)


def _fresh_look(stored: MailServer) -> PreviewJob | None:
    return mail_page.previews().find_fresh(activation.mailbox_of(values_of(stored)), stored.version)


def _look_of(preview_id: str, stored: MailServer | None) -> PreviewJob | None:
    """The look of this id, if it was one into the mailbox of the row as it is saved now."""
    job = mail_page.previews().find(preview_id)
    if job is None or stored is None:
        return None
    is_its = job.is_of(activation.mailbox_of(values_of(stored)), stored.version)
    return job if is_its else None


def _is_on(stored: MailServer) -> ResponseReturnValue:
    """The answer came twice, or somebody else was faster."""
    if stored.updated_by == mail_page.actor():
        return show_row(Row.INCOMING, ON_ALREADY)
    return show_row(Row.INCOMING, ON_MEANWHILE.format(who=stored.updated_by), "warning")


def _step(
    stored: MailServer,
    job: PreviewJob | None,
    *,
    status: int = 200,
    errors: dict[str, str] | None = None,
) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        date, time = date_and_time(stored.cutoff_at, options.time_zone(session))
        knows_nobody = session.scalar(sa.select(User.id).where(User.active).limit(1)) is None
    chosen = activation.preselected(values_of(stored))
    what: dict[str, Any] = {
        "stored": stored,
        "job": job,
        "off_until": OFF_UNTIL,
        "result": job.result if job else None,
        "counts": counts_sentence(job.result) if job and job.result else "",
        "all_unknown": knows_nobody and not stored.process_unknown,
        "choices": Choice,
        "choice": request.form.get("choice", chosen.value if chosen else ""),
        "date": request.form.get("cutoff_date", date),
        "time": request.form.get("cutoff_time", time),
        "errors": errors or {},
    }
    if is_partial():
        response = make_response(render_template("mail_settings/_activate.html", **what), status)
        response.headers["HX-Retarget"] = "#row-incoming"
        response.headers["HX-Reswap"] = "outerMorph" if job and job.running else "outerHTML"
        return response
    return render_template("mail_settings/activate.html", **what), status


def _moment() -> str:
    date, time = (request.form.get(name, "").strip() for name in ("cutoff_date", "cutoff_time"))
    return f"{date}T{time}" if date and time else date
