"""What a person makes of a message after the parser has decided: process it again, or make a ticket anyway.

The message is read outside of any transaction. Then its effect, the row that says who did it and the audit
row are one transaction. A message gets one entry by hand at most: whether it has one is asked inside that
transaction, and UNIQUE(inbound_id, generation) says so where two processes ask at once. The ledger row
keeps what the parser decided; only its ticket is set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit, held_mail
from webapp.inbound.apply import apply_again
from webapp.inbound.case import Decision, Facts, Step
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.received import Received
from webapp.inbound.stored import judge, load_stored, understand
from webapp.inbound.threads import Permission
from webapp.instance import Instance
from webapp.models import (
    ActionKind,
    Disposition,
    Entry,
    EntryKind,
    HeldVerdict,
    Inbound,
    InboundAction,
    Ticket,
    TicketNotice,
    TicketStatus,
)

BY_HAND = "by-hand"  # the rule of a ticket that a person wanted
AUDIT_ACTIONS = {
    ActionKind.PROCESS_AGAIN: "message.process-again",
    ActionKind.CREATE_TICKET: "message.create-ticket",
    ActionKind.REPLAY: "message.replay",
    ActionKind.DISMISS: "message.dismiss",
    ActionKind.JOIN: "message.join",
    ActionKind.REFUSE: "message.refuse",
    ActionKind.HOLD: "message.hold-again",
}


class AgainRefused(Exception):
    """Not done; the message is a sentence for people, and nothing was changed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the message; `already`: it was in that ticket before, and nothing was changed now.

    `before` is what the parser had decided. `reopened`: the ticket had been closed and is open again.
    """

    ticket_id: int | None
    disposition: Disposition | None
    rule: str = ""
    saw: str = ""
    already: bool = False
    before: Disposition | None = None
    reopened: bool = False


def process_again(instance: Instance, inbound_id: int, *, now: datetime, actor: str) -> Outcome:
    """The rules once more, as the settings and the directory are now. Raises AgainRefused."""
    received = read_again(instance, inbound_id)
    if received.notice is TicketNotice.QUARANTINE:
        raise AgainRefused("This message still cannot be read. Nothing was changed.")
    return _act(instance, inbound_id, ActionKind.PROCESS_AGAIN, received, now=now, actor=actor)


def create_ticket(instance: Instance, inbound_id: int, *, now: datetime, actor: str) -> Outcome:
    """A ticket, whatever the rules say. Raises AgainRefused."""
    received = read_again(instance, inbound_id)
    return _act(instance, inbound_id, ActionKind.CREATE_TICKET, received, now=now, actor=actor)


def dismiss(session: Session, inbound: Inbound, *, now: datetime, actor: str) -> None:
    """A person has seen it: it needs no attention any more. Saying so twice does no harm."""
    if not was_dismissed(session, inbound.id):
        write_down(session, inbound.id, ActionKind.DISMISS, now=now, actor=actor)


def was_dismissed(session: Session, inbound_id: int) -> bool:
    found = sa.exists().where(
        InboundAction.inbound_id == inbound_id, InboundAction.kind == ActionKind.DISMISS
    )
    return bool(session.scalar(sa.select(found)))


def entry_by_hand(session: Session, inbound: Inbound) -> Entry | None:
    """The entry that leaves nothing to do again.

    Of a message that could not be read the parser's own entry is none, until it was understood again.
    """
    unread = inbound.disposition is Disposition.QUARANTINED and not _was_understood(session, inbound.id)
    first = 2 if unread else 1
    return session.scalar(
        sa.select(Entry)
        .where(Entry.inbound_id == inbound.id, Entry.generation >= first)
        .order_by(Entry.generation.desc())
        .limit(1)
    )


def _was_understood(session: Session, inbound_id: int) -> bool:
    """Whether somebody had its text written anew: that is done only of what could be read."""
    found = sa.exists().where(InboundAction.inbound_id == inbound_id, InboundAction.kind == ActionKind.REPLAY)
    return bool(session.scalar(sa.select(found)))


def write_down(
    session: Session,
    inbound_id: int,
    kind: ActionKind,
    *,
    now: datetime,
    actor: str,
    decision: Decision | None = None,
    generation: int | None = None,
    ticket_id: int | None = None,
) -> None:
    """Who did what to this message, for its page and for the audit."""
    session.add(
        InboundAction(
            inbound_id=inbound_id, kind=kind, at=now, actor=actor, generation=generation, ticket_id=ticket_id,
            disposition=decision.disposition if decision else None,
            rule=decision.rule if decision else "",
            trace=_as_json(decision.trace) if decision else [],
        )
    )  # fmt: skip
    audit.record(
        session, now, actor, AUDIT_ACTIONS[kind], f"message {inbound_id}", ticket=ticket_id,
        rule=decision.rule if decision else None,
    )  # fmt: skip


def read_again(instance: Instance, inbound_id: int) -> Received:
    """The message out of its octets, as it is understood today. Raises AgainRefused, ParserDied."""
    stored = load_stored(instance, inbound_id)
    if stored is None:
        raise AgainRefused("The original of this message is no longer kept, so it cannot be processed again.")
    with ParserProcess() as parser:
        return understand(parser, stored, limit_mb=instance.settings.max_message_mb)


def _act(
    instance: Instance, inbound_id: int, kind: ActionKind, received: Received, *, now: datetime, actor: str
) -> Outcome:
    try:
        with instance.database.writing() as session:
            inbound = session.get_one(Inbound, inbound_id, with_for_update=True)
            if done := _done_already(session, inbound):
                return done
            facts, decision = judge(session, instance, received)
            if kind is ActionKind.CREATE_TICKET:
                decision = by_hand(decision, f"{actor} wanted a ticket")
            return _take_effect(session, inbound, kind, received, facts, decision, now=now, actor=actor)
    except sa.exc.IntegrityError as error:  # another process did it at the same moment
        with instance.database.reading() as session:
            if done := _done_already(session, session.get_one(Inbound, inbound_id)):
                return done
        raise AgainRefused("Somebody else did the same at this moment. Look at the page again.") from error


def _done_already(session: Session, inbound: Inbound) -> Outcome | None:
    entry = entry_by_hand(session, inbound)
    return Outcome(entry.ticket_id, inbound.disposition, already=True) if entry else None


def by_hand(
    decision: Decision,
    saw: str,
    *,
    disposition: Disposition = Disposition.TICKET,
    permission: Permission | None = None,
) -> Decision:
    """What a person wants instead of what the rules came to; they are kept, as looked at."""
    step = Step(BY_HAND, True, saw)
    return dataclasses.replace(
        decision,
        disposition=disposition,
        rule=BY_HAND,
        saw=step.saw,
        permission=permission,
        brings_colleagues=False,
        trace=(*(dataclasses.replace(looked, fired=False) for looked in decision.trace), step),
    )


def _take_effect(
    session: Session,
    inbound: Inbound,
    kind: ActionKind,
    received: Received,
    facts: Facts,
    decision: Decision,
    *,
    now: datetime,
    actor: str,
) -> Outcome:
    quarantine = inbound.ticket_id if inbound.disposition is Disposition.QUARANTINED else None
    generation = 2  # the parser's own is 1, and a message has at most one by hand
    ticket_id = apply_again(
        session, received, facts, decision,
        inbound_id=inbound.id, generation=generation, into=quarantine, now=now,
    )  # fmt: skip
    if ticket_id is not None:
        inbound.ticket_id = ticket_id
        verdict = HeldVerdict.JOINED if decision.disposition is Disposition.UPDATE else HeldVerdict.TICKET
        held_mail.settle(session, inbound.id, verdict, now=now, actor=actor)
    reopened = False
    if quarantine is not None and ticket_id == quarantine:
        reopened = _reopen(session, quarantine, now)
    elif quarantine is not None:
        _close_quarantine(session, quarantine, _why_closed(ticket_id), now)
    write_down(
        session, inbound.id, kind, now=now, actor=actor, decision=decision,
        generation=generation if ticket_id is not None else None, ticket_id=ticket_id,
    )  # fmt: skip
    return Outcome(
        ticket_id, decision.disposition, decision.rule, decision.saw,
        before=inbound.disposition, reopened=reopened,
    )  # fmt: skip


def _why_closed(ticket_id: int | None) -> str:
    if ticket_id is None:
        return "The message could be read now, and the rules make no ticket of it. The email log says why."
    return f"The message could be read now and is in T-{ticket_id}."


def _close_quarantine(session: Session, ticket_id: int, sentence: str, now: datetime) -> None:
    """The ticket that only held the raw mail has done its work."""
    ticket = session.get_one(Ticket, ticket_id)
    if ticket.status is not TicketStatus.CLOSED:
        _set_status(session, ticket, TicketStatus.CLOSED, sentence, now)


def _reopen(session: Session, ticket_id: int, now: datetime) -> bool:
    """What nobody could read until now is in this ticket: it is no finished one. Whether it was."""
    ticket = session.get_one(Ticket, ticket_id, populate_existing=True)
    if ticket.status is not TicketStatus.CLOSED:
        return False
    sentence = "The message could be read now, so this ticket is open again."
    _set_status(session, ticket, TicketStatus.OPEN, sentence, now)
    return True


def _set_status(session: Session, ticket: Ticket, status: TicketStatus, sentence: str, now: datetime) -> None:
    """The new status, and why, in the ticket's conversation."""
    ticket.status, ticket.updated_at = status, now
    session.add(
        Entry(
            ticket_id=ticket.id, kind=EntryKind.CHANGE, from_name="Email parser", body_text=sentence,
            reply_text=sentence, created_at=now,
        )
    )  # fmt: skip


def _as_json(trace: Sequence[Step]) -> list[dict[str, object]]:
    return [{"rule": step.rule, "fired": step.fired, "saw": step.saw[:1000]} for step in trace]
