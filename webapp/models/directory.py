"""The directory: the customers' companies and their users, who write mail and never sign in."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, UtcDateTime


class Company(Base):
    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    name_key: Mapped[str] = mapped_column(sa.String(200), unique=True)  # case-folded
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class User(Base):
    """A person of a customer. The table is named so that no database takes it for a keyword."""

    __tablename__ = "directory_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    company_id: Mapped[int | None] = mapped_column(sa.ForeignKey("company.id"), index=True)
    phone: Mapped[str] = mapped_column(sa.String(60), default="")
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    company: Mapped[Company | None] = relationship()
    addresses: Mapped[list[UserAddress]] = relationship(
        back_populates="user", cascade="all, delete-orphan", order_by="UserAddress.position"
    )

    @property
    def email(self) -> str:
        """The primary address."""
        return self.addresses[0].addr_spec if self.addresses else ""


class UserAddress(Base):
    """One address of a user; position 0 is the primary one. `addr_key` is what senders are compared with."""

    __tablename__ = "user_address"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("directory_user.id", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    addr_spec: Mapped[str] = mapped_column(sa.String(320))
    addr_key: Mapped[str] = mapped_column(sa.String(320), unique=True)

    user: Mapped[User] = relationship(back_populates="addresses")
