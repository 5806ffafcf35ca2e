"""The form of a mail server row: text in, checked values or one sentence a field out.

The web form and `servicedesk mail set` both go through `check`, so they cannot disagree. Nothing here
touches the database; what needs it (addresses of people) is asked in `mail_servers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from webapp.desk import mail_fields
from webapp.desk.addresses import read_addr_spec
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.models import MailServer, Row

PROTOCOLS = {
    Row.OUTGOING: (MailProtocol.SMTP,),
    Row.INVOICE: (MailProtocol.SMTP,),
    Row.INCOMING: (MailProtocol.IMAP,),
}
PORTS = {
    (MailProtocol.IMAP, TlsMode.IMPLICIT): 993,
    (MailProtocol.IMAP, TlsMode.STARTTLS): 143,
    (MailProtocol.IMAP, TlsMode.NONE): 143,
    (MailProtocol.SMTP, TlsMode.IMPLICIT): 465,
    (MailProtocol.SMTP, TlsMode.STARTTLS): 587,
    (MailProtocol.SMTP, TlsMode.NONE): 25,
}
# The customer's words hold for every row: port 465 is SSL, port 587 is STARTTLS.
MODES_BY_PORT = {993: TlsMode.IMPLICIT, 465: TlsMode.IMPLICIT, 143: TlsMode.STARTTLS, 587: TlsMode.STARTTLS}
MODE_LABELS = {TlsMode.IMPLICIT: "SSL/TLS", TlsMode.STARTTLS: "STARTTLS", TlsMode.NONE: "no SSL"}
FIELDS = (
    "active", "protocol", "use_ssl", "tls_mode", "host", "port", "username", "plaintext_accepted",
    "from_address", "timeout_ms", "requires_auth", "archive_folder", "process_unknown", "cutoff_enabled",
    "cutoff_at",
)  # fmt: skip
SENDING_ONLY = frozenset({"from_address", "requires_auth"})
INCOMING_ONLY = frozenset({"archive_folder", "process_unknown", "cutoff_enabled", "cutoff_at"})
FROM_SENTENCE = "Enter one email address, for example help@example.com."
PLAINTEXT_SENTENCE = (
    "Without SSL the password travels unencrypted. Turn SSL on, or confirm that you accept this."
)
TIMEOUT_MS = range(1000, 120_001)
# What says nothing about the server: a test's result outlives a change of these.
NOT_TESTED = frozenset({"active", "plaintext_accepted", "process_unknown", "cutoff_enabled", "cutoff_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServerValues:
    """A row's settings, checked. `cutoff_at` is aware, UTC."""

    row: Row
    active: bool
    protocol: MailProtocol
    use_ssl: bool
    tls_mode: TlsMode  # what is meant while use_ssl is on
    host: str
    port: int
    username: str
    plaintext_accepted: bool
    from_address: str
    timeout_ms: int
    requires_auth: bool
    archive_folder: str
    process_unknown: bool
    cutoff_enabled: bool
    cutoff_at: datetime | None

    @property
    def security(self) -> TlsMode:
        return self.tls_mode if self.use_ssl else TlsMode.NONE

    @property
    def endpoint(self) -> tuple[str, str, int, str, str]:
        """What a stored password belongs to: it is used while all of this stays the same."""
        return (self.protocol, self.host, self.port, self.security, self.username)


class FormErrors(Exception):
    """Fields that need attention: field name -> one sentence each."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


def fields_of(row: Row) -> tuple[str, ...]:
    """The fields this row has."""
    absent = SENDING_ONLY if row is Row.INCOMING else INCOMING_ONLY
    return tuple(name for name in FIELDS if name not in absent)


def texts_of(row: Row, stored: MailServer | None) -> dict[str, str]:
    """The form as it stands: the saved values, or the defaults of a row that was never set up."""
    if stored is None:
        protocol = PROTOCOLS[row][0]
        flags = dict.fromkeys(("active", "plaintext_accepted", "process_unknown", "cutoff_enabled"), "false")
        standard = {"protocol": protocol, "use_ssl": "true", "requires_auth": "true", "timeout_ms": "30000"}
        return dict.fromkeys(FIELDS, "") | flags | standard
    return {name: _as_text(getattr(stored, name)) for name in FIELDS}


def values_of(stored: MailServer) -> MailServerValues:
    """The saved row as values."""
    values = {name: getattr(stored, name) for name in FIELDS}
    values |= {"protocol": MailProtocol(stored.protocol), "tls_mode": TlsMode(stored.tls_mode)}
    return MailServerValues(row=Row(stored.row), **values)


def check(
    row: Row,
    texts: Mapping[str, str],
    *,
    has_password: bool,
    zone: ZoneInfo,
    found: Mapping[str, str] | None = None,
) -> MailServerValues:
    """The values these texts mean. Raises FormErrors with every field that needs attention.

    `has_password`: a password is at hand, typed now or stored for this very server. `found`: what the
    caller found wrong already; its sentences are told together with the others.
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
    reader = _Reader({name: text for name, text in texts.items() if name not in errors}, errors)
    values = _read_values(row, reader, zone)
    _check_together(values, has_password, errors)
    if errors := {**errors, **(found or {})}:
        order = (*FIELDS[:7], "password", *FIELDS[7:])  # as the form shows them
        raise FormErrors(dict(sorted(errors.items(), key=lambda item: _place_of(item[0], order))))
    return values


