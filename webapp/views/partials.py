"""What htmx asks for and is told: one address, a whole page or the part that changes."""

from __future__ import annotations

import json

from flask import Response, request


def is_partial() -> bool:
    """Whether only the part is wanted. Going back in the browser wants the page again."""
    wants_part = request.headers.get("HX-Request") == "true"
    return wants_part and request.headers.get("HX-History-Restore-Request") != "true"


def toast(response: Response, message: str, level: str = "good") -> Response:
    """Say something in passing; app.js shows it (event `toast`)."""
    response.headers["HX-Trigger"] = json.dumps({"toast": {"level": level, "message": message}})
    return response
