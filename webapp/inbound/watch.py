"""Waiting for news of the mailbox (IMAP IDLE), so that a message is a ticket within a second or two.

The watcher has a connection of its own, reads nothing and holds no lease: it only wakes the poll, which
would have come by itself a little later. So it never makes a fuss: where the server has no IDLE, or does
not answer, polling does it all. While polling fails it stays away: one set of refused sign-ins is enough.
Where the server allows too few connections for both of us, it stays away for good.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from webapp.desk import mail_servers
from webapp.inbound.runs import FIRST_DELAY, LONGEST_DELAY
from webapp.instance import Instance
from webapp.mailserver.base import Mailbox, MailProtocol, ServerSettings
from webapp.mailserver.connect import open_mailbox
from webapp.mailserver.errors import IdleNotSupported, MailServerError
from webapp.models import Row
from webapp.vault import VaultError

IDLE_SECONDS = 28 * 60.0  # a server may end a session after 30 minutes (RFC 2177)
LOOK_SECONDS = 2.0  # how soon changed settings are noticed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Target:
    """Whom to watch, and the version of the row that says so."""

    version: int
    settings: ServerSettings
    polled_at: datetime  # the last good run


class Watcher:
    """A thread that calls `wake` when there may be news, until `stop`."""

    def __init__(
        self,
        instance: Instance,
        wake: Callable[[], None],
        *,
        connect: Callable[[ServerSettings], Mailbox] = open_mailbox,
    ) -> None:
        self._instance, self._wake, self._connect = instance, wake, connect
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mail-watcher", daemon=True)
        self._mailbox: Mailbox | None = None
        self._not_to_watch: int | None = None  # the version of the row whose server cannot do it
        self._in_the_way: int | None = None  # the version whose polls may fail because of us
        self._failed_with_us = 0  # runs in a row, when we left; one more may have been on its way then
        self._failures = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 1.0) -> None:
        """Ends the wait; the thread is a daemon should a server hold it longer."""
        self._stopping.set()
        self._thread.join(seconds)
        if self._thread.is_alive() and self._mailbox is not None:
            self._mailbox.abort()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception:
                logger.exception("watching the mailbox failed")
                self._stopping.wait(FIRST_DELAY.total_seconds())

    def _look(self) -> None:
        """Watch while there is something to watch; otherwise wait a little."""
        target = self._find_target()
        if target is None or target.version == self._not_to_watch:
            self._stopping.wait(LOOK_SECONDS)
            return
        if target.version == self._in_the_way:  # we were there and it failed, we left and it works
            logger.info("the mail server allows too few connections: new messages are found by polling")
            self._not_to_watch = target.version
            return
        try:
            self._watch(target)
            self._judge(target)
        except IdleNotSupported:
            logger.info("the mail server cannot tell of new messages (IDLE): they are found by polling")
            self._not_to_watch = target.version
        except MailServerError as error:
            self._back_off(error, target.version)

    def _watch(self, target: _Target) -> None:
        """Until the settings change, polling fails, or we are stopped. Raises MailServerError."""
        changed = _Rarely(lambda: self._find_version() != target.version)
        with self._connect(target.settings) as mailbox:
            self._mailbox = mailbox
            mailbox.open(read_only=True)
            self._wake()  # what came before we were there
            while not self._stopping.is_set() and not changed():
                if mailbox.wait_for_news(IDLE_SECONDS, stop=lambda: self._stopping.is_set() or changed()):
                    self._wake()
                self._failures = 0
        self._mailbox = None

    def _judge(self, target: _Target) -> None:
        """Why the watch ended: where no run went well since it began and one failed, we may be in its way.

        Whatever fails later fails for another reason: that run and we have been connected together before.
        """
        with self._instance.database.reading() as session:
            row = mail_servers.load(session, Row.INCOMING)
            mailbox = mail_servers.mailbox_of(session, row) if row and row.version == target.version else None
            if mailbox and mailbox.failing_since and mailbox.last_success_at == target.polled_at:
                self._in_the_way, self._failed_with_us = target.version, mailbox.failures

    def _find_target(self) -> _Target | None:
        """The active row, while polling goes well."""
        with self._instance.database.reading() as session:
            row = mail_servers.load(session, Row.INCOMING)
            if row is None or not row.active or row.protocol != MailProtocol.IMAP:
                return None  # Exchange and Office365 have no IDLE: they are polled
            mailbox = mail_servers.mailbox_of(session, row)
            if mailbox is not None and mailbox.failures > self._failed_with_us + 1:
                self._in_the_way = None  # it fails without us, too
            if mailbox is None or mailbox.last_success_at is None or mailbox.failing_since is not None:
                return None
            polled_at = mailbox.last_success_at
        try:
            wanted = mail_servers.stored_draft(self._instance.vault, row)
        except VaultError:
            return None  # the poll says so
        return _Target(row.version, mail_servers.server_settings(wanted, self._instance), polled_at)

    def _find_version(self) -> int | None:
        target = self._find_target()
        return target.version if target else None

    def _back_off(self, error: MailServerError, version: int) -> None:
        """1, 2, 4 ... 30 minutes, at once the longest where only a person can help; new settings end it."""
        delay = LONGEST_DELAY if error.permanent else FIRST_DELAY * (1 << min(self._failures, 10))
        seconds = min(delay, LONGEST_DELAY).total_seconds()
        self._failures += 1
        logger.info("not watching the mailbox for %d s: %s at %s", seconds, type(error).__name__, error.stage)
        waited = 0.0
        while waited < seconds and not self._stopping.wait(LOOK_SECONDS):
            waited += LOOK_SECONDS
            if self._row_changed(version):
                self._failures = 0
                return

    def _row_changed(self, version: int) -> bool:
        with self._instance.database.reading() as session:
            row = mail_servers.load(session, Row.INCOMING)
            return row is None or row.version != version


class _Rarely:
    """A question asked often and answered anew every LOOK_SECONDS; once it is yes it stays so."""

    def __init__(self, question: Callable[[], bool]) -> None:
        self._question = question
        self._answer = False
        self._asked_at = time.monotonic()

    def __call__(self) -> bool:
        if not self._answer and time.monotonic() - self._asked_at >= LOOK_SECONDS:
            self._answer = self._question()
            self._asked_at = time.monotonic()
        return self._answer
