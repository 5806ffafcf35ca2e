"""Write what was decided: ticket or entry, ledger row and raw message, in the caller's transaction.

Plain INSERTs, not ORM objects: this is the hot path, and the unit of work costs more than the writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import brake, participants
from webapp.inbound import reports
from webapp.inbound.case import Decision, Facts
from webapp.inbound.received import Received, attachment_rows, derived, described, preview_of
from webapp.mail.message import InboundMessage
from webapp.models import (
    Attachment,
    Base,
    Disposition,
    Entry,
    EntryKind,
    HeldMessage,
    Inbound,
    Placement,
    RawMessage,
    Ticket,
    TicketNotice,
    TicketStatus,
)  # fmt: skip
from webapp.models.ticket import requester_key

# Built once: building them costs more than writing.
_TOUCH = (
    sa.update(Ticket)
    .where(Ticket.id == sa.bindparam("number"))
    .values(updated_at=sa.bindparam("now", type_=Ticket.updated_at.type))
)
_TOUCH_AND_OPEN = _TOUCH.values(status=TicketStatus.OPEN)


@dataclass(frozen=True, slots=True)
class Destination:
    """Which mailbox and epoch a message is of, and where it goes afterwards."""

    mailbox_id: int
    epoch: str
    archive: str
    ignored: str | None  # None: ignored mail stays in the inbox
    run_id: int | None = None  # the run that takes it in


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one message; `folder` is empty where it stays in the inbox."""

    inbound_id: int
    ticket_id: int | None
    entry_message_id: str | None  # the Message-ID of the entry it made, if it made one and has one
    disposition: Disposition
    rule: str
    folder: str


def apply(
    session: Session, received: Received, facts: Facts, decision: Decision, to: Destination, *, now: datetime
) -> Applied:
    """The effect of one decision. A row that is there already shows here (IntegrityError)."""
    assert decision.disposition is not None
    connection = session.connection()
    ticket_id = _write_ticket(connection, received, facts, decision, now)
    about = ticket_id or _about(facts, decision)
    row = _ledger_row(received, facts, decision, to, now) | {"ticket_id": about}
    inbound_id = _insert(connection, Inbound, row)
    _insert(
        connection,
        RawMessage,
        {
            "inbound_id": inbound_id,
            "compressed": received.compressed,
            "transport_headers": [list(pair) for pair in received.transport_headers],
        },
    )
    if ticket_id is not None:
        _write_entry(connection, received, decision, ticket_id, inbound_id, row)
        _bring_colleagues(session, received, decision, ticket_id, now)
    if decision.disposition is Disposition.UPDATE and ticket_id is not None:
        brake.brake_if_too_many(connection, ticket_id, row["from_addr"], now)
    if decision.disposition is Disposition.REPORT:
        reports.record(connection, received.message, facts, inbound_id, now)
    if decision.disposition is Disposition.HELD:
        _hold(connection, received.message, facts, inbound_id)
    made = row["message_id"] if ticket_id is not None else None
    return Applied(inbound_id, about, made, decision.disposition, decision.rule, row["folder"])


def apply_again(
    session: Session,
    received: Received,
    facts: Facts,
    decision: Decision,
    *,
    inbound_id: int,
    generation: int,
    into: int | None = None,
    now: datetime,
) -> int | None:
    """The effect of a decision about a message that has its ledger row already; that row is left alone.

    `into` is the ticket to fill where the decision makes one. Returns the ticket the message is in now, None
    where the decision has no effect. A generation that is there already shows here (IntegrityError).
    """
    connection = session.connection()
    if into is not None and decision.disposition in (Disposition.TICKET, Disposition.CLAIM):
        filled = _new_ticket(received, facts, decision, now)
        kept = {name: filled[name] for name in filled if name not in ("status", "created_at")}
        connection.execute(sa.update(Ticket).where(Ticket.id == into).values(kept))
        ticket_id: int | None = into
    else:
        ticket_id = _write_ticket(connection, received, facts, decision, now)
    if ticket_id is not None:
        row = described(received) | {"recorded_at": now}
        _write_entry(connection, received, decision, ticket_id, inbound_id, row, generation=generation)
        _bring_colleagues(session, received, decision, ticket_id, now)
    if decision.disposition is Disposition.REPORT:
        reports.record(connection, received.message, facts, inbound_id, now)
    if decision.disposition is Disposition.HELD:
        connection.execute(sa.delete(HeldMessage).where(HeldMessage.inbound_id == inbound_id))
        _hold(connection, received.message, facts, inbound_id)
    return ticket_id


def _bring_colleagues(
    session: Session, received: Received, decision: Decision, ticket_id: int, now: datetime
) -> None:
    named = [one.addr_spec for one in (*received.message.to, *received.message.cc)]
    if decision.brings_colleagues and named:
        participants.bring_colleagues(session, ticket_id, named, now=now)


def _hold(connection: sa.Connection, message: InboundMessage, facts: Facts, inbound_id: int) -> None:
    """It waits for a person, with what that person wants to see of it."""
    assert facts.thread is not None
    row = {
        "inbound_id": inbound_id,
        "claimed_ticket_id": facts.thread.ticket_id,
        "preview": preview_of(message),
        "settled_by": "",
    }
    connection.execute(sa.insert(HeldMessage.__table__), row)  # type: ignore[arg-type]  # it is a Table


