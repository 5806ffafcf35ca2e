"""Tickets as the command line shows them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload, selectinload

from webapp.models import Account, Entry, Ticket


def tickets_as_dicts(session: Session, *, limit: int | None = None) -> list[dict[str, Any]]:
    """All tickets, the one last changed first."""
    query = (
        sa.select(Ticket)
        .options(joinedload(Ticket.requester), joinedload(Ticket.company))
        .order_by(Ticket.updated_at.desc(), Ticket.id.desc())
        .limit(limit)
    )
    accounts = _account_names(session)
    return [_head(ticket, accounts) for ticket in session.scalars(query)]


def ticket_as_dict(session: Session, number: int) -> dict[str, Any] | None:
    """One ticket with its entries, oldest first; None when there is no such ticket."""
    query = (
        sa.select(Ticket)
        .options(
            joinedload(Ticket.requester),
            joinedload(Ticket.company),
            selectinload(Ticket.entries).selectinload(Entry.attachments),
        )
        .where(Ticket.id == number)
    )
    ticket = session.scalar(query)
    if ticket is None:
        return None
    accounts = _account_names(session)
    return _head(ticket, accounts) | {"entries": [_entry(entry, accounts) for entry in ticket.entries]}


def _account_names(session: Session) -> dict[int, str]:
    return {row.id: row.email for row in session.execute(sa.select(Account.id, Account.email))}


def _head(ticket: Ticket, accounts: dict[int, str]) -> dict[str, Any]:
    requester = ticket.requester.name if ticket.requester else None
    if ticket.requester_account_id is not None:
        requester = accounts[ticket.requester_account_id]
    return {
        "number": ticket.id,
        "subject": ticket.subject,
        "status": ticket.status.value,
        "requester": requester,
        "sender": ticket.requester_address,
        "company": ticket.company.name if ticket.company else None,
        "notice": ticket.notice.value if ticket.notice else None,
        "claims": ticket.claimed_ticket_id,
        "follows": ticket.follow_up_of_id,
        "created_at": ticket.created_at,
        "updated_at": ticket.updated_at,
    }


def _entry(entry: Entry, accounts: dict[int, str]) -> dict[str, Any]:
    return {
        "kind": entry.kind.value,
        "sender": accounts[entry.account_id] if entry.account_id else entry.from_addr,
        "sender_name": entry.from_name,
        "at": entry.created_at,
        "message_id": entry.message_id,
        "text": entry.body_text,
        "reply_text": entry.reply_text,
        "attachments": [
            {"filename": file.filename, "content_type": file.content_type, "size": file.size,
             "inline": file.inline, "sha256": file.sha256}
            for file in entry.attachments
        ],
    }  # fmt: skip