def glimpse(row: Row, texts: Mapping[str, str], *, zone: ZoneInfo) -> tuple[MailServerValues, frozenset[str]]:
    """What these texts mean so far, and the names of the fields that are not right yet.

    For a form that is still being filled in: a field that is not right stands there as its default.
    """
    errors: dict[str, str] = {}
    values = _read_values(row, _Reader(texts, errors), zone)
    return values, frozenset(errors)


def hints(values: MailServerValues) -> dict[str, str]:
    """What is unusual and allowed: field name -> a sentence. Nothing is refused for it."""
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
    if protocol is MailProtocol.IMAP and port in (465, 587, 25):
        return f"Port {port} is usually a sending (SMTP) port."
    if protocol is MailProtocol.SMTP and port in (993, 143):
        return f"Port {port} is usually a receiving (IMAP) port."
    if port not in (PORTS[protocol, mode] for mode in TlsMode):
        return f"Port {port} is unusual: {protocol.upper()} uses {_usual_ports(protocol)}."
    return ""


class _Reader:
    """Reads one field after the other and collects the sentences; the first of a field is kept."""

    def __init__(self, texts: Mapping[str, str], errors: dict[str, str]) -> None:
        self.texts, self.errors = texts, errors

    def text(self, name: str) -> str:
        return self.texts.get(name, "").strip()

    def refuse(self, name: str, sentence: str) -> None:
        self.errors.setdefault(name, sentence)

    def flag(self, name: str) -> bool:
        text = self.text(name).casefold()
        if text not in mail_fields.TRUE | mail_fields.FALSE:
            self.refuse(name, "Enter true or false.")
        return text in mail_fields.TRUE

    def number(self, name: str, allowed: range, sentence: str) -> int:
        number = mail_fields.whole_number(self.text(name))
        if number is None or number not in allowed:
            self.refuse(name, sentence)
            return allowed.start
        return number


def _read_values(row: Row, reader: _Reader, zone: ZoneInfo) -> MailServerValues:
    protocol = _read_protocol(row, reader)
    use_ssl = reader.flag("use_ssl")
    tls_mode, port = _read_security(protocol, use_ssl, reader)
    username = reader.text("username")
    cutoff_enabled = reader.flag("cutoff_enabled")
    return MailServerValues(
        row=row,
        active=reader.flag("active"),
        protocol=protocol,
        use_ssl=use_ssl,
        tls_mode=tls_mode,
        host=_read_host(reader),
        port=port,
        username=username,
        plaintext_accepted=reader.flag("plaintext_accepted") and not use_ssl,
        from_address=_read_from(row, username, reader),
        timeout_ms=reader.number(
            "timeout_ms", TIMEOUT_MS, "Enter a timeout from 1000 to 120000 milliseconds (1 s to 2 min)."
        ),
        requires_auth=row is Row.INCOMING or reader.flag("requires_auth"),
        archive_folder=_read_archive(reader),
        process_unknown=reader.flag("process_unknown"),
        cutoff_enabled=cutoff_enabled,
        cutoff_at=_read_cutoff(reader, zone, required=cutoff_enabled),
    )


def _read_protocol(row: Row, reader: _Reader) -> MailProtocol:
    text = reader.text("protocol").casefold()
    if text in PROTOCOLS[row]:
        return MailProtocol(text)
    reader.refuse("protocol", f"Choose a protocol: {', '.join(p.upper() for p in PROTOCOLS[row])}.")
    return PROTOCOLS[row][0]


