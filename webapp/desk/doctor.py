"""What `servicedesk doctor` looks at: read-only, and every finding with its cure."""

from __future__ import annotations

import dataclasses
import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from webapp.config import OPTIONS, Settings
from webapp.desk import expiry, mail_servers, microsoft_state
from webapp.desk.microsoft_connections import find as find_account
from webapp.desk.microsoft_connections import find_pending
from webapp.instance import Instance
from webapp.mailserver.base import MailProtocol
from webapp.models import Account, MailServer, Role, Row, SendingTrouble
from webapp.outbound import outbox
from webapp.vault import VARIABLE, VaultError

# Beside the settings themselves: where the instance is, its keys, and what the tests use.
OTHER_VARIABLES = ("SERVICEDESK_INSTANCE", VARIABLE, "SERVICEDESK_FAILPOINT", "SERVICEDESK_COPY_TO")


@dataclass(frozen=True, slots=True)
class Finding:
    area: str
    state: Literal["ok", "warning", "failed"]
    text: str
    cure: str = ""


def examine(instance: Instance, environ: Mapping[str, str] | None = None) -> list[Finding]:
    return [
        *_settings(instance.settings),
        *_environment(os.environ if environ is None else environ),
        *_files(instance.settings.instance),
        *_database(instance),
        *_people(instance),
        *_rows(instance),
        *_outbox(instance),
        *_expiring(instance),
    ]


def _settings(settings: Settings) -> Iterator[Finding]:
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    defaults["database_url"] = f"sqlite:///{settings.instance / 'servicedesk.db'}"
    for option in OPTIONS:
        value, default = getattr(settings, option.field), defaults[option.field]
        shown = _without_secret(option.field, value)
        origin = "the default" if value == default else f"default: {_plain(default)}"
        yield Finding("settings", "ok", f"{option.variable} = {_plain(shown)} ({origin}) – {option.help}")


def _environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    """A misspelt variable is no error (container platforms add their own), but worth a word."""
    known = [*(option.variable for option in OPTIONS), *OTHER_VARIABLES]
    for name in sorted(environ):
        if not name.startswith("SERVICEDESK_") or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        cure = f"Did you mean {near[0]}?" if near else "Remove it, or see the names above."
        yield Finding("settings", "warning", f"{name} is set, but there is no such setting.", cure)


def _plain(value: object) -> str:
    return (",".join(value) if isinstance(value, tuple) else str(value)) or "not set"


def _without_secret(field: str, value: object) -> object:
    if field == "database_url":
        return make_url(str(value)).render_as_string(hide_password=True)
    return "set, not shown" if field.endswith(("_secret", "_token")) and value else value


def _files(folder: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        cure = f"chmod 700 {folder}"
        yield Finding("files", "warning", f"{folder} is open to other users (mode {mode:o}).", cure)
    for name in ("secret.keys", "session.key", "servicedesk.db"):
        path = folder / name
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("files", "failed", f"{path} can be read by other users.", f"chmod 600 {path}")
    room = os.statvfs(folder)
    free_mb = room.f_bavail * room.f_frsize // 1_000_000
    state: Literal["ok", "warning"] = "ok" if free_mb > 500 else "warning"
    cure = "" if state == "ok" else "Make room: the database cannot grow on a full disk."
    yield Finding("files", state, f"{free_mb} MB free at {folder}.", cure)


def _database(instance: Instance) -> Iterator[Finding]:
    revision = instance.database.current_revision()
    yield Finding("database", "ok", f"Revision {revision}.")
    if not instance.settings.is_sqlite:
        return
    with instance.database.engine.connect() as connection:
        verdict = connection.scalar(sa.text("PRAGMA quick_check"))
    if verdict == "ok":
        yield Finding("database", "ok", "SQLite finds the file sound.")
    else:
        yield Finding("database", "failed", f"SQLite reports damage: {verdict}.", "Restore a backup.")


def _people(instance: Instance) -> Iterator[Finding]:
    with instance.database.reading() as session:
        administrators = session.scalar(
            sa.select(sa.func.count())
            .select_from(Account)
            .where(Account.role == Role.ADMINISTRATOR, Account.enabled)
        )
    if administrators:
        who = "1 administrator" if administrators == 1 else f"{administrators} administrators"
        yield Finding("people", "ok", f"{who} can sign in.")
    else:
        cure = "servicedesk user add EMAIL --role administrator"
        yield Finding("people", "warning", "Nobody can sign in as administrator.", cure)


def _rows(instance: Instance) -> Iterator[Finding]:
    with instance.database.reading() as session:
        for row in Row:
            stored = mail_servers.load(session, row)
            if stored is None:
                yield Finding(
                    "mail", "warning", f"{row.value}: not set up.", f"servicedesk mail set {row.value} ..."
                )
                continue
            try:
                mail_servers.stored_draft(instance.vault, stored)
            except VaultError as error:
                cure = f"servicedesk mail set {row.value} --password-stdin"
                yield Finding("mail", "failed", f"{row.value}: password needed. {error}", cure)
                continue
            state = "active" if stored.active else "not active"
            yield Finding("mail", "ok", f"{row.value}: {state}, {_where(stored)}.")
            if stored.protocol == MailProtocol.OFFICE365:
                yield _account(session, row)
            mailbox = mail_servers.mailbox_of(session, stored) if row is Row.INCOMING else None
            if mailbox is not None and mailbox.failing_since is not None:
                since = f"{mailbox.failing_since:%Y-%m-%d %H:%M} UTC"
                text = f"{row.value}: failing since {since}. {mailbox.last_error}"
                yield Finding("mail", "failed", text, mailbox.last_cure)


def _account(session: Session, row: Row) -> Finding:
    """The row's Microsoft account."""
    held, waiting = (look(session, row) for look in (find_account, find_pending))
    state = microsoft_state.state_of(held, waiting)
    if held is not None and state.key == "connected":
        return Finding("mail", "ok", f"{row.value}: connected to {held.address}.")
    text = f"{row.value}: {state.word}. {state.sentence}"
    return Finding("mail", "warning", text, state.cure or "Connect it on the page of the mail servers.")


def _where(stored: MailServer) -> str:
    if stored.protocol == MailProtocol.OFFICE365:
        return f"Office365, {stored.address or 'no account yet'}"
    return f"{stored.host}:{stored.port}"


def _expiring(instance: Instance) -> Iterator[Finding]:
    for one in expiry.find(instance, datetime.now(UTC)):
        state: Literal["ok", "warning", "failed"] = "warning" if one.is_soon else "ok"
        yield Finding("expiry", "failed" if one.days < 0 else state, one.sentence, one.cure)


def _outbox(instance: Instance) -> Iterator[Finding]:
    with instance.database.reading() as session:
        found = outbox.counts(session)
        trouble = session.scalars(sa.select(SendingTrouble).order_by(SendingTrouble.row)).all()
    for one in trouble:
        since = f"{one.since:%Y-%m-%d %H:%M} UTC"
        yield Finding("outbox", "failed", f"{one.row}: failing since {since}. {one.sentence}", one.cure)
    waiting = f"{found.waiting if found.waiting < outbox.MOST_COUNTED else 'Many'} waiting to be sent"
    if found.attention:
        number = found.attention if found.attention < outbox.MOST_COUNTED else f"over {outbox.MOST_COUNTED}"
        text = f"{waiting}; {number} failed or uncertain."
        yield Finding("outbox", "warning", text, "servicedesk outbox list --state failed")
    else:
        yield Finding("outbox", "ok", f"{waiting}, nothing failed or uncertain.")
