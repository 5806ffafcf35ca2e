"""A row's Microsoft account as the settings page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from webapp.desk import mail_servers, microsoft_connections, microsoft_state, options
from webapp.desk.microsoft_registration import (
    can_come_back,
    redirect_address,
    registration_of,
    scopes_for,
)
from webapp.desk.microsoft_state import AccountState, AccountTrouble
from webapp.mailserver.base import MailProtocol
from webapp.mailserver.microsoft_oauth import AppRegistration
from webapp.mailserver.microsoft_oauth import approval_address as make_approval_address
from webapp.models import MailServer, MicrosoftConnection, Row
from webapp.views import current


@dataclass(frozen=True, slots=True)
class AccountCard:
    """Of the saved row. `missing`: why nobody can connect yet; empty: somebody can."""

    row: Row
    state: AccountState
    held: MicrosoftConnection | None
    waiting: MicrosoftConnection | None
    redirect_address: str
    missing: str
    secret: AccountTrouble | None
    secret_expires_on: date | None
    permissions: str


def load_card(row: Row) -> AccountCard:
    """As a template asks for it."""
    instance = current.instance()
    with instance.database.reading() as session:
        stored = mail_servers.load(session, row)
        held = microsoft_connections.find(session, row)
        waiting = microsoft_connections.find_pending(session, row)
        today = current.now().astimezone(options.time_zone(session)).date()
    return AccountCard(
        row=row,
        state=microsoft_state.state_of(held, waiting),
        held=held,
        waiting=waiting,
        redirect_address=redirect_address(instance.settings),
        missing=_missing(row),
        secret=microsoft_state.secret_warning(stored, today) if stored else None,
        secret_expires_on=stored.client_secret_expires_on if stored else None,
        permissions="read and move mail" if row is Row.INCOMING else "send mail",
    )


def approval_address(row: Row) -> str:
    """The link an administrator of the Microsoft organisation opens; empty without an app registration."""
    instance = current.instance()
    with instance.database.reading() as session:
        stored = mail_servers.load(session, row)
    if stored is None:
        return ""
    registration = _registration(stored, has_secret=True)
    if registration is None:
        return ""
    return make_approval_address(
        registration,
        scopes=scopes_for(row, shared=bool(stored.mailbox)),
        redirect_uri=redirect_address(instance.settings),
        graph_host=urlsplit(instance.settings.ms_graph_base).netloc,
    )


def _missing(row: Row) -> str:
    instance = current.instance()
    if not can_come_back(instance.settings):
        return (
            "Microsoft sends people back to https addresses only. Set SERVICEDESK_PUBLIC_URL to the https "
            "address of this service desk."
        )
    with instance.database.reading() as session:
        stored = mail_servers.load(session, row)
    if stored is None or stored.protocol != MailProtocol.OFFICE365:
        return "Enter the app registration and save. Then the account can be connected."
    complete = _registration(stored, has_secret=bool(stored.client_secret_sealed))
    return "" if complete else "Enter the application (client) ID and the client secret, and save."


def _registration(stored: MailServer, *, has_secret: bool) -> AppRegistration | None:
    """For a page: without the secret, which no page needs."""
    return registration_of(
        current.instance().settings,
        tenant_id=stored.tenant_id,
        client_id=stored.client_id,
        client_secret="not shown" if has_secret else "",
    )
