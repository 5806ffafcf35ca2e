"""What the demonstration's database holds before the first page is shown: people, mail rows, a time zone.

Customers and the time zone are put in once, and what was changed afterwards stays. The printed sign-ins
and the rows' ports are made good at every start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import available_timezones

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import accounts, mail_servers, options
from webapp.desk.directory import import_users, read_csv
from webapp.inbound import ledger
from webapp.instance import Instance
from webapp.models import Inbound, MailboxIdentity, MailServer, Placement, Row

from .certificate import HOST
from .people import BILLING, COLLEAGUES, MAILBOX, Colleague, customers_csv
from .servers import MailServers

ACTOR = "demo"


def furnish(instance: Instance, passwords: Mapping[str, str], now: datetime) -> None:
    """People and accounts."""
    with instance.database.writing() as session:
        if not accounts.any_account(session):
            import_users(session, read_csv(customers_csv().encode()), now=now, actor=ACTOR)
            options.set_time_zone(session, _own_time_zone())
        for colleague in COLLEAGUES:
            _make_sign_in_good(session, colleague, passwords[colleague.email], now)


def known_ports(instance: Instance) -> tuple[int, int]:
    """The ports of the last start, IMAP and SMTP; 0 where there was none."""
    with instance.database.reading() as session:
        rows = [mail_servers.load(session, row) for row in (Row.INCOMING, Row.OUTGOING)]
        imap, smtp = (row.port if row is not None and row.host == HOST else 0 for row in rows)
        return imap, smtp


def point_rows(instance: Instance, servers: MailServers, now: datetime) -> None:
    """The three rows lead to the embedded servers; one that was pointed elsewhere by hand is left alone."""
    smtp = {"tls_mode": "starttls", "port": str(servers.smtp_port)}
    wanted = {
        Row.INCOMING: {"tls_mode": "implicit", "port": str(servers.imap_port)},
        Row.OUTGOING: smtp | {"from_address": MAILBOX},
        Row.INVOICE: smtp | {"from_address": BILLING},
    }
    with instance.database.writing() as session:
        for row, changes in wanted.items():
            _point_row(instance, session, row, changes, servers.password, now)
        _settle_lost_mailbox(session, now)


def _make_sign_in_good(session: Session, colleague: Colleague, password: str, now: datetime) -> None:
    email = colleague.email
    if accounts.find_account(session, email) is None:
        accounts.create_account(
            session,
            email=email,
            name=colleague.name,
            password=password,
            role=colleague.role,
            now=now,
            actor=ACTOR,
        )
    elif accounts.check_password(session, email, password) is None:
        accounts.reset_password(session, email=email, password=password, now=now, actor=ACTOR)


def _own_time_zone() -> str:
    """This machine's zone, as far as it can be told; nobody is asked in a demonstration."""
    try:
        name = os.environ.get("TZ") or str(Path("/etc/localtime").readlink()).partition("zoneinfo/")[2]
    except OSError:
        name = ""
    return name if name in available_timezones() and not name.startswith("Etc/") else "UTC"


def _point_row(
    instance: Instance, session: Session, row: Row, changes: Mapping[str, str], password: str, now: datetime
) -> None:
    stored = mail_servers.load(session, row)
    if stored is None:
        changes = {"host": HOST, "username": MAILBOX, "active": "true", "timeout_ms": "10000", **changes}
    elif stored.host != HOST or _leads_there(instance, stored, changes["port"], password):
        return
    else:
        changes = {
            "port": changes["port"],
            "tls_mode": changes["tls_mode"],
            "use_ssl": "true",
            "username": MAILBOX,
        }
    wanted = mail_servers.draft(session, instance, row, changes, password)
    mail_servers.save(session, instance.vault, wanted, now=now, actor=ACTOR)


def _leads_there(instance: Instance, stored: MailServer, port: str, password: str) -> bool:
    held = mail_servers.stored_draft(instance.vault, stored).secret
    return str(stored.port) == port and held == password


def _settle_lost_mailbox(session: Session, now: datetime) -> None:
    """The mailbox of the last start ended with its process: what was still to be moved there is gone."""
    lost = sa.select(Inbound.id).join(MailboxIdentity, Inbound.mailbox_id == MailboxIdentity.id)
    pending = lost.where(MailboxIdentity.host == HOST, Inbound.placement == Placement.PENDING_MOVE)
    ledger.mark_placed(session, [(key, Placement.GONE) for key in session.scalars(pending)], now)
