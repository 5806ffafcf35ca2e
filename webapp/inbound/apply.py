"""Write what was decided: ticket or entry, ledger row and raw message, in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from webapp.inbound.decide import Decision, Facts
from webapp.inbound.facts import MESSAGE_ID_LENGTH, Identity
from webapp.mail.message import InboundMessage
from webapp.mail.references import strip_ticket_tag
from webapp.models import (
    Attachment,
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


def apply(
    session: Session, received: Received, facts: Facts, decision: Decision, to: Destination, *, now: datetime
) -> Inbound:
    """The effect of one decision, flushed: a conflict shows here (IntegrityError), not at the commit."""
    assert decision.disposition is not None
    ticket = _ticket_for(session, received, facts, decision, now)
    inbound = _ledger_row(received, facts, decision, to, now)
    inbound.ticket_id = ticket.id if ticket else (facts.earlier.ticket_id if facts.earlier else None)
    session.add(inbound)
    session.flush()
    session.add(
        RawMessage(
            inbound_id=inbound.id,
            compressed=received.compressed,
            transport_headers=[list(pair) for pair in received.transport_headers],
        )
    )
    if ticket is not None:
        session.add(_entry(received, ticket, inbound))
    session.flush()
    return inbound


def _ticket_for(
    session: Session, received: Received, facts: Facts, decision: Decision, now: datetime
) -> Ticket | None:
    """The ticket this message goes to: one that exists, a new one, or none."""
    if decision.disposition is Disposition.UPDATE:
        assert facts.thread is not None
        ticket = session.get_one(Ticket, facts.thread.ticket_id)
        ticket.updated_at = now
        if ticket.status is TicketStatus.WAITING:
            ticket.status = TicketStatus.OPEN
        return ticket
    if decision.disposition in (Disposition.TICKET, Disposition.CLAIM, Disposition.QUARANTINED):
        ticket = _new_ticket(received, facts, decision, now)
        session.add(ticket)
        session.flush()
        return ticket
    return None


def _new_ticket(received: Received, facts: Facts, decision: Decision, now: datetime) -> Ticket:
    message, sender, thread = received.message, facts.sender, facts.thread
    ticket = Ticket(
        subject=_new_subject(message.subject, facts),
        status=TicketStatus.OPEN,
        requester_id=sender.user_id if sender else None,
        requester_account_id=sender.account_id if sender else None,
        company_id=sender.company_id if sender else None,
        requester_address=(message.sender.addr_spec or "")[:320] or None,
        requester_name=(message.sender.display_name or message.sender.written)[:320],
        notice=received.notice,
        created_at=now,
        updated_at=now,
    )
    if decision.disposition is Disposition.CLAIM and thread is not None:
        ticket.notice, ticket.claimed_ticket_id = TicketNotice.CLAIM, thread.ticket_id
    elif decision.rule == "thread" and thread is not None:
        ticket.follow_up_of_id = thread.ticket_id
    return ticket


def _new_subject(subject: str, facts: Facts) -> str:
    """A new ticket gets a tag of its own, so one that names another ticket must not stay in its subject."""
    bare = strip_ticket_tag(subject) if facts.thread else subject
    return bare.strip()[:500] or "(no subject)"


def _ledger_row(
    received: Received, facts: Facts, decision: Decision, to: Destination, now: datetime
) -> Inbound:
    message, identity = received.message, received.identity
    ignored = decision.disposition is Disposition.IGNORED
    folder = to.ignored if ignored else to.archive
    return Inbound(
        mailbox_id=to.mailbox_id,
        epoch=to.epoch,
        remote_key=received.key,
        size=received.size,
        received_at=identity.received_at,
        sha256=identity.sha256,
        fingerprint=identity.fingerprint,
        message_id=message.message_id[:MESSAGE_ID_LENGTH] if message.message_id else None,
        from_addr=(message.sender.addr_spec or "")[:320] or None,
        from_name=(message.sender.display_name or message.sender.written)[:320],
        subject=message.subject[:500],
        disposition=decision.disposition,
        rule=decision.rule,
        saw=decision.saw[:1000],
        trace=[{"rule": step.rule, "fired": step.fired, "saw": step.saw[:1000]} for step in decision.trace],
        defects=list(message.defects),
        placement=Placement.LEFT if folder is None else Placement.PENDING_MOVE,
        folder=folder or "",
        duplicate_of_id=facts.earlier.inbound_id if facts.earlier else None,
        recorded_at=now,
    )


def _entry(received: Received, ticket: Ticket, inbound: Inbound) -> Entry:
    message = received.message
    return Entry(
        ticket_id=ticket.id,
        inbound_id=inbound.id,
        kind=EntryKind.MAIL,
        from_addr=inbound.from_addr,
        from_name=inbound.from_name,
        message_id=inbound.message_id,
        body_text=message.body_text,
        reply_text=message.reply_text,
        body_html=message.body_html,
        created_at=inbound.received_at,
        attachments=_attachments(received, inbound),
    )


def _attachments(received: Received, inbound: Inbound) -> list[Attachment]:
    files = [
        Attachment(
            position=info.position, filename=info.filename[:200], content_type=info.content_type[:200],
            size=info.size, inline=info.inline, sha256=info.sha256,
            content_id=info.content_id[:255] if info.content_id else None,
        )
        for info in received.message.attachments
    ]  # fmt: skip
    if received.notice is TicketNotice.QUARANTINE:
        whole = Attachment(
            position=RAW_MESSAGE, filename="message.eml", content_type="message/rfc822",
            size=received.raw_size, sha256=inbound.sha256,
        )  # fmt: skip
        return [whole]
    return files
