"""Facts of a dry run: what the messages before would have made counts as if it were in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from webapp.inbound.case import Decision, Facts
from webapp.inbound.fact_queries import Seen, TicketFacts
from webapp.inbound.facts import MESSAGE_ID_LENGTH, FactsReader, Identity, claims_of
from webapp.mail.message import InboundMessage
from webapp.models import Disposition

OPENS_A_TICKET = frozenset({Disposition.TICKET, Disposition.CLAIM, Disposition.QUARANTINED})


class Plan:
    """What was decided so far and written nowhere: it stands for the rows a run would have made.

    A row or a ticket that is only planned has a negative number: minus the position of its message.
    """

    def __init__(self) -> None:
        self.by_octets: dict[tuple[str, datetime], Seen] = {}
        self.by_content: dict[str, Seen] = {}
        self.threads: dict[str, int] = {}
        self.tickets: dict[int, TicketFacts] = {}
        self.claims: dict[tuple[int, str], int] = {}  # the claimed ticket and the sender's key


class PlanningReader(FactsReader):
    """Reads the facts of one batch out of the database and out of what is planned."""

    def __init__(
        self,
        session: Session,
        batch: Sequence[tuple[InboundMessage, Identity]],
        plan: Plan,
        *,
        loop_key: bytes | None = None,
    ) -> None:
        super().__init__(session, batch, loop_key=loop_key)
        self._plan = plan
        for message, identity in batch:
            self._add_planned(message, identity)

    def plan(
        self, position: int, message: InboundMessage, identity: Identity, facts: Facts, decision: Decision
    ) -> None:
        """What `decision` would make is found by the messages after this one."""
        ticket_id = self._planned_ticket(-position, message, facts, decision)
        about = ticket_id or (facts.earlier.ticket_id if facts.earlier else None)
        entry = message.message_id[:MESSAGE_ID_LENGTH] if ticket_id and message.message_id else None
        self.remember(identity, -position, about, entry)
        self._plan.by_octets.setdefault((identity.sha256, identity.received_at), (-position, about))
        if identity.fingerprint:
            self._plan.by_content.setdefault(identity.fingerprint, (-position, about))
        if entry and ticket_id:
            self._plan.threads[entry] = ticket_id

    def _planned_ticket(
        self, number: int, message: InboundMessage, facts: Facts, decision: Decision
    ) -> int | None:
        """The ticket the message would go to; a new one is kept under `number`."""
        if decision.disposition is Disposition.UPDATE:
            assert facts.thread is not None
            return facts.thread.ticket_id
        if decision.disposition not in OPENS_A_TICKET:
            return None
        sender = None if decision.rule == "spoofed-sender" else facts.sender
        self._plan.tickets[number] = TicketFacts(
            closed=False,
            requester_id=sender.user_id if sender else None,
            requester_account_id=sender.own_account_id if sender else None,
            company_id=sender.company_id if sender else None,
            requester_address=message.sender.addr_spec,
        )
        if decision.disposition is Disposition.CLAIM and facts.thread and facts.sender_key:
            self._plan.claims[facts.thread.ticket_id, facts.sender_key] = number
        return number

    def _add_planned(self, message: InboundMessage, identity: Identity) -> None:
        """As the tables would answer: of equal messages the earliest counts, of entries the newest."""
        octets, content = (identity.sha256, identity.received_at), identity.fingerprint
        if seen := self._plan.by_octets.get(octets):
            self._by_octets.setdefault(octets, seen)
        if content and (seen := self._plan.by_content.get(content)):
            self._by_content.setdefault(content, seen)
        for message_id in claims_of(message):
            if ticket_id := self._plan.threads.get(message_id):
                self._threads[message_id] = ticket_id

    def _ticket(self, ticket_id: int) -> TicketFacts | None:
        return self._plan.tickets.get(ticket_id) if ticket_id < 0 else super()._ticket(ticket_id)

    def _own_claim(self, ticket_id: int, sender_key: str) -> int | None:
        planned = self._plan.claims.get((ticket_id, sender_key))
        return planned or (super()._own_claim(ticket_id, sender_key) if ticket_id > 0 else None)

    def _is_participant(self, ticket_id: int, sender_key: str) -> bool:
        return ticket_id > 0 and super()._is_participant(ticket_id, sender_key)
