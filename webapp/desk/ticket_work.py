"""Work on a ticket: its status, who has it, internal notes.

Each change writes an entry that says so, an audit row and the ticket's time into the caller's transaction.
A form says what it saw; where that is no longer so, nothing is overwritten. Saying what already is so
writes nothing, so sending a form twice does no harm.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit
from webapp.models import Account, Entry, EntryKind, Role, Ticket, TicketStatus

POOL = "Ticket pool"  # nobody's yet
MAX_NOTE_CHARACTERS = 50_000
SAME_NOTE_WITHIN = timedelta(minutes=2)  # the same words again are the same form sent again
_DROPPED = ("Cc", "Cs")  # control characters, and halves of characters no database takes


class WorkRefused(Exception):
    """Refused; the message is a sentence for people, and nothing was changed."""


class ChangedMeanwhile(WorkRefused):
    """Somebody else changed it since the form was opened."""


def load(session: Session, number: int) -> Ticket | None:
    """The ticket, kept from other writers until this transaction ends."""
    return session.get(Ticket, number, with_for_update=True)


def assignable(session: Session) -> list[Account]:
    """Who may have tickets, by name."""
    return list(
        session.scalars(
            sa.select(Account)
            .where(Account.enabled, Account.role.in_((Role.TECHNICIAN, Role.ADMINISTRATOR)))
            .order_by(sa.func.lower(Account.name), Account.id)
        )
    )


def set_status(
    session: Session,
    ticket: Ticket,
    wanted: TicketStatus,
    *,
    seen: TicketStatus,
    now: datetime,
    actor: Account,
) -> str:
    """The sentence written, "" where it was so already. Raises ChangedMeanwhile."""
    before = ticket.status
    if before is wanted:
        return ""
    if before is not seen:
        raise ChangedMeanwhile(
            f"The status was changed to {_word(before)} in the meantime. Your choice was not saved."
        )
    ticket.status = wanted
    sentence = f"Status: {_word(before)} → {_word(wanted)}"
    _write(session, ticket, EntryKind.CHANGE, sentence, now, actor)
    audit.record(
        session, now, actor.email, "ticket.status", f"T-{ticket.id}", before=before.value, after=wanted.value
    )
    return sentence


def set_assignee(
    session: Session, ticket: Ticket, wanted: int | None, *, seen: int | None, now: datetime, actor: Account
) -> str:
    """The sentence written, "" where it was so already. Raises ChangedMeanwhile or WorkRefused."""
    before = ticket.assignee
    if ticket.assignee_id == wanted:
        return ""
    if ticket.assignee_id != seen:
        raise ChangedMeanwhile(
            f"The ticket was assigned to {_name(before)} in the meantime. Your choice was not saved."
        )
    after = _find_assignable(session, wanted)
    ticket.assignee = after
    sentence = f"Assigned: {_name(before)} → {_name(after)}"
    _write(session, ticket, EntryKind.CHANGE, sentence, now, actor)
    audit.record(
        session, now, actor.email, "ticket.assign", f"T-{ticket.id}",
        before=before.email if before else None, after=after.email if after else None,
    )  # fmt: skip
    return sentence


def add_note(session: Session, ticket: Ticket, text: str, *, now: datetime, actor: Account) -> Entry | None:
    """The new entry, None where these words were just written. Raises WorkRefused."""
    text = _clean(text)
    if not text:
        raise WorkRefused("Write something first. The note is empty.")
    if len(text) > MAX_NOTE_CHARACTERS:
        raise WorkRefused(
            f"The note has {len(text):,} characters; at most {MAX_NOTE_CHARACTERS:,} fit. Shorten it."
        )
    if _was_just_written(session, ticket, text, now, actor):
        return None
    entry = _write(session, ticket, EntryKind.NOTE, text, now, actor)
    audit.record(session, now, actor.email, "ticket.note", f"T-{ticket.id}", characters=len(text))
    return entry


def _find_assignable(session: Session, account_id: int | None) -> Account | None:
    if account_id is None:
        return None
    account = session.get(Account, account_id)
    if account is None or not account.enabled or account.role is Role.VIEWER:
        raise WorkRefused("Tickets can be assigned to technicians and administrators only. Choose another.")
    return account


def _was_just_written(session: Session, ticket: Ticket, text: str, now: datetime, actor: Account) -> bool:
    found = session.scalars(
        sa.select(Entry.body_text).where(
            Entry.ticket_id == ticket.id,
            Entry.kind == EntryKind.NOTE,
            Entry.account_id == actor.id,
            Entry.created_at > now - SAME_NOTE_WITHIN,
        )
    )
    return text in found.all()


def _write(
    session: Session, ticket: Ticket, kind: EntryKind, text: str, now: datetime, actor: Account
) -> Entry:
    entry = Entry(
        ticket_id=ticket.id, kind=kind, account_id=actor.id, body_text=text, reply_text=text, created_at=now
    )
    session.add(entry)
    ticket.updated_at = now
    session.flush()
    return entry


def _clean(text: str) -> str:
    """Lines end with a newline, tabs stay, other control characters go."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in _DROPPED)
    return "".join(kept).strip()


def _word(status: TicketStatus) -> str:
    return status.value.capitalize()


def _name(account: Account | None) -> str:
    return account.name if account else POOL
