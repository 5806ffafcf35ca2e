"""Putting processed messages where they belong, and saying so in the ledger.

Runs after the commit and again at the start of the next run: a message whose effect is committed stays
PENDING_MOVE until the mailbox shows that it is gone from the inbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from webapp.database import Database
from webapp.failpoints import failpoint
from webapp.inbound.ledger import PendingMove, mark_placed
from webapp.mailserver.base import Mailbox
from webapp.models import Placement


def move_pending(mailbox: Mailbox, database: Database, pending: Sequence[PendingMove], now: datetime) -> int:
    """Move these messages; returns how many are out of the inbox. Raises MailServerError."""
    count = 0
    by_folder = sorted(pending, key=lambda move: (move.folder, move.ignored))
    for (folder, ignored), moves in groupby(by_folder, key=lambda move: (move.folder, move.ignored)):
        ids = {move.key: move.inbound_id for move in moves}
        if not ignored:
            mailbox.mark_read(ids.keys())
        result = mailbox.move(ids.keys(), folder)
        failpoint("after_move")
        placed = [(ids[key], Placement.ARCHIVED) for key in result.moved]
        placed += [(ids[key], Placement.GONE) for key in result.vanished]
        with database.writing() as session:
            mark_placed(session, placed, now)
        failpoint("after_final")
        count += len(placed)
    return count


def recover(mailbox: Mailbox, database: Database, pending: Sequence[PendingMove], now: datetime) -> int:
    """Finish what an earlier run committed: still in the inbox, move it; gone, it was moved already.

    By presence, not by the read flag: a person may have opened the message meanwhile.
    """
    here = mailbox.still_in_inbox([move.key for move in pending])
    gone = [(move.inbound_id, Placement.ARCHIVED) for move in pending if move.key not in here]
    if gone:
        with database.writing() as session:
            mark_placed(session, gone, now)
    return len(gone) + move_pending(mailbox, database, [m for m in pending if m.key in here], now)
