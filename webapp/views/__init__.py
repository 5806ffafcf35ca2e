"""The web pages: one blueprint a module, each view load - permit - form - call - render."""

from __future__ import annotations

from flask import Flask

from webapp.views import (
    companies,
    email_log,
    health,
    mail_settings,
    people,
    people_import,
    setup,
    sign_in,
    tickets,
)


def register(app: Flask) -> None:
    """Put every page into the application."""
    for module in (
        health,
        setup,
        sign_in,
        tickets,
        people,
        people_import,
        companies,
        email_log,
        mail_settings,
    ):
        app.register_blueprint(module.blueprint)
