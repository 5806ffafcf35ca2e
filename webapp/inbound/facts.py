"""What the database knows about a message, read before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.inbound.decide import Earlier, Facts, KnownSender, ThreadMatch
from webapp.mail.address import fold_addr_spec
from webapp.mail.loop_token import is_our_loop_token
from webapp.mail.message import InboundMessage
from webapp.mail.references import subject_ticket_numbers
from webapp.models import Account, Entry, Inbound, Ticket, TicketStatus, User, UserAddress

MESSAGE_ID_LENGTH = 255  # what is kept and compared of a Message-ID; some are 10 KB of garbage


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a message the same message again."""

    sha256: str  # of the octets as received
    received_at: datetime  # INTERNALDATE, which MOVE keeps
    fingerprint: str | None  # of its content; None without a Message-ID


def gather(session: Session, message: InboundMessage, identity: Identity, *, loop_key: bytes | None) -> Facts:
    """All facts about one message, in at most six small queries."""
    key = fold_addr_spec(message.sender.addr_spec) if message.sender.addr_spec else None
    sender, note = _find_sender(session, key)
    return Facts(
        earlier=find_earlier(session, identity),
        ours=_find_our_mark(message, loop_key),
        sender_key=key,
        sender=sender,
        sender_note=note,
        thread=_find_thread(session, message, key, sender),
    )


def find_earlier(session: Session, identity: Identity) -> Earlier | None:
    """The same message processed before: same octets and time of receipt, else same content.

    Equal octets received at another time, without a Message-ID, are two messages: monitoring sends such.
    """
    columns = sa.select(Inbound.id, Inbound.ticket_id, Inbound.disposition).order_by(Inbound.id).limit(1)
    same = columns.where(Inbound.sha256 == identity.sha256, Inbound.received_at == identity.received_at)
    if row := session.execute(same).first():
        return Earlier(row.id, row.ticket_id, "same message and time of receipt as before")
    if identity.fingerprint is None:
        return None
    if row := session.execute(columns.where(Inbound.fingerprint == identity.fingerprint)).first():
        return Earlier(row.id, row.ticket_id, "same Message-ID, sender, date, subject, text and attachments")
    return None


def _find_our_mark(message: InboundMessage, loop_key: bytes | None) -> str | None:
    if loop_key is None or not message.loop_header or not message.message_id:
        return None
    if is_our_loop_token(loop_key, message.message_id, message.loop_header):
        return "carries this service desk's own loop mark"
    return None


def _find_sender(session: Session, key: str | None) -> tuple[KnownSender | None, str]:
    """Who has this address, and otherwise why nobody has."""
    if key is None:
        return None, "names no sender that can be trusted"
    user = session.execute(
        sa.select(User.id, User.name, User.company_id, User.active)
        .join(UserAddress, UserAddress.user_id == User.id)
        .where(UserAddress.addr_key == key)
    ).first()
    if user is not None and user.active:
        return KnownSender(user.name, user_id=user.id, company_id=user.company_id), ""
    account = session.execute(
        sa.select(Account.id, Account.name).where(Account.email_key == key, Account.enabled)
    ).first()
    if account is not None:
        return KnownSender(account.name, account_id=account.id), ""
    return None, "is a user who was set inactive" if user is not None else "is unknown"


def _find_thread(
    session: Session, message: InboundMessage, sender_key: str | None, sender: KnownSender | None
) -> ThreadMatch | None:
    """The ticket this message claims, by stored Message-IDs first and by its subject after."""
    named = _ticket_by_references(session, message) or _ticket_by_subject(session, message)
    if named is None:
        return None
    ticket_id, how = named
    ticket = session.execute(
        sa.select(
            Ticket.status, Ticket.requester_id, Ticket.requester_account_id,
            Ticket.company_id, Ticket.requester_address,
        ).where(Ticket.id == ticket_id)
    ).one()  # fmt: skip
    may_write, why = _may_write(ticket, sender_key, sender)
    return ThreadMatch(ticket_id, ticket.status is TicketStatus.CLOSED, how, may_write, why)


def _ticket_by_references(session: Session, message: InboundMessage) -> tuple[int, str] | None:
    wanted: dict[str, str] = {}  # newest first; a dict keeps the order and drops repeats
    for header, ids in (("References", reversed(message.references)), ("In-Reply-To", message.in_reply_to)):
        for message_id in ids:
            wanted.setdefault(message_id[:MESSAGE_ID_LENGTH], header)
    if not wanted:
        return None
    found = session.execute(
        sa.select(Entry.message_id, Entry.ticket_id)
        .where(Entry.message_id.in_(wanted))
        .order_by(Entry.id.desc())
    )
    tickets = {row.message_id: row.ticket_id for row in found}
    for message_id, header in wanted.items():
        if message_id in tickets:
            return tickets[message_id], f"{header} <{message_id}>"
    return None


def _ticket_by_subject(session: Session, message: InboundMessage) -> tuple[int, str] | None:
    for number in subject_ticket_numbers(message.subject)[:5]:
        if number < 2**31 and session.scalar(sa.select(Ticket.id).where(Ticket.id == number)):
            return number, f"subject tag [T-{number}]"
    return None


def _may_write(
    ticket: sa.Row[TicketStatus, int | None, int | None, int | None, str | None],
    sender_key: str | None,
    sender: KnownSender | None,
) -> tuple[bool, str]:
    """A match is a claim, not a permission: the requester may write, and users of the same company."""
    if sender is not None and sender.user_id is not None and sender.user_id == ticket.requester_id:
        return True, "sender is the requester"
    if (
        sender is not None
        and sender.account_id is not None
        and sender.account_id == ticket.requester_account_id
    ):
        return True, "sender is the requester"
    if sender is not None and sender.company_id is not None and sender.company_id == ticket.company_id:
        return True, "sender is of the same company"
    nobody_known = ticket.requester_id is None and ticket.requester_account_id is None
    if nobody_known and sender_key and fold_addr_spec(ticket.requester_address or "") == sender_key:
        return True, "sender is the requester"
    return False, "sender is neither the requester nor of the same company"
