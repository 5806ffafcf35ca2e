"""What a request works with: the instance, the time, and who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from flask import current_app
from flask_login import current_user

from webapp.desk.accounts import includes
from webapp.instance import Instance
from webapp.models import Role


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody signed in, as Flask-Login wants a user: `get_id` is the sign-in's token."""

    account_id: int
    email: str
    name: str
    role: Role
    token: str

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        return self.token

    def may(self, role: Role) -> bool:
        return includes(self.role, role)

    @property
    def works_on_tickets(self) -> bool:
        return self.may(Role.TECHNICIAN)

    @property
    def is_administrator(self) -> bool:
        return self.role is Role.ADMINISTRATOR


def instance() -> Instance:
    return cast(Instance, current_app.extensions["instance"])


def now() -> datetime:
    return datetime.now(UTC)


def person() -> Person | None:
    """Who is signed in, if anybody."""
    return cast(Person, current_user) if current_user.is_authenticated else None
