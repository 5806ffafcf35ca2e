"""A sentence in a ticket's conversation that says what a person changed about it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from webapp.models import Account, Entry, EntryKind, Ticket


def say(session: Session, ticket: Ticket, sentence: str, *, now: datetime, actor: Account) -> None:
    """The ticket counts as changed now."""
    session.add(
        Entry(
            ticket_id=ticket.id, kind=EntryKind.CHANGE, account_id=actor.id, body_text=sentence,
            reply_text=sentence, created_at=now,
        )
    )  # fmt: skip
    ticket.updated_at = now
    session.flush()
