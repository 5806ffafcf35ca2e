"""Whether this process answers, for whatever watches it."""

from __future__ import annotations

from flask import Blueprint, Response

from webapp.views.access import public

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def healthz() -> Response:
    return Response("ok\n", mimetype="text/plain")
