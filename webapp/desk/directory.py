"""Companies and users, and their way in and out as CSV.

The CSV has the columns `email,name,company` and, if wanted, `other_emails` (`;` between them), `phone`,
`active`. An import is all or nothing: the first mistake is named with line and column. The file itself is
read in `directory_csv`. What people enter one by one is in `people`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.exc import StaleDataError

from webapp.desk import audit
from webapp.desk.addresses import incoming_addresses, incoming_refusal, is_among
from webapp.desk.directory_csv import COLUMNS, CsvError, CsvUser, DirectoryError, check_csv, read_csv
from webapp.desk.earlier_tickets import count_earlier_tickets, give_earlier_tickets
from webapp.mail.address import fold_addr_spec
from webapp.models import Company, User, UserAddress

__all__ = [
    "Change",
    "CsvError",
    "CsvUser",
    "DirectoryError",
    "ImportResult",
    "PreviewOutdated",
    "export_users",
    "import_previewed",
    "import_users",
    "preview_import",
    "read_csv",
    "row_of",
]
MOST_MISTAKES = 20


class PreviewOutdated(DirectoryError):
    """An import would not do what its preview said."""


@dataclass(frozen=True, slots=True)
class Change:
    """One user as an import finds them (None: new) and leaves them, by column."""

    line: int
    before: dict[str, str] | None
    after: dict[str, str]

    @property
    def differences(self) -> list[tuple[str, str, str]]:
        """Column, old and new value, for what an update changes."""
        before = self.before or self.after
        return [
            (name, before[name], self.after[name]) for name in COLUMNS if before[name] != self.after[name]
        ]


@dataclass(slots=True)
class ImportResult:
    """How many users an import touched, which companies it made, and how many tickets of before it gave
    to users who have the sender's address now.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    companies: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    earlier_tickets: int = 0

    @property
    def fingerprint(self) -> str:
        """The same for imports that do the same."""
        told = [[change.line, change.before, change.after] for change in self.changes]
        return hashlib.sha256(json.dumps([told, self.unchanged]).encode()).hexdigest()


def import_users(session: Session, users: Iterable[CsvUser], *, now: datetime, actor: str) -> ImportResult:
    """Create or update every user of the file. Raises CsvError; the caller's transaction then rolls back."""
    result = ImportResult()
    known = _Known(session)
    for line in users:
        _import_user(session, line, known, now, result)
    session.flush()
    result.earlier_tickets = give_earlier_tickets(session, known.touched)
    audit.record(session, now, actor, "directory.import", "directory",
                 created=result.created, updated=result.updated, companies=len(result.companies),
                 earlier_tickets=result.earlier_tickets)  # fmt: skip
    return result


def preview_import(session: Session, content: bytes, *, now: datetime) -> tuple[ImportResult, list[CsvError]]:
    """What importing this file would do, and its first mistakes. Writes nothing: the session may be one
    that only reads, and has nothing in it afterwards.
    """
    users, mistakes = check_csv(content, most=MOST_MISTAKES)
    result, known = ImportResult(), _Known(session)
    with session.no_autoflush:
        for line in users:
            try:
                _import_user(session, line, known, now, result)
            except CsvError as mistake:
                mistakes.append(mistake)
        result.earlier_tickets = count_earlier_tickets(session, known.touched)
    session.expunge_all()
    return result, sorted(mistakes, key=lambda mistake: mistake.line)[:MOST_MISTAKES]


def import_previewed(
    session: Session, users: Iterable[CsvUser], fingerprint: str, *, now: datetime, actor: str
) -> ImportResult:
    """Import the file if that still does what its preview said. Raises CsvError or PreviewOutdated."""
    try:
        result = import_users(session, users, now=now, actor=actor)
    except (sa.exc.IntegrityError, StaleDataError) as error:
        raise PreviewOutdated("somebody else changed users at the same moment.") from error
    if result.fingerprint != fingerprint:
        raise PreviewOutdated("the users or the file changed since the preview.")
    return result


