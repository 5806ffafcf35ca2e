"""The block list and the allow list: addresses and domains, looked at before a message is judged."""

from __future__ import annotations

import enum
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UtcDateTime, text_enum


class SenderList(enum.StrEnum):
    BLOCK = "block"  # mail from there is ignored
    ALLOW = "allow"  # automated mail from there is accepted


class SenderRule(Base):
    """One address or domain on one list. `value_key` is what is compared: "ann@acme.test", "acme.test"."""

    __tablename__ = "sender_rule"
    __table_args__ = (sa.UniqueConstraint("value_key", "list"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    list: Mapped[SenderList] = mapped_column(text_enum(SenderList))
    value_key: Mapped[str] = mapped_column(sa.String(320))
    note: Mapped[str] = mapped_column(sa.Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(sa.String(320))
