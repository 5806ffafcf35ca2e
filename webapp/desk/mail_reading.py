"""The texts of a mail server row's form, read field by field; what is wrong becomes a sentence a field."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from webapp.desk import mail_fields
from webapp.desk.addresses import read_addr_spec
from webapp.desk.mail_protocols import HTTPS, MODES_BY_PORT, PORTS, PROTOCOL_LABELS, PROTOCOLS, usual_ports
from webapp.desk.mail_values import MailServerValues
from webapp.mail.address import fold_addr_spec
from webapp.mailserver import providers
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.models import Row

FROM_SENTENCE = "Enter one email address, for example help@example.com."
EWS_PATH = "/EWS/Exchange.asmx"
NO_SSL_OFF = "Exchange is reached over HTTPS only, so SSL cannot be turned off."
TIMEOUT_MS = range(1000, 120_001)
_HTTPS: dict[str, object] = {
    "use_ssl": True, "tls_mode": TlsMode.IMPLICIT, "plaintext_accepted": False, "requires_auth": True,
}  # fmt: skip


class Reader:
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

    def address(self, name: str) -> str:
        """One address; empty where there is none, or it is none."""
        text = self.text(name)
        try:
            return read_addr_spec(text) if text else ""
        except ValueError:
            self.refuse(name, FROM_SENTENCE)
            return ""


def read_values(
    row: Row, reader: Reader, zone: ZoneInfo, own_addresses: Collection[str] = ()
) -> MailServerValues:
    """All of them. `own_addresses`: what an Office365 row may send from; empty while that is not known."""
    protocol = _read_protocol(row, reader)
    cutoff_enabled = reader.flag("cutoff_enabled")
    told: dict[str, object] = {
        "row": row,
        "active": reader.flag("active"),
        "protocol": protocol,
        "timeout_ms": reader.number(
            "timeout_ms", TIMEOUT_MS, "Enter a timeout from 1000 to 120000 milliseconds (1 s to 2 min)."
        ),
        "archive_folder": _read_archive(reader),
        "process_unknown": reader.flag("process_unknown"),
        "cutoff_enabled": cutoff_enabled,
        "cutoff_at": _read_cutoff(reader, zone, required=cutoff_enabled),
    }
    match protocol:
        case MailProtocol.EXCHANGE:
            told |= _read_exchange(row, reader)
        case MailProtocol.OFFICE365:
            told |= _read_office365(row, reader, own_addresses)
        case _:
            told |= _read_classic(row, protocol, reader)
    return MailServerValues(**told)  # type: ignore[arg-type]  # each reader names its own fields


def _read_protocol(row: Row, reader: Reader) -> MailProtocol:
    text = reader.text("protocol").casefold()
    if text in PROTOCOLS[row]:
        return MailProtocol(text)
    known = ", ".join(PROTOCOL_LABELS[protocol] for protocol in PROTOCOLS[row])
    reader.refuse("protocol", f"Choose a protocol: {known}.")
    return PROTOCOLS[row][0]


# IMAP and SMTP.


def _read_classic(row: Row, protocol: MailProtocol, reader: Reader) -> dict[str, object]:
    use_ssl = reader.flag("use_ssl")
    tls_mode, port = _read_security(protocol, use_ssl, reader)
    username = reader.text("username")
    return {
        "use_ssl": use_ssl,
        "tls_mode": tls_mode,
        "host": _read_host(reader),
        "port": port,
        "username": username,
        "plaintext_accepted": reader.flag("plaintext_accepted") and not use_ssl,
        "from_address": _read_from(row, username, reader),
        "requires_auth": row is Row.INCOMING or reader.flag("requires_auth"),
    }


def _read_security(protocol: MailProtocol, use_ssl: bool, reader: Reader) -> tuple[TlsMode, int]:
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


def _read_port(protocol: MailProtocol, reader: Reader) -> int:
    uses = f"{PROTOCOL_LABELS[protocol]} uses {usual_ports(protocol)}."
    return reader.number("port", range(1, 65536), f"Enter a port from 1 to 65535. {uses}")


def _read_host(reader: Reader) -> str:
    text = reader.text("host")
    try:
        return mail_fields.read_host(text) if text else ""
    except ValueError as error:
        reader.refuse("host", str(error))
        return ""


def _read_from(row: Row, username: str, reader: Reader) -> str:
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


# Exchange.


def _read_exchange(row: Row, reader: Reader) -> dict[str, object]:
    if reader.text("use_ssl") and not reader.flag("use_ssl"):
        reader.refuse("use_ssl", NO_SSL_OFF)
    host, port = _read_host(reader), HTTPS
    if reader.text("port"):
        port = _read_port(MailProtocol.EXCHANGE, reader)
    url = _read_ews_url(reader)
    if url:
        wanted = host or url.host
        if (wanted, port if reader.text("port") else url.port) != (url.host, url.port):
            leads = f"The EWS address leads to {url.host} port {url.port}. Empty one of the two."
            reader.refuse("host" if wanted != url.host else "port", leads)
        host, port = url.host, url.port
    if providers.is_exchange_online(host):
        reader.refuse("ews_url" if url else "host", providers.EXCHANGE_ONLINE)
    username, mailbox = reader.text("username"), reader.address("mailbox")
    return _HTTPS | {
        "host": host,
        "port": port,
        "ews_url": url.text if url else "",
        "username": username,
        "mailbox": mailbox,
        "from_address": _read_from(row, mailbox or username, reader),
    }


def _read_ews_url(reader: Reader) -> mail_fields.WebAddress | None:
    text = reader.text("ews_url")
    try:
        return mail_fields.read_web_address(text, path=EWS_PATH) if text else None
    except ValueError as error:
        reader.refuse("ews_url", str(error))
        return None


# Office365.


def _read_office365(row: Row, reader: Reader, own_addresses: Collection[str]) -> dict[str, object]:
    mailbox = reader.address("mailbox")
    return _HTTPS | {
        "host": "",
        "port": HTTPS,
        "username": "",  # the account is the one that is connected
        "tenant_id": _read_with(mail_fields.read_tenant, "tenant_id", reader),
        "client_id": _read_with(mail_fields.read_client_id, "client_id", reader),
        "client_secret_expires_on": _read_day("client_secret_expires_on", reader),
        "mailbox": mailbox,
        "from_address": "" if row is Row.INCOMING else _read_own_from(mailbox, own_addresses, reader),
    }


def _read_own_from(mailbox: str, own_addresses: Collection[str], reader: Reader) -> str:
    """One of the mailbox's own addresses: nothing is spoofed.

    While nobody is signed in these are not known, and nothing can be sent either.
    """
    wanted = reader.address("from_address") or mailbox
    allowed = {fold_addr_spec(text): text for text in own_addresses}
    if not allowed:
        return wanted
    if wanted and fold_addr_spec(wanted) not in allowed:
        theirs = ", ".join(allowed.values())
        reader.refuse("from_address", f"Choose one of this mailbox's own addresses: {theirs}.")
    return allowed.get(fold_addr_spec(wanted), wanted) if wanted else next(iter(allowed.values()))


def _read_with(read: Callable[[str], str], name: str, reader: Reader) -> str:
    text = reader.text(name)
    try:
        return read(text) if text else ""
    except ValueError as error:
        reader.refuse(name, str(error))
        return ""


def _read_day(name: str, reader: Reader) -> date | None:
    text = reader.text(name)
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        reader.refuse(name, "Enter a date, such as 2027-05-01.")
        return None


# Incoming mail.


def _read_archive(reader: Reader) -> str:
    text = reader.text("archive_folder")
    if any(char in text for char in "%*"):
        reader.refuse("archive_folder", "Enter a folder name without % * or line breaks.")
    if text.casefold() == "inbox":
        reader.refuse("archive_folder", "The archive folder cannot be the inbox.")
    return text


def _read_cutoff(reader: Reader, zone: ZoneInfo, *, required: bool) -> datetime | None:
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
