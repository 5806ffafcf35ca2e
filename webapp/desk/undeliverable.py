"""Addresses a delivery report said do not exist: nothing is sent there until a person undoes it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit
from webapp.mail.address import fold_addr_spec
from webapp.models import UndeliverableAddress


def is_undeliverable(session: Session, addr_spec: str) -> bool:
    return session.get(UndeliverableAddress, fold_addr_spec(addr_spec)) is not None


def undeliverable(session: Session, addr_specs: Iterable[str]) -> dict[str, UndeliverableAddress]:
    """Those of these addresses, by comparison key."""
    keys = {fold_addr_spec(one) for one in addr_specs}
    found = session.scalars(sa.select(UndeliverableAddress).where(UndeliverableAddress.addr_key.in_(keys)))
    return {row.addr_key: row for row in found}


def mark_undeliverable(
    connection: sa.Connection, addr_key: str, *, why: str, event_id: int | None, now: datetime
) -> None:
    """From now on nothing is sent there; the first report counts. In the caller's transaction."""
    known = sa.select(sa.exists().where(UndeliverableAddress.addr_key == addr_key))
    if not connection.scalar(known):
        row = {"addr_key": addr_key, "since": now, "why": why, "event_id": event_id}
        connection.execute(sa.insert(UndeliverableAddress).values(row))


def send_again(session: Session, addr_spec: str, *, now: datetime, actor: str) -> bool:
    """Mail may go there again. False where it might all along."""
    row = session.get(UndeliverableAddress, fold_addr_spec(addr_spec))
    if row is None:
        return False
    audit.record(session, now, actor, "address.send-again", row.addr_key, why=row.why)
    session.delete(row)
    return True
