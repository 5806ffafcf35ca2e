"""The three mail server rows: load, check, save, and turn into what an adapter takes.

This is the one module that maps a stored row or an unsaved form to `ServerSettings`. The stored password
goes along only while protocol, host, port, security and user name are the saved ones, in a test and in
a save alike: whoever steals an administrator's session cannot send it to a server of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.config import Settings
from webapp.desk import audit, options
from webapp.desk.addresses import is_a_persons
from webapp.desk.mail_fields import has_controls, is_true
from webapp.desk.mail_form import (
    FIELDS,
    NOT_TESTED,
    PORTS,
    FormErrors,
    MailServerValues,
    check,
    fields_of,
    texts_of,
    values_of,
)
from webapp.mailserver.base import ServerSettings, TlsMode
from webapp.models import MailboxIdentity, MailServer, Row
from webapp.vault import Vault, VaultError


class NothingToCopy(Exception):
    """Outgoing is not set up, so there is nothing Invoice could take over."""


class ChangedMeanwhile(Exception):
    """Somebody else saved the row since this form was opened; nothing was changed."""

    def __init__(self, stored: MailServer) -> None:
        super().__init__(f"{stored.updated_by} changed these settings in the meantime.")
        self.stored = stored


@dataclass(frozen=True, slots=True)
class Draft:
    """A row as somebody wants it: the values and the password that goes with them (None: none at hand)."""

    values: MailServerValues
    password: str | None
    typed: bool  # the password was typed now, not taken from the vault

    def __repr__(self) -> str:
        return f"Draft({self.values!r})"


def load(session: Session, row: Row) -> MailServer | None:
    return session.get(MailServer, row.value)


def draft(
    session: Session, vault: Vault, row: Row, changes: Mapping[str, str], password: str | None
) -> Draft:
    """The saved row with `changes` put over it. Raises FormErrors with every field that needs attention."""
    stored = load(session, row)
    texts = texts_of(row, stored) | _follow(stored, _known(row, changes))
    zone = options.time_zone(session)
    found = {
        name: f"{row.value.capitalize()} has no setting {name}. Known: {', '.join(fields_of(row))}."
        for name in changes
        if name not in fields_of(row)
    }
    held = _read_password(password, texts.get("host", ""), found)
    typed = held is not None
    if not typed:
        active = is_true(texts["active"])
        held = _stored_password(vault, stored, _passive(row, texts, zone), found, active=active)
    username = texts.get("username", "").strip()
    if row is Row.INCOMING and "@" in username and is_a_persons(session, username):
        found["username"] = f"{username} is also a portal user's address. Use a dedicated mailbox."
    values = check(row, texts, has_password=held is not None or "password" in found, zone=zone, found=found)
    return Draft(values, held, typed)


def save(
    session: Session,
    vault: Vault,
    wanted: Draft,
    *,
    now: datetime,
    actor: str,
    expected_version: int | None = None,
) -> MailServer:
    """Store the draft. Raises ChangedMeanwhile when the row is not at `expected_version` any more.

    Where the row says just this already, it is left as it is: a save sent twice is one save. The result of
    the last test stays unless something it tested has changed.
    """
    row = wanted.values.row
    stored = _load_at(session, row, expected_version, lambda stored: _says(vault, stored, wanted))
    if stored is not None and expected_version not in (None, stored.version):
        return stored
    if stored is None:
        stored = MailServer(row=row.value, version=0, password_sealed="")
        session.add(stored)
    moved = stored.version > 0 and values_of(stored).endpoint != wanted.values.endpoint
    changed = [name for name in FIELDS if getattr(stored, name, None) != getattr(wanted.values, name)]
    for name in FIELDS:
        setattr(stored, name, getattr(wanted.values, name))
    if wanted.typed and wanted.password is not None:
        stored.password_sealed = vault.seal(wanted.password)
        changed.append("password")
    elif moved:
        stored.password_sealed = ""
    _stamp(session, stored, changed, now=now, actor=actor)
    audit.record(session, now, actor, "mail_server.save", row.value, changed=changed)
    return stored


def copy_outgoing(
    session: Session, *, now: datetime, actor: str, expected_version: int | None = None
) -> MailServer:
    """Give Invoice what Outgoing has, its sealed password too; Invoice is off afterwards.

    Raises NothingToCopy, or ChangedMeanwhile when Invoice is not at `expected_version` any more.
    """
    source = load(session, Row.OUTGOING)
    if source is None or not source.host:
        raise NothingToCopy
    target = _load_at(session, Row.INVOICE, expected_version, lambda _: False)
    if target is None:
        target = MailServer(row=Row.INVOICE.value, version=0)
        session.add(target)
    wanted = {name: getattr(source, name) for name in (*FIELDS, "password_sealed")} | {"active": False}
    changed = [name for name, value in wanted.items() if getattr(target, name, None) != value]
    for name, value in wanted.items():
        setattr(target, name, value)
    _stamp(session, target, changed, now=now, actor=actor)
    told = ["password" if name == "password_sealed" else name for name in changed]
    audit.record(session, now, actor, "mail_server.copy", target.row, source=source.row, changed=told)
    return target


def _load_at(
    session: Session, row: Row, version: int | None, is_the_same: Callable[[MailServer], bool]
) -> MailServer | None:
    """The row, if it is at this version or says what is wanted anyway; else raises ChangedMeanwhile."""
    stored = load(session, row)
    if stored is not None and version not in (None, stored.version) and not is_the_same(stored):
        session.expunge(stored)  # readable still when this transaction has been rolled back
        raise ChangedMeanwhile(stored)
    return stored


def _says(vault: Vault, stored: MailServer, wanted: Draft) -> bool:
    """Whether the row is just what is wanted."""
    if values_of(stored) != wanted.values:
        return False
    try:
        return not wanted.typed or stored_draft(vault, stored).password == wanted.password
    except VaultError:
        return False


def _stamp(session: Session, stored: MailServer, changed: list[str], *, now: datetime, actor: str) -> None:
    stored.version += 1
    stored.updated_at, stored.updated_by = now, actor
    if not NOT_TESTED.issuperset(changed):
        stored.last_test_at = stored.last_test_passed = None
        stored.last_test_sentence = ""
    _forget_back_off(session, stored)


def server_settings(wanted: Draft, settings: Settings) -> ServerSettings:
    """What an adapter needs to act on this draft."""
    values = wanted.values
    return ServerSettings(
        protocol=values.protocol,
        host=values.host,
        port=values.port,
        tls_mode=values.security,
        timeout=values.timeout_ms / 1000,
        username=values.username,
        password=wanted.password or "",
        requires_auth=values.requires_auth,
        from_address=values.from_address,
        archive_folder=values.archive_folder,
        ca_file=settings.mail_ca_file or None,
    )


def stored_draft(vault: Vault, stored: MailServer) -> Draft:
    """The saved row as it is. Raises VaultError when its password cannot be decrypted."""
    password = vault.unseal(stored.password_sealed) if stored.password_sealed else None
    return Draft(values_of(stored), password, typed=False)


def record_test(
    session: Session, row: Row, *, version: int, passed: bool, sentence: str, now: datetime
) -> None:
    """Remember how the last test of the saved settings went; a newer version is not touched."""
    session.execute(
        sa.update(MailServer)
        .where(MailServer.row == row.value, MailServer.version == version)
        .values(last_test_at=now, last_test_passed=passed, last_test_sentence=sentence)
    )


def mailbox_of(session: Session, stored: MailServer) -> MailboxIdentity | None:
    """The polled mailbox this row names, if it was ever polled."""
    return session.scalar(
        sa.select(MailboxIdentity).where(
            MailboxIdentity.protocol == stored.protocol,
            MailboxIdentity.host == stored.host,
            MailboxIdentity.port == stored.port,
            MailboxIdentity.account == stored.username,
        )
    )


def _known(row: Row, changes: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in changes.items() if name in fields_of(row)}


def _follow(stored: MailServer | None, changes: dict[str, str]) -> dict[str, str]:
    """What else a change means: port and mode follow each other, a new host asks again.

    A port that is nobody's usual one stays when the mode changes.
    """
    if stored is None:
        return changes
    if "host" in changes and changes["host"] != stored.host:
        changes.setdefault("plaintext_accepted", "false")
    if "port" in changes and "tls_mode" not in changes and changes["port"] != str(stored.port):
        changes["tls_mode"] = ""
    if ("tls_mode" in changes or "use_ssl" in changes) and stored.port in PORTS.values():
        changes.setdefault("port", "" if _security_changes(stored, changes) else str(stored.port))
    return changes


def _security_changes(stored: MailServer, changes: Mapping[str, str]) -> bool:
    use_ssl = is_true(changes["use_ssl"]) if "use_ssl" in changes else stored.use_ssl
    was = stored.tls_mode if stored.use_ssl else TlsMode.NONE
    return was != (changes.get("tls_mode", stored.tls_mode) if use_ssl else TlsMode.NONE)


def _read_password(password: str | None, host: str, found: dict[str, str]) -> str | None:
    """The typed password, or None. A newline at its end comes from pasting or a pipe."""
    password = (password or "").rstrip("\r\n")
    if not password:
        return None
    if has_controls(password):
        found["password"] = "Remove the line break or other control character from the password."  # noqa: S105
    elif len(password) > 1000:
        found["password"] = "Enter at most 1000 characters."  # noqa: S105 - a sentence
    if host.strip().casefold().rstrip(".").endswith((".gmail.com", ".googlemail.com")):
        return "".join(password.split())  # Google shows an app password in four groups of letters
    return password


def _passive(row: Row, texts: Mapping[str, str], zone: ZoneInfo) -> MailServerValues | None:
    """The values as they would be without turning the row on; None while some are not right."""
    try:
        return check(row, {**texts, "active": "false"}, has_password=False, zone=zone)
    except FormErrors:
        return None


def _stored_password(
    vault: Vault,
    stored: MailServer | None,
    values: MailServerValues | None,
    found: dict[str, str],
    *,
    active: bool,
) -> str | None:
    """The saved password if it may go along; where that is refused, `found` says so."""
    if stored is None or not stored.password_sealed:
        return None
    if values is not None and values_of(stored).endpoint != values.endpoint:
        if values.requires_auth:
            found["password"] = (
                "You changed the server or the account. Enter the password again – "
                f"the saved one is only sent to {stored.host}."
            )
        return None
    try:
        return vault.unseal(stored.password_sealed)
    except VaultError as error:  # a row that is turned off, or stays off, needs none
        if active:
            found["password"] = str(error)
        return None


def _forget_back_off(session: Session, stored: MailServer) -> None:
    """New settings deserve a try at once."""
    session.flush()
    if mailbox := mailbox_of(session, stored):
        mailbox.next_poll_at = None
