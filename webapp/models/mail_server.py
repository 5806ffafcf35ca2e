"""The rows of *Mail server configuration*: outgoing, invoice, incoming."""

from __future__ import annotations

import enum
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UtcDateTime


class Row(enum.StrEnum):
    OUTGOING = "outgoing"
    INVOICE = "invoice"
    INCOMING = "incoming"


class MailServer(Base):
    """One row as saved. `version` counts saves, so that two editors cannot overwrite each other unseen."""

    __tablename__ = "mail_server"

    row: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    active: Mapped[bool] = mapped_column(default=False)
    protocol: Mapped[str] = mapped_column(sa.String(16))
    use_ssl: Mapped[bool] = mapped_column(default=True)
    tls_mode: Mapped[str] = mapped_column(sa.String(16))  # implicit | starttls; ignored without SSL
    host: Mapped[str] = mapped_column(sa.String(255), default="")
    port: Mapped[int]
    username: Mapped[str] = mapped_column(sa.String(320), default="")
    password_sealed: Mapped[str] = mapped_column(sa.Text, default="")
    plaintext_accepted: Mapped[bool] = mapped_column(default=False)  # a password without TLS was confirmed
    from_address: Mapped[str] = mapped_column(sa.String(320), default="")
    timeout_ms: Mapped[int] = mapped_column(default=30_000)
    requires_auth: Mapped[bool] = mapped_column(default=True)
    archive_folder: Mapped[str] = mapped_column(sa.String(255), default="")
    process_unknown: Mapped[bool] = mapped_column(default=False)
    cutoff_enabled: Mapped[bool] = mapped_column(default=False)
    cutoff_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    ews_url: Mapped[str] = mapped_column(sa.Text, default="")  # Exchange; empty: made of host and port
    mailbox: Mapped[str] = mapped_column(sa.String(320), default="")  # where it is not the account's own
    tenant_id: Mapped[str] = mapped_column(sa.String(255), default="")  # Office365: the app registration
    client_id: Mapped[str] = mapped_column(sa.String(64), default="")
    client_secret_sealed: Mapped[str] = mapped_column(sa.Text, default="")
    client_secret_expires_on: Mapped[date | None]

    # The largest message the server takes (SIZE, RFC 1870), as it said last; None: not known, or no limit.
    largest_octets: Mapped[int | None]

    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_by: Mapped[str] = mapped_column(sa.String(320), default="")
    last_test_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_test_passed: Mapped[bool | None]
    last_test_sentence: Mapped[str] = mapped_column(sa.Text, default="")

    @property
    def is_set_up(self) -> bool:
        """Whether it says which server it is for; Office365's is always the same."""
        return bool(self.host) or self.protocol == "office365"

    @property
    def address(self) -> str:
        """The mailbox as people know it: its address, or the user name; empty where nothing says."""
        if self.row == Row.INCOMING:
            return self.mailbox or self.username
        return self.from_address or self.mailbox or self.username
