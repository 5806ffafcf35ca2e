"""Who takes part in a ticket besides its requester: they may write to it, and get replies as Cc.

Nobody becomes one by writing mail. People named in Cc are offered to the technician, who decides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit
from webapp.desk.addresses import incoming_addresses, read_addr_spec, sending_addresses
from webapp.desk.ticket_log import say
from webapp.desk.undeliverable import is_undeliverable
from webapp.mail.address import fold_addr_spec
from webapp.models import Account, Entry, EntryKind, Ticket, TicketParticipant, User, UserAddress

AT_MOST = 50
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
    taken = {one.addr_key for one in recipients_of(session, ticket.id)} | _our_own(session)
    taken |= _requester_keys(session, ticket)
    found: dict[str, Offered] = {}
    for name, addr_spec in itertools.islice(_named_in(_requesters_mail(session, ticket)), _LOOKED_AT):
        key = fold_addr_spec(addr_spec)
        if key not in taken and key not in found and _is_addr_spec(addr_spec):
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


def _our_own(session: Session) -> frozenset[str]:
    return incoming_addresses(session) | sending_addresses(session)


def _refuse(session: Session, ticket: Ticket, addr_spec: str, key: str, present: int) -> None:
    if key in _our_own(session):
        raise ParticipantRefused(f"{addr_spec} is an address of this service desk itself.")
    if key in _requester_keys(session, ticket):
        raise ParticipantRefused(f"{addr_spec} is the requester's address. The requester takes part already.")
    if is_undeliverable(session, addr_spec):
        raise ParticipantRefused(
            f"Mail to {addr_spec} could not be delivered: a report said the address does not exist. "
            "Correct the address."
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
