"""Pictures out of mail: small ones in the conversation, whole ones, and those of a formatted mail.

Only what its octets say is a PNG, JPEG, GIF or WebP is ever sent as a picture.
"""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, abort, current_app, make_response, redirect, request, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from itsdangerous import BadData, URLSafeTimedSerializer

from webapp.inbound.attachments import THUMBNAIL_TYPE, AttachmentReader
from webapp.inbound.parser_process import ParserDied
from webapp.mail.pictures import picture_type
from webapp.models import Attachment, Role
from webapp.views import current
from webapp.views.access import public, requires
from webapp.views.downloads import CONTENT_SECURITY_POLICY
from webapp.views.mail_files import Path, Place, add_converter
from webapp.views.queries import tickets as queries

blueprint = Blueprint("pictures", __name__)
ID = "int(max=2147483647)"
ATTACHMENT = f"/tickets/<{ID}:number>/attachments/<{ID}:attachment_id>"
INSIDE = f"{ATTACHMENT}/inside/<mail_path:path>"
SIGNED_SECONDS = 300  # a sandboxed frame sends no cookie: whoever has the address may look, so long
_SALT = "picture in a formatted mail"


@blueprint.record
def _prepare(state: BlueprintSetupState) -> None:
    add_converter(state.app)
    state.app.extensions["attachments"] = AttachmentReader(state.app.extensions["instance"])


def reader() -> AttachmentReader:
    return cast(AttachmentReader, current_app.extensions["attachments"])


@blueprint.get(f"{ATTACHMENT}/thumbnail")
@blueprint.get(f"{INSIDE}/thumbnail")
@requires(Role.VIEWER)
def thumbnail(number: int, attachment_id: int, path: Path = ()) -> ResponseReturnValue:
    """A small picture; the sign of a file where none can be made of it."""
    sha256 = _permitted(number, attachment_id).sha256
    try:
        made = reader().thumbnail(attachment_id, sha256, path)
    except (LookupError, ParserDied):
        made = None
    if made is None:
        return redirect(url_for("static", filename="no-picture.svg"))
    response = _picture(made, THUMBNAIL_TYPE)
    response.headers["Cache-Control"] = "private, no-cache"  # kept, and asked for by its mark each time
    response.set_etag(sha256 if not path else f"{sha256}-{'-'.join(map(str, path))}")
    return response.make_conditional(request)


@blueprint.get(f"{ATTACHMENT}/picture")
@blueprint.get(f"{INSIDE}/picture")
@requires(Role.VIEWER)
def show(number: int, attachment_id: int, path: Path = ()) -> ResponseReturnValue:
    """The whole picture."""
    _permitted(number, attachment_id)
    return _whole(attachment_id, path)


@blueprint.get("/mail-pictures/<token>")
@public
def signed(token: str) -> ResponseReturnValue:
    """A picture of a formatted mail, for a few minutes to whoever has its address."""
    try:
        attachment_id, *path = _serializer().loads(token, max_age=SIGNED_SECONDS)
    except BadData:
        abort(404)
    response = _whole(attachment_id, tuple(path))
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # the frame has an origin of its own
    response.headers["Cache-Control"] = f"private, max-age={SIGNED_SECONDS}"
    return response


def signed_address(place: Place) -> str:
    """Where a formatted mail finds this picture from now on, for SIGNED_SECONDS."""
    return url_for("pictures.signed", token=_serializer().dumps([place.attachment_id, *place.path]))


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt=_SALT)


def _permitted(number: int, attachment_id: int) -> Attachment:
    with current.instance().database.reading() as session:
        return queries.attachment_of(session, number, attachment_id) or abort(
            404, "There is no such attachment."
        )


def _whole(attachment_id: int, path: Path) -> Response:
    try:
        file = reader().file(attachment_id, path)
    except (LookupError, ParserDied):
        abort(404, "This picture could not be taken out of its message.")
    found = picture_type(file.content)
    if found is None:
        abort(404, "This file is not a picture that can be shown here.")
    return _picture(file.content, found)


def _picture(content: bytes, content_type: str) -> Response:
    response = make_response(content)
    response.headers["Content-Type"] = content_type
    response.headers["Content-Disposition"] = "inline"
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