def export_users(session: Session) -> str:
    """All users in the import's own format, values as they are: what a spreadsheet would take for a formula
    is not marked, because the mark would come back as part of the name.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    query = (
        sa.select(User).options(selectinload(User.addresses), selectinload(User.company)).order_by(User.id)
    )
    for user in session.scalars(query):
        writer.writerow(row_of(user).values())
    return out.getvalue()


def row_of(user: User) -> dict[str, str]:
    """One user as a line of the export, by column."""
    emails = [address.addr_spec for address in sorted(user.addresses, key=lambda held: held.position)]
    return {
        "email": "".join(emails[:1]),
        "name": user.name,
        "company": user.company.name if user.company else "",
        "other_emails": ";".join(emails[1:]),
        "phone": user.phone,
        "active": "yes" if user.active else "no",
    }


class _Known:
    """What the directory holds already, loaded once: an import of 10,000 users asks no 10,000 questions."""

    def __init__(self, session: Session) -> None:
        query = sa.select(User).options(selectinload(User.addresses), selectinload(User.company))
        self.users = {address.addr_key: user for user in session.scalars(query) for address in user.addresses}
        self.companies = {company.name_key: company for company in session.scalars(sa.select(Company))}
        self.incoming = incoming_addresses(session)
        self.touched: list[User] = []  # created or updated


def _import_user(session: Session, line: CsvUser, known: _Known, now: datetime, result: ImportResult) -> None:
    user = known.users.get(fold_addr_spec(line.emails[0]))
    for position, email in enumerate(line.emails):
        column = "email" if position == 0 else "other_emails"
        key = fold_addr_spec(email)
        owner = known.users.get(key)
        if owner is not None and owner is not user:
            raise CsvError(line.line, column, f"{email} belongs to another user, {owner.name}.")
        if is_among(known.incoming, key):
            raise CsvError(line.line, column, incoming_refusal(email))
    company = _find_or_make_company(session, line.company, known, now, result)
    before = row_of(user) if user is not None else None
    if user is None:
        # An empty list here, so that nobody asks the database for the addresses of a user it has not got.
        user = User(name=line.name, phone="", active=True, created_at=now, addresses=[])
        session.add(user)
        result.created += 1
    elif _differs(user, line, company):
        result.updated += 1
    else:
        result.unchanged += 1
        return
    user.name, user.company, user.phone, user.active = _wanted(user, line, company)
    _set_addresses(user, line.emails)
    known.users |= {address.addr_key: user for address in user.addresses}
    known.touched.append(user)
    result.changes.append(Change(line.line, before, row_of(user)))


def _wanted(user: User, line: CsvUser, company: Company | None) -> tuple[str, Company | None, str, bool]:
    """The line's values; for columns the file does not have, the user's own."""
    phone = user.phone if line.phone is None else line.phone
    return line.name, company, phone, user.active if line.active is None else line.active


def _find_or_make_company(
    session: Session, name: str, known: _Known, now: datetime, result: ImportResult
) -> Company | None:
    if not name:
        return None
    company = known.companies.get(name.casefold())
    if company is None:
        company = Company(name=name, name_key=name.casefold(), created_at=now)
        session.add(company)
        known.companies[company.name_key] = company
        result.companies.append(name)
    return company


def _differs(user: User, line: CsvUser, company: Company | None) -> bool:
    emails = tuple(address.addr_spec for address in user.addresses)
    held = set(map(fold_addr_spec, emails))
    return (
        (user.name, user.company, user.phone, user.active) != _wanted(user, line, company)
        or emails[:1] != line.emails[:1]
        or not {fold_addr_spec(email) for email in line.emails} <= held
    )


def _set_addresses(user: User, emails: tuple[str, ...]) -> None:
    """The line's addresses first, in its order; addresses the user has besides are kept."""
    held = {address.addr_key: address for address in user.addresses}
    wanted = {fold_addr_spec(email): email for email in emails}
    for position, (key, email) in enumerate(wanted.items()):
        address = held.pop(key, None)
        if address is None:
            address = UserAddress(addr_key=key)
            user.addresses.append(address)
        address.addr_spec, address.position = email, position
    for position, address in enumerate(held.values(), start=len(wanted)):
        address.position = position
