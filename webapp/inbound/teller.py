"""When the administrators are told: once a minute, and less often while their mail server refuses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from webapp.desk import mail_servers
from webapp.inbound.alerts import NotTold, tell
from webapp.instance import Instance
from webapp.mailserver.base import ServerSettings, Transport
from webapp.mailserver.connect import open_transport
from webapp.models import Row

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=5), timedelta(hours=1)
# A refused sign-in that is repeated locks the account.
FIRST_DELAY_REFUSED, LONGEST_DELAY_REFUSED = timedelta(minutes=30), timedelta(hours=4)

logger = logging.getLogger(__name__)


class Teller:
    """The looks of one process: after a mail that could not be sent it waits, and says so once."""

    def __init__(
        self,
        instance: Instance,
        *,
        connect: Callable[[ServerSettings], Transport] = open_transport,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instance, self._open, self._clock = instance, connect, clock
        self._not_before: float | None = None
        self._refused_version: int | None = None  # of the Outgoing row
        self._failures = 0
        self._said = ""
        self._transport: Transport | None = None
        self._stopping = False

    def look(self, now: datetime) -> None:
        version = self._outgoing_version()
        if self._stopping or self._is_waiting(version):
            return
        try:
            tell(self._instance, now=now, connect=self._connect)
        except NotTold as why:
            self._back_off(why, version)
            if not self._stopping and str(why) != self._said:
                logger.warning("administrators were not told that %s", why)
            self._said = str(why)
        else:
            self._not_before, self._failures, self._said = None, 0, ""
        finally:
            self._transport = None

    def stop(self) -> None:
        """A mail that is on its way is cut off, from any thread; what it was about is told another time."""
        self._stopping = True
        if (transport := self._transport) is not None:
            transport.abort()

    def _connect(self, settings: ServerSettings) -> Transport:
        transport = self._transport = self._open(settings)
        if self._stopping:  # since before there was something to cut off
            transport.abort()
        return transport

    def _is_waiting(self, version: int | None) -> bool:
        """New settings of Outgoing email deserve a try at once."""
        if version != self._refused_version:
            self._not_before, self._failures = None, 0
        return self._not_before is not None and self._clock() < self._not_before

    def _back_off(self, why: NotTold, version: int | None) -> None:
        self._refused_version = version
        if not why.was_tried:
            return
        first, longest = (
            (FIRST_DELAY_REFUSED, LONGEST_DELAY_REFUSED) if why.permanent else (FIRST_DELAY, LONGEST_DELAY)
        )
        delay = min(first * (1 << min(self._failures, 10)), longest)
        self._not_before = self._clock() + delay.total_seconds()
        self._failures += 1

    def _outgoing_version(self) -> int | None:
        with self._instance.database.reading() as session:
            row = mail_servers.load(session, Row.OUTGOING)
            return row.version if row else None
