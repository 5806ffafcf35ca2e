"""What a person does about a held message: join it to the ticket it names, or give it a ticket of its own;
refuse it; block its sender; and undo that.

The message is read outside of any transaction. Then its effect, the verdict, the row that says who did it
and the audit row are one transaction. Whether somebody has decided before is asked inside of it, so of two
clicks, tabs or people one decides and the other is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import held_mail, participants, sender_lists
from webapp.desk.claims import named_ticket
from webapp.desk.participants import ParticipantRefused
from webapp.desk.sender_lists import ListRefused
from webapp.desk.ticket_log import say
from webapp.inbound.again import by_hand, read_again, write_down
from webapp.inbound.apply import apply_again
from webapp.inbound.case import Decision, Facts
from webapp.inbound.received import Received
from webapp.inbound.stored import judge
from webapp.inbound.threads import Permission, Relation, ThreadMatch
from webapp.instance import Instance
from webapp.models import (
    Account,
    ActionKind,
    Attachment,
    Disposition,
    Entry,
    HeldMessage,
    HeldVerdict,
    Inbound,
    SenderList,
    Ticket,
    TicketNotice,
)

SPOOFED = "spoofed-sender"
BY_HAND_GENERATION = 2  # the parser's own entry would be 1
VERDICTS = {
    HeldVerdict.JOINED: "Joined to {ticket}",
    HeldVerdict.TICKET: "Given a ticket of its own, {ticket}",
    HeldVerdict.REFUSED: "Refused",
    HeldVerdict.BLOCKED: "Refused, and its sender blocked",
}


class HeldRefused(Exception):
    """Not done; the message is a sentence for people, and nothing was changed."""


class HeldSettled(HeldRefused):
    """Somebody else, or the same person in another tab, was quicker."""


class NotHeld(HeldRefused):
    """There is no such message in the queue, and never was."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A waiting message, locked, and where it belongs by its own words."""

    session: Session
    inbound: Inbound
    held: HeldMessage


def join(instance: Instance, inbound_id: int, *, as_participant: bool, now: datetime, actor: Account) -> int:
    """Add it to the ticket it names. Returns that ticket. Raises HeldRefused, AgainRefused, ParserDied."""
    received = _read(instance, inbound_id)
    with _deciding(instance, inbound_id) as case:
        target = named_ticket(case.session, case.held.claimed_ticket_id)
        if target is None:
            raise HeldRefused("The ticket it names is not there any more. Give it a ticket of its own.")
        if as_participant:
            _let_take_part(case, target, now, actor)
        facts, decision = judge(case.session, instance, received)
        wanted = by_hand(
            decision, f"{actor.email} joined it to T-{target.id}", disposition=Disposition.UPDATE,
            permission=Permission(True, "a person joined it"),
        )  # fmt: skip
        _apply(case, received, _naming(facts, target.id), wanted, now=now)
        who = case.inbound.from_addr or case.inbound.from_name or "somebody"
        say(case.session, target, f"Held mail of {who} was joined to this ticket.", now=now, actor=actor)
        _settle(case, HeldVerdict.JOINED, ActionKind.JOIN, wanted, ticket_id=target.id, now=now, actor=actor)
        return target.id


def make_ticket(instance: Instance, inbound_id: int, *, now: datetime, actor: Account) -> int:
    """A ticket of its own, as a refused claim has one: later mail of its sender about that ticket goes there.

    Returns it. Raises HeldRefused, AgainRefused, ParserDied.
    """
    received = _read(instance, inbound_id)
    with _deciding(instance, inbound_id) as case:
        session, claimed = case.session, case.held.claimed_ticket_id
        facts, decision = judge(session, instance, received)
        is_spoofed = case.inbound.rule == SPOOFED
        wanted = by_hand(decision, f"{actor.email} wanted a ticket", disposition=Disposition.CLAIM)
        if is_spoofed:  # of whoever wrote it nothing is known, whatever From says
            facts = dataclasses.replace(facts, sender=None)
        ticket_id = _apply(case, received, _naming(facts, claimed), wanted, now=now)
        ticket = session.get_one(Ticket, ticket_id)
        ticket.notice = TicketNotice.UNVERIFIED if is_spoofed else received.notice
        _settle(
            case, HeldVerdict.TICKET, ActionKind.CREATE_TICKET, wanted, ticket_id=ticket_id, now=now,
            actor=actor,
        )  # fmt: skip
        return ticket_id


