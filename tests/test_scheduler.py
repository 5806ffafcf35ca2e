"""The jobs of the running process: mail becomes a ticket without anybody asking."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa

import scheduler
from tests.factories import make_instance, make_raw, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from webapp.instance import Instance
from webapp.models import PollRun, Ticket


@pytest.mark.dovecot
def test_the_running_process_polls_at_once_and_again(tmp_path: Path, mailbox: DovecotMailbox) -> None:
    instance = make_instance(tmp_path, poll_interval=5, mail_ca_file=str(mailbox.server.ca_file))
    set_incoming_from(instance, mailbox.settings())
    mailbox.deliver(make_raw(subject="first"))
    jobs = scheduler.Scheduler(instance)
    jobs.start()
    try:
        wait_for_tickets(instance, 1)
        mailbox.deliver(make_raw(subject="second"))
        wait_for_tickets(instance, 2)
    finally:
        jobs.shutdown()
    with instance.database.reading() as session:
        assert set(session.scalars(sa.select(PollRun.trigger))) == {"schedule"}
    instance.close()


def test_without_a_mailbox_it_runs_quietly(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    jobs = scheduler.Scheduler(instance)
    jobs.start()
    jobs.shutdown()
    with instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(PollRun)) == 0
    instance.close()


def wait_for_tickets(instance: Instance, count: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with instance.database.reading() as session:
            if session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == count:
                return
        time.sleep(0.1)
    pytest.fail(f"{count} tickets did not appear")
