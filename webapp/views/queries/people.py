"""Users and companies as their lists need them."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload, selectinload

from webapp.models import Company, User, UserAddress
from webapp.views.paging import PAGE_SIZE, Page, make_page, offset


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
    found = session.scalars(
        sa.select(User)
        .where(*_conditions(wanted))
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
