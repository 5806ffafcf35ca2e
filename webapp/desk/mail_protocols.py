"""What each protocol of a mail server row has: its ports, its fields, and what it is called. Data only."""

from __future__ import annotations

from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.models import Row

CLASSIC = (MailProtocol.IMAP, MailProtocol.SMTP)
_MICROSOFT = (MailProtocol.EXCHANGE, MailProtocol.OFFICE365)
PROTOCOLS = {
    Row.OUTGOING: (MailProtocol.SMTP, *_MICROSOFT),
    Row.INVOICE: (MailProtocol.SMTP, *_MICROSOFT),
    Row.INCOMING: (MailProtocol.IMAP, *_MICROSOFT),
}
PROTOCOL_LABELS = {
    MailProtocol.IMAP: "IMAP",
    MailProtocol.SMTP: "SMTP",
    MailProtocol.EXCHANGE: "Exchange",
    MailProtocol.OFFICE365: "Office365",
}
HTTPS = 443
PORTS = {
    (MailProtocol.IMAP, TlsMode.IMPLICIT): 993,
    (MailProtocol.IMAP, TlsMode.STARTTLS): 143,
    (MailProtocol.IMAP, TlsMode.NONE): 143,
    (MailProtocol.SMTP, TlsMode.IMPLICIT): 465,
    (MailProtocol.SMTP, TlsMode.STARTTLS): 587,
    (MailProtocol.SMTP, TlsMode.NONE): 25,
    (MailProtocol.EXCHANGE, TlsMode.IMPLICIT): HTTPS,
}
# The customer's words hold for every row: port 465 is SSL, port 587 is STARTTLS.
MODES_BY_PORT = {993: TlsMode.IMPLICIT, 465: TlsMode.IMPLICIT, 143: TlsMode.STARTTLS, 587: TlsMode.STARTTLS}
MODE_LABELS = {TlsMode.IMPLICIT: "SSL/TLS", TlsMode.STARTTLS: "STARTTLS", TlsMode.NONE: "no SSL"}

# In the order in which the form shows them.
FIELDS = (
    "active", "protocol", "use_ssl", "tls_mode", "host", "port", "ews_url", "username", "plaintext_accepted",
    "tenant_id", "client_id", "client_secret_expires_on", "mailbox", "from_address", "timeout_ms",
    "requires_auth", "archive_folder", "process_unknown", "cutoff_enabled", "cutoff_at",
)  # fmt: skip
SECRETS = ("password", "client_secret")  # write-only, so no fields
_EVERYWHERE = frozenset({"active", "protocol", "timeout_ms"})
_SENDING = frozenset({"from_address"})
_RECEIVING = frozenset({"archive_folder", "process_unknown", "cutoff_enabled", "cutoff_at"})
_PASSWORD = frozenset({"use_ssl", "tls_mode", "host", "port", "username", "plaintext_accepted"})
_OWN = {
    MailProtocol.IMAP: _PASSWORD,
    MailProtocol.SMTP: _PASSWORD | {"requires_auth"},
    MailProtocol.EXCHANGE: frozenset({"use_ssl", "host", "port", "ews_url", "username", "mailbox"}),
    MailProtocol.OFFICE365: frozenset({"tenant_id", "client_id", "client_secret_expires_on", "mailbox"}),
}
# What says nothing about the server: a test's result outlives a change of these.
NOT_TESTED = frozenset({
    "active", "plaintext_accepted", "process_unknown", "cutoff_enabled", "cutoff_at",
    "client_secret_expires_on",
})  # fmt: skip


def fields_of(row: Row, protocol: MailProtocol | None = None) -> tuple[str, ...]:
    """The fields this row has with this protocol; without one, those it has with any."""
    protocols = PROTOCOLS[row] if protocol is None else (protocol,)
    there = _EVERYWHERE.union(
        _RECEIVING if row is Row.INCOMING else _SENDING, *map(_OWN.__getitem__, protocols)
    )
    return tuple(name for name in FIELDS if name in there)


def usual_ports(protocol: MailProtocol) -> str:
    """For people: "993 (SSL/TLS) or 143 (STARTTLS)"."""
    if protocol is MailProtocol.EXCHANGE:
        return f"{HTTPS} (HTTPS)"
    return f"{PORTS[protocol, TlsMode.IMPLICIT]} (SSL/TLS) or {PORTS[protocol, TlsMode.STARTTLS]} (STARTTLS)"