def _about(facts: Facts, decision: Decision) -> int | None:
    """The ticket a message is about that adds nothing to it: its copy's, or that of what a report is of."""
    if decision.disposition is Disposition.REPORT:
        return facts.reported.ticket_id if facts.reported else None
    return facts.earlier.ticket_id if facts.earlier else None


def _insert(connection: sa.Connection, model: type[Base], values: dict[str, Any]) -> int:
    done = connection.execute(sa.insert(model.__table__), values)  # type: ignore[arg-type]  # it is a Table
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def _write_ticket(
    connection: sa.Connection, received: Received, facts: Facts, decision: Decision, now: datetime
) -> int | None:
    """The ticket this message goes to: one that exists, a new one, or none."""
    if decision.disposition is Disposition.UPDATE:
        assert facts.thread is not None
        # An answer to what the desk waited for, or to a ticket closed a few days ago, is work again.
        touch = _TOUCH_AND_OPEN if decision.reopens else _TOUCH
        connection.execute(touch, {"number": facts.thread.ticket_id, "now": now})
        return facts.thread.ticket_id
    if decision.disposition in (Disposition.TICKET, Disposition.CLAIM, Disposition.QUARANTINED):
        return _insert(connection, Ticket, _new_ticket(received, facts, decision, now))
    return None


def _new_ticket(received: Received, facts: Facts, decision: Decision, now: datetime) -> dict[str, Any]:
    message, thread = received.message, facts.thread
    is_spoofed = decision.rule == "spoofed-sender"  # nothing is known of who wrote it
    sender = None if is_spoofed else facts.sender
    address = (message.sender.addr_spec or "")[:320] or None
    is_claim = decision.disposition is Disposition.CLAIM
    is_follow_up = not is_claim and decision.rule == "thread"
    return {
        "subject": _new_subject(message.subject, facts),
        "status": TicketStatus.OPEN,
        "requester_id": sender.user_id if sender else None,
        "requester_account_id": sender.own_account_id if sender else None,
        "company_id": sender.company_id if sender else None,
        "requester_address": address,
        "requester_key": requester_key(address),
        "requester_name": (message.sender.display_name or message.sender.written)[:320],
        "notice": _notice(received, is_claim=is_claim, is_spoofed=is_spoofed),
        "claimed_ticket_id": thread.ticket_id if thread and is_claim else None,
        "follow_up_of_id": thread.ticket_id if thread and is_follow_up else None,
        "created_at": now,
        "updated_at": now,
    }


def _notice(received: Received, *, is_claim: bool, is_spoofed: bool) -> TicketNotice | None:
    if is_claim:
        return TicketNotice.CLAIM
    return TicketNotice.UNVERIFIED if is_spoofed else received.notice


def _new_subject(subject: str, facts: Facts) -> str:
    """A new ticket gets a tag of its own, so one that names another ticket must not stay in its subject."""
    bare = facts.bare_subject if facts.thread and facts.bare_subject is not None else subject
    return bare.strip()[:500] or "(no subject)"


def _ledger_row(
    received: Received, facts: Facts, decision: Decision, to: Destination, now: datetime
) -> dict[str, Any]:
    message, identity = received.message, received.identity
    folder = to.ignored if decision.disposition is Disposition.IGNORED else to.archive
    return described(received) | {
        "mailbox_id": to.mailbox_id,
        "epoch": to.epoch,
        "remote_key": received.ledger_key,
        "run_id": to.run_id,
        "size": received.size,
        "sha256": identity.sha256,
        "fingerprint": identity.fingerprint,
        "disposition": decision.disposition,
        "rule": decision.rule,
        "saw": decision.saw[:1000],
        "trace": [{"rule": s.rule, "fired": s.fired, "saw": s.saw[:1000]} for s in decision.trace],
        "defects": list(message.defects),
        "placement": Placement.LEFT if folder is None else Placement.PENDING_MOVE,
        "folder": folder or "",
        "duplicate_of_id": facts.earlier.inbound_id if facts.earlier else None,
        "recorded_at": now,
    }


def _write_entry(
    connection: sa.Connection,
    received: Received,
    decision: Decision,
    ticket_id: int,
    inbound_id: int,
    row: dict[str, Any],
    *,
    generation: int = 1,
) -> None:
    message, right = received.message, decision.permission
    entry_id = _insert(
        connection,
        Entry,
        {
            "ticket_id": ticket_id,
            "inbound_id": inbound_id,
            "generation": generation,
            "kind": EntryKind.NOTE if right and right.internal else EntryKind.MAIL,
            "account_id": right.account_id if right else None,
            "flag": right.flag if right else None,
            "from_addr": row["from_addr"],
            "from_name": row["from_name"],
            "message_id": row["message_id"],
            "body_text": message.body_text,
            "reply_text": message.reply_text,
            "body_html": message.body_html,
            **derived(message),
            "created_at": min(row["received_at"], row["recorded_at"]),  # a server's clock may be ahead
        },
    )
    if files := attachment_rows(received, entry_id):
        connection.execute(sa.insert(Attachment.__table__), files)  # type: ignore[arg-type]
