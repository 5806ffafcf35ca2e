"""Messages that somebody put back into the inbox where a key is for ever: known by it, whatever they say now.

Each time makes a row of its own, which is a duplicate of the first: the message is moved again, and a person
may have it processed again. (IMAP gives such a message a new UID; it is then known by its octets.)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import Inbound, Placement

AGAIN = "~"  # key~2: the row of a message that was put back; in no key of Graph's or Exchange's
RETURNS = 20  # rows a message gets at most, however often it is found in the inbox again
# A list the server makes of its index may show for a moment what has just been moved.
SETTLED_AFTER = timedelta(minutes=2)
KEYS_AT_ONCE = 25  # times RETURNS: parameters of one question

Row = sa.Row[int, str, Placement, datetime | None, int | None]


def key_of(remote_key: str) -> str:
    """The server's key of a row's message."""
    return remote_key.partition(AGAIN)[0]


@dataclass(frozen=True, slots=True)
class Returned:
    """A message that was processed and moved, and that somebody has put back into the inbox, unread."""

    ledger_key: str  # of the row it gets now
    inbound_id: int  # of the one it has
    ticket_id: int | None


def find_returned(
    session: Session, mailbox_id: int, epoch: str, keys: Collection[str], now: datetime
) -> dict[str, Returned]:
    """Those of these keys, all of messages in the inbox now, whose newest row says they were moved."""
    newest = _newest_rows(session, mailbox_id, epoch, keys)
    found = {}
    for key, (number, row) in newest.items():
        was_moved = row.placement in (Placement.ARCHIVED, Placement.GONE)
        is_settled = row.placed_at is None or not timedelta(0) <= now - row.placed_at < SETTLED_AFTER
        if was_moved and is_settled and number < RETURNS:
            found[key] = Returned(f"{key}{AGAIN}{number + 1}", row.id, row.ticket_id)
    return found


def _newest_rows(
    session: Session, mailbox_id: int, epoch: str, keys: Collection[str]
) -> dict[str, tuple[int, Row]]:
    """By key: how many rows the message has, and the last of them."""
    columns = sa.select(
        Inbound.id, Inbound.remote_key, Inbound.placement, Inbound.placed_at, Inbound.ticket_id
    ).where(Inbound.mailbox_id == mailbox_id, Inbound.epoch == epoch)
    newest: dict[str, tuple[int, Row]] = {}
    listed, at_once = list(keys), KEYS_AT_ONCE
    for start in range(0, len(listed), at_once):
        names = {
            name: (key, number)
            for key in listed[start : start + at_once]
            for number, name in enumerate([key, *(f"{key}{AGAIN}{n}" for n in range(2, RETURNS + 1))], 1)
        }
        for row in session.execute(columns.where(Inbound.remote_key.in_(names))):
            key, number = names[row.remote_key]
            if number >= newest.get(key, (0,))[0]:
                newest[key] = (number, row)
    return newest
