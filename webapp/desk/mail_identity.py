"""Which mailbox a row names: what the ledger knows it by, and which addresses are its own."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk.mail_protocols import HTTPS
from webapp.desk.mail_values import MailServerValues, values_of
from webapp.mail.address import fold_addr_spec
from webapp.mailserver.base import MailProtocol
from webapp.models import MailboxIdentity, MailServer, Row

GRAPH_HOST = "graph.microsoft.com"


def identity_of(session: Session, values: MailServerValues) -> tuple[str, str, int, str]:
    """What the ledger knows a mailbox by: protocol, host, port and account.

    Of Exchange the account is the mailbox's address. Of Office365 it is the immutable id of the user, which
    outlives a new name, or the address of a shared mailbox; the host is always Microsoft's.
    """
    match values.protocol:
        case MailProtocol.EXCHANGE:
            return (values.protocol, values.host, values.port, fold_addr_spec(values.address))
        case MailProtocol.OFFICE365:
            return (values.protocol, GRAPH_HOST, HTTPS, _account_of(session, values))
    return (values.protocol, values.host, values.port, values.username)


def _account_of(session: Session, values: MailServerValues) -> str:
    from webapp.desk import microsoft_connections as connections

    connection = connections.find(session, values.row)
    if connection is None:
        return fold_addr_spec(values.mailbox)
    shared = connections.graph_mailbox(connection, values.mailbox)
    return fold_addr_spec(shared) if shared else connection.user_id


def account_addresses(session: Session, row: Row) -> tuple[str, ...]:
    """Those of the Microsoft account that is connected to this row, the main one first; none without."""
    from webapp.desk import microsoft_connections as connections

    return connections.own_addresses(session, row)


def sendable_addresses(session: Session, row: Row, mailbox: str) -> tuple[str, ...]:
    """What an Office365 row may send from: the account's own addresses, or that of a shared `mailbox`.

    A shared mailbox's aliases cannot be read with an account's rights. Nothing while nobody is connected.
    """
    known = account_addresses(session, row)
    is_shared = mailbox and fold_addr_spec(mailbox) not in map(fold_addr_spec, known)
    return (mailbox,) if known and is_shared else known


def own_addresses(session: Session, values: MailServerValues) -> frozenset[str]:
    """Comparison keys of the incoming mailbox's own addresses: mail from these is our own."""
    found = {fold_addr_spec(text) for text in (values.username, values.mailbox) if "@" in text}
    if values.protocol is MailProtocol.OFFICE365:
        known = set(map(fold_addr_spec, account_addresses(session, values.row)))
        if not values.mailbox or fold_addr_spec(values.mailbox) in known:  # not a shared one
            found |= known
    return frozenset(found)


def mailbox_of(session: Session, stored: MailServer) -> MailboxIdentity | None:
    """The polled mailbox this row names, if it was ever polled."""
    return find_mailbox(session, values_of(stored))


def find_mailbox(session: Session, values: MailServerValues) -> MailboxIdentity | None:
    """The polled mailbox these settings name, if it was ever polled."""
    protocol, host, port, account = identity_of(session, values)
    return session.scalar(
        sa.select(MailboxIdentity).filter_by(protocol=protocol, host=host, port=port, account=account)
    )
