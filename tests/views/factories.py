"""Rows built directly through the models, each with the least a test has to say."""

from __future__ import annotations

import itertools
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from webapp.models import (
    Attachment,
    Company,
    Disposition,
    Entry,
    Inbound,
    MailboxIdentity,
    MailServer,
    Placement,
    PollRun,
    RawMessage,
    Ticket,
    TicketStatus,
    User,
    UserAddress,
)

NOW = datetime.now(UTC).replace(microsecond=0)
_numbers = itertools.count(1)


def make_company(session: Session, name: str = "Acme Ltd") -> Company:
    company = Company(name=name, name_key=name.casefold(), created_at=NOW)
    session.add(company)
    session.flush()
    return company


def make_user(
    session: Session,
    name: str = "Ann Lee",
    email: str = "ann@acme.example",
    company: Company | None = None,
) -> User:
    user = User(name=name, company=company, created_at=NOW)
    user.addresses = [UserAddress(addr_spec=email, addr_key=email.lower(), position=0)]
    session.add(user)
    session.flush()
    return user


def make_ticket(session: Session, subject: str = "Printer offline", **values: Any) -> Ticket:
    defaults: dict[str, Any] = {
        "status": TicketStatus.OPEN,
        "requester_address": "ann@acme.example",
        "created_at": NOW,
        "updated_at": NOW,
    }
    ticket = Ticket(subject=subject, **(defaults | values))
    session.add(ticket)
    session.flush()
    return ticket


def make_entry(
    session: Session, ticket: Ticket, body_text: str = "It does not print.", **values: Any
) -> Entry:
    defaults: dict[str, Any] = {
        "from_addr": "ann@acme.example",
        "from_name": "Ann Lee",
        "reply_text": body_text,
        "created_at": NOW,
    }
    entry = Entry(ticket_id=ticket.id, body_text=body_text, **(defaults | values))
    session.add(entry)
    session.flush()
    return entry


def make_attachment(session: Session, entry: Entry, filename: str = "photo.jpg", **values: Any) -> Attachment:
    defaults: dict[str, Any] = {
        "position": 0,
        "content_type": "image/jpeg",
        "size": 240_000,
        "sha256": "0" * 64,
    }
    attachment = Attachment(entry_id=entry.id, filename=filename, **(defaults | values))
    session.add(attachment)
    session.flush()
    return attachment


def make_incoming(session: Session, **values: Any) -> MailServer:
    """The incoming row, saved and active."""
    defaults: dict[str, Any] = {
        "active": True,
        "protocol": "imap",
        "tls_mode": "implicit",
        "host": "imap.example.com",
        "port": 993,
        "username": "help@example.com",
        "archive_folder": "Archive",
        "updated_at": NOW,
    }
    row = MailServer(row="incoming", **(defaults | values))
    session.add(row)
    session.flush()
    return row


def make_mailbox(session: Session, **values: Any) -> MailboxIdentity:
    """The mailbox the incoming row of `make_incoming` names."""
    defaults: dict[str, Any] = {
        "protocol": "imap",
        "host": "imap.example.com",
        "port": 993,
        "account": "help@example.com",
        "last_success_at": NOW,
    }
    mailbox = MailboxIdentity(**(defaults | values))
    session.add(mailbox)
    session.flush()
    return mailbox


def make_run(session: Session, mailbox: MailboxIdentity, **values: Any) -> PollRun:
    defaults: dict[str, Any] = {
        "started_at": NOW - timedelta(seconds=2),
        "finished_at": NOW,
        "trigger": "schedule",
        "counts": {"ticket": 2, "ignored": 1, "before_cutoff": 31},
    }
    run = PollRun(mailbox_id=mailbox.id, **(defaults | values))
    session.add(run)
    session.flush()
    return run


def make_inbound(session: Session, mailbox: MailboxIdentity, **values: Any) -> Inbound:
    number = next(_numbers)
    raw: bytes | None = values.pop("raw", None)
    defaults: dict[str, Any] = {
        "epoch": "INBOX/1700000000",
        "remote_key": str(number),
        "size": 4_321,
        "received_at": NOW,
        "sha256": f"{number:064x}",
        "message_id": f"{number}@acme.example",
        "from_addr": "ann@acme.example",
        "from_name": "Ann Lee",
        "subject": "Printer offline",
        "disposition": Disposition.TICKET,
        "rule": "new-ticket",
        "saw": "Ann Lee",
        "trace": [
            {"rule": "before-cutoff", "fired": False, "saw": "no date is set"},
            {"rule": "new-ticket", "fired": True, "saw": "Ann Lee"},
        ],
        "defects": [],
        "placement": Placement.ARCHIVED,
        "folder": "Archive",
        "recorded_at": NOW,
    }
    inbound = Inbound(mailbox_id=mailbox.id, **(defaults | values))
    session.add(inbound)
    session.flush()
    if raw is not None:
        session.add(RawMessage(inbound_id=inbound.id, compressed=zlib.compress(raw), transport_headers=[]))
        session.flush()
    return inbound
