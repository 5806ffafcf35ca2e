"""Thread claims: a ticket of its own for mail that names a ticket to which its sender may not write.

A person decides: join it to the ticket it names, refuse that, or block the sender. The ledger rows of its
messages keep what the parser decided, so a join is undone exactly: the entries go back whose message the
parser put here.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit, participants, sender_lists
from webapp.desk.participants import ParticipantRefused
from webapp.desk.sender_lists import ListRefused
from webapp.desk.ticket_log import say
from webapp.models import (
    Account,
    Entry,
    EntryKind,
    Inbound,
    SenderList,
    Ticket,
    TicketNotice,
    TicketStatus,
)

_MERGES = 10


class ClaimRefused(Exception):
    """Not done; the message is a sentence for people, and nothing was changed."""


def join(session: Session, claim: Ticket, *, as_participant: bool, now: datetime, actor: Account) -> Ticket:
    """Move its messages to the ticket it names, and close it. Returns that ticket. Raises ClaimRefused."""
    target = _target(session, claim)
    session.execute(
        sa.update(Entry)
        .where(Entry.ticket_id == claim.id, Entry.kind == EntryKind.MAIL, Entry.inbound_id.is_not(None))
        .values(ticket_id=target.id)
    )
    _let_take_part(session, claim, target, as_participant, now, actor)
    claim.merged_into_id, claim.notice, claim.status = target.id, None, TicketStatus.CLOSED
    say(session, claim, f"Joined to T-{target.id}. Its messages are there now.", now=now, actor=actor)
    say(session, target, f"T-{claim.id} was joined to this ticket.", now=now, actor=actor)
    target.status = TicketStatus.OPEN  # there is something new to read in it
    audit.record(
        session, now, actor.email, "claim.join", f"T-{claim.id}", into=f"T-{target.id}",
        participant=as_participant,
    )  # fmt: skip
    return target


def undo_join(session: Session, claim: Ticket, *, now: datetime, actor: Account) -> None:
    """Its messages come back, and the claim is open again. Participants stay. Raises ClaimRefused."""
    target = session.get(Ticket, claim.merged_into_id) if claim.merged_into_id else None
    if target is None:
        raise ClaimRefused("This ticket is not joined to another one any more.")
    of_claim = sa.select(Inbound.id).where(Inbound.ticket_id.in_(_with_joined(session, claim.id)))
    session.execute(  # wherever they are: the ticket may have been joined to another one since
        sa.update(Entry)
        .where(Entry.kind == EntryKind.MAIL, Entry.inbound_id.in_(of_claim))
        .values(ticket_id=claim.id)
    )
    claim.merged_into_id, claim.notice, claim.status = None, TicketNotice.CLAIM, TicketStatus.OPEN
    say(session, claim, f"No longer joined to T-{target.id}.", now=now, actor=actor)
    say(session, target, f"T-{claim.id} is no longer joined to this ticket.", now=now, actor=actor)
    audit.record(session, now, actor.email, "claim.undo-join", f"T-{claim.id}", into=f"T-{target.id}")


def refuse(session: Session, claim: Ticket, *, now: datetime, actor: Account) -> None:
    """It stays a ticket of its own; later mail of that sender about that ticket goes here. ClaimRefused."""
    _require_open_claim(claim)
    claim.notice = None
    sentence = f"Does not belong to T-{claim.claimed_ticket_id}: it stays a ticket of its own."
    say(session, claim, sentence, now=now, actor=actor)
    audit.record(
        session, now, actor.email, "claim.refuse", f"T-{claim.id}", claimed=f"T-{claim.claimed_ticket_id}"
    )


def block(session: Session, claim: Ticket, *, now: datetime, actor: Account) -> str:
    """Refuse it, close it, and put its sender on the block list. Returns the entry. Raises ClaimRefused."""
    _require_open_claim(claim)
    if not claim.requester_address:
        raise ClaimRefused("This mail names no single sender, so there is nobody to block. Refuse the claim.")
    try:
        rule = sender_lists.add(
            session, SenderList.BLOCK, claim.requester_address,
            note=f"Blocked from T-{claim.id}", now=now, actor=actor.email,
        )  # fmt: skip
    except ListRefused as error:
        raise ClaimRefused(str(error)) from error
    refuse(session, claim, now=now, actor=actor)
    claim.status = TicketStatus.CLOSED
    say(session, claim, f"{rule.value_key} is blocked: mail from there is ignored.", now=now, actor=actor)
    return rule.value_key


def evidence(session: Session, claim: Ticket) -> str:
    """What the parser saw when it made this ticket a claim."""
    query = sa.select(Inbound.saw).where(Inbound.ticket_id == claim.id).order_by(Inbound.id).limit(1)
    return session.scalar(query) or ""


def named_ticket(session: Session, ticket_id: int) -> Ticket | None:
    """That ticket, or the one it was joined to in the end, locked until the transaction ends."""
    target = session.get(Ticket, ticket_id, with_for_update=True)
    for _ in range(_MERGES):
        if target is None or target.merged_into_id is None:
            break
        target = session.get(Ticket, target.merged_into_id, with_for_update=True)
    return target


def _target(session: Session, claim: Ticket) -> Ticket:
    if claim.claimed_ticket_id is None:
        raise ClaimRefused("This ticket names no other ticket.")
    if claim.merged_into_id is not None:
        raise ClaimRefused(f"This ticket is joined to T-{claim.merged_into_id} already.")
    target = named_ticket(session, claim.claimed_ticket_id)
    if target is None or target.id == claim.id:
        raise ClaimRefused("The ticket it names is not there any more. Refuse the claim.")
    return target


def _with_joined(session: Session, ticket_id: int) -> set[int]:
    """The ticket and all whose messages are there because they were joined to it."""
    found = newest = {ticket_id}
    while newest:
        joined = session.scalars(sa.select(Ticket.id).where(Ticket.merged_into_id.in_(newest)))
        newest = set(joined) - found
        found = found | newest
    return found


def _require_open_claim(claim: Ticket) -> None:
    if claim.notice is not TicketNotice.CLAIM or claim.merged_into_id is not None:
        raise ClaimRefused("Somebody has decided about this ticket already. Look at the page again.")


def _let_take_part(
    session: Session, claim: Ticket, target: Ticket, wanted: bool, now: datetime, actor: Account
) -> None:
    if not wanted:
        return
    if not claim.requester_address:
        raise ClaimRefused("This mail names no single sender. Join it without adding a participant.")
    try:
        participants.add(
            session, target, claim.requester_address, name=claim.requester_name, now=now, actor=actor
        )
    except ParticipantRefused as error:
        raise ClaimRefused(f"{error} Join it without making the sender a participant.") from error
