"""Two whole processes on one instance, each with a scheduler: `gunicorn -w 2`, or a reloader's child."""

from __future__ import annotations

import itertools
import time

import pytest
import sqlalchemy as sa

from tests.inbound.accounting import assert_accounted, start_process, varied_messages, wait_for
from tests.rig.dovecot import DovecotMailbox
from tests.rig.ports import free_ports
from webapp.instance import Instance
from webapp.models import Inbound, Placement, PollRun

pytestmark = pytest.mark.dovecot

MESSAGES, PORTION = 120, 8


def test_two_schedulers_never_run_at_once_and_take_no_message_twice(
    at: Instance, mailbox: DovecotMailbox
) -> None:
    sent = varied_messages(MESSAGES)
    raws = [raw for _, raw in sent.values()]
    processes = [start_process(at, mailbox, port) for port in free_ports(2)]
    try:
        wait_for(lambda: len(runs(at)) >= 2)  # both are there: each looks at once when it starts
        for start in range(0, MESSAGES, PORTION):  # both are told of each of these by the server
            mailbox.deliver_many(raws[start : start + PORTION])
            time.sleep(0.1)
        wait_for(lambda: placements(at) == [Placement.ARCHIVED] * MESSAGES)
        assert all(process.poll() is None for process in processes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            assert process.wait(30) == 0
    assert_accounted(at, mailbox, sent)
    finished = runs(at)
    assert {run.error for run in finished} == {""}
    for one, after in itertools.pairwise(finished):
        assert one.finished_at is not None
        assert one.finished_at <= after.started_at
    assert sum(run.counts["moved"] for run in finished) == MESSAGES


def runs(instance: Instance) -> list[PollRun]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(PollRun).order_by(PollRun.started_at)))


def placements(instance: Instance) -> list[Placement]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Inbound.placement)))
