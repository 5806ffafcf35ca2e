"""Users & companies: users from a CSV file, shown before anything is written.

The preview's page carries the file itself (base64, so that no browser changes a byte of it) and the
fingerprint of what was shown. Confirming reads the file anew and imports it only if it still does exactly
that; else the preview is shown again.
"""

from __future__ import annotations

import base64
import binascii

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge
from wtforms import FileField

from webapp.desk.directory import CsvError, PreviewOutdated, import_previewed, preview_import, read_csv
from webapp.models import Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.errors import error_page
from webapp.views.forms import DeskForm
from webapp.views.people import COLUMN_WORDS, actor

blueprint = Blueprint("people_import", __name__, url_prefix="/people/import")
# As base64 it must fit into one request (webapp.app.MAX_REQUEST_BYTES), and the database is kept from
# others for a few seconds at most.
MAX_FILE_BYTES = 500_000
CHANGES_SHOWN = 100
TOO_LARGE = (
    "This file is larger than 500 KB. Nothing was imported. Divide it, or ask whoever runs the service desk "
    "to import it with: servicedesk directory import"
)
OUTDATED = "Not imported: the users or the file changed since the preview. This is what would happen now."


class UploadForm(DeskForm):
    file = FileField("CSV file")


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def form() -> ResponseReturnValue:
    return _page(UploadForm())


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def preview() -> ResponseReturnValue:
    upload, content = UploadForm(), _uploaded()
    if not content:
        upload.refuse("Choose a CSV file that is not empty.", "file")
    elif len(content) > MAX_FILE_BYTES:
        upload.refuse(TOO_LARGE, "file")
    else:
        return _preview(upload, content)
    return _page(upload, status=422)


@blueprint.post("/confirm")
@requires(Role.ADMINISTRATOR)
def confirm() -> ResponseReturnValue:
    upload, content = UploadForm(), _carried()
    if content is None:
        upload.refuse("The preview did not arrive as it was shown. Choose the file again.", "file")
        return _page(upload, status=422)
    fingerprint = request.form.get("fingerprint", "")
    try:
        users = read_csv(content)  # before the transaction: nobody else waits for that
        with current.instance().database.writing() as session:
            result = import_previewed(session, users, fingerprint, now=current.now(), actor=actor())
    except (CsvError, PreviewOutdated):
        return _preview(upload, content, notice=OUTDATED)
    flash(
        f"Import finished. Users: {result.created} created, {result.updated} updated, {result.unchanged} "
        f"unchanged. Companies: {len(result.companies)} created."
        + (
            f" Earlier tickets that are theirs now: {result.earlier_tickets}."
            if result.earlier_tickets
            else ""
        ),
        "good",
    )
    return redirect(url_for("people.index"), 303)


@blueprint.errorhandler(RequestEntityTooLarge)
def too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """Refused before this module reads anything."""
    return error_page(413, TOO_LARGE)


def _preview(upload: UploadForm, content: bytes, notice: str = "") -> ResponseReturnValue:
    """What the file would do; nothing is written. With mistakes 422, out of date 409."""
    with current.instance().database.reading() as session:
        result, mistakes = preview_import(session, content, now=current.now())
    what = {"result": result, "mistakes": mistakes, "notice": notice, "shown": CHANGES_SHOWN}
    carried = base64.urlsafe_b64encode(content).decode("ascii")
    return _page(upload, status=422 if mistakes else 409 if notice else 200, carried=carried, **what)


def _page(upload: UploadForm, *, status: int = 200, **what: object) -> ResponseReturnValue:
    told = {"result": None, "mistakes": [], "notice": "", "carried": "", "shown": CHANGES_SHOWN} | what
    page = render_template("people/import.html", form=upload, column_words=COLUMN_WORDS, **told)
    return page, status


def _uploaded() -> bytes:
    """The file chosen, or its beginning where it is too large."""
    file = request.files.get("file")
    if file is None:
        return b""
    with file.stream:
        return file.stream.read(MAX_FILE_BYTES + 1)


def _carried() -> bytes | None:
    """The file as the preview's page sent it back."""
    try:
        content = base64.b64decode(request.form.get("content", ""), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if 0 < len(content) <= MAX_FILE_BYTES else None
