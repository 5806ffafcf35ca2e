"""The web pages: one blueprint a module, each view load - permit - form - call - render."""

from __future__ import annotations

from flask import Flask

from webapp.views import (
    companies,
    email_log,
    email_log_actions,
    health,
    ignored_mail,
    mail_activation,
    mail_previews,
    mail_settings,
    mail_suggest,
    mail_tests,
    people,
    people_import,
    people_link,
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
        people_link,
        companies,
        email_log,
        email_log_actions,
        mail_settings,
        ignored_mail,
        mail_tests,
        mail_previews,
        mail_activation,
        mail_suggest,
    ):
        app.register_blueprint(module.blueprint)
