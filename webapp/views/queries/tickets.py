"""Tickets as the list and the ticket page need them."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload, selectinload, undefer

from webapp.models import Attachment, Company, Entry, Inbound, Ticket, TicketNotice, TicketStatus, User
from webapp.views.paging import PAGE_SIZE, Page, make_page, offset

ENTRIES_PER_PAGE = PAGE_SIZE
MAX_LINKS = 20
_NUMBER = re.compile(r"(?:\[?T-)?([0-9]{1,9})\]?", re.IGNORECASE | re.ASCII)


class Assignee(enum.StrEnum):
    """Whose tickets are wanted."""

    ANYBODY = ""
    ME = "me"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Link:
    """A ticket that names another one."""

    number: int
    says_so: bool  # only its sender says that it belongs there
    joined: bool = False  # a person agreed: its messages are there
    refused: bool = False  # a person said that it does not belong there


@dataclass(frozen=True, slots=True)
class Contribution:
    """An entry with what a page asks about its message."""

    entry: Entry
    has_html: bool
    defects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """What the list is narrowed to."""

    text: str = ""
    status: TicketStatus | None = None
    assignee: Assignee = Assignee.ANYBODY
    me: int | None = None  # the account that asks

    @property
    def is_set(self) -> bool:
        return bool(self.text or self.status or self.assignee)


def list_page(session: Session, wanted: TicketFilter, number: int) -> Page[Ticket]:
    """Newest change first. The ids come from the index alone; only the tickets shown are read whole."""
    ids = session.scalars(
        sa.select(Ticket.id)
        .where(*_conditions(wanted))
        .order_by(Ticket.updated_at.desc(), Ticket.id.desc())
        .limit(PAGE_SIZE + 1)
        .offset(offset(number))
    ).all()
    found = session.scalars(
        sa.select(Ticket)
        .where(Ticket.id.in_(ids))
        .order_by(Ticket.updated_at.desc(), Ticket.id.desc())
        .options(joinedload(Ticket.company), joinedload(Ticket.requester), joinedload(Ticket.assignee))
    ).all()
    return make_page(found, number)


def any_ticket(session: Session) -> bool:
    return session.scalar(sa.select(Ticket.id).limit(1)) is not None


def load(session: Session, number: int) -> Ticket | None:
    return session.scalar(
        sa.select(Ticket)
        .where(Ticket.id == number)
        .options(
            joinedload(Ticket.company),
            joinedload(Ticket.assignee),
            joinedload(Ticket.requester).selectinload(User.addresses),
        )
    )


def links_to(session: Session, ticket: Ticket) -> list[Link]:
    """Tickets that follow this one up, or say they belong to it; the newest, oldest of them first."""
    names_it = sa.or_(
        Ticket.follow_up_of_id == ticket.id,
        Ticket.claimed_ticket_id == ticket.id,
        Ticket.merged_into_id == ticket.id,
    )
    found = session.execute(
        sa.select(Ticket.id, Ticket.claimed_ticket_id, Ticket.merged_into_id, Ticket.notice)
        .where(names_it)
        .order_by(Ticket.id.desc())
        .limit(MAX_LINKS)
    ).all()
    return [
        Link(
            row.id,
            says_so=row.claimed_ticket_id == ticket.id,
            joined=row.merged_into_id is not None,
            refused=row.claimed_ticket_id == ticket.id and row.notice is not TicketNotice.CLAIM,
        )
        for row in reversed(found)
    ]


def entries_page(
    session: Session, ticket: Ticket, number: int, *, with_html: bool = False
) -> Page[Contribution]:
    """The conversation, oldest first. The HTML is large: only where it shows it is read with the rest."""
    query = _contributions().where(Entry.ticket_id == ticket.id).order_by(Entry.id)
    if with_html:
        query = query.options(undefer(Entry.body_html))
    found = session.execute(query.limit(PAGE_SIZE + 1).offset(offset(number))).all()
    return make_page([_contribution(row) for row in found], number)


def entry_of(session: Session, ticket_id: int, entry_id: int) -> Contribution | None:
    """One entry, if it is one of that ticket's, with its HTML."""
    query = _contributions().where(Entry.id == entry_id, Entry.ticket_id == ticket_id)
    row = session.execute(query.options(undefer(Entry.body_html))).first()
    return None if row is None else _contribution(row)


def last_entries_page(session: Session, ticket: Ticket) -> int:
    total = session.scalar(sa.select(sa.func.count()).select_from(Entry).where(Entry.ticket_id == ticket.id))
    return max(1, -(-(total or 0) // PAGE_SIZE))


def attachment_of(session: Session, ticket_id: int, attachment_id: int) -> Attachment | None:
    """That attachment, if it is one of that ticket's."""
    return session.scalar(
        sa.select(Attachment)
        .join(Entry, Entry.id == Attachment.entry_id)
        .where(Attachment.id == attachment_id, Entry.ticket_id == ticket_id)
    )


def _contributions() -> sa.Select[Entry, bool, list[str]]:
    return (
        sa.select(Entry, Entry.body_html.is_not(None), Inbound.defects)
        .outerjoin(Inbound, Inbound.id == Entry.inbound_id)
        .options(selectinload(Entry.attachments), joinedload(Entry.account))
    )


def _contribution(row: sa.Row[Entry, bool, list[str]]) -> Contribution:
    entry, has_html, defects = row
    return Contribution(entry, bool(has_html), tuple(defects or ()))


def _conditions(wanted: TicketFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(Ticket.status == wanted.status)
    if wanted.assignee is not Assignee.ANYBODY:
        account_id = wanted.me if wanted.assignee is Assignee.ME else None
        conditions.append(Ticket.assignee_id.is_not_distinct_from(account_id))
    if found := _NUMBER.fullmatch(wanted.text):
        conditions.append(Ticket.id == int(found[1]))
    elif wanted.text:
        conditions.append(_mentions(wanted.text))
    return conditions


def _mentions(text: str) -> sa.ColumnElement[bool]:
    """In the subject, the requester or the company."""
    users = sa.select(User.id).where(User.name.icontains(text, autoescape=True))
    companies = sa.select(Company.id).where(Company.name.icontains(text, autoescape=True))
    return sa.or_(
        Ticket.subject.icontains(text, autoescape=True),
        Ticket.requester_name.icontains(text, autoescape=True),
        Ticket.requester_address.icontains(text, autoescape=True),
        Ticket.requester_id.in_(users),
        Ticket.company_id.in_(companies),
    )
