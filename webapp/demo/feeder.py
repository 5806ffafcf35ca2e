"""Sample mail arrives: some at the first start, then one message every half minute, until all are there.

The ledger says what arrived before: what was delivered and never taken in comes again, nothing comes
twice, and no state of its own is kept.
"""

from __future__ import annotations

import logging
import secrets
import threading
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.instance import Instance
from webapp.models import Entry, Inbound

from .afternoon import AFTERNOON
from .morning import MORNING
from .sample import Sample, build
from .servers import MailServers

SCRIPT: tuple[Sample, ...] = (*MORNING, *AFTERNOON)
AT_FIRST = 8  # messages that wait in the mailbox when the desk opens for the first time
PAUSE_SECONDS = range(20, 41)
STOP_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Feeder:
    """Delivers what is left of the script, in its order."""

    def __init__(self, instance: Instance, servers: MailServers) -> None:
        self._instance, self._servers = instance, servers
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo sample mail", daemon=True)
        with instance.database.reading() as session:
            known = _known(session)
        self.waiting = [sample for sample in SCRIPT if sample.message_id not in known]

    def deliver_first(self) -> None:
        """What came in before the desk opened; at a later start only the next message."""
        first_time = len(self.waiting) == len(SCRIPT)
        now = datetime.now(UTC)
        for position in range(AT_FIRST if first_time else min(len(self.waiting), 1), 0, -1):
            self._deliver(now - timedelta(minutes=11 * position - 10))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while self.waiting and not self._stopping.wait(secrets.choice(PAUSE_SECONDS)):
            try:
                self._deliver(datetime.now(UTC))
            except Exception:  # the desk goes on without further samples
                if not self._stopping.is_set():
                    logger.exception("no more sample mail")
                return
        if not self.waiting:
            logger.info("all %d sample messages have arrived; there will be no more", len(SCRIPT))

    def _deliver(self, when: datetime) -> None:
        sample = self.waiting[0]
        followed = next((other for other in SCRIPT if other.name == sample.follows), None)
        thread = followed.message_id if followed else None
        ticket = self._ticket_of(thread) if thread and sample.tagged else None
        self._servers.deliver(build(sample, when, thread=thread, ticket=ticket), when)
        del self.waiting[0]

    def _ticket_of(self, message_id: str) -> int | None:
        query = sa.select(Entry.ticket_id).where(Entry.message_id == message_id).order_by(Entry.id)
        with self._instance.database.reading() as session:
            return session.scalars(query).first()


def _known(session: Session) -> set[str]:
    ids = [sample.message_id for sample in SCRIPT]
    found = session.scalars(sa.select(Inbound.message_id).where(Inbound.message_id.in_(ids)))
    return {message_id for message_id in found if message_id}
