"""Sending what the outbox holds: claim, one SMTP transaction a message, settle each recipient on its own.

Several messages go over one connection; after a failure the next has a new one. `at_final_dot` is committed
before the octets leave that commit the message, so that after a crash it is known whether a second try could
be a second copy.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.failpoints import failpoint
from webapp.instance import Instance
from webapp.mailserver.base import SaysSize, ServerSettings, Transport
from webapp.mailserver.connect import open_transport
from webapp.mailserver.deadline import Alarm
from webapp.mailserver.errors import ConnectionFailed, MailServerError, RecipientsRefused, Stage
from webapp.models import MailServer, Row
from webapp.outbound import claims, outcome, trouble
from webapp.outbound.claims import Claim, ClaimLost
from webapp.outbound.outcome import SENT, Outcome, Result, Trouble
from webapp.outbound.worker import make_worker_name
from webapp.vault import VaultError

# For one message, from connecting to the answer: ten minutes in all.
OPEN_SECONDS, HAND_OVER_SECONDS = 120.0, 480.0
STOP_SECONDS = 5.0  # how long a shutdown waits for the answer after the final dot
MESSAGES_PER_CONNECTION = 100
SENDING_ROWS = (Row.OUTGOING, Row.INVOICE)
OUR_MISTAKE = "The service desk made a mistake while sending this; its log tells more."

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Connection:
    """To the server of a row, as its settings were at `version`. Failed: closed, and not used again."""

    transport: Transport
    settings: ServerSettings
    version: int
    messages: int = 0
    failed: bool = False

    @property
    def may_go_on(self) -> bool:
        return not self.failed and self.messages < MESSAGES_PER_CONNECTION


@dataclass(frozen=True, slots=True)
class _Turn:
    """A message to be sent, and the row as it is now."""

    claim: Claim
    row: Row
    stored: MailServer


@dataclass(frozen=True, slots=True)
class _Tried:
    """A turn that is over: what became of it, to be written down."""

    turn: _Turn
    outcomes: dict[int, Outcome]
    trouble: Trouble | None
    at: datetime


class Deliverer:
    """One worker: one message at a time. `settings_of` makes what a transport needs of a stored row.

    `settings_of` may raise VaultError, whose text is for people.
    """

    def __init__(
        self,
        instance: Instance,
        settings_of: Callable[[MailServer], ServerSettings],
        *,
        connect: Callable[[ServerSettings], Transport] = open_transport,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._instance, self._settings_of = instance, settings_of
        self._connect, self._clock = connect, clock
        self._name = make_worker_name()
        self._numbers = itertools.count(1)
        self._busy = threading.Lock()
        self._stopping = threading.Event()
        self._answered = threading.Event()  # clear while the answer to a final dot is awaited
        self._answered.set()
        self._unwritten: list[_Tried] = []  # the database failed when they were to be settled
        self._connection: _Connection | None = None
        self._transport: Transport | None = None  # what `stop` cuts off

    def run(self, now: datetime | None = None) -> int:
        """Deliver until nothing is due; how many messages were tried. `now` stands in for the clock.

        Does nothing while another thread of this process does it.
        """
        clock = self._clock if now is None else lambda: now
        if not self._busy.acquire(blocking=False):
            return 0
        try:
            self._write_unwritten(clock())
            self._recover(clock())
            return sum(self._drain(row, clock) for row in SENDING_ROWS)
        finally:
            self._hang_up()
            self._busy.release()

    def stop(self) -> None:
        """Cut off what is going on, from any thread; what was not handed over is sent another time.

        A message whose final dot has left gets a moment for its answer: without it nobody knows whether it
        arrived, and a person's would be sent twice.
        """
        self._stopping.set()
        self._answered.wait(STOP_SECONDS)
        if (transport := self._transport) is not None:
            transport.abort()

    def _recover(self, now: datetime) -> None:
        with self._instance.database.reading() as session:
            nothing = not claims.has_abandoned(session, now)
        if not nothing:
            with self._instance.database.writing() as session:
                rows = claims.recover(session, now)
                for row in set(rows):  # it may have been the one that was to ask a failing server
                    trouble.ask_at_once(session, Row(row), now)
            logger.warning("%d deliveries were left by a worker that ended while sending", len(rows))

    def _drain(self, row: Row, clock: Callable[[], datetime]) -> int:
        self._bring_forward(row, clock())
        self._drop_too_old(row, clock())
        for number in itertools.count():
            turn = None if self._stopping.is_set() else self._next(row, clock())
            if turn is None:
                self._hang_up()
                return number
            self._send(turn, clock)
        raise AssertionError

    def _bring_forward(self, row: Row, now: datetime) -> None:
        with self._instance.database.reading() as session:
            nothing = not claims.is_misdated(session, row, now)
        if not nothing:
            with self._instance.database.writing() as session:
                claims.bring_forward(session, row, now)

    def _drop_too_old(self, row: Row, now: datetime) -> None:
        with self._instance.database.reading() as session:
            nothing = not claims.has_too_old(session, row, now)
        if not nothing:
            with self._instance.database.writing() as session:
                claims.drop_too_old(session, row, now)

    def _next(self, row: Row, now: datetime) -> _Turn | None:
        """What is due, if the row is on and its server may be asked. Looks before it locks."""
        with self._instance.database.reading() as session:
            if self._look(session, row, now) is None:
                return None
        with self._instance.database.writing_beside() as session:
            found = self._look(session, row, now, to_claim=True)
            if found is None or not trouble.may_try(session, row, found[0].version, now):
                return None
            token = f"{self._name}.{next(self._numbers)}"
            mine = claims.claim(session, found[1], token, now)
            if mine is None:
                trouble.ask_at_once(session, row, now)
                return None
        failpoint("smtp_claimed")
        return _Turn(mine, row, found[0])

    def _look(
        self, session: Session, row: Row, now: datetime, *, to_claim: bool = False
    ) -> tuple[MailServer, int] | None:
        stored = session.get(MailServer, row.value)
        if stored is None or not stored.active:
            return None
        if trouble.blocks(trouble.load(session, row), stored.version, now):
            return None
        due = claims.find_due(session, row, now, to_claim=to_claim)
        return None if due is None else (stored, due)

    def _send(self, turn: _Turn, clock: Callable[[], datetime]) -> None:
        """One message, whatever happens: each of its deliveries is settled."""
        accepted: set[str] = set()
        try:
            outcomes, found = self._try(turn, accepted)
        except ClaimLost as lost:
            logger.warning("%s", lost)
            self._hang_up()
            return
        except Exception:
            logger.exception("message %d could not be sent", turn.claim.outgoing_id)
            self._hang_up()
            # Whatever broke in us may break again: the message waits as one that was refused for now.
            outcomes = _for_all(turn.claim, Outcome(Result.LATER, "", OUR_MISTAKE), accepted=accepted)
            found = None
        self._settle(_Tried(turn, outcomes, found, clock()))

    def _try(self, turn: _Turn, accepted: set[str]) -> tuple[dict[int, Outcome], Trouble | None]:
        """What became of it for each recipient, and whether the server is at fault."""
        mine = turn.claim
        try:
            settings = self._settings_of(turn.stored)
        except VaultError as error:
            lost = Trouble(str(error), "Enter the password of this row again.", "", locks=False)
            return _for_all(mine, Outcome(Result.UNTRIED, "", lost.sentence)), lost
        try:
            connection = self._connected(turn, settings)
        except MailServerError as error:
            self._connection = self._transport = None
            if self._stopping.is_set():
                return _for_all(mine, Outcome(Result.UNTRIED, "", claims.INTERRUPTED)), None
            return _for_all(mine, outcome.of_failed_open(error, settings)), outcome.trouble_of(
                error, settings
            )
        try:
            return self._hand_over(connection, mine, accepted), None
        except MailServerError as error:
            connection.failed = True
            outcomes, found = self._failed(error, mine, settings, accepted - error.delivered)
            done = {number: SENT for number, to in mine.recipients.items() if to in error.delivered}
            return outcomes | done, found

    def _failed(
        self, error: MailServerError, mine: Claim, settings: ServerSettings, accepted: set[str]
    ) -> tuple[dict[int, Outcome], Trouble | None]:
        if isinstance(error, RecipientsRefused):
            return {
                delivery_id: outcome.of_refused(to, error.refused.get(to, ""))
                for delivery_id, to in mine.recipients.items()
            }, None
        if self._stopping.is_set():
            untried = Outcome(Result.UNTRIED, "", claims.INTERRUPTED)
            return _for_all(mine, untried, accepted=accepted if error.uncertain else frozenset()), None
        told = outcome.of_failed_send(error, settings)
        if error.uncertain:  # those refused at RCPT got nothing
            later = Outcome(Result.LATER, told.words, told.sentence)
            return _for_all(mine, later, accepted=accepted), outcome.trouble_of(error, settings)
        return _for_all(mine, told), outcome.trouble_of(error, settings)

    def _hand_over(self, connection: _Connection, mine: Claim, accepted: set[str]) -> dict[int, Outcome]:
        def before_final_dot(taken: frozenset[str]) -> None:
            failpoint("smtp_before_dot")
            self._answered.clear()
            if self._stopping.is_set():  # `stop` may not have seen that there is an answer to wait for
                raise ConnectionFailed("the service desk is stopping", stage=Stage.SEND)
            with self._instance.database.writing_beside() as session:
                claims.mark_final_dot(session, mine, taken)
            accepted.update(taken)
            failpoint("smtp_at_dot")

        try:
            with _TimeLimit(connection.transport, HAND_OVER_SECONDS):
                result = connection.transport.send(
                    mine.raw,
                    sender=connection.settings.from_address,
                    recipients=list(mine.recipients.values()),
                    before_final_dot=before_final_dot,
                )
        finally:
            self._answered.set()
        failpoint("after_smtp_250")
        connection.messages += 1
        return {
            delivery_id: SENT if to in result.accepted else outcome.of_refused(to, result.refused[to])
            for delivery_id, to in mine.recipients.items()
        }

    def _connected(self, turn: _Turn, settings: ServerSettings) -> _Connection:
        """The connection that is open, if it may go on; else a new one."""
        known = self._connection
        if known is not None and known.may_go_on and known.version == turn.stored.version:
            return known
        self._hang_up()
        transport = self._transport = self._connect(settings)
        if self._stopping.is_set():  # since before there was something to cut off
            transport.abort()
        with _TimeLimit(transport, OPEN_SECONDS):
            transport.open()
        self._connection = _Connection(transport, settings, turn.stored.version)
        self._learn_size(turn, transport)
        return self._connection

    def _learn_size(self, turn: _Turn, transport: Transport) -> None:
        """What the server says of the size of messages now, for whoever writes one; seldom news."""
        if not isinstance(transport, SaysSize) or transport.largest_octets == turn.stored.largest_octets:
            return
        version, largest = turn.stored.version, transport.largest_octets
        with suppress(sa.exc.DBAPIError), self._instance.database.writing() as session:
            remember_size(session, turn.row, version=version, largest_octets=largest)

    def _hang_up(self) -> None:
        connection, self._connection, self._transport = self._connection, None, None
        if connection is not None:
            connection.transport.close()

    def _write_unwritten(self, now: datetime) -> None:
        """What a failing database has not taken: else a 250 would be forgotten, and the mail sent again."""
        waiting, self._unwritten = self._unwritten, []
        for tried in waiting:
            if abs(now - tried.at) < claims.LEASE + outcome.REPEAT_AFTER:  # then it was taken over for good
                with suppress(Exception):  # it was logged, and is kept for the next time
                    self._settle(tried)

    def _settle(self, tried: _Tried) -> None:
        try:
            with self._instance.database.writing() as session:
                self._write(session, tried)
        except Exception:
            logger.exception("what became of message %d could not be written", tried.turn.claim.outgoing_id)
            self._unwritten.append(tried)
            raise

    def _write(self, session: Session, tried: _Tried) -> None:
        turn, found, now = tried.turn, tried.trouble, tried.at
        was_asked = any(one.result is Result.SENT or one.words for one in tried.outcomes.values())
        claims.settle(session, turn.claim, tried.outcomes, now)
        if found is not None:
            known = trouble.note(session, turn.row, found, turn.stored.version, now)
            if known.failures == 1:
                logger.warning("%s email cannot be sent: %s", turn.row.value, found.sentence)
        elif was_asked:
            trouble.clear(session, turn.row)
        else:  # the failing server was to be asked, and was not
            trouble.ask_at_once(session, turn.row, now)


def remember_size(session: Session, row: Row, *, version: int, largest_octets: int | None) -> None:
    """How large a message the server of these settings takes (SIZE); a newer version is not touched."""
    session.execute(
        sa.update(MailServer)
        .where(MailServer.row == row.value, MailServer.version == version)
        .values(largest_octets=largest_octets)
        .execution_options(synchronize_session=False)
    )


def _for_all(
    mine: Claim, told: Outcome, *, accepted: set[str] | frozenset[str] = frozenset()
) -> dict[int, Outcome]:
    """The same for each recipient, except that those for whom the dot may have left are uncertain."""
    uncertain = Outcome(Result.UNCERTAIN, told.words, told.sentence)
    return {delivery_id: uncertain if to in accepted else told for delivery_id, to in mine.recipients.items()}


class _TimeLimit:
    """Cuts the connection when opening it, or handing a message over, has taken too long in all."""

    def __init__(self, transport: Transport, seconds: float) -> None:
        self._alarm, self._seconds = Alarm(transport.abort), seconds

    def __enter__(self) -> None:
        self._alarm.set(self._seconds)

    def __exit__(self, *_: object) -> None:
        self._alarm.clear()
