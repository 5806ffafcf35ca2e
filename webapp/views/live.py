"""Lists that refresh themselves: what is shown has a mark, and a tick that finds the same mark gets nothing.

The mark is of the finished text, so it changes with whatever a person would see change ("5 min ago" too).
"""

from __future__ import annotations

import hashlib

from flask import Flask, g, render_template, request
from flask.typing import ResponseReturnValue

from webapp.views.paging import page_link, page_number
from webapp.views.partials import is_tick


def init_app(app: Flask) -> None:
    app.jinja_env.globals |= {"live_link": live_link, "mark_of": mark_of}


def live_link(shown: str, endpoint: str = "") -> str:
    """Where a part that shows this asks for its next state."""
    return page_link(page_number(), endpoint, seen=mark_of(shown))


def mark_of(shown: str) -> str:
    """The mark of a part that shows this."""
    g.live_mark = hashlib.sha256(shown.encode()).hexdigest()[:16]
    return str(g.live_mark)


def live_part(template: str, **what: object) -> ResponseReturnValue:
    """The part, or 204 where it is what the browser shows already."""
    text = render_template(template, **what)
    if is_tick() and request.args["seen"] == g.live_mark:
        return "", 204
    return text
