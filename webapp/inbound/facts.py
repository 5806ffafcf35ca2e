"""What the database knows about a message, read before anything is decided."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """What decides who may write to a ticket."""

    closed: bool
    requester_id: int | None
    requester_account_id: int | None
    company_id: int | None
    requester_address: str | None


Seen = tuple[int, int | None]  # ledger row, ticket


class FactsReader:
    """Reads the facts of one batch: what every message asks is asked once for all of them.

    What the batch itself makes on the way is told to `remember`, so that a reply finds the ticket of the
    message before it.
    """

    def __init__(
        self,
        session: Session,
        batch: Sequence[tuple[InboundMessage, Identity]],
        *,
        loop_key: bytes | None = None,
    ) -> None:
        self._session, self._loop_key = session, loop_key
        self._by_octets = _earlier_by_octets(session, {identity.sha256 for _, identity in batch})
        self._by_content = _earlier_by_content(
            session, {identity.fingerprint for _, identity in batch if identity.fingerprint}
        )
        keys = {key for message, _ in batch if (key := _sender_key(message))}
        self._users, self._accounts = _users_by_key(session, keys), _accounts_by_key(session, keys)
        self._threads = _tickets_by_message_id(
            session, {i for message, _ in batch for i in claims_of(message)}
        )

    def gather(self, message: InboundMessage, identity: Identity) -> Facts:
        """All facts about one message of the batch."""
        key = _sender_key(message)
        sender, note = self._find_sender(key)
        return Facts(
            earlier=self._find_earlier(identity),
            ours=_find_our_mark(message, self._loop_key),
            sender_key=key,
            sender=sender,
            sender_note=note,
            thread=self._find_thread(message, key, sender),
        )

    def remember(
        self, identity: Identity, inbound_id: int, ticket_id: int | None, entry_message_id: str | None
    ) -> None:
        """A message of this batch is in the database now; `entry_message_id` where it made an entry."""
        seen = (inbound_id, ticket_id)
        self._by_octets.setdefault((identity.sha256, identity.received_at), seen)
        if identity.fingerprint:
            self._by_content.setdefault(identity.fingerprint, seen)
        if entry_message_id and ticket_id:
            self._threads[entry_message_id] = ticket_id

    def _ticket(self, ticket_id: int) -> TicketFacts:
        row = self._session.execute(
            sa.select(
                Ticket.status, Ticket.requester_id, Ticket.requester_account_id,
                Ticket.company_id, Ticket.requester_address,
            ).where(Ticket.id == ticket_id)
        ).one()  # fmt: skip
        return TicketFacts(row.status is TicketStatus.CLOSED, *row[1:])

    def _find_earlier(self, identity: Identity) -> Earlier | None:
        """The same message processed before: same octets and time of receipt, else same content.

        Equal octets received at another time, without a Message-ID, are two messages: monitoring sends such.
        """
        if seen := self._by_octets.get((identity.sha256, identity.received_at)):
            return Earlier(*seen, "same message and time of receipt as before")
        if identity.fingerprint and (seen := self._by_content.get(identity.fingerprint)):
            return Earlier(*seen, "same Message-ID, sender, date, subject, text and attachments")
        return None

    def _find_sender(self, key: str | None) -> tuple[KnownSender | None, str]:
        """Who has this address, and otherwise why nobody has."""
        if key is None:
            return None, "names no sender that can be trusted"
        user, account = self._users.get(key), self._accounts.get(key)
        if user is not None and user.active:
            return KnownSender(user.name, user_id=user.id, company_id=user.company_id), ""
        if account is not None:
            return KnownSender(account.name, account_id=account.id), ""
        return None, "is a user who was set inactive" if user is not None else "is unknown"

    def _find_thread(
        self, message: InboundMessage, sender_key: str | None, sender: KnownSender | None
    ) -> ThreadMatch | None:
        """The ticket this message claims, by stored Message-IDs first and by its subject after."""
        named = self._named_by_references(message) or _named_by_subject(self._session, message)
        if named is None:
            return None
        ticket_id, how = named
        ticket = self._ticket(ticket_id)
        may_write, why = _may_write(ticket, sender_key, sender)
        return ThreadMatch(ticket_id, ticket.closed, how, may_write, why)

    def _named_by_references(self, message: InboundMessage) -> tuple[int, str] | None:
        for message_id, header in claims_of(message).items():
            if message_id in self._threads:
                return self._threads[message_id], f"{header} <{message_id}>"
        return None


def _earlier_by_octets(session: Session, digests: set[str]) -> dict[tuple[str, datetime], Seen]:
    columns = sa.select(Inbound.sha256, Inbound.received_at, Inbound.id, Inbound.ticket_id)
    rows = session.execute(columns.where(Inbound.sha256.in_(digests)).order_by(Inbound.id.desc()))
    return {(row.sha256, row.received_at): (row.id, row.ticket_id) for row in rows}


def _earlier_by_content(session: Session, fingerprints: set[str]) -> dict[str, Seen]:
    columns = sa.select(Inbound.fingerprint, Inbound.id, Inbound.ticket_id)
    rows = session.execute(columns.where(Inbound.fingerprint.in_(fingerprints)).order_by(Inbound.id.desc()))
    return {row.fingerprint: (row.id, row.ticket_id) for row in rows if row.fingerprint}


def _users_by_key(session: Session, keys: set[str]) -> dict[str, sa.Row[str, int, str, int | None, bool]]:
    columns = sa.select(UserAddress.addr_key, User.id, User.name, User.company_id, User.active)
    joined = columns.join(User, User.id == UserAddress.user_id).where(UserAddress.addr_key.in_(keys))
    return {row.addr_key: row for row in session.execute(joined)}


def _accounts_by_key(session: Session, keys: set[str]) -> dict[str, sa.Row[str, int, str]]:
    columns = sa.select(Account.email_key, Account.id, Account.name)
    rows = session.execute(columns.where(Account.email_key.in_(keys), Account.enabled))
    return {row.email_key: row for row in rows}


def _tickets_by_message_id(session: Session, message_ids: set[str]) -> dict[str, int]:
    """Of several entries with one Message-ID the newest counts."""
    if not message_ids:
        return {}
    columns = sa.select(Entry.message_id, Entry.ticket_id)
    rows = session.execute(columns.where(Entry.message_id.in_(message_ids)).order_by(Entry.id))
    return {row.message_id: row.ticket_id for row in rows if row.message_id}


def _sender_key(message: InboundMessage) -> str | None:
    return fold_addr_spec(message.sender.addr_spec) if message.sender.addr_spec else None


def claims_of(message: InboundMessage) -> dict[str, str]:
    """The Message-IDs this message refers to, the newest first, each with the header that names it."""
    wanted: dict[str, str] = {}
    for header, ids in (("References", reversed(message.references)), ("In-Reply-To", message.in_reply_to)):
        for message_id in ids:
            wanted.setdefault(message_id[:MESSAGE_ID_LENGTH], header)
    return wanted


def _find_our_mark(message: InboundMessage, loop_key: bytes | None) -> str | None:
    if loop_key is None or not message.loop_header or not message.message_id:
        return None
    if is_our_loop_token(loop_key, message.message_id, message.loop_header):
        return "carries this service desk's own loop mark"
    return None


def _named_by_subject(session: Session, message: InboundMessage) -> tuple[int, str] | None:
    for number in subject_ticket_numbers(message.subject)[:5]:
        if number < 2**31 and session.scalar(sa.select(Ticket.id).where(Ticket.id == number)):
            return number, f"subject tag [T-{number}]"
    return None


def _may_write(ticket: TicketFacts, sender_key: str | None, sender: KnownSender | None) -> tuple[bool, str]:
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