def _read_security(protocol: MailProtocol, use_ssl: bool, reader: _Reader) -> tuple[TlsMode, int]:
    """Mode and port, each following the other while it is left open; an unusual port never guesses."""
    default = TlsMode.STARTTLS if protocol is MailProtocol.SMTP else TlsMode.IMPLICIT
    text = reader.text("tls_mode").casefold()
    port = _read_port(protocol, reader) if reader.text("port") else None
    if text not in ("", TlsMode.IMPLICIT, TlsMode.STARTTLS):
        reader.refuse("tls_mode", "Enter implicit (SSL/TLS) or starttls.")
    if text in (TlsMode.IMPLICIT, TlsMode.STARTTLS):
        mode = TlsMode(text)
    elif port is None or not use_ssl:
        mode = default
    else:
        mode = MODES_BY_PORT.get(port, default)
        if port not in MODES_BY_PORT and "port" not in reader.errors:
            reader.refuse("tls_mode", f"Choose SSL/TLS or STARTTLS: port {port} says nothing about it.")
    return mode, PORTS[protocol, mode if use_ssl else TlsMode.NONE] if port is None else port


def _read_port(protocol: MailProtocol, reader: _Reader) -> int:
    sentence = f"Enter a port from 1 to 65535. {protocol.upper()} uses {_usual_ports(protocol)}."
    return reader.number("port", range(1, 65536), sentence)


def _usual_ports(protocol: MailProtocol) -> str:
    return f"{PORTS[protocol, TlsMode.IMPLICIT]} (SSL/TLS) or {PORTS[protocol, TlsMode.STARTTLS]} (STARTTLS)"


def _read_host(reader: _Reader) -> str:
    text = reader.text("host")
    try:
        return mail_fields.read_host(text) if text else ""
    except ValueError as error:
        reader.refuse("host", str(error))
        return ""


def _read_from(row: Row, username: str, reader: _Reader) -> str:
    """Left empty it is the user name, if that is an address."""
    if row is Row.INCOMING:
        return ""
    text = reader.text("from_address")
    try:
        return read_addr_spec(text or username)
    except ValueError:
        if text:
            reader.refuse("from_address", FROM_SENTENCE)
        return ""


def _read_archive(reader: _Reader) -> str:
    text = reader.text("archive_folder")
    if any(char in text for char in "%*"):
        reader.refuse("archive_folder", "Enter a folder name without % * or line breaks.")
    if text.casefold() == "inbox":
        reader.refuse("archive_folder", "The archive folder cannot be the inbox.")
    return text


def _read_cutoff(reader: _Reader, zone: ZoneInfo, *, required: bool) -> datetime | None:
    text = reader.text("cutoff_at")
    if not text:
        if required:
            reader.refuse("cutoff_at", "Enter a date and a time.")
        return None
    try:
        return mail_fields.read_moment(text, zone)
    except ValueError as error:
        reader.refuse("cutoff_at", str(error))
        return None


def _check_together(values: MailServerValues, has_password: bool, errors: dict[str, str]) -> None:
    if values.active:
        missing = _missing(values, has_password)
        if set(missing) - set(errors):
            wanted = "host, port, user name and password" if values.requires_auth else "host and port"
            missing["active"] = f"Fill in {wanted} before you turn this on."
        for name, sentence in missing.items():
            errors.setdefault(name, sentence)
    in_clear = values.requires_auth and values.security is TlsMode.NONE and values.host
    if in_clear and not values.plaintext_accepted and not mail_fields.is_loopback(values.host):
        errors.setdefault("plaintext_accepted", PLAINTEXT_SENTENCE)


def _missing(values: MailServerValues, has_password: bool) -> dict[str, str]:
    missing = {}
    if not values.host:
        example = "imap.example.com" if values.row is Row.INCOMING else "smtp.example.com"
        missing["host"] = f"Enter the host name of the mail server, for example {example}."
    if values.requires_auth and not values.username:
        missing["username"] = "Enter the user name of the mailbox."
    if values.requires_auth and not has_password:
        missing["password"] = "Enter the password."  # noqa: S105 - a sentence
    if values.row is not Row.INCOMING and not values.from_address:
        missing["from_address"] = FROM_SENTENCE
    return missing


def _place_of(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else -1


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)
