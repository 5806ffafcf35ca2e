"""E-mail addresses that people type: checked, and never two meanings for one address.

The incoming mailbox must not be the address of a person of the portal: its mail would be taken for that
person's. The rule is asked from both sides, when a row is saved and when a person is.
"""

from __future__ import annotations

from collections.abc import Collection

import email_validator
import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.mail.address import fold_addr_spec
from webapp.mail.reply_address import without_detail
from webapp.mailserver.base import MailProtocol
from webapp.models import Account, MailServer, MicrosoftConnection, Row, UserAddress

# Companies' own networks use .local, .internal and the like, and their mail servers deliver there.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def read_addr_spec(text: str) -> str:
    """The addr-spec somebody typed, tidied. Raises ValueError with a sentence."""
    text = text.strip()
    if not text.isprintable():
        raise ValueError("an e-mail address has no line breaks or other control characters.")
    try:
        checked = email_validator.validate_email(text, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError as error:
        raise ValueError(f"{text[:80]!r} is not an e-mail address: {error}") from error
    if len(checked.normalized) > 320:
        raise ValueError("this e-mail address is too long.")
    return checked.normalized


def incoming_addresses(session: Session) -> frozenset[str]:
    """Comparison keys of the incoming mailbox's own addresses."""
    row = session.get(MailServer, Row.INCOMING.value)
    if row is None:
        return frozenset()
    names = (row.username, row.mailbox, row.from_address)
    own = frozenset(fold_addr_spec(text) for text in names if "@" in text)
    account = _account_addresses(session, row)
    return own | account if own <= account else own  # a shared mailbox has other addresses than its account


def _account_addresses(session: Session, row: MailServer) -> frozenset[str]:
    """Those of the Microsoft account the row is connected with."""
    if row.protocol != MailProtocol.OFFICE365:
        return frozenset()
    found = session.scalar(
        sa.select(MicrosoftConnection.addresses).where(
            MicrosoftConnection.row == row.row, MicrosoftConnection.confirmed
        )
    )
    return frozenset(map(fold_addr_spec, found or ()))


def sending_addresses(session: Session) -> frozenset[str]:
    """Comparison keys of the addresses this desk sends with."""
    sending = session.scalars(sa.select(MailServer.from_address).where(MailServer.row != Row.INCOMING.value))
    return frozenset(fold_addr_spec(text) for text in sending if "@" in text)


def is_among(own: Collection[str], addr_spec: str) -> bool:
    """Whether it is one of these (comparison keys), with a detail behind a plus or without (RFC 5233)."""
    key = fold_addr_spec(addr_spec)
    return key in own or without_detail(key) in own


def refuse_incoming_mailbox(session: Session, addr_spec: str) -> None:
    """Raises ValueError when a person is to get the incoming mailbox's address."""
    if is_among(incoming_addresses(session), addr_spec):
        raise ValueError(incoming_refusal(addr_spec))


def incoming_refusal(addr_spec: str) -> str:
    return f"{addr_spec} is the incoming mailbox. A person needs an address of their own."


def is_a_persons(session: Session, addr_spec: str) -> bool:
    """Whether a user of the directory or an account of the desk has this address."""
    if not addr_spec.isprintable():
        return False
    key = fold_addr_spec(addr_spec)
    return bool(
        session.scalar(sa.select(sa.exists().where(UserAddress.addr_key == key)))
        or session.scalar(sa.select(sa.exists().where(Account.email_key == key)))
    )
