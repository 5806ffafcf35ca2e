"""The dry run: what would become of every unread message, of the values in the form or of the saved row."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.desk import audit, mail_servers
from webapp.desk.jobs import TooManyJobs
from webapp.desk.mail_form import FormErrors
from webapp.desk.mail_servers import Draft
from webapp.inbound.previews import PreviewJob
from webapp.models import Role, Row
from webapp.vault import VaultError
from webapp.views import current, mail_page
from webapp.views.access import requires
from webapp.views.mail_forms import MailServerForm
from webapp.views.mail_page import show_form
from webapp.views.mail_verdicts import counts_sentence, verdict_of
from webapp.views.partials import is_partial

blueprint = Blueprint("mail_previews", __name__, url_prefix=f"{mail_page.PREFIX}/incoming/preview")
NOT_KNOWN = "This preview is not known any more. Start it again."


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def start() -> ResponseReturnValue:
    """With the values in the form, unsaved."""
    form, stored = MailServerForm(Row.INCOMING), mail_page.load(Row.INCOMING)
    try:
        with current.instance().database.reading() as session:
            wanted = mail_page.draft_of(session, form, stored, active=False)
    except FormErrors as refused:
        form.show_errors(refused.errors)
        return show_form(form, stored, status=422, retarget=True, refused="Not looked at")
    return _begin(wanted, form)


@blueprint.post("/saved")
@requires(Role.ADMINISTRATOR)
def start_saved() -> ResponseReturnValue:
    stored = mail_page.load(Row.INCOMING)
    if stored is None or not stored.is_set_up:
        abort(404, "Incoming email is not set up yet.")
    try:
        return _begin(mail_servers.stored_draft(current.instance().vault, stored), None)
    except VaultError as refused:
        return _refused(str(refused))


@blueprint.get("/<preview_id>")
@requires(Role.ADMINISTRATOR)
def show(preview_id: str) -> ResponseReturnValue:
    job = mail_page.previews().find(preview_id)
    if job is None:
        return _refused(NOT_KNOWN) if is_partial() else abort(404, NOT_KNOWN)
    if is_partial():
        return render_template("mail_settings/_preview.html", **_shown(job))
    return render_template("mail_settings/preview.html", **_shown(job))


@blueprint.post("/<preview_id>/stop")
@requires(Role.ADMINISTRATOR)
def stop(preview_id: str) -> ResponseReturnValue:
    job = mail_page.previews().find(preview_id) or abort(404, NOT_KNOWN)
    job.stop()
    job.wait(2)
    if is_partial():
        return render_template("mail_settings/_preview.html", **_shown(job))
    return redirect(url_for("mail_previews.show", preview_id=preview_id), 303)


def begin_job(wanted: Draft, *, version: int | None = None) -> PreviewJob:
    """Start one (`version` as in `Previews.start`), and write down who had which server asked. Raises
    TooManyJobs."""
    job = mail_page.previews().start(wanted, version=version)
    with current.instance().database.writing() as session:
        where = {"host": wanted.values.host, "port": wanted.values.port}
        audit.record(session, current.now(), mail_page.actor(), "mail_server.preview", "incoming", **where)
    return job


def _begin(wanted: Draft, form: MailServerForm | None) -> ResponseReturnValue:
    try:
        job = begin_job(wanted)
    except TooManyJobs as refused:
        return _refused(str(refused))
    if is_partial():
        return render_template("mail_settings/_preview.html", **_shown(job))
    if form is not None:
        mail_page.kept().keep(job.job_id, request.form)
    return redirect(url_for("mail_previews.show", preview_id=job.job_id), 303)


def _shown(job: PreviewJob) -> dict[str, Any]:
    result = job.result
    return {
        "job": job,
        "result": result,
        "verdicts": [(row, verdict_of(row)) for row in result.rows] if result else [],
        "counts": counts_sentence(result) if result else "",
        "is_active": _is_active() if result and not result.unread else False,
        "kept": job.job_id if mail_page.kept().find(job.job_id) else None,
    }


def _is_active() -> bool:
    stored = mail_page.load(Row.INCOMING)
    return stored is not None and stored.active


def _refused(sentence: str) -> ResponseReturnValue:
    if is_partial():
        return render_template("mail_settings/_preview_refused.html", sentence=sentence), 429
    flash(sentence, "warning")
    return redirect(url_for("mail_settings.index", _anchor="row-incoming"), 303)
