"""One line a request, with the reference that its error page shows.

What a person typed into an address, tokens in it above all, is not in it: the line has the route and, of its
parts, only numbers.
"""

from __future__ import annotations

import logging
import secrets
import time

from flask import Flask, Response, g, request
from flask_login import current_user

from webapp.logs import fields

QUIET = frozenset({"static", "health.healthz", "health.readyz", "health.prometheus"})

logger = logging.getLogger("webapp.request")


def init_app(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        g.reference = secrets.token_hex(4).upper()
        g.began = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        level = logging.DEBUG if request.endpoint in QUIET and response.status_code < 400 else logging.INFO
        if logger.isEnabledFor(level):
            logger.log(level, "%s", _line(response))
        return response


def reference() -> str:
    """Of the request that is going; made now where it failed before it got one."""
    if "reference" not in g:
        g.reference = secrets.token_hex(4).upper()
    return str(g.reference)


def _line(response: Response) -> str:
    rule = request.url_rule.rule if request.url_rule else "(no such page)"
    numbers = {name: value for name, value in (request.view_args or {}).items() if isinstance(value, int)}
    who = current_user.account_id if getattr(current_user, "is_authenticated", False) else None
    took = (time.perf_counter() - g.began) * 1000 if "began" in g else None
    return fields(
        "request",
        reference=reference(),
        method=request.method,
        route=rule,
        **numbers,
        status=response.status_code,
        ms=None if took is None else round(took, 1),
        account=who,
    )
