"""Judging messages of an inbox as a run would, and writing nothing.

The same facts and the same rules as `InboxRun`, in the order in which a run would come to the messages.
What a run would have written by then is kept in a `Plan`, so that a reply finds the ticket that a message
before it would open, and a copy finds its original.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import options
from webapp.desk.mail_identity import find_mailbox
from webapp.desk.mail_servers import Draft
from webapp.inbound import ledger
from webapp.inbound.case import Decision, Facts, Step
from webapp.inbound.decide import decide
from webapp.inbound.inbox import policy_of
from webapp.inbound.judging import judge_or_quarantine
from webapp.inbound.plan import Plan, PlanningReader
from webapp.inbound.received import Received
from webapp.inbound.returned import Returned, find_returned
from webapp.instance import Instance
from webapp.mail.message import InboundMessage
from webapp.mailserver.base import RemoteMessage
from webapp.models import Disposition, Inbound, Placement


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """What would become of one message.

    `disposition` is None for a message before the date: it is left alone. `ticket_id` is the ticket it is
    about: it would be added to it, says it belongs to it, follows it (a closed one) or is in it already;
    `planned_of` says the same of a ticket that does not exist yet, by the position of the message that would
    open it. Both are None for a new ticket that is about nothing else. `placed`: the message was processed
    before, and the ledger says it is there; disposition, rule and trace are those of that time.
    """

    position: int  # 1 is the first message a run would come to
    key: str
    received_at: datetime  # INTERNALDATE / receivedDateTime, UTC
    size: int  # octets as listed
    from_addr: str | None
    from_name: str
    subject: str
    disposition: Disposition | None
    rule: str
    saw: str
    trace: tuple[Step, ...]
    ticket_id: int | None = None
    planned_of: int | None = None
    placed: Placement | None = None

    @property
    def stays(self) -> bool:
        """Whether a run would leave the message as it is: unread, in the inbox."""
        return self.disposition is None or self.placed is Placement.LEFT


class DryRun:
    """One dry run over the mailbox that a draft names: what it goes by, and what was planned so far."""

    def __init__(
        self, instance: Instance, wanted: Draft, server_epoch: str | None, *, keys_are_for_ever: bool = False
    ) -> None:
        """Without `server_epoch` a ledger row is known by its key, size and time of receipt together.

        With `keys_are_for_ever` the key alone is enough; what was moved and is here was put back.
        """
        self._for_ever = keys_are_for_ever
        self._returned: dict[str, Returned] = {}
        self._database = instance.database
        self._plan = Plan()
        self._rebound: set[int] = set()
        self.limit_mb = instance.settings.max_message_mb
        with self._database.reading() as session:
            identity = find_mailbox(session, wanted.values)
            self.policy = policy_of(session, wanted.values)
            self.ignored_mail = options.ignored_mail(session)
            self._loop_key = options.loop_key(session, instance.vault)
        self._mailbox_id = identity.id if identity else None
        self._server_epoch, self._generation = server_epoch, identity.epoch_generation if identity else 0

    @property
    def _is_this_epoch(self) -> sa.ColumnElement[bool]:
        if self._server_epoch is None:
            return sa.true()
        return Inbound.epoch == ledger.epoch_name(self._server_epoch, self._generation)

    def is_before_cutoff(self, listed: RemoteMessage) -> bool:
        return self.policy.cutoff is not None and listed.received_at < self.policy.cutoff

    def known(self, listed: Collection[RemoteMessage]) -> dict[str, Inbound]:
        """The ledger's rows of these messages, by key; those a run would pass over or only move.

        A row that is still to be moved is moved before anything else, whatever the date says.
        """
        if self._mailbox_id is None:
            return {}
        query = sa.select(Inbound).where(
            Inbound.mailbox_id == self._mailbox_id,
            self._is_this_epoch,
            Inbound.remote_key.in_([message.key for message in listed]),
        )
        with self._database.reading() as session:
            rows = {row.remote_key: row for row in session.scalars(query.order_by(Inbound.id))}
            if self._for_ever and self._server_epoch is not None:
                now = datetime.now(UTC)
                epoch = ledger.epoch_name(self._server_epoch, self._generation)
                self._returned |= find_returned(session, self._mailbox_id, epoch, rows, now)
        return {
            message.key: rows[message.key]
            for message in listed
            if message.key in rows and self._holds(message, rows[message.key])
        }

    def _holds(self, listed: RemoteMessage, row: Inbound) -> bool:
        if listed.key in self._returned:  # a run would take it for a duplicate
            return False
        if self._server_epoch is None and not self._for_ever and not _is_same(listed, row):
            return False
        return _is_pending(row) or not self.is_before_cutoff(listed)

    def void_epoch_if_other(self, listed: Collection[RemoteMessage], known: Mapping[str, Inbound]) -> None:
        """A known key that is another message now makes a run take every key for new; so does this."""
        if self._for_ever:
            return
        for message in listed:
            row = known.get(message.key)
            if row is not None and not _is_pending(row) and not _is_same(message, row):
                self._generation += 1
                return

    def judge(self, batch: Sequence[Received], positions: Mapping[str, int]) -> list[PreviewRow]:
        """What would become of each, in this order. `positions`: 1 is the first message of all."""
        with self._database.reading() as session:
            void = self._void_rows(session, batch)
            asked = [(received.message, received.identity) for received in batch]
            reader = PlanningReader(session, asked, self._plan, loop_key=self._loop_key)
            rows = []
            for received in batch:
                position = positions[received.key]
                if pending := self._rebind(void, received):
                    listed = RemoteMessage(received.key, received.size, received.identity.received_at)
                    rows.append(known_row(position, listed, pending))
                else:
                    rows.append(self._judge(reader, position, received))
            return rows

    def leave_alone(self, position: int, listed: RemoteMessage, message: InboundMessage) -> PreviewRow:
        """A message before the date; what it says is for showing only."""
        decision = decide(message, listed.received_at, self.policy, Facts())
        return _row(position, listed, message, decision, None)

    def _judge(self, reader: PlanningReader, position: int, received: Received) -> PreviewRow:
        received = replace(received, returned=self._returned.get(received.key))
        judged = judge_or_quarantine(reader, received, self.policy)
        message, identity = judged.received.message, judged.received.identity
        if judged.decision.disposition is not None:
            reader.plan(position, message, identity, judged.facts, judged.decision)
        listed = RemoteMessage(received.key, received.size, identity.received_at)
        return _row(position, listed, message, judged.decision, _about(judged.facts, judged.decision))

    def _void_rows(self, session: Session, batch: Sequence[Received]) -> list[Inbound]:
        """Rows of an earlier epoch, in the inbox when last heard of, that may be messages of this batch."""
        if self._mailbox_id is None:
            return []
        query = sa.select(Inbound).where(
            Inbound.mailbox_id == self._mailbox_id,
            ~self._is_this_epoch,
            Inbound.placement.in_([Placement.PENDING_MOVE, Placement.LEFT]),
            Inbound.sha256.in_([received.identity.sha256 for received in batch]),
        )
        return [row for row in session.scalars(query.order_by(Inbound.id)) if row.id not in self._rebound]

    def _rebind(self, void: list[Inbound], received: Received) -> Inbound | None:
        """The row that is this message under its old key: a run would only finish what it began."""
        identity = received.identity
        for row in void:
            if (row.sha256, row.received_at) == (identity.sha256, identity.received_at):
                void.remove(row)
                self._rebound.add(row.id)
                return row
        return None


def known_row(position: int, listed: RemoteMessage, row: Inbound) -> PreviewRow:
    """A message that was processed before, as the ledger tells of it."""
    return PreviewRow(
        position=position,
        key=listed.key,
        received_at=listed.received_at,
        size=listed.size,
        from_addr=row.from_addr,
        from_name=row.from_name,
        subject=row.subject,
        disposition=row.disposition,
        rule=row.rule,
        saw=row.saw,
        trace=tuple(Step(**step) for step in row.trace),
        ticket_id=row.ticket_id,
        placed=row.placement,
    )


def _row(
    position: int, listed: RemoteMessage, message: InboundMessage, decision: Decision, about: int | None
) -> PreviewRow:
    """Texts as long as the ledger would keep them."""
    sender = message.sender
    return PreviewRow(
        position=position,
        key=listed.key,
        received_at=listed.received_at,
        size=listed.size,
        from_addr=(sender.addr_spec or "")[:320] or None,
        from_name=(sender.display_name or sender.written)[:320],
        subject=message.subject[:500],
        disposition=decision.disposition,
        rule=decision.rule,
        saw=decision.saw[:1000],
        trace=tuple(Step(step.rule, step.fired, step.saw[:1000]) for step in decision.trace),
        ticket_id=about if about is not None and about > 0 else None,
        planned_of=-about if about is not None and about < 0 else None,
    )


def _about(facts: Facts, decision: Decision) -> int | None:
    """The ticket a decision is about; one that is only planned is negative."""
    if decision.disposition is Disposition.DUPLICATE:
        return facts.earlier.ticket_id if facts.earlier else None
    naming = (Disposition.CLAIM, Disposition.HELD)
    if decision.rule in ("thread", "thread-claim") or decision.disposition in naming:
        return facts.thread.ticket_id if facts.thread else None
    if decision.disposition is Disposition.REPORT:
        return facts.reported.ticket_id if facts.reported else None
    return None


def _is_pending(row: Inbound) -> bool:
    return row.placement is Placement.PENDING_MOVE


def _is_same(listed: RemoteMessage, row: Inbound) -> bool:
    return (row.size, row.received_at) == (listed.size, listed.received_at)
