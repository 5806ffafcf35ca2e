"""The running process sends what is written within a second or two, and ends quickly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

import scheduler
from tests.factories import set_row
from tests.outbound.conftest import Outbox
from tests.rig.scripted import ScriptedServer
from tests.rig.smtp import SmtpServer
from webapp.instance import Instance
from webapp.models import Row


@pytest.fixture
def outbox(instance: Instance) -> Outbox:
    return Outbox(instance, now=datetime.now(UTC))


@pytest.fixture
def jobs(instance: Instance) -> Iterator[scheduler.Scheduler]:
    jobs = scheduler.Scheduler(instance)
    jobs.start()
    yield jobs
    jobs.shutdown()


def wait_for(outbox: Outbox, state: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while {one.state.value for one in outbox.all()} != {state}:
        assert time.monotonic() < end, outbox.states()
        time.sleep(0.02)


def test_what_is_written_leaves_at_once(
    outbox: Outbox, server: SmtpServer, jobs: scheduler.Scheduler
) -> None:
    for _ in range(3):  # far sooner than the next look, which is 15 seconds off
        outbox.write()
        wait_for(outbox, "sent", 8)
    assert len(server.messages) == 3


def test_it_ends_at_once_while_a_server_keeps_silent(
    outbox: Outbox, scripted: Callable[..., ScriptedServer], instance: Instance
) -> None:
    scripted({"DATA": None})
    set_row(instance, Row.OUTGOING, password=None, timeout_ms="60000")
    jobs = scheduler.Scheduler(instance)
    jobs.start()
    outbox.write()
    wait_for(outbox, "sending", 8)
    time.sleep(0.3)
    begun = time.monotonic()
    jobs.shutdown()
    assert time.monotonic() - begun < 4
    assert outbox.one().state.value == "queued"
