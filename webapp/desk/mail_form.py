"""The form of a mail server row: text in, checked values or one sentence a field out.

The web form and `servicedesk mail set` both go through `check`, so they cannot disagree. Nothing here
touches the database; what needs it (addresses of people, a Microsoft account's) is asked in `mail_servers`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo

from webapp.desk import mail_fields
from webapp.desk.mail_protocols import (
    FIELDS,
    MODE_LABELS,
    MODES_BY_PORT,
    PORTS,
    PROTOCOL_LABELS,
    fields_of,
    usual_ports,
)
from webapp.desk.mail_reading import FROM_SENTENCE, Reader, read_values
from webapp.desk.mail_values import FormErrors, MailServerValues, texts_of, values_of
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.models import Row

PLAINTEXT_SENTENCE = (
    "Without SSL the password travels unencrypted. Turn SSL on, or confirm that you accept this."
)
_EXAMPLE_HOSTS = {
    MailProtocol.IMAP: "imap.example.com",
    MailProtocol.SMTP: "smtp.example.com",
    MailProtocol.EXCHANGE: "mail.example.com",
}

__all__ = ["FormErrors", "MailServerValues", "check", "glimpse", "hints", "texts_of", "values_of"]


def check(
    row: Row,
    texts: Mapping[str, str],
    *,
    has_password: bool,
    zone: ZoneInfo,
    found: Mapping[str, str] | None = None,
    own_addresses: Collection[str] = (),
) -> MailServerValues:
    """The values these texts mean. Raises FormErrors with every field that needs attention.

    `has_password`: the secret is at hand, typed now or stored for this very server. `found`: what the
    caller found wrong already; its sentences are told together with the others. `own_addresses`: those of
    the Microsoft account an Office365 row is connected to.
    """
    errors: dict[str, str] = {}
    known = fields_of(row)
    for name, text in texts.items():
        if name not in FIELDS:
            errors[name] = f"There is no setting {name}. Known: {', '.join(known)}."
        elif mail_fields.has_controls(text):
            errors[name] = "Remove the line break or other control character."
        elif len(text) > 255:
            errors[name] = "Enter at most 255 characters."
    reader = Reader({name: text for name, text in texts.items() if name not in errors}, errors)
    values = read_values(row, reader, zone, own_addresses)
    _check_together(values, has_password, errors)
    if errors := {**errors, **(found or {})}:
        raise FormErrors(dict(sorted(errors.items(), key=lambda item: _place_of(item[0]))))
    return values


def glimpse(row: Row, texts: Mapping[str, str], *, zone: ZoneInfo) -> tuple[MailServerValues, frozenset[str]]:
    """What these texts mean so far, and the names of the fields that are not right yet.

    For a form that is still being filled in: a field that is not right stands there as its default.
    """
    errors: dict[str, str] = {}
    values = read_values(row, Reader(texts, errors), zone)
    return values, frozenset(errors)


def hints(values: MailServerValues) -> dict[str, str]:
    """What is unusual and allowed: field name -> a sentence. Nothing is refused for it."""
    if values.protocol is MailProtocol.OFFICE365:
        return {}
    found = {}
    usual = MODES_BY_PORT.get(values.port)
    if values.use_ssl and usual is not None and usual is not values.tls_mode:
        found["tls_mode"] = f"Port {values.port} normally uses {MODE_LABELS[usual]}."
    if not values.use_ssl and usual is TlsMode.IMPLICIT:
        found["use_ssl"] = f"Port {values.port} normally uses {MODE_LABELS[usual]}."
    if sentence := _unusual_port(values):
        found["port"] = sentence
    return found


def _unusual_port(values: MailServerValues) -> str:
    protocol, port = values.protocol, values.port
    if values.ews_url:  # whoever enters a whole address means it
        return ""
    if protocol is MailProtocol.IMAP and port in (465, 587, 25):
        return f"Port {port} is usually a sending (SMTP) port."
    if protocol is not MailProtocol.IMAP and port in (993, 143):
        return f"Port {port} is usually a receiving (IMAP) port."
    if port not in (number for (of, _), number in PORTS.items() if of is protocol):
        return f"Port {port} is unusual: {PROTOCOL_LABELS[protocol]} uses {usual_ports(protocol)}."
    return ""


def _check_together(values: MailServerValues, has_password: bool, errors: dict[str, str]) -> None:
    if values.active:
        missing = _missing(values, has_password)
        if set(missing) - set(errors):
            missing["active"] = f"Fill in {_needed(values)} before you turn this on."
        for name, sentence in missing.items():
            errors.setdefault(name, sentence)
    in_clear = values.requires_auth and values.security is TlsMode.NONE and values.host
    if in_clear and not values.plaintext_accepted and not mail_fields.is_loopback(values.host):
        errors.setdefault("plaintext_accepted", PLAINTEXT_SENTENCE)


def _needed(values: MailServerValues) -> str:
    if values.protocol is MailProtocol.OFFICE365:
        return "the app registration"
    if values.protocol is MailProtocol.EXCHANGE:
        return "host, user name, password and mailbox address"
    return "host, port, user name and password" if values.requires_auth else "host and port"


def _missing(values: MailServerValues, has_secret: bool) -> dict[str, str]:
    """What an active row cannot do without. The account of an Office365 row is asked for elsewhere."""
    if values.protocol is MailProtocol.OFFICE365:
        return {} if has_secret else {"client_secret": "Enter the client secret."}
    missing = {}
    if not values.host:
        example = _EXAMPLE_HOSTS[values.protocol]
        missing["host"] = f"Enter the host name of the mail server, for example {example}."
    if values.requires_auth and not values.username:
        missing["username"] = "Enter the user name of the mailbox."
    if values.requires_auth and not has_secret:
        missing["password"] = "Enter the password."  # noqa: S105 - a sentence
    if values.protocol is MailProtocol.EXCHANGE and not values.address:
        missing["mailbox"] = "Enter the address of the mailbox, for example help@example.com."
    if values.row is not Row.INCOMING and not values.from_address:
        missing["from_address"] = FROM_SENTENCE
    return missing


_AS_SHOWN = {
    "password": FIELDS.index("username") + 0.5,
    "client_secret": FIELDS.index("client_id") + 0.5,
}


def _place_of(name: str) -> float:
    """As the form shows them; what is no field of it comes first."""
    if name in FIELDS:
        return FIELDS.index(name)
    return _AS_SHOWN.get(name, -1)
