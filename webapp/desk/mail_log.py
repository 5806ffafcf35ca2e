"""The email log as the command line shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import Disposition, Inbound, InboundAction

OUTCOMES = [disposition.value for disposition in Disposition]


def as_dicts(
    session: Session, *, outcome: str | None = None, since: datetime | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Ledger rows, the newest first."""
    query = sa.select(
        Inbound.id, Inbound.received_at, Inbound.recorded_at, Inbound.disposition, Inbound.rule, Inbound.saw,
        Inbound.trace, Inbound.message_id, Inbound.from_addr, Inbound.subject, Inbound.ticket_id,
        Inbound.placement, Inbound.folder,
    ).order_by(Inbound.id.desc())  # fmt: skip
    if outcome:
        query = query.where(Inbound.disposition == Disposition(outcome))
    if since:
        query = query.where(Inbound.recorded_at >= since)
    actions = _actions(session)
    return [
        _as_dict(row) | {"actions": actions.get(row.id, [])} for row in session.execute(query.limit(limit))
    ]


def _actions(session: Session) -> dict[int, list[dict[str, Any]]]:
    """What people did about messages, oldest first, by message; they are few beside the messages."""
    found: dict[int, list[dict[str, Any]]] = {}
    for action in session.scalars(sa.select(InboundAction).order_by(InboundAction.id)):
        told = {"kind": action.kind.value, "at": action.at, "by": action.actor, "ticket": action.ticket_id}
        found.setdefault(action.inbound_id, []).append(told)
    return found


def _as_dict(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "received_at": row.received_at,
        "processed_at": row.recorded_at,
        "disposition": row.disposition.value,
        "rule": row.rule,
        "saw": row.saw,
        "trace": row.trace,
        "message_id": row.message_id,
        "from": row.from_addr,
        "subject": row.subject,
        "ticket": row.ticket_id,
        "placement": row.placement.value,
        "folder": row.folder,
    }
