"""Users and companies as people enter them, one by one: checked, written, and written down.

Functions write into the caller's transaction. A refusal is `Refused`, with a sentence for each field that
needs attention; what two people do at the same moment is refused too, never half done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from webapp.desk import audit
from webapp.desk.accounts import find_account
from webapp.desk.addresses import read_addr_spec, refuse_incoming_mailbox
from webapp.desk.directory import row_of
from webapp.desk.directory_csv import LONGEST, DirectoryError
from webapp.desk.earlier_tickets import give_earlier_tickets
from webapp.desk.mail_fields import has_controls
from webapp.mail.address import fold_addr_spec
from webapp.models import Company, User, UserAddress

MOST_OTHER_ADDRESSES = 100
AT_THE_SAME_MOMENT = (
    "Somebody else saved the same address or company at this moment. Nothing was changed. Save again."
)


class Refused(DirectoryError):
    """Not saved: field -> sentence for people ("" for none in particular)."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


class ChangedMeanwhile(DirectoryError):
    """Somebody else changed this user since the page was opened; `row` is what is stored now."""

    def __init__(self, user: User) -> None:
        super().__init__("somebody else changed this user meanwhile.")
        self.row, self.fingerprint = row_of(user), fingerprint(user)


@dataclass(frozen=True, slots=True)
class Entries:
    """A user as typed; `other_emails` one a line."""

    name: str
    email: str
    other_emails: str = ""
    company: str = ""
    phone: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class Saved:
    """A user as saved: whether anything changed, and how many tickets of before became theirs."""

    user: User
    changed: bool
    earlier_tickets: int


def create_user(session: Session, entries: Entries, *, now: datetime, actor: str) -> Saved:
    """Tickets of before from the user's addresses become theirs. Raises Refused."""
    emails = _check(session, entries, None)
    user = User(created_at=now, addresses=[])
    session.add(user)
    _write(session, user, entries, emails, now=now, actor=actor)
    return _settle(session, user, "user.create", row_of(user), now=now, actor=actor)


def update_user(
    session: Session, user: User, entries: Entries, *, now: datetime, actor: str, expected: str
) -> Saved:
    """As `create_user`. `expected` is the user's fingerprint when the page was opened.

    Raises Refused or ChangedMeanwhile.
    """
    before = row_of(user)
    emails = _check(session, entries, user)
    if expected != fingerprint(user):
        raise ChangedMeanwhile(user)
    _write(session, user, entries, emails, now=now, actor=actor)
    changed = {name: [before[name], new] for name, new in row_of(user).items() if new != before[name]}
    return _settle(session, user, "user.update", changed, now=now, actor=actor)


def link_address(session: Session, user: User, text: str, *, now: datetime, actor: str) -> Saved:
    """An unknown sender's address becomes one more of this user's, and the tickets of before theirs.

    The address of an account of the desk is refused: a customer's user with it is most likely a slip.
    Raises Refused.
    """
    address = check_link(session, text, user)
    key = fold_addr_spec(address)
    linked: dict[str, str] = {}
    if key not in {held.addr_key for held in user.addresses}:
        if len(user.addresses) > MOST_OTHER_ADDRESSES:
            raise Refused({"": f"A user has at most {MOST_OTHER_ADDRESSES} other addresses."})
        position = max((held.position for held in user.addresses), default=-1) + 1
        user.addresses.append(UserAddress(addr_key=key, addr_spec=address, position=position))
        linked["address"] = address
    return _settle(session, user, "user.link_address", linked, now=now, actor=actor)


def check_link(session: Session, text: str, user: User | None = None) -> str:
    """The address, tidied, if it can be linked: to this user, or to whomever is chosen. Raises Refused."""
    try:
        address = _read_address(session, text, user)
    except ValueError as error:
        raise Refused({"": str(error)}) from error
    if account := find_account(session, address):
        raise Refused({"": f"{address} is the address of {account.name}, of this service desk."})
    return address


def fingerprint(user: User) -> str:
    """The same as long as nobody changes the user."""
    return hashlib.sha256(json.dumps(row_of(user)).encode()).hexdigest()


def create_company(session: Session, name: str, *, now: datetime, actor: str) -> Company:
    """Raises Refused."""
    name = _company_name(session, name, None)
    company = _add_company(session, name, now=now, actor=actor)
    _flush(session)
    return company


