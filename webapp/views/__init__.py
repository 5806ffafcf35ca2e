"""The web pages: one blueprint a module, each view load - permit - form - call - render."""

from __future__ import annotations

from flask import Flask

from webapp.views import email_log, health, mail_settings, setup, sign_in, tickets


def register(app: Flask) -> None:
    """Put every page into the application."""
    for module in (health, setup, sign_in, tickets, email_log, mail_settings):
        app.register_blueprint(module.blueprint)
