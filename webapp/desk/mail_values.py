"""A mail server row's settings as values: checked ones, the saved ones, and the saved ones as texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from webapp.desk.mail_protocols import FIELDS, PROTOCOLS
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.models import MailServer, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServerValues:
    """A row's settings, checked. `cutoff_at` is aware, UTC. What a protocol has not is its default."""

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
    ews_url: str = ""  # Exchange; where there is one, host and port are its own
    mailbox: str = ""  # Exchange, Office365: its address, where that does not follow from the rest
    tenant_id: str = ""  # Office365: the app registration
    client_id: str = ""
    client_secret_expires_on: date | None = None

    @property
    def security(self) -> TlsMode:
        return self.tls_mode if self.use_ssl else TlsMode.NONE

    @property
    def endpoint(self) -> tuple[str, ...]:
        """What a stored secret belongs to: it is used while all of this stays the same."""
        if self.protocol is MailProtocol.OFFICE365:
            return (self.protocol, self.tenant_id, self.client_id)
        return (self.protocol, self.host, str(self.port), self.security, self.username)

    @property
    def address(self) -> str:
        """The mailbox this row is of, as far as its settings say; empty where they do not."""
        named = (self.mailbox, self.username, self.from_address)
        if self.row is not Row.INCOMING:
            named = (self.mailbox, self.from_address, self.username)
        return next((text for text in named if "@" in text), "")


class FormErrors(Exception):
    """Fields that need attention: field name -> one sentence each."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


def values_of(stored: MailServer) -> MailServerValues:
    """The saved row as values."""
    values = {name: getattr(stored, name) for name in FIELDS}
    values |= {"protocol": MailProtocol(stored.protocol), "tls_mode": TlsMode(stored.tls_mode)}
    return MailServerValues(row=Row(stored.row), **values)


def texts_of(row: Row, stored: MailServer | None) -> dict[str, str]:
    """The form as it stands: the saved values, or the defaults of a row that was never set up."""
    if stored is None:
        protocol = PROTOCOLS[row][0]
        flags = dict.fromkeys(("active", "plaintext_accepted", "process_unknown", "cutoff_enabled"), "false")
        standard = {"protocol": protocol, "use_ssl": "true", "requires_auth": "true", "timeout_ms": "30000"}
        return dict.fromkeys(FIELDS, "") | flags | standard
    texts = {name: _as_text(getattr(stored, name)) for name in FIELDS}
    if stored.ews_url or stored.protocol == MailProtocol.OFFICE365:  # they follow from what was entered
        texts |= {"host": "", "port": ""}
    return texts


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return "" if value is None else str(value)
