"""Messages and rows for tests. The people: Ann and Amy of Acme, Bob of Binder, Carl whom nobody knows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from webapp.config import Settings, load_settings
from webapp.desk import mail_servers
from webapp.desk.directory import import_users, read_csv
from webapp.instance import Instance, open_instance
from webapp.mailserver.base import ServerSettings
from webapp.models import Row

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PEOPLE = b"""email,name,company,other_emails
ann@acme.test,Ann Lee,Acme Ltd,ann.lee@private.test
amy@acme.test,Amy Poe,Acme Ltd,
bob@binder.test,Bob Ray,Binder Inc,
"""
MAILBOX = "help@desk.test"
_numbers = itertools.count(1)


def make_instance(folder: Path, **settings: object) -> Instance:
    """An instance of its own; nothing of this machine's environment reaches it."""
    loaded: Settings = load_settings({}, instance=folder, **settings)
    return open_instance(loaded, environ={})


def add_people(instance: Instance, csv: bytes = PEOPLE) -> None:
    with instance.database.writing() as session:
        import_users(session, read_csv(csv), now=NOW, actor="test")


def set_row(
    instance: Instance, row: Row = Row.INCOMING, password: str | None = "secret-canary", **changes: str
) -> None:
    """Save a mail server row the way people do."""
    with instance.database.writing() as session:
        wanted = mail_servers.draft(session, instance, row, changes, password)
        mail_servers.save(session, instance.vault, wanted, now=NOW, actor="test")


def set_incoming(instance: Instance, **changes: str) -> None:
    """An active incoming row; where the mailbox is in memory its host is never looked up."""
    told = {"host": "imap.desk.test", "username": MAILBOX, "active": "true", "process_unknown": "true"}
    set_row(instance, Row.INCOMING, **(told | changes))


def set_incoming_from(instance: Instance, settings: ServerSettings, **changes: str) -> None:
    """An active incoming row for a server of the rig."""
    told = {
        "host": settings.host,
        "port": str(settings.port),
        "tls_mode": settings.tls_mode.value,
        "username": settings.username,
        "active": "true",
        "process_unknown": "true",
        "timeout_ms": "10000",
    }
    set_row(instance, Row.INCOMING, password=settings.password, **(told | changes))


def make_raw(
    *,
    sender: str = "Ann Lee <ann@acme.test>",
    subject: str = "Printer offline",
    text: str = "Our printer is offline.\n",
    message_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    files: Sequence[tuple[str, bytes]] = (),
) -> bytes:
    """A message with CRLF lines. `message_id=""` leaves the header out; None makes a new one."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = MAILBOX
    message["Subject"] = subject
    message["Date"] = "Mon, 23 Nov 2026 11:53:00 +0000"
    if message_id is None:
        message_id = f"m{next(_numbers)}@example.test"
    if message_id:
        message["Message-ID"] = f"<{message_id}>"
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content(text)
    for filename, content in files:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=filename)
    return message.as_bytes()
