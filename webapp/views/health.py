"""Whether this process answers and can work, for whatever watches it.

`/healthz` is about this process alone and looks at nothing else: it decides whether to start it again.
`/readyz` also asks the database and the jobs of this process: it decides whether to send people here.
`/metrics` is for Prometheus, with a token, and not there without one.
"""

from __future__ import annotations

import hmac
from datetime import datetime

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, request
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from webapp.database import HEAD_REVISION
from webapp.instance import Instance
from webapp.views import current, metrics
from webapp.views.access import public
from webapp.views.queries import mail_state
from webapp.views.queries.mail_state import MailState

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def healthz() -> Response:
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@public
def readyz() -> Response:
    """One line a part, of which nothing says more than that it works; 503 where a person would be let down.

    A mailbox that fails is no reason to send people elsewhere: its line tells, the status does not.
    """
    instance: Instance = current_app.extensions["instance"]
    running = current_app.extensions.get("scheduler")
    lines = {"database": _database(instance), "jobs": "elsewhere"}
    if running is not None:
        lines["jobs"] = "ok" if running.is_alive else "stuck"
    if lines["database"] == "ok":
        with instance.database.reading() as session:
            lines["mail"] = _mail(mail_state.load(session), current.now())
    ready = lines["database"] == "ok" and lines["jobs"] != "stuck"
    text = "".join(f"{name}: {state}\n" for name, state in lines.items())
    return Response(text, status=200 if ready else 503, mimetype="text/plain")


@blueprint.get("/metrics")
@public
def prometheus() -> Response:
    """Its own token is asked for instead of a sign-in: `Authorization: Bearer ...`."""
    instance: Instance = current_app.extensions["instance"]
    wanted = instance.settings.metrics_token
    if not wanted:
        abort(404)
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        return Response("A token is needed.\n", 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
    return Response(metrics.exposition(current_app), mimetype=CONTENT_TYPE_LATEST)


def _mail(state: MailState, now: datetime) -> str:
    if not state.is_active:
        return "off"
    last = state.mailbox.last_success_at if state.mailbox else None
    told = f"last good run {(now - last).total_seconds():.0f} s ago" if last else "no good run yet"
    return f"failing, {told}" if state.mailbox and state.mailbox.failing_since else told


def _database(instance: Instance) -> str:
    try:
        with instance.database.reading() as session:
            revision = session.scalar(sa.text("SELECT version_num FROM alembic_version"))
    except sa.exc.DBAPIError:
        return "unreachable"
    return "ok" if revision == HEAD_REVISION else "of another version"
