"""Who changed what, and settings that are no row of their own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UtcDateTime


class Audit(Base):
    """One change; `detail` never holds a secret."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    actor: Mapped[str] = mapped_column(sa.String(320))  # an account's address, "parser", "command line"
    action: Mapped[str] = mapped_column(sa.String(60))  # "mail_server.save", "user.import", ...
    subject: Mapped[str] = mapped_column(sa.String(320))
    detail: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


class Setting(Base):
    """A setting of the desk by name, as JSON (text values: sealed by the vault where secret)."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    value: Mapped[Any] = mapped_column(sa.JSON)
