"""Write what was decided: ticket or entry, ledger row and raw message, in the caller's transaction.

Plain INSERTs, not ORM objects: this is the hot path, and the unit of work costs more than the writing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import brake
from webapp.inbound import reports
from webapp.inbound.decide import Decision, Facts
from webapp.inbound.facts import MESSAGE_ID_LENGTH, Identity
from webapp.mail.message import AttachmentInfo, InboundMessage
from webapp.mail.references import strip_ticket_tag
from webapp.models import (
    Attachment,
    Base,
    Disposition,
    Entry,
    EntryKind,
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
RAW_MESSAGE = -1  # position of an attachment that is the whole message itself


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came: its place in the mailbox, its octets, and how it was understood."""

    key: str
    size: int  # as listed
    identity: Identity
    compressed: bytes = field(repr=False)  # zlib, made before the transaction
    transport_headers: tuple[tuple[str, str], ...]
    message: InboundMessage
    raw_size: int
    notice: TicketNotice | None = None  # what a technician should know before reading


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
    if decision.disposition is Disposition.UPDATE and ticket_id is not None:
        brake.brake_if_too_many(connection, ticket_id, row["from_addr"], now)
    if decision.disposition is Disposition.REPORT:
        reports.record(connection, received.message, facts, inbound_id, now)
    made = row["message_id"] if ticket_id is not None else None
    return Applied(inbound_id, about, made, decision.disposition, row["folder"])


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
    if decision.disposition is Disposition.REPORT:
        reports.record(connection, received.message, facts, inbound_id, now)
    return ticket_id


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
    bare = strip_ticket_tag(subject) if facts.thread else subject
    return bare.strip()[:500] or "(no subject)"


def _ledger_row(
    received: Received, facts: Facts, decision: Decision, to: Destination, now: datetime
) -> dict[str, Any]:
    message, identity = received.message, received.identity
    folder = to.ignored if decision.disposition is Disposition.IGNORED else to.archive
    return described(received) | {
        "mailbox_id": to.mailbox_id,
        "epoch": to.epoch,
        "remote_key": received.key,
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


def described(received: Received) -> dict[str, Any]:
    """What the ledger and the entry both say about a message, cut to what their columns hold."""
    message = received.message
    return {
        "received_at": received.identity.received_at,
        "message_id": message.message_id[:MESSAGE_ID_LENGTH] if message.message_id else None,
        "from_addr": (message.sender.addr_spec or "")[:320] or None,
        "from_name": (message.sender.display_name or message.sender.written)[:320],
        "subject": message.subject[:500],
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


def derived(message: InboundMessage) -> dict[str, Any]:
    """What else of a message its entry shows."""
    people = {"to": message.to, "cc": message.cc, "reply_to": message.reply_to}
    return {
        "recipients": {
            field: [[one.display_name, one.addr_spec] for one in addresses]
            for field, addresses in people.items()
        },
        "invitation": asdict(message.invitation) if message.invitation else None,
        "protection": message.protection or None,
    }


def attachment_rows(received: Received, entry_id: int) -> list[dict[str, Any]]:
    """The attachment table's rows for this message's entry."""
    if received.notice is TicketNotice.QUARANTINE:
        whole = AttachmentInfo(
            position=RAW_MESSAGE, filename="message.eml", content_type="message/rfc822",
            size=received.raw_size, inline=False, content_id=None, sha256=received.identity.sha256,
        )  # fmt: skip
        return [_attachment(whole, entry_id)]
    return [_attachment(info, entry_id) for info in received.message.attachments]


def _attachment(info: AttachmentInfo, entry_id: int) -> dict[str, Any]:
    return {
        "entry_id": entry_id,
        "position": info.position,
        "filename": info.filename[:200],
        "content_type": info.content_type[:200],
        "size": info.size,
        "inline": info.inline,
        "content_id": info.content_id[:255] if info.content_id else None,
        "sha256": info.sha256,
    }
