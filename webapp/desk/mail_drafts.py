"""A mail server row as somebody wants it: the saved one with changes put over it, checked.

What the form alone does not know is asked here: the saved secret, addresses of people, the Microsoft account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from webapp.desk import options
from webapp.desk.addresses import is_a_persons
from webapp.desk.mail_fields import is_true
from webapp.desk.mail_form import FormErrors, MailServerValues, check, texts_of
from webapp.desk.mail_identity import sendable_addresses
from webapp.desk.mail_protocols import PORTS, PROTOCOL_LABELS, PROTOCOLS, fields_of
from webapp.desk.mail_secrets import read_secret, secret_name, stored_secret
from webapp.desk.microsoft_registration import registration_of
from webapp.instance import Instance
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.models import MailServer, Row

CLIENT_ID_MISSING = "Enter the application (client) ID of the app registration."


@dataclass(frozen=True, slots=True)
class Draft:
    """A row as somebody wants it: the values and the secret that goes with them (None: none at hand).

    The secret is the password; of an Office365 row it is the app registration's client secret.
    """

    values: MailServerValues
    secret: str | None
    typed: bool  # the secret was typed now, not taken from the vault

    def __repr__(self) -> str:
        return f"Draft({self.values!r})"


def load(session: Session, row: Row) -> MailServer | None:
    return session.get(MailServer, row.value)


def draft(
    session: Session,
    instance: Instance,
    row: Row,
    changes: Mapping[str, str],
    password: str | None = None,
    *,
    client_secret: str | None = None,
) -> Draft:
    """The saved row with `changes` put over it. Raises FormErrors with every field that needs attention.

    `password` and `client_secret` as they were typed; the one the protocol does not have is passed over.
    """
    stored = load(session, row)
    texts = texts_of(row, stored) | _follow(stored, _known(row, changes))
    zone, protocol = options.time_zone(session), _protocol_of(row, texts)
    found = _foreign(row, protocol, changes)
    typed = client_secret if protocol is MailProtocol.OFFICE365 else password
    secret = read_secret(protocol, typed, texts.get("host", ""), found)
    passive, is_typed = _passive(row, texts, zone), secret is not None
    if not is_typed:
        secret = stored_secret(instance.vault, stored, passive, found, active=is_true(texts["active"]))
    account = _look_at_account(session, instance, row, texts, passive, secret)
    values = check(
        row,
        texts,
        has_password=account.has_secret or secret_name(protocol) in found,
        zone=zone,
        found=account.missing | found | _personal(session, row, protocol, texts),
        own_addresses=account.addresses,
    )
    return Draft(values, secret, is_typed)


@dataclass(frozen=True, slots=True)
class _Account:
    """What is known beside the form: whether there is a secret; of Office365 the connected account."""

    has_secret: bool
    addresses: tuple[str, ...] = ()  # that may be sent from
    missing: dict[str, str] = field(default_factory=dict)  # before the row can be on


def _look_at_account(
    session: Session,
    instance: Instance,
    row: Row,
    texts: Mapping[str, str],
    values: MailServerValues | None,
    secret: str | None,
) -> _Account:
    """Of Office365; what the row leaves empty of its registration comes from the settings of the instance."""
    if _protocol_of(row, texts) is not MailProtocol.OFFICE365:
        return _Account(secret is not None)
    addresses = sendable_addresses(session, row, texts["mailbox"].strip())
    if values is None or not is_true(texts["active"]):
        return _Account(secret is not None, addresses)
    from webapp.desk import microsoft_connections

    registration = registration_of(
        instance.settings,
        tenant_id=values.tenant_id,
        client_id=values.client_id,
        client_secret=secret or "",
    )
    if registration is None:
        has_client = values.client_id or instance.settings.ms_client_id
        missing = {} if has_client else {"client_id": CLIENT_ID_MISSING}
        return _Account(secret is not None, addresses, missing)
    why = microsoft_connections.why_not_active(session, row, registration, mailbox=values.mailbox)
    return _Account(True, addresses, {"active": why} if why else {})


def _personal(session: Session, row: Row, protocol: MailProtocol, texts: Mapping[str, str]) -> dict[str, str]:
    """Why this mailbox cannot be the one that is polled: a person's mail would be taken for the desk's."""
    names = [name for name in ("mailbox", "username") if name in fields_of(row, protocol)]
    named = next((name for name in names if texts.get(name, "").strip()), "")
    address = texts.get(named, "").strip()
    if row is not Row.INCOMING or "@" not in address or not is_a_persons(session, address):
        return {}
    return {named: f"{address} is also a portal user's address. Use a dedicated mailbox."}


def _protocol_of(row: Row, texts: Mapping[str, str]) -> MailProtocol:
    """The protocol these texts name; where they name none, the form says so."""
    text = texts["protocol"].strip().casefold()
    return MailProtocol(text) if text in PROTOCOLS[row] else PROTOCOLS[row][0]


def _foreign(row: Row, protocol: MailProtocol, changes: Mapping[str, str]) -> dict[str, str]:
    """Settings that are named and that the row does not have, or not with this protocol."""
    found = {}
    for name, text in changes.items():
        if name not in fields_of(row):
            known = ", ".join(fields_of(row))
            found[name] = f"{row.value.capitalize()} has no setting {name}. Known: {known}."
        elif name not in fields_of(row, protocol) and text.strip():
            known = ", ".join(fields_of(row, protocol))
            found[name] = f"{PROTOCOL_LABELS[protocol]} has no setting {name}. Known: {known}."
    return found


def _known(row: Row, changes: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in changes.items() if name in fields_of(row)}


def _follow(stored: MailServer | None, changes: dict[str, str]) -> dict[str, str]:
    """What else a change means: port and mode follow each other, a new host asks again.

    A port that is nobody's usual one stays when the mode changes.
    """
    if stored is None:
        return changes
    if changes.get("protocol", stored.protocol).strip().casefold() != stored.protocol:
        changes.setdefault("use_ssl", "true")
        changes.setdefault("tls_mode", "")
        if stored.port in PORTS.values():
            changes.setdefault("port", "")
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


def _passive(row: Row, texts: Mapping[str, str], zone: ZoneInfo) -> MailServerValues | None:
    """The values as they would be without turning the row on; None while some are not right."""
    try:
        return check(row, {**texts, "active": "false"}, has_password=False, zone=zone)
    except FormErrors:
        return None
