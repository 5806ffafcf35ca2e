"""Who takes part in a ticket besides its requester: they may write to it, and get replies as Cc.

Nobody becomes one by writing mail. People named in Cc are offered to the technician, who decides; only
colleagues of the ticket's customer may be added by themselves, where a setting says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit
from webapp.desk.addresses import is_among, read_addr_spec
from webapp.desk.thread_marks import our_addresses
from webapp.desk.ticket_log import say
from webapp.desk.undeliverable import is_undeliverable, undeliverable
from webapp.mail.address import fold_addr_spec
from webapp.models import Account, Entry, EntryKind, Ticket, TicketParticipant, User, UserAddress

AT_MOST = 50
_PARSER = "Email parser"  # who adds a colleague
OFFERED = 10
_ENTRIES = 10  # the newest messages whose Cc is looked at
_LOOKED_AT = 200  # addresses of them: a page must not take long because a message names thousands


class ParticipantRefused(Exception):
    """Not added; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Somebody the requester's own mail was addressed to as well."""

    addr_spec: str
    name: str


def recipients_of(session: Session, ticket_id: int) -> list[TicketParticipant]:
    """The participants of a ticket, in the order in which they were added."""
    query = sa.select(TicketParticipant).where(TicketParticipant.ticket_id == ticket_id)
    return list(session.scalars(query.order_by(TicketParticipant.id)))


def add(
    session: Session, ticket: Ticket, text: str, *, name: str = "", now: datetime, actor: Account
) -> TicketParticipant:
    """The participant, new or there already. Raises ParticipantRefused."""
    try:
        addr_spec = read_addr_spec(text)
    except ValueError as error:
        sentence = str(error)
        raise ParticipantRefused(sentence[:1].upper() + sentence[1:]) from error
    key = fold_addr_spec(addr_spec)
    present = recipients_of(session, ticket.id)
    if found := next((one for one in present if one.addr_key == key), None):
        return found
    _refuse(session, ticket, addr_spec, key, len(present))
    name = _tidy(name) or _name_of(session, key)
    added = TicketParticipant(
        ticket_id=ticket.id, addr_spec=addr_spec, addr_key=key, name=name, added_at=now, added_by=actor.email
    )
    session.add(added)
    say(session, ticket, f"Participant added: {_named(added)}", now=now, actor=actor)
    audit.record(session, now, actor.email, "ticket.participant-add", f"T-{ticket.id}", address=addr_spec)
    return added


def bring_colleagues(
    session: Session, ticket_id: int, addr_specs: Iterable[str], *, now: datetime
) -> list[TicketParticipant]:
    """Of these addresses, those of active users of the ticket's company take part from now on.

    Nobody who works at the desk, whose mail comes back, or who takes part already under another address.
    """
    ticket = session.get_one(Ticket, ticket_id)
    if ticket.company_id is None:
        return []
    own, present = our_addresses(session), recipients_of(session, ticket_id)
    keys = {fold_addr_spec(one) for one in itertools.islice(addr_specs, _LOOKED_AT) if not is_among(own, one)}
    found = _colleagues(session, ticket, keys, {one.addr_key for one in present})
    added = [
        TicketParticipant(
            ticket_id=ticket_id, addr_spec=addr_spec, addr_key=fold_addr_spec(addr_spec), name=name,
            added_at=now, added_by=_PARSER,
        )
        for name, addr_spec in found[: max(AT_MOST - len(present), 0)]
    ]  # fmt: skip
    for one in added:
        sentence = f"Participant added: {_named(one)}, a colleague whom this mail went to as well"
        session.add_all([one, _said(ticket_id, sentence, now)])
        audit.record(session, now, _PARSER, "ticket.participant-add", f"T-{ticket_id}", address=one.addr_spec)
    session.flush()
    return added


def remove(session: Session, ticket: Ticket, participant_id: int, *, now: datetime, actor: Account) -> str:
    """The address that takes no part any more, "" where nobody of this ticket has that number."""
    found = session.get(TicketParticipant, participant_id)
    if found is None or found.ticket_id != ticket.id:
        return ""
    session.delete(found)
    say(session, ticket, f"Participant removed: {_named(found)}", now=now, actor=actor)
    audit.record(
        session, now, actor.email, "ticket.participant-remove", f"T-{ticket.id}", address=found.addr_spec
    )
    return found.addr_spec


