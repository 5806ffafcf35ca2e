"""Workers and web processes on one PostgreSQL, killed at random: nothing lost, doubled or stuck.

Three `servicedesk worker` and two `servicedesk web`. Mail comes in, acknowledgements go out, and again and
again one of the five is killed and started anew. `TORTURE_WORKER_KILLS` says how often.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.parser import BytesParser
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import add_people, make_instance, set_incoming_from, set_row
from tests.inbound.accounting import assert_accounted, environment, varied_messages, wait_for
from tests.rig.dovecot import DovecotMailbox
from tests.rig.ports import free_ports
from tests.rig.postgres import PostgresServer
from tests.rig.smtp import SmtpServer
from webapp.config import CHECKOUT
from webapp.desk import accounts, notification_settings
from webapp.desk.notification_settings import Event, NotificationSettings
from webapp.instance import Instance
from webapp.models import (
    Delivery,
    DeliveryState,
    Inbound,
    OutgoingMessage,
    Placement,
    Role,
    Row,
)

pytestmark = [pytest.mark.dovecot, pytest.mark.postgres, pytest.mark.sqlite, pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("TORTURE_WORKER_KILLS", "12"))
MESSAGES = 12 * KILLS
SEED = int(os.environ.get("TORTURE_SEED", "20261124"))
WORKERS, WEBS = 3, 2


@pytest.fixture
def desk(
    tmp_path: Path, postgres: PostgresServer, mailbox: DovecotMailbox, start_smtp: Callable[..., SmtpServer]
) -> Iterator[tuple[Instance, SmtpServer]]:
    smtp = start_smtp()
    instance = make_instance(
        tmp_path / "instance",
        database_url=postgres.url(postgres.create_database()),
        mail_ca_file=str(mailbox.server.ca_file),
    )
    add_people(instance)
    set_incoming_from(instance, mailbox.settings())
    told = smtp.settings()
    set_row(
        instance, Row.OUTGOING, told.password, host=told.host, port=str(told.port),
        tls_mode=told.tls_mode.value, username=told.username, from_address=told.from_address, active="true",
    )  # fmt: skip
    with instance.database.writing() as session:
        accounts.create_account(
            session, email="bob@desk.test", name="Bob", password="correct horse battery",
            role=Role.TECHNICIAN, now=datetime.now(UTC), actor="test",
        )  # fmt: skip
        notification_settings.save(session, NotificationSettings(on=frozenset(Event)))
    yield instance, smtp
    instance.close()


class Processes:
    """The five, each started again when it was killed."""

    def __init__(self, instance: Instance, mailbox: DovecotMailbox) -> None:
        self._instance, self._mailbox = instance, mailbox
        commands = [["worker"]] * WORKERS + [["web", "--port", str(port)] for port in free_ports(WEBS)]
        self._commands = commands
        self._running = [self._start(command) for command in commands]

    def kill(self, number: int) -> None:
        self._running[number].send_signal(signal.SIGKILL)
        self._running[number].wait(10)
        self._running[number] = self._start(self._commands[number])

    def stop(self) -> list[int]:
        """How each ended that was asked to."""
        for process in self._running:
            process.terminate()
        return [process.wait(40) for process in self._running]

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "webapp.cli", *command],
            cwd=CHECKOUT,
            env=environment(
                self._instance,
                self._mailbox,
                SERVICEDESK_DATABASE_URL=self._instance.settings.database_url,
                SERVICEDESK_POLL_INTERVAL="5",
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def test_killed_at_random_they_lose_and_double_nothing(
    desk: tuple[Instance, SmtpServer], mailbox: DovecotMailbox
) -> None:
    instance, smtp = desk
    chance = random.Random(SEED)
    sent = varied_messages(MESSAGES)
    raws = [raw for _, raw in sent.values()]
    processes = Processes(instance, mailbox)
    try:
        for number in range(KILLS):
            mailbox.deliver_many(raws[number * 12 : (number + 1) * 12])
            time.sleep(chance.uniform(0.5, 2.5))
            processes.kill(chance.randrange(WORKERS + WEBS))
        wait_for(lambda: placements(instance) == [Placement.ARCHIVED] * MESSAGES, 300)
        wait_for(lambda: not waiting(instance), 300)
    finally:
        ended = processes.stop()
    assert set(ended) <= {0, -signal.SIGTERM}  # one that was only starting is ended by the signal itself
    assert_accounted(instance, mailbox, sent)
    assert_sent_at_most_once(instance, smtp)


def assert_sent_at_most_once(instance: Instance, smtp: SmtpServer) -> None:
    """Automatic mail: what the server got was written here, came once, and what was SENT came."""
    copies = Counter(BytesParser().parsebytes(one.raw)["Message-ID"].strip("<> ") for one in smtp.messages)
    with instance.database.reading() as session:
        states = dict(
            session.execute(
                sa.select(OutgoingMessage.message_id, Delivery.state).join(
                    Delivery, OutgoingMessage.deliveries
                )
            ).all()
        )
    assert states
    assert {message_id for message_id, count in copies.items() if count > 1} == set()
    assert set(copies) <= set(states)
    assert {one for one, state in states.items() if state is DeliveryState.SENT} <= set(copies)
    assert set(states.values()) <= {DeliveryState.SENT, DeliveryState.UNCERTAIN}


def placements(instance: Instance) -> list[Placement]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Inbound.placement)))


def waiting(instance: Instance) -> int:
    states = (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.SENDING)
    with instance.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).where(Delivery.state.in_(states))) or 0
