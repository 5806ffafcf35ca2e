"""The web pages: one blueprint a module, each view load - permit - form - call - render."""

from __future__ import annotations

from flask import Flask

from webapp.views import (
    answers,
    attached_mail,
    companies,
    email_log,
    email_log_actions,
    health,
    ignored_mail,
    incoming_rules,
    invoice_forms,
    invoice_settings,
    invoices,
    mail_activation,
    mail_body,
    mail_previews,
    mail_settings,
    mail_suggest,
    mail_tests,
    notification_settings,
    outbox,
    outbox_actions,
    people,
    people_import,
    people_link,
    pictures,
    reply_settings,
    sender_lists,
    setup,
    sign_in,
    threads,
    tickets,
)


def register(app: Flask) -> None:
    """Put every page into the application."""
    for module in (
        health,
        setup,
        sign_in,
        pictures,
        tickets,
        answers,
        mail_body,
        attached_mail,
        people,
        people_import,
        people_link,
        companies,
        email_log,
        email_log_actions,
        outbox,
        outbox_actions,
        invoices,
        invoice_forms,
        invoice_settings,
        mail_settings,
        ignored_mail,
        sender_lists,
        incoming_rules,
        reply_settings,
        notification_settings,
        threads,
        mail_tests,
        mail_previews,
        mail_activation,
        mail_suggest,
    ):
        app.register_blueprint(module.blueprint)