def offered(session: Session, ticket: Ticket) -> list[Offered]:
    """Whom the requester's own mail named besides us and who takes no part yet; at most ten."""
    own = our_addresses(session)
    taken = {one.addr_key for one in recipients_of(session, ticket.id)} | _requester_keys(session, ticket)
    found: dict[str, Offered] = {}
    for name, addr_spec in itertools.islice(_named_in(_requesters_mail(session, ticket)), _LOOKED_AT):
        key = fold_addr_spec(addr_spec)
        if key not in taken and key not in found and not is_among(own, key) and _is_addr_spec(addr_spec):
            found[key] = Offered(addr_spec, _tidy(name))
    staff = set(session.scalars(sa.select(Account.email_key).where(Account.email_key.in_(found))))
    return [one for key, one in found.items() if key not in staff][:OFFERED]


def _named_in(mail: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    """Display name and addr-spec of whom these messages were addressed to, each as often as it is named."""
    for entry in mail:
        for field in ("cc", "to"):
            yield from (entry.recipients or {}).get(field, [])


def _requesters_mail(session: Session, ticket: Ticket) -> list[Entry]:
    """The newest messages that the requester sent, and nobody whose entry is flagged."""
    keys = _requester_keys(session, ticket)
    query = sa.select(Entry).where(
        Entry.ticket_id == ticket.id, Entry.kind == EntryKind.MAIL, Entry.flag.is_(None)
    )
    newest = session.scalars(query.order_by(Entry.id.desc()).limit(_ENTRIES))
    return [entry for entry in newest if entry.from_addr and fold_addr_spec(entry.from_addr) in keys]


def _requester_keys(session: Session, ticket: Ticket) -> set[str]:
    keys = {ticket.requester_key} if ticket.requester_key else set()
    if ticket.requester_id is not None:
        query = sa.select(UserAddress.addr_key).where(UserAddress.user_id == ticket.requester_id)
        keys |= set(session.scalars(query))
    return keys


def _colleagues(session: Session, ticket: Ticket, keys: set[str], present: set[str]) -> list[tuple[str, str]]:
    """Name and addr-spec of the users meant, each once, in the order of the directory."""
    query = (
        sa.select(User.id, User.name, UserAddress.addr_spec, UserAddress.addr_key)
        .join(UserAddress, UserAddress.user_id == User.id)
        .where(User.company_id == ticket.company_id, User.active)
        .order_by(User.id, UserAddress.position)
    )
    rows = session.execute(query.where(UserAddress.addr_key.in_(keys))).all()
    theirs = sa.select(UserAddress.user_id).where(UserAddress.addr_key.in_(present))
    taken = {ticket.requester_id, *session.scalars(theirs)}
    staff = set(session.scalars(sa.select(Account.email_key).where(Account.email_key.in_(keys))))
    gone = undeliverable(session, [row.addr_spec for row in rows])
    found: dict[int, tuple[str, str]] = {}
    for row in rows:
        if row.id not in taken and row.addr_key not in staff and row.addr_key not in gone:
            found.setdefault(row.id, (row.name, row.addr_spec))
    return list(found.values())


def _said(ticket_id: int, sentence: str, now: datetime) -> Entry:
    return Entry(
        ticket_id=ticket_id, kind=EntryKind.CHANGE, from_name=_PARSER, body_text=sentence,
        reply_text=sentence, created_at=now,
    )  # fmt: skip


def _refuse(session: Session, ticket: Ticket, addr_spec: str, key: str, present: int) -> None:
    if is_among(our_addresses(session), key):
        raise ParticipantRefused(f"{addr_spec} is an address of this service desk itself.")
    if key in _requester_keys(session, ticket):
        raise ParticipantRefused(f"{addr_spec} is the requester's address. The requester takes part already.")
    if is_undeliverable(session, addr_spec):
        raise ParticipantRefused(
            f"Mail to {addr_spec} could not be delivered: a report said the address does not exist. "
            "Correct it, or allow it again: on its user's page, or in the outbox at the message that could "
            "not be delivered."
        )
    if present >= AT_MOST:
        raise ParticipantRefused(f"A ticket has at most {AT_MOST} participants. Remove one first.")


def _is_addr_spec(text: str) -> bool:
    try:
        read_addr_spec(text)
    except ValueError:
        return False
    return True


def _name_of(session: Session, key: str) -> str:
    query = sa.select(User.name).join(UserAddress).where(UserAddress.addr_key == key)
    return session.scalar(query) or ""


def _named(participant: TicketParticipant) -> str:
    name = participant.name
    return f"{name} <{participant.addr_spec}>" if name else participant.addr_spec


def _tidy(name: str) -> str:
    return " ".join(letter for letter in name.split() if letter.isprintable())[:320]
