"""What htmx asks for and is told: one address, a whole page or the part that changes."""

from __future__ import annotations

import json

from flask import Response, request


def is_partial() -> bool:
    """Whether only the part is wanted. Going back in the browser wants the page again."""
    wants_part = request.headers.get("HX-Request") == "true"
    return wants_part and request.headers.get("HX-History-Restore-Request") != "true"


def is_tick() -> bool:
    """Whether a list refreshes itself; nobody need be there, so it keeps no sign-in alive."""
    return is_partial() and "seen" in request.args


def toast(response: Response, message: str, level: str = "good", *, event: str = "") -> Response:
    """Say something in passing; app.js shows it (event `toast`). Other parts may listen for `event`."""
    events = {"toast": {"level": level, "message": message}} | ({event: {}} if event else {})
    response.headers["HX-Trigger"] = json.dumps(events)
    return response
