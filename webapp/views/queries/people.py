"""Users and companies as their lists need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload, selectinload

from webapp.mail.address import fold_addr_spec
from webapp.mailserver.providers import of_domain
from webapp.models import Company, Ticket, User, UserAddress
from webapp.views.paging import PAGE_SIZE, Page, make_page, offset

TICKETS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """What the list of users is narrowed to."""

    text: str = ""
    company_id: int | None = None

    @property
    def is_set(self) -> bool:
        return bool(self.text or self.company_id)


@dataclass(frozen=True, slots=True)
class CompanyRow:
    """One company and how many users it has."""

    id: int
    name: str
    users: int


def list_users(session: Session, wanted: PeopleFilter, number: int) -> Page[User]:
    """By name. Companies and addresses come with them: three questions a page."""
    return _page_of_users(session, _conditions(wanted), number)


def _page_of_users(session: Session, conditions: Sequence[sa.ColumnElement[bool]], number: int) -> Page[User]:
    found = session.scalars(
        sa.select(User)
        .where(*conditions)
        .order_by(sa.func.lower(User.name), User.id)
        .limit(PAGE_SIZE + 1)
        .offset(offset(number))
        .options(joinedload(User.company), selectinload(User.addresses))
    ).all()
    return make_page(found, number)


def any_user(session: Session) -> bool:
    return session.scalar(sa.select(User.id).limit(1)) is not None


def load_user(session: Session, user_id: int) -> User | None:
    return session.scalar(
        sa.select(User)
        .where(User.id == user_id)
        .options(joinedload(User.company), selectinload(User.addresses))
    )


def newest_tickets(session: Session, user_id: int, most: int = TICKETS_SHOWN) -> Sequence[Ticket]:
    """Tickets this user is the requester of."""
    query = sa.select(Ticket).where(Ticket.requester_id == user_id).order_by(Ticket.id.desc()).limit(most)
    return session.scalars(query).all()


def count_tickets(session: Session, user_id: int) -> int:
    query = sa.select(sa.func.count()).select_from(Ticket).where(Ticket.requester_id == user_id)
    return session.scalar(query) or 0


def company_of_domain(session: Session, addr_spec: str) -> str:
    """The company of everybody with an address in this one's domain; "" where that is not one company.

    At large mail providers the neighbours of an address are strangers.
    """
    domain = fold_addr_spec(addr_spec).rpartition("@")[2]
    if not domain or of_domain(domain):
        return ""
    names = session.scalars(
        sa.select(Company.name)
        .distinct()
        .select_from(User)
        .outerjoin(User.company)
        .join(User.addresses)
        .where(UserAddress.addr_key.endswith(f"@{domain}", autoescape=True))
        .limit(2)
    ).all()
    return names[0] or "" if len(names) == 1 else ""


def likely_users(session: Session, addr_spec: str, name: str) -> Page[User]:
    """Who an unknown address may be of: users of its domain and of the sender's name."""
    key = fold_addr_spec(addr_spec)
    local, _, domain = key.rpartition("@")
    wanted = [User.name.icontains(name, autoescape=True)] if name.strip() else []
    neighbours = UserAddress.addr_key.startswith(f"{local}@", autoescape=True)
    if domain and not of_domain(domain):
        neighbours |= UserAddress.addr_key.endswith(f"@{domain}", autoescape=True)
    wanted.append(User.id.in_(sa.select(UserAddress.user_id).where(neighbours)))
    return _page_of_users(session, [sa.or_(*wanted)], 1)


def company_choices(session: Session) -> list[tuple[int, str]]:
    """Every company: id and name, by name."""
    query = sa.select(Company.id, Company.name).order_by(Company.name_key)
    return [(company_id, name) for company_id, name in session.execute(query)]


def list_companies(session: Session, text: str, number: int) -> Page[CompanyRow]:
    users = sa.select(sa.func.count()).where(User.company_id == Company.id).scalar_subquery()
    found = session.execute(
        sa.select(Company.id, Company.name, users)
        .where(Company.name.icontains(text, autoescape=True))
        .order_by(Company.name_key)
        .limit(PAGE_SIZE + 1)
        .offset(offset(number))
    ).all()
    return make_page([CompanyRow(*row) for row in found], number)


def any_company(session: Session) -> bool:
    return session.scalar(sa.select(Company.id).limit(1)) is not None


def _conditions(wanted: PeopleFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.company_id is not None:
        conditions.append(User.company_id == wanted.company_id)
    if wanted.text:
        addresses = sa.select(UserAddress.user_id).where(
            UserAddress.addr_spec.icontains(wanted.text, autoescape=True)
        )
        conditions.append(
            sa.or_(
                User.name.icontains(wanted.text, autoescape=True),
                User.phone.icontains(wanted.text, autoescape=True),
                User.id.in_(addresses),
            )
        )
    return conditions
