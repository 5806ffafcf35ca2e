"""What ends by itself one day and takes the mail with it: known before, not learnt from silence.

Only what is stored is looked at; the certificate of a mail server is told by Test Connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509

from webapp.instance import Instance
from webapp.mailserver.base import MailProtocol
from webapp.mailserver.providers import MICROSOFT_SMTP
from webapp.models import MailServer

SOON_DAYS = 30
# Message Center MC786329 as updated in January 2026: off by default for tenants that exist by then.
SMTP_PASSWORDS_END = date(2026, 12, 31)


@dataclass(frozen=True, slots=True)
class Expiring:
    """One of them. `what` is a short name for a monitor, `sentence` and `cure` are for people."""

    what: str
    ends_on: date
    days: int  # left; negative once it is over
    sentence: str
    cure: str

    @property
    def is_soon(self) -> bool:
        return self.days <= SOON_DAYS


def find(instance: Instance, now: datetime) -> list[Expiring]:
    """Everything that has a known end, the nearest first."""
    with instance.database.reading() as session:
        rows = session.scalars(sa.select(MailServer).order_by(MailServer.row)).all()
    found = [one for row in rows for one in _of_row(row, now.date())]
    if instance.settings.mail_ca_file:
        found += _of_authorities(Path(instance.settings.mail_ca_file), now.date())
    return sorted(found, key=lambda one: one.ends_on)


def _of_row(row: MailServer, today: date) -> list[Expiring]:
    if row.protocol == MailProtocol.OFFICE365 and row.client_secret_expires_on:
        sentence = f"The client secret of the {row.row} row expires on {row.client_secret_expires_on}."
        cure = "Create a new one in the Entra admin center and enter it with its date."
        return [_expiring(f"{row.row} client secret", row.client_secret_expires_on, today, sentence, cure)]
    if row.protocol == MailProtocol.SMTP and row.host in MICROSOFT_SMTP and row.requires_auth:
        sentence = (
            f"The {row.row} row signs in to {row.host} with a password. Microsoft turns that off by default "
            "at the end of December 2026."
        )
        what = f"{row.row} password sign-in"
        return [_expiring(what, SMTP_PASSWORDS_END, today, sentence, "Choose Office365.")]
    return []


def _of_authorities(path: Path, today: date) -> list[Expiring]:
    """The certificate authorities of one's own; a file that cannot be read is told at the start."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [
        _expiring(
            f"certificate authority {number}",
            one.not_valid_after_utc.date(),
            today,
            f"The certificate authority {one.subject.rfc4514_string()} in {path} ends on "
            f"{one.not_valid_after_utc:%Y-%m-%d}.",
            "Put its successor into the file as well.",
        )
        for number, one in enumerate(certificates, 1)
    ]


def _expiring(what: str, ends_on: date, today: date, sentence: str, cure: str) -> Expiring:
    return Expiring(what, ends_on, (ends_on - today).days, sentence, cure)
