"""Accounts of the desk's own people, their sign-ins, and the one-time code of the first start."""

from __future__ import annotations

import enum
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, UtcDateTime, text_enum


class Role(enum.StrEnum):
    """What an account may do; each includes the next: administrator > technician > viewer."""

    ADMINISTRATOR = "administrator"
    TECHNICIAN = "technician"
    VIEWER = "viewer"


class Account(Base):
    """A person who signs in."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(320))  # as written
    email_key: Mapped[str] = mapped_column(sa.String(320), unique=True)  # as compared
    name: Mapped[str] = mapped_column(sa.String(200))
    role: Mapped[Role] = mapped_column(text_enum(Role))
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    signature: Mapped[str | None] = mapped_column(sa.Text)  # below replies; None: the desk's


class LoginSession(Base):
    """One sign-in. The cookie holds a random token, the table only its SHA-256."""

    __tablename__ = "login_session"

    token_sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)

    account: Mapped[Account] = relationship(lazy="joined")


class SetupCode(Base):
    """The code printed at the first start, good for creating the first administrator once."""

    __tablename__ = "setup_code"

    id: Mapped[int] = mapped_column(primary_key=True)
    code_sha256: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