def rename_company(session: Session, company: Company, name: str, *, now: datetime, actor: str) -> bool:
    """Whether the name changed. Raises Refused."""
    name, before = _company_name(session, name, company), company.name
    company.name, company.name_key = name, name.casefold()
    if name != before:
        audit.record(session, now, actor, "company.rename", name, before=before)
    _flush(session)
    return name != before


def _check(session: Session, entries: Entries, user: User | None) -> list[str]:
    """The addresses, tidied, the primary one first; everything that is wrong is told at once."""
    errors = {}
    for field in ("name", "company", "phone"):
        if sentence := _text_problem(getattr(entries, field), field):
            errors[field] = sentence
    if not entries.name.strip():
        errors["name"] = "Enter a name."
    emails: dict[str, str] = {}
    others = [line.strip() for line in entries.other_emails.split("\n") if line.strip()]
    if len(others) > MOST_OTHER_ADDRESSES:
        errors["other_emails"] = f"A user has at most {MOST_OTHER_ADDRESSES} other addresses."
    for field, texts in (("email", [entries.email]), ("other_emails", others[:MOST_OTHER_ADDRESSES])):
        for text in texts:
            try:
                address = _read_address(session, text, user)
                emails.setdefault(fold_addr_spec(address), address)
            except ValueError as error:
                errors.setdefault(field, str(error))
    if errors:
        raise Refused(errors)
    return list(emails.values())


def _read_address(session: Session, text: str, user: User | None) -> str:
    """Raises ValueError."""
    if not text.strip():
        raise ValueError("Enter an email address, for example anna@example.com.")
    address = read_addr_spec(text)
    refuse_incoming_mailbox(session, address)
    query = sa.select(User).join(User.addresses).where(UserAddress.addr_key == fold_addr_spec(address))
    with session.no_autoflush:
        owner = session.scalar(query)
    if owner is not None and owner is not user:
        raise ValueError(f"{address} belongs to another user, {owner.name}.")
    return address


def _text_problem(text: str, field: str) -> str:
    text, longest = text.strip(), LONGEST[field]
    if has_controls(text):
        return "Enter it without line breaks and other control characters."
    if max(len(text), len(text.casefold())) > longest:
        return f"Enter at most {longest} characters."
    return ""


def _write(
    session: Session, user: User, entries: Entries, emails: Iterable[str], *, now: datetime, actor: str
) -> None:
    user.name, user.phone, user.active = entries.name.strip(), entries.phone.strip(), entries.active
    with session.no_autoflush:
        user.company = _find_or_add_company(session, entries.company.strip(), now=now, actor=actor)
    held = {address.addr_key: address for address in user.addresses}
    addresses = []
    for position, email in enumerate(emails):
        key = fold_addr_spec(email)
        address = held.get(key) or UserAddress(addr_key=key)
        address.addr_spec, address.position = email, position
        addresses.append(address)
    user.addresses = addresses


def _find_or_add_company(session: Session, name: str, *, now: datetime, actor: str) -> Company | None:
    if not name:
        return None
    return find_company(session, name) or _add_company(session, name, now=now, actor=actor)


def find_company(session: Session, name: str) -> Company | None:
    return session.scalar(sa.select(Company).where(Company.name_key == name.strip().casefold()))


def _add_company(session: Session, name: str, *, now: datetime, actor: str) -> Company:
    company = Company(name=name, name_key=name.casefold(), created_at=now)
    session.add(company)
    audit.record(session, now, actor, "company.create", name)
    return company


def _company_name(session: Session, name: str, company: Company | None) -> str:
    name = name.strip()
    problem = _text_problem(name, "company") or ("" if name else "Enter a name.")
    if problem:
        raise Refused({"name": problem})
    found = find_company(session, name)
    if found is not None and found is not company:
        raise Refused({"name": f"There is already a company named {found.name}."})
    return name


def _settle(
    session: Session, user: User, action: str, detail: dict[str, Any], *, now: datetime, actor: str
) -> Saved:
    """What every saved user gets: the tickets of before, and the audit row where anything changed."""
    _flush(session)
    given = give_earlier_tickets(session, [user])
    if detail or given:
        told = detail | ({"earlier_tickets": given} if given else {})
        audit.record(session, now, actor, action, user.email, **told)
    return Saved(user, bool(detail), given)


def _flush(session: Session) -> None:
    try:
        session.flush()
    except (sa.exc.IntegrityError, StaleDataError) as error:
        raise Refused({"": AT_THE_SAME_MOMENT}) from error
