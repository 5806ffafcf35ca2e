"""Writing down who changed what, in the transaction that changes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from webapp.models import Audit


def record(session: Session, now: datetime, actor: str, action: str, subject: str, **detail: Any) -> None:
    """`detail` must hold no secret: it is shown to administrators and kept in backups."""
    session.add(Audit(at=now, actor=actor, action=action, subject=subject[:320], detail=detail))