def refuse(instance: Instance, inbound_id: int, *, now: datetime, actor: Account) -> None:
    """No ticket; the message stays in the archive and in the email log. Raises HeldRefused."""
    with _deciding(instance, inbound_id) as case:
        _settle(case, HeldVerdict.REFUSED, ActionKind.REFUSE, None, now=now, actor=actor)


def refuse_all(instance: Instance, inbound_ids: Sequence[int], *, now: datetime, actor: Account) -> int:
    """Of these whatever still waits; how many that were. One transaction."""
    with instance.database.writing() as session:
        waiting = [one for one in dict.fromkeys(inbound_ids) if held_mail.is_waiting(session, one)]
        refused = 0
        for inbound_id in sorted(waiting):
            if held_mail.settle(session, inbound_id, HeldVerdict.REFUSED, now=now, actor=actor.email):
                write_down(session, inbound_id, ActionKind.REFUSE, now=now, actor=actor.email)
                refused += 1
        return refused


def block(instance: Instance, inbound_id: int, *, now: datetime, actor: Account) -> str:
    """Refuse it, and put its sender on the block list. Returns the entry. Raises HeldRefused."""
    with _deciding(instance, inbound_id) as case:
        if not case.inbound.from_addr:
            raise HeldRefused("This mail names no single sender, so there is nobody to block. Refuse it.")
        try:
            rule = sender_lists.add(
                case.session, SenderList.BLOCK, case.inbound.from_addr, note=_block_note(inbound_id),
                now=now, actor=actor.email,
            )  # fmt: skip
        except ListRefused as error:
            raise HeldRefused(str(error)) from error
        _settle(case, HeldVerdict.BLOCKED, ActionKind.REFUSE, None, now=now, actor=actor)
        return rule.value_key


def undo(instance: Instance, inbound_id: int, *, now: datetime, actor: Account) -> None:
    """It waits for a decision again: out of the ticket it was joined to, its sender off the block list.

    A ticket of its own is not undone: it can be joined. Participants stay. Raises HeldRefused.
    """
    with instance.database.writing() as session:
        inbound, held = _load(session, inbound_id)
        if held.verdict is None:
            raise HeldSettled("This message waits for a decision already.")
        if held.verdict is HeldVerdict.TICKET:
            raise HeldRefused(f"It is in T-{inbound.ticket_id}. Join that ticket to another one instead.")
        if held.verdict is HeldVerdict.JOINED:
            _take_out(session, inbound, now, actor)
        if held.verdict is HeldVerdict.BLOCKED:
            _unblock(session, inbound, now, actor)
        held_mail.wait_again(session, inbound_id)
        write_down(session, inbound_id, ActionKind.HOLD, now=now, actor=actor.email)


def verdict_in_words(held: HeldMessage, ticket_id: int | None) -> str:
    """What was decided, "" where it waits."""
    return VERDICTS[held.verdict].format(ticket=f"T-{ticket_id}") if held.verdict else ""


def _read(instance: Instance, inbound_id: int) -> Received:
    """Only of one that waits: reading takes a process."""
    with instance.database.reading() as session:
        _require_waiting(*_load(session, inbound_id, lock=False))
    return read_again(instance, inbound_id)


@contextmanager
def _deciding(instance: Instance, inbound_id: int) -> Iterator[_Case]:
    with instance.database.writing() as session:
        inbound, held = _load(session, inbound_id)
        _require_waiting(inbound, held)
        yield _Case(session, inbound, held)


