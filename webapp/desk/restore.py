"""A backup in the place of the database, with what makes yesterday's state safe to go on from.

What was waiting to be sent when the backup was made has been sent since, as a rule: it waits for a person
now. Tickets opened since have numbers that customers know: the desk goes on counting well above them, so that
no answer to one of those finds another ticket.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from webapp.config import Settings
from webapp.database import Database
from webapp.desk import audit
from webapp.desk.backup import (
    BackupRefused,
    Tell,
    Verified,
    copy_pages,
    make_backup,
    make_one_file,
    on_disk,
    private_file,
    verify,
)
from webapp.desk.database_copy import copy_all, count_from, highest_given
from webapp.models import Base, Delivery, DeliveryState, Ticket

TICKET_GAP = 1000
WAITING = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DEFERRED)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back. `aside` is where what was there before is kept; None where there was nothing."""

    verified: Verified
    aside: Path | None
    held: int  # deliveries that wait for a person now
    next_ticket: int


def restore(
    settings: Settings, path: Path, tell: Tell, *, now: datetime, ticket_gap: int = TICKET_GAP
) -> Restored:
    """Put a backup in the place of the instance's database, after verifying it.

    The caller makes sure that nobody uses the instance (`webapp.running.alone`). What is there now is kept
    aside as a file beside the database. Ended at any moment there is either the old database or the new one.
    Raises BackupRefused, DatabaseError, OSError.
    """
    found = verify(path, tell)
    prepared = settings.instance / f"restoring-{now:%Y%m%d-%H%M%S}.db"
    aside = settings.instance / f"before-restore-{now:%Y%m%d-%H%M%S}.db"
    try:
        held, next_ticket = _prepare(settings, found, prepared, now, ticket_gap)
        if settings.is_sqlite:
            kept = _exchange_file(settings, prepared, aside)
        else:
            kept = _exchange_rows(settings, prepared, aside, tell)
    finally:
        for leftover in settings.instance.glob(f"{prepared.name}*"):
            leftover.unlink()
    return Restored(found, kept, held, next_ticket)


def _prepare(
    settings: Settings, found: Verified, prepared: Path, now: datetime, ticket_gap: int
) -> tuple[int, int]:
    """A copy of the backup at today's revision, in which nothing is sent twice and no number given twice."""
    with private_file(prepared):
        copy_pages(str(found.path), prepared, lambda done, total: None)
    database = Database(replace(settings, database_url=f"sqlite:///{prepared}"))
    try:
        database.upgrade()
        with database.writing() as session:
            connection, table = session.connection(), Base.metadata.tables[Ticket.__tablename__]
            held = _hold_what_waits(connection, found.made_at, now)
            highest = highest_given(connection, table, table.c.id) + ticket_gap
            count_from(connection, table, table.c.id, highest)
            made_at = found.made_at.isoformat()
            audit.record(session, now, "command line", "database.restore", found.path.name, made_at=made_at)
    finally:
        database.dispose()
    make_one_file(prepared)
    on_disk(prepared)
    return held, highest + 1


def _hold_what_waits(connection: sa.Connection, made_at: datetime, now: datetime) -> int:
    """Sent since, or not: only a person can tell. What is in doubt stays so and is not repeated by itself."""
    sentence = (
        f"This waited to be sent when the backup of {made_at:%Y-%m-%d %H:%M} UTC was made, and may have been "
        "sent since. Resend it if the recipient does not have it."
    )
    settled = {"next_try_at": None, "settled_at": now, "attention": True, "claimed_by": None}
    waiting = connection.execute(
        sa.update(Delivery)
        .where(Delivery.state.in_(WAITING))
        .values(state=DeliveryState.NOT_SENT, error=sentence, **settled)
    )
    doubtful = connection.execute(
        sa.update(Delivery)
        .where(Delivery.state == DeliveryState.UNCERTAIN, Delivery.next_try_at.is_not(None))
        .values(error=sentence, **settled)
    )
    return waiting.rowcount + doubtful.rowcount


def _exchange_file(settings: Settings, prepared: Path, aside: Path) -> Path | None:
    """The old file is kept under another name first: there is never a moment without a database."""
    place = Path(str(make_url(settings.database_url).database))
    kept = place.exists()
    if kept:
        with contextlib.suppress(sqlite3.DatabaseError):  # damaged, which may be why it is restored
            make_one_file(place)
        os.link(place, aside)
        for name in ("-wal", "-shm"):  # of a damaged one: it may hold more than the file
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{place}{name}", f"{aside}{name}")
    os.replace(prepared, place)
    on_disk(place.parent)
    return aside if kept else None


def _exchange_rows(settings: Settings, prepared: Path, aside: Path, tell: Tell) -> Path | None:
    """All rows of PostgreSQL for those of the file, in one transaction; the old ones as a backup first."""
    target = Database(settings)
    source = Database(replace(settings, database_url=f"sqlite:///{prepared}"))
    try:
        target.upgrade()
        kept = bool(make_backup(target, settings, aside, tell).rows)
        with source.reading() as reading, target.writing() as writing:
            if others := writing.scalar(_OTHERS):
                raise BackupRefused(
                    f"{others} other connections of the service desk are open on this database. "
                    "Stop it on every machine first."
                )
            names = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
            writing.execute(sa.text(f"TRUNCATE {names}"))
            copy_all(reading.connection(), writing.connection(), tell)
        return aside if kept else None
    finally:
        source.dispose()
        target.dispose()


_OTHERS = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'servicedesk' "
    "AND datname = current_database() AND pid <> pg_backend_pid()"
)
