"""What the database knows about a message, read before anything is decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import sender_lists, thread_marks
from webapp.desk.sender_lists import Listed
from webapp.inbound import fact_queries as queries
from webapp.inbound.case import Earlier, Facts, Reported
from webapp.inbound.fact_queries import DeskAccount, TicketFacts
from webapp.inbound.threads import KnownSender, Relation, ThreadMatch
from webapp.mail import reply_address, reply_token
from webapp.mail.address import fold_addr_spec, parse_addresses
from webapp.mail.loop_token import is_our_loop_token
from webapp.mail.message import InboundMessage
from webapp.mail.report import by_severity

SUBJECT_TAGS = 5  # looked up of one subject
RECIPIENTS = 200  # looked at of To and of Cc
DOUBTFUL = 20  # addresses looked at of a From that names several
MERGES = 10  # a ticket joined into one that was joined ...
MESSAGE_ID_LENGTH = 255  # what is kept and compared of a Message-ID; some are 10 KB of garbage


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a message the same message again."""

    sha256: str  # of the octets as received
    received_at: datetime  # INTERNALDATE, which MOVE keeps
    fingerprint: str | None  # of its content; None without a Message-ID


@dataclass(frozen=True, slots=True)
class Named:
    """The ticket a message names, and what named it."""

    ticket_id: int
    how: str
    keyed: bool = False
    account_id: int | None = None  # the one account the token was sent to


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
        self._reply_key = reply_token.reply_key(loop_key) if loop_key else None
        self._tags = thread_marks.load(session).tags
        self._by_octets = queries.earlier_by_octets(session, {identity.sha256 for _, identity in batch})
        self._by_content = queries.earlier_by_content(
            session, {identity.fingerprint for _, identity in batch if identity.fingerprint}
        )
        keys = {key for message, _ in batch if (key := _sender_key(message))}
        self._users, self._accounts = (
            queries.users_by_key(session, keys), queries.accounts_by_key(session, keys)
        )  # fmt: skip
        self._listed = sender_lists.listed(session, keys.union(*(doubtful_keys(one) for one, _ in batch)))
        claimed = {one for message, _ in batch for one in claims_of(message)}
        self._sent = queries.sent_by_message_id(session, claimed | _possibly_ours(batch))
        sent = {one: ours.ticket_id for one, ours in self._sent.items() if ours.ticket_id}
        self._threads = sent | queries.tickets_by_message_id(session, claimed)

    def gather(self, message: InboundMessage, identity: Identity) -> Facts:
        """All facts about one message of the batch."""
        key = _sender_key(message)
        sender, note = self._find_sender(key)
        account = self._accounts.get(key) if key else None
        listed = self._listed.get(key, Listed()) if key else self._blocked(message)
        return Facts(
            earlier=self._find_earlier(identity),
            ours=self._find_our_mark(message),
            sender_key=key,
            sender=sender,
            sender_note=note,
            is_disabled_staff=account is not None and not account.enabled,
            blocked_by=listed.blocked_by,
            allowed_by=listed.allowed_by,
            reported=self._find_reported(message),
            thread=self._find_thread(message, key, sender),
            bare_subject=self._tags.strip_from(message.subject),
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

    def _ticket(self, ticket_id: int) -> TicketFacts | None:
        return queries.ticket(self._session, ticket_id)

    def _own_claim(self, ticket_id: int, sender_key: str) -> int | None:
        return queries.own_claim(self._session, ticket_id, sender_key)

    def _is_participant(self, ticket_id: int, sender_key: str) -> bool:
        return queries.is_participant(self._session, ticket_id, sender_key)

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
            return _of_user(user, account), ""
        if account is not None and account.enabled:
            return KnownSender(account.name, account_id=account.id, is_staff=account.is_staff), ""
        if account is not None:
            return None, "is an account that may not sign in any more"
        return None, "is a user who was set inactive" if user is not None else "is unknown"

    def _blocked(self, message: InboundMessage) -> Listed:
        """Whether anybody is blocked whom an ambiguous From names. Nobody is allowed by such a one."""
        met = (self._listed[key] for key in doubtful_keys(message) if key in self._listed)
        return Listed(blocked_by=next((one.blocked_by for one in met if one.blocked_by), None))

    def _find_our_mark(self, message: InboundMessage) -> str | None:
        """What shows that this desk sent it: servers that strip our header keep the Message-ID."""
        if not message.message_id:
            return None
        mark = message.loop_header
        if self._loop_key and mark and is_our_loop_token(self._loop_key, message.message_id, mark):
            return "carries this service desk's own loop mark"
        if message.message_id in self._sent:
            return "carries the Message-ID of a message this service desk has sent"
        if self._reply_key and reply_token.read_token(self._reply_key, message.message_id):
            return "carries a Message-ID that only this service desk can make"
        return None

    def _find_reported(self, message: InboundMessage) -> Reported | None:
        report = message.report
        sent = self._sent.get(report.original_message_id or "") if report else None
        if report is None or sent is None:
            return None
        found = queries.deliveries_of(self._session, sent.id, by_severity(report.outcomes))
        return Reported(sent.ticket_id, found) if found else None

    def _find_thread(
        self, message: InboundMessage, sender_key: str | None, sender: KnownSender | None
    ) -> ThreadMatch | None:
        """The ticket this message claims: by keyed token, by stored Message-IDs, by its subject."""
        for named in self._names(message):
            if found := self._merged(named.ticket_id):
                break
        else:
            return None
        ticket_id, ticket = found
        how = named.how if ticket_id == named.ticket_id else f"{named.how} (T-{named.ticket_id}, joined)"
        relation = self._relation(ticket_id, ticket, sender_key, sender)
        is_stranger = relation is Relation.NONE and not named.keyed
        own = self._own_claim(ticket_id, sender_key) if is_stranger and sender_key else None
        if own and (theirs := self._ticket(own)):
            how = f"{how} says T-{ticket_id}, to which this sender may not write; earlier mail about it"
            ticket_id, ticket = own, theirs
            relation = self._relation(ticket_id, ticket, sender_key, sender)
        return ThreadMatch(
            ticket_id, ticket.closed, how, relation, named.keyed, named.account_id, ticket.changed_at
        )

    def _names(self, message: InboundMessage) -> Iterator[Named]:
        """Whatever names a ticket, the best first. That there is such a ticket is not said."""
        yield from self._named_by_token(message)
        yield from self._named_by_address(message)
        for message_id, header in claims_of(message).items():
            if message_id in self._threads:
                yield Named(self._threads[message_id], f"{header} <{message_id}>")
        for number, tag in self._tags.found_in(message.subject)[:SUBJECT_TAGS]:
            if number < 2**31:
                yield Named(number, f"subject tag {tag}")

    def _named_by_token(self, message: InboundMessage) -> Iterator[Named]:
        if self._reply_key is None:
            return
        for message_id, header in tokens_of(message).items():
            if token := reply_token.read_token(self._reply_key, message_id):
                yield Named(token.ticket_id, f"keyed token in {header}", True, token.account_id)

    def _named_by_address(self, message: InboundMessage) -> Iterator[Named]:
        """By an address of ours it was sent to, as Reply-To of our mail gives it out."""
        if self._reply_key is None:
            return
        for addr_spec, header in delivered_to(message):
            number = reply_address.ticket_of(self._reply_key, addr_spec)
            if number is not None and number < 2**31:
                yield Named(number, f"keyed address in {header}", True)

    def _merged(self, ticket_id: int) -> tuple[int, TicketFacts] | None:
        """That ticket, or the one it was joined into in the end; None where there is none."""
        ticket = self._ticket(ticket_id)
        for _ in range(MERGES):
            if ticket is None or ticket.merged_into_id is None:
                break
            ticket_id = ticket.merged_into_id
            ticket = self._ticket(ticket_id)
        return (ticket_id, ticket) if ticket else None

    def _relation(
        self, ticket_id: int, ticket: TicketFacts, sender_key: str | None, sender: KnownSender | None
    ) -> Relation:
        if _is_requester(ticket, sender_key, sender):
            return Relation.REQUESTER
        if sender_key and self._is_participant(ticket_id, sender_key):
            return Relation.PARTICIPANT
        if sender is not None and sender.company_id is not None and sender.company_id == ticket.company_id:
            return Relation.COLLEAGUE
        return Relation.NONE


def _sender_key(message: InboundMessage) -> str | None:
    return fold_addr_spec(message.sender.addr_spec) if message.sender.addr_spec else None


def doubtful_keys(message: InboundMessage) -> list[str]:
    """Of a From that names no single sender, everybody it names: who is blocked must not hide among them."""
    if message.sender.addr_spec:
        return []
    fields = [value for name, value in message.headers if name.lower() == "from"]
    return [fold_addr_spec(one.addr_spec) for one in parse_addresses(fields, DOUBTFUL)[0]]


def claims_of(message: InboundMessage) -> dict[str, str]:
    """The Message-IDs this message refers to, the newest first, each with the header that names it."""
    wanted: dict[str, str] = {}
    for header, ids in (("References", reversed(message.references)), ("In-Reply-To", message.in_reply_to)):
        for message_id in ids:
            wanted.setdefault(message_id[:MESSAGE_ID_LENGTH], header)
    return wanted


def tokens_of(message: InboundMessage) -> dict[str, str]:
    """Where a keyed token may stand, each with its header: what is answered first, then the newest."""
    ids: dict[str, str] = dict.fromkeys(message.in_reply_to, "In-Reply-To")
    return ids | {one: "References" for one in reversed(message.references) if one not in ids}


def delivered_to(message: InboundMessage) -> Iterator[tuple[str, str]]:
    """The addr-specs a message was sent to, each with the header that says so; some of very many."""
    for header, addresses in (("To", message.to), ("Cc", message.cc)):
        for address in addresses[:RECIPIENTS]:
            yield address.addr_spec, header
    for header in ("Delivered-To", "X-Original-To"):
        fields = [value for name, value in message.headers if name.lower() == header.lower()]
        for address in parse_addresses(fields, DOUBTFUL)[0]:
            yield address.addr_spec, header


def _of_user(user: sa.Row[str, int, str, int | None, bool], account: DeskAccount | None) -> KnownSender:
    """A user, who may work at the desk as well: then mail needs the proof a technician's does."""
    known = KnownSender(user.name, user_id=user.id, company_id=user.company_id)
    if account is None or not (account.enabled and account.is_staff):
        return known
    return replace(known, account_id=account.id, is_staff=True)


def _possibly_ours(batch: Sequence[tuple[InboundMessage, Identity]]) -> set[str]:
    """The messages' own ids, and those that delivery reports speak of."""
    own = {message.message_id for message, _ in batch if message.message_id}
    reported = {message.report.original_message_id for message, _ in batch if message.report}
    return own | {one for one in reported if one}


def _is_requester(ticket: TicketFacts, sender_key: str | None, sender: KnownSender | None) -> bool:
    if sender is not None and sender.user_id is not None and sender.user_id == ticket.requester_id:
        return True
    if sender is not None and sender.account_id is not None:
        return sender.account_id == ticket.requester_account_id
    nobody_known = ticket.requester_id is None and ticket.requester_account_id is None
    return nobody_known and bool(sender_key) and fold_addr_spec(ticket.requester_address or "") == sender_key
