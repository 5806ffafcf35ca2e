"""Error pages: what happened, what to do, and never a trace.

A 500 carries a reference that stands in the log beside the exception. Where even the shell cannot be
drawn (no database, a forged Host header), a bare page says the same.
"""

from __future__ import annotations

import logging

from flask import Flask, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, SecurityError

from webapp.views import request_log

TITLES = {
    400: "This request could not be understood",
    403: "Not allowed",
    404: "Page not found",
    405: "Not possible here",
    413: "Too large",
    429: "Too many attempts",
    500: "Something went wrong",
}
SENTENCES = {
    400: "Something in this request was not as it should be. Nothing was changed.",
    403: "Your account may not do this.",
    404: "This page does not exist.",
    405: "This address cannot be used that way. Nothing was changed.",
    413: "What you sent is larger than this page takes. Nothing was changed.",
}
OWN_WORDS = (403, 404, 429)  # what `abort` was told is meant for people

logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(CSRFError, _on_csrf_error)
    app.register_error_handler(SecurityError, _on_forged_host)
    app.register_error_handler(Exception, _on_exception)


def error_page(code: int, sentence: str, headers: dict[str, str] | None = None) -> ResponseReturnValue:
    title = TITLES.get(code, "Something went wrong")
    try:
        return render_template("errors/page.html", title=title, sentence=sentence), code, headers or {}
    except Exception:  # whatever keeps the shell from being drawn, the person gets an answer
        logger.exception("the error page could not be drawn")
        return _bare_page(code, title, sentence)


def _on_http_error(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error.get_response()
    if error.code >= 500:
        return _on_exception(error)
    sentence = SENTENCES.get(error.code, "This did not work. Nothing was changed.")
    if error.code in OWN_WORDS and error.description and error.description != type(error).description:
        sentence = error.description
    return error_page(error.code, sentence, _kept_headers(error))


def _on_csrf_error(error: CSRFError) -> ResponseReturnValue:
    return error_page(400, "Your session ended. Sign in again, your entries were not saved.")


def _on_forged_host(error: SecurityError) -> ResponseReturnValue:
    """No address can be made for a host we do not know, so this page has none."""
    logger.info("refused a request for host %r", request.environ.get("HTTP_HOST", "")[:100])
    return _bare_page(
        400,
        "Unknown host name",
        "This service desk does not answer to the host name in the address. An administrator can add it with "
        "SERVICEDESK_PUBLIC_URL or SERVICEDESK_TRUSTED_HOSTS.",
    )


def _on_exception(error: Exception) -> ResponseReturnValue:
    reference = request_log.reference()
    logger.error("reference %s: %s %s", reference, request.method, request.path, exc_info=error)
    return error_page(500, f"Something went wrong on our side. Nothing was changed. Reference {reference}.")


def _bare_page(code: int, title: str, sentence: str) -> ResponseReturnValue:
    """Drawn without context processors, so without the database and without addresses."""
    return current_app.jinja_env.get_template("errors/bare.html").render(title=title, sentence=sentence), code


def _kept_headers(error: HTTPException) -> dict[str, str]:
    """Those that mean something with this status (Allow of a 405)."""
    return {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
