"""The Flask application: settings, database, sign-in, CSRF, headers, pages, error pages. Starts no thread."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask
from flask_wtf import CSRFProtect
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp import views
from webapp.config import CHECKOUT, Settings, allowed_hosts
from webapp.instance import open_instance
from webapp.vault import load_session_key
from webapp.views import (
    access,
    charts,
    errors,
    filters,
    headers,
    live,
    metrics,
    paging,
    request_log,
    shell,
    words,
)
from webapp.views.throttle import Throttle

MAX_REQUEST_BYTES = 2_000_000
MAX_FORM_BYTES = 500_000
STATIC_SECONDS = 31_536_000  # addresses of static files carry their content's hash


def create_app(settings: Settings | None = None) -> Flask:
    """The application on the instance these settings name.

    Raises ConfigError, VaultError or DatabaseError, each with one line for people.
    """
    instance = open_instance(settings)
    app = Flask(
        "webapp",
        template_folder=str(CHECKOUT / "templates"),
        static_folder=str(CHECKOUT / "static"),
        static_url_path="/static",
    )
    app.extensions["instance"] = instance
    app.extensions["throttle"] = Throttle()
    app.config.update(_flask_settings(instance.settings))
    _prepare_templates(app)
    if hops := instance.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    request_log.init_app(app)
    metrics.init_app(app)
    headers.init_app(app, https=instance.settings.served_over_https)
    access.init_app(app)  # before CSRF: a sign-in that ended says so, whatever else is wrong
    CSRFProtect(app)
    errors.init_app(app)
    views.register(app)
    return app


def _flask_settings(settings: Settings) -> dict[str, Any]:
    https = settings.served_over_https
    return {
        "SECRET_KEY": load_session_key(settings.instance),
        "TRUSTED_HOSTS": list(allowed_hosts(settings)),
        "MAX_CONTENT_LENGTH": MAX_REQUEST_BYTES,
        "MAX_FORM_MEMORY_SIZE": MAX_FORM_BYTES,
        "SESSION_COOKIE_NAME": "__Host-session" if https else "session",
        "SESSION_COOKIE_SECURE": https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_PATH": "/",
        "SEND_FILE_MAX_AGE_DEFAULT": STATIC_SECONDS,
        "WTF_CSRF_TIME_LIMIT": None,  # a page left open over lunch must not lose its entries
    }


def _prepare_templates(app: Flask) -> None:
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    for module in (charts, filters, live, shell, words):
        module.init_app(app)
    app.jinja_env.globals["page_link"] = paging.page_link

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("v", _short_hash(app.static_folder or "", values["filename"]))


@cache
def _short_hash(folder: str, filename: str) -> str | None:
    path = Path(folder) / filename
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else None
