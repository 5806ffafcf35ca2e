"""Messages of a void epoch that were processed and not moved: found again, whoever has opened them since.

When UIDVALIDITY changes no key says anything any more. A message still unread would be met as new and be
recognised by its octets; one we had already marked as read would be passed over for ever. So both are
looked for by time of receipt, which a new epoch does not change, and known by their octets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from webapp.database import Database
from webapp.inbound import ledger
from webapp.inbound.batches import in_batches
from webapp.inbound.ledger import VoidRow
from webapp.inbound.reading import digest
from webapp.mailserver.base import Mailbox, RemoteMessage
from webapp.models import Placement

logger = logging.getLogger(__name__)

Waiting = dict[tuple[str, datetime], list[VoidRow]]  # by octets and time of receipt


class Rebinding:
    """One pass over the mailbox, bounded by `may_go_on`; what it does not reach waits for the next run."""

    def __init__(
        self,
        mailbox: Mailbox,
        database: Database,
        *,
        mailbox_id: int,
        epoch: str,
        limit: int,  # octets; of a larger message only the header was read
        may_go_on: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._mailbox, self._database = mailbox, database
        self._mailbox_id, self._epoch, self._limit = mailbox_id, epoch, limit
        self._may_go_on, self._clock = may_go_on, clock

    def work(self, void: list[VoidRow]) -> bool:
        """Give each row its message's new key, or say that the message has left the inbox.

        Returns whether every row was settled. Raises MailServerError.
        """
        logger.info("looking for %d messages of an earlier epoch of %s", len(void), self._epoch)
        waiting: Waiting = {}
        for row in void:
            waiting.setdefault((row.sha256, row.received_at), []).append(row)
        for batch in in_batches(self._candidates(void)):
            if not self._may_go_on():
                return False
            self._bind(batch, waiting)
        self._mark_moved([row for rows in waiting.values() for row in rows])
        return True

    def _candidates(self, void: list[VoidRow]) -> Iterator[RemoteMessage]:
        """Messages the ledger does not know, received at the very second of one we look for."""
        times = {row.received_at for row in void}
        since = min(times)
        keys = {*self._mailbox.list_read(since=since), *self._mailbox.list_unread(since=since)}
        ordered = sorted(keys, key=lambda key: (len(key), key))
        for start in range(0, len(ordered), ledger.AT_ONCE):
            some = ordered[start : start + ledger.AT_ONCE]
            with self._database.reading() as session:
                known = ledger.recorded_keys(session, self._mailbox_id, self._epoch, some)
            listed = self._mailbox.look_up([key for key in some if key not in known])
            yield from (message for message in listed if message.received_at in times)

    def _bind(self, batch: list[RemoteMessage], waiting: Waiting) -> None:
        listed = {message.key: message for message in batch}
        whole = [message.key for message in batch if message.size <= self._limit]
        large = [message.key for message in batch if message.size > self._limit]
        digests = {f.key: digest(listed[f.key], f, header_only=False) for f in self._mailbox.fetch(whole)}
        for header in self._mailbox.fetch_headers(large):
            digests[header.key] = digest(listed[header.key], header, header_only=True)
        with self._database.writing() as session:
            for key, sha256 in digests.items():
                if rows := waiting.get((sha256, listed[key].received_at)):
                    ledger.rebind(session, rows.pop(0), self._epoch, key, size=listed[key].size)

    def _mark_moved(self, rows: list[VoidRow]) -> None:
        """Not in the inbox under any key: it was moved, and only the server's answer was lost."""
        placed = [(row.inbound_id, Placement.ARCHIVED) for row in rows]
        with self._database.writing() as session:
            ledger.mark_placed(session, placed, self._clock())