def _load(session: Session, inbound_id: int, *, lock: bool = True) -> tuple[Inbound, HeldMessage]:
    """The ledger's row first: whoever processes a message again locks it, too."""
    locked = lock or None  # PostgreSQL locks nothing in a transaction that only reads
    inbound = session.get(Inbound, inbound_id, with_for_update=locked)
    held = session.get(HeldMessage, inbound_id, with_for_update=locked) if inbound else None
    if inbound is None or held is None:
        raise NotHeld(f"There is no held message {inbound_id}.")
    return inbound, held


def _require_waiting(inbound: Inbound, held: HeldMessage) -> None:
    if held.verdict is not None:
        done = verdict_in_words(held, inbound.ticket_id)
        done = done[:1].lower() + done[1:]
        raise HeldSettled(f"{held.settled_by} has decided about this message already: {done}.")


def _naming(facts: Facts, ticket_id: int) -> Facts:
    """The ticket a person means, whatever the message would be taken to name today."""
    match = facts.thread
    how = match.how if match else "named when it came"
    return dataclasses.replace(facts, thread=ThreadMatch(ticket_id, False, how, Relation.NONE))


def _apply(case: _Case, received: Received, facts: Facts, decision: Decision, *, now: datetime) -> int:
    ticket_id = apply_again(
        case.session, received, facts, decision, inbound_id=case.inbound.id, generation=BY_HAND_GENERATION,
        now=now,
    )  # fmt: skip
    assert ticket_id is not None
    case.inbound.ticket_id = ticket_id
    return ticket_id


def _settle(
    case: _Case,
    verdict: HeldVerdict,
    kind: ActionKind,
    decision: Decision | None,
    *,
    ticket_id: int | None = None,
    now: datetime,
    actor: Account,
) -> None:
    held_mail.settle(case.session, case.inbound.id, verdict, now=now, actor=actor.email)
    write_down(
        case.session, case.inbound.id, kind, now=now, actor=actor.email, decision=decision,
        generation=BY_HAND_GENERATION if ticket_id is not None else None, ticket_id=ticket_id,
    )  # fmt: skip


def _let_take_part(case: _Case, target: Ticket, now: datetime, actor: Account) -> None:
    inbound = case.inbound
    if not inbound.from_addr:
        raise HeldRefused("This mail names no single sender. Join it without adding a participant.")
    try:
        participants.add(
            case.session, target, inbound.from_addr, name=inbound.from_name, now=now, actor=actor
        )
    except ParticipantRefused as error:
        raise HeldRefused(f"{error} Join it without making the sender a participant.") from error


def _take_out(session: Session, inbound: Inbound, now: datetime, actor: Account) -> None:
    """Its entry, wherever it is by now: everything in it is made of the octets again when it is wanted."""
    entry = session.scalar(
        sa.select(Entry).where(Entry.inbound_id == inbound.id, Entry.generation == BY_HAND_GENERATION)
    )
    inbound.ticket_id = None
    if entry is None:
        return
    ticket = session.get_one(Ticket, entry.ticket_id)
    session.execute(sa.delete(Attachment).where(Attachment.entry_id == entry.id))
    session.execute(sa.delete(Entry).where(Entry.id == entry.id))
    who = inbound.from_addr or inbound.from_name or "somebody"
    say(session, ticket, f"The mail of {who} is held again and no longer here.", now=now, actor=actor)


def _unblock(session: Session, inbound: Inbound, now: datetime, actor: Account) -> None:
    """The entry this very message put on the list, if it still stands there."""
    rule = sender_lists.find(session, SenderList.BLOCK, sender_lists.read_value(inbound.from_addr or ""))
    if rule is not None and rule.note == _block_note(inbound.id):
        sender_lists.remove(session, rule, now=now, actor=actor.email)


def _block_note(inbound_id: int) -> str:
    return f"Blocked from held message {inbound_id}"
