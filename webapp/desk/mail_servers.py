"""The three mail server rows: load, check, save, and turn into what an adapter takes.

This is the one module that maps a stored row or an unsaved form to `ServerSettings`. The stored password
goes along only while protocol, host, port, security and user name are the saved ones (a client secret: while
tenant and application are), in a test and in a save alike (see `mail_secrets`): whoever steals an
administrator's session cannot send it to a server of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit
from webapp.desk.mail_drafts import Draft as Draft
from webapp.desk.mail_drafts import draft as draft
from webapp.desk.mail_drafts import load as load
from webapp.desk.mail_form import values_of
from webapp.desk.mail_identity import mailbox_of as mailbox_of
from webapp.desk.mail_identity import sendable_addresses as sendable_addresses
from webapp.desk.mail_protocols import (
    FIELDS,
    HTTPS,
    NOT_TESTED,
    SECRETS,
)
from webapp.desk.mail_secrets import sealed_of, secret_name
from webapp.desk.microsoft_registration import registration_of
from webapp.instance import Instance
from webapp.mailserver.base import MailProtocol, ServerSettings
from webapp.mailserver.checks import Takes
from webapp.models import MailServer, Row
from webapp.outbound.deliver import remember_size
from webapp.vault import Vault, VaultError


class NothingToCopy(Exception):
    """Outgoing is not set up, so there is nothing Invoice could take over."""


class ChangedMeanwhile(Exception):
    """Somebody else saved the row since this form was opened; nothing was changed."""

    def __init__(self, stored: MailServer) -> None:
        super().__init__(f"{stored.updated_by} changed these settings in the meantime.")
        self.stored = stored


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
        stored = MailServer(row=row.value, version=0, password_sealed="", client_secret_sealed="")
        session.add(stored)
    secret = secret_name(wanted.values.protocol)
    moved = stored.version > 0 and values_of(stored).endpoint != wanted.values.endpoint
    changed = [name for name in FIELDS if getattr(stored, name, None) != getattr(wanted.values, name)]
    for name in FIELDS:
        setattr(stored, name, getattr(wanted.values, name))
    if moved:  # what was saved belongs to the server, or the application, of before
        stored.password_sealed = stored.client_secret_sealed = ""
    if wanted.typed and wanted.secret is not None:
        setattr(stored, f"{secret}_sealed", vault.seal(wanted.secret))
        changed.append(secret)
    if moved:
        stored.largest_octets = None  # another server's
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
    if source is None or not source.is_set_up:
        raise NothingToCopy
    target = _load_at(session, Row.INVOICE, expected_version, lambda _: False)
    if target is None:
        target = MailServer(row=Row.INVOICE.value, version=0)
        session.add(target)
    sealed = [f"{name}_sealed" for name in SECRETS]
    wanted = {name: getattr(source, name) for name in (*FIELDS, *sealed)} | {"active": False}
    changed = [name for name, value in wanted.items() if getattr(target, name, None) != value]
    for name, value in wanted.items():
        setattr(target, name, value)
    target.largest_octets = source.largest_octets
    _stamp(session, target, changed, now=now, actor=actor)
    told = [name.removesuffix("_sealed") for name in changed]
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
        return not wanted.typed or stored_draft(vault, stored).secret == wanted.secret
    except VaultError:
        return False


def _stamp(session: Session, stored: MailServer, changed: list[str], *, now: datetime, actor: str) -> None:
    stored.version += 1
    stored.updated_at, stored.updated_by = now, actor
    if not NOT_TESTED.issuperset(changed):
        stored.last_test_at = stored.last_test_passed = None
        stored.last_test_sentence = ""
    _forget_back_off(session, stored)


def server_settings(wanted: Draft, instance: Instance) -> ServerSettings:
    """What an adapter needs to act on this draft; for Office365 of the account that is connected now."""
    values = wanted.values
    told = ServerSettings(
        protocol=values.protocol,
        host=values.host,
        port=values.port,
        tls_mode=values.security,
        timeout=values.timeout_ms / 1000,
        username=values.username,
        password=wanted.secret or "",
        requires_auth=values.requires_auth,
        from_address=values.from_address,
        archive_folder=values.archive_folder,
        ca_file=instance.settings.mail_ca_file or None,
        ews_url=values.ews_url,
        receives=values.row is Row.INCOMING,
    )
    match values.protocol:
        case MailProtocol.EXCHANGE:
            return replace(told, mailbox=values.mailbox)
        case MailProtocol.OFFICE365:
            return _with_account(told, wanted, instance)
    return told


def _with_account(told: ServerSettings, wanted: Draft, instance: Instance) -> ServerSettings:
    """Microsoft Graph's address, and the tokens of the account somebody has confirmed for this row."""
    from webapp.desk import microsoft_connections as connections

    values, base = wanted.values, instance.settings.ms_graph_base
    where, mailbox, tokens = urlsplit(base), values.mailbox, None
    registration = registration_of(
        instance.settings,
        tenant_id=values.tenant_id,
        client_id=values.client_id,
        client_secret=wanted.secret or "",
    )
    with instance.database.reading() as session:
        if connection := connections.find(session, values.row):
            mailbox = connections.graph_mailbox(connection, values.mailbox)
    if registration is not None:
        tokens = connections.token_source(
            instance, values.row, registration, mailbox=mailbox, timeout=told.timeout
        )
    return replace(
        told,
        host=where.hostname or "",
        port=where.port or HTTPS,
        mailbox=mailbox,
        graph_base=base,
        app=f"{values.tenant_id} {values.client_id}",
        tokens=tokens,
    )


def stored_draft(vault: Vault, stored: MailServer) -> Draft:
    """The saved row as it is. Raises VaultError when its secret cannot be decrypted."""
    values = values_of(stored)
    sealed = sealed_of(stored)
    return Draft(values, vault.unseal(sealed) if sealed else None, typed=False)


def record_test(
    session: Session,
    row: Row,
    *,
    version: int,
    passed: bool,
    sentence: str,
    now: datetime,
    takes: Takes | None = None,
) -> None:
    """Remember how the last test of the saved settings went; a newer version is not touched."""
    session.execute(
        sa.update(MailServer)
        .where(MailServer.row == row.value, MailServer.version == version)
        .values(last_test_at=now, last_test_passed=passed, last_test_sentence=sentence)
    )
    if takes is not None:
        remember_size(session, row, version=version, largest_octets=takes.largest_octets)


def _forget_back_off(session: Session, stored: MailServer) -> None:
    """New settings deserve a try at once."""
    session.flush()
    if mailbox := mailbox_of(session, stored):
        mailbox.next_poll_at = None
