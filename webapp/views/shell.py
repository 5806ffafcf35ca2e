"""What stands around every page: the desk's time zone, how incoming mail goes, what the menu offers.

Read once a request, on first use, so that a response without a page costs no query.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import cast
from zoneinfo import ZoneInfo

from flask import Flask, g, request, url_for
from sqlalchemy.orm import Session

from webapp.desk import held_mail, microsoft_state, options
from webapp.desk.microsoft_state import AccountTrouble
from webapp.inbound.liveness import patience
from webapp.models import SendingTrouble
from webapp.outbound.outbox import count_attention
from webapp.views import current
from webapp.views.queries import mail_state, outbox
from webapp.views.queries.mail_state import MailState

VERSION = version("servicedesk-mail")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Shell:
    """The frame of one page."""

    zone: ZoneInfo
    mail: MailState
    version: str
    sending: tuple[SendingTrouble, ...]  # rows whose mail server fails
    outbox_attention: int  # deliveries a person should look at, up to outbox.MOST_COUNTED
    held_mail: int  # messages that wait for a technician, up to held_mail.MOST_COUNTED; 0 for a viewer
    accounts: tuple[AccountTrouble, ...]  # of Microsoft accounts, for administrators
    insecure: bool  # signed in over plain http that leaves this machine

    @property
    def explained(self) -> frozenset[str]:
        """Rows whose failure has a banner of its own that says what to do."""
        return frozenset(trouble.row.value for trouble in self.accounts if trouble.cuts_off)

    @property
    def zone_text(self) -> str:
        """Europe/Sofia (UTC+02:00)."""
        offset = f"{datetime.now(self.zone):%z}"
        return f"{self.zone.key} (UTC{offset[:3]}:{offset[3:]})"


@dataclass(frozen=True, slots=True)
class NavItem:
    label: str
    icon: str
    address: str
    is_here: bool
    count: int = 0  # of what needs attention there


def init_app(app: Flask) -> None:
    app.jinja_env.globals |= {"shell": shell, "person": current.person, "nav": nav, "now": current.now}


def shell() -> Shell:
    if "shell" not in g:
        g.shell = _load()
    return cast(Shell, g.shell)


def desk_zone() -> ZoneInfo:
    return shell().zone


def nav() -> list[NavItem]:
    """The areas that work, in the order of a day."""
    return [
        NavItem(label, icon, url_for(endpoint), _area() == endpoint.partition(".")[0], _attention(endpoint))
        for label, icon, endpoint in (
            ("Tickets", "ticket", "tickets.index"),
            ("Users & companies", "users", "people.index"),
            ("Invoices", "file", "invoices.index"),
            ("Email log", "inbox", "email_log.index"),
            ("Outbox", "mail", "outbox.index"),
            *_administrators_areas(),
        )
    ]


def _attention(endpoint: str) -> int:
    if endpoint == "tickets.index":
        return shell().held_mail
    return shell().outbox_attention if endpoint == "outbox.index" else 0


def _area() -> str | None:
    """The area this page belongs to; some are of more than one blueprint."""
    blueprint = request.blueprint or ""
    others = {
        "companies": "people",
        "people_import": "people",
        "people_link": "people",
        "email_log_actions": "email_log",
        "outbox_actions": "outbox",
        "invoice_forms": "invoices",
        "invoice_settings": "mail_settings",
        "attached_mail": "tickets",
        "mail_body": "tickets",
        "ignored_mail": "mail_settings",
        "office365": "mail_settings",
        "sender_lists": "mail_settings",
        "incoming_rules": "mail_settings",
        "reply_settings": "mail_settings",
        "thread_marks": "mail_settings",
        "notification_settings": "mail_settings",
        "threads": "tickets",
        "held_mail": "tickets",
    }
    if blueprint not in others and blueprint.startswith("mail_"):
        return "mail_settings"
    return others.get(blueprint, blueprint)


def _administrators_areas() -> tuple[tuple[str, str, str], ...]:
    person = current.person()
    settings = ("Settings", "settings", "mail_settings.index")
    return (settings,) if person is not None and person.is_administrator else ()


def _load() -> Shell:
    instance = current.instance()
    with instance.database.reading() as session:
        zone = options.time_zone(session)
        return Shell(
            zone=zone,
            mail=mail_state.load_judged(
                session,
                now=current.now(),
                patience=patience(instance.settings),
                up_since=instance.uptime.since,
            ),
            version=VERSION,
            sending=outbox.failing(session),
            outbox_attention=count_attention(session),
            held_mail=held_mail.count_waiting(session) if _works_on_tickets() else 0,
            accounts=_account_troubles(session, zone),
            insecure=_is_insecure(),
        )


def _works_on_tickets() -> bool:
    person = current.person()
    return person is not None and person.works_on_tickets


def _account_troubles(session: Session, zone: ZoneInfo) -> tuple[AccountTrouble, ...]:
    person, now = current.person(), current.now()
    if person is None or not person.is_administrator:
        return ()
    return microsoft_state.troubles(session, now=now, today=now.astimezone(zone).date())


def _is_insecure() -> bool:
    host = request.host.rpartition(":")[0] if ":" in request.host.rpartition("]")[2] else request.host
    return not (request.is_secure or current.instance().settings.served_over_https or host in LOOPBACK)
