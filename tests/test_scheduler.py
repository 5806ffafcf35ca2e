"""The jobs of the running process: mail becomes a ticket without anybody asking."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

import scheduler
from tests.factories import make_instance, make_raw, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from webapp.inbound.runs import RunReport
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


def test_news_during_a_run_are_followed_by_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance(tmp_path)
    jobs = scheduler.Scheduler(instance)
    first_is_going, go_on = threading.Event(), threading.Event()
    runs: list[int] = []

    def slow_first(*_: object, **__: object) -> RunReport:
        runs.append(len(runs))
        first_is_going.set()
        assert go_on.wait(10)
        return RunReport()

    monkeypatch.setattr(scheduler, "poll", slow_first)
    jobs.start()
    assert first_is_going.wait(10)
    for _ in range(5):
        jobs.wake()
    time.sleep(0.3)
    assert runs == [0]
    go_on.set()
    wait_for(lambda: len(runs) == 2)
    time.sleep(0.3)
    assert runs == [0, 1]
    jobs.shutdown()
    instance.close()


def test_a_run_that_fails_on_our_side_does_not_stop_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance(tmp_path)
    jobs = scheduler.Scheduler(instance)
    runs: list[int] = []

    def fails_first(*_: object, **__: object) -> RunReport:
        runs.append(len(runs))
        if len(runs) == 1:
            raise RuntimeError("a bug")
        return RunReport()

    monkeypatch.setattr(scheduler, "poll", fails_first)
    jobs.start()
    wait_for(lambda: len(runs) == 1)
    jobs.wake()
    wait_for(lambda: len(runs) == 2)
    assert jobs._jobs.get_job("poll-incoming") is not None
    jobs.shutdown()
    instance.close()


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_that_jumps_means_one_run_now_and_no_lost_interval(tmp_path: Path, jump: float) -> None:
    """Put back by two hours, the next run would otherwise be two hours off."""
    instance = make_instance(tmp_path, poll_interval=3600)
    opened = instance.uptime.since
    jobs = scheduler.Scheduler(instance)
    wall, steady = [1_000_000.0], [500.0]
    guard = scheduler.ClockGuard(jobs._clock_moved, wall=lambda: wall[0], steady=lambda: steady[0])
    job = jobs._jobs.get_job("poll-incoming")
    assert job is not None
    jobs._jobs.start(paused=True)
    far = datetime.now(UTC) + timedelta(hours=2)
    job.modify(next_run_time=far)
    steady[0] += 5
    wall[0] += 5
    guard.look()
    assert jobs._jobs.get_job("poll-incoming").next_run_time == far
    wall[0] += jump
    guard.look()
    assert jobs._jobs.get_job("poll-incoming").next_run_time <= datetime.now(UTC)
    assert instance.uptime.since > opened
    job.modify(next_run_time=far)
    guard.look()
    assert jobs._jobs.get_job("poll-incoming").next_run_time == far
    jobs._jobs.shutdown(wait=False)
    instance.close()


def test_jobs_are_coalesced_never_doubled_and_never_too_late(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    jobs = scheduler.Scheduler(instance)
    jobs._jobs.start(paused=True)
    for job in jobs._jobs.get_jobs():
        assert (job.coalesce, job.max_instances, job.misfire_grace_time) == (True, 1, None)
    jobs._jobs.shutdown(wait=False)
    instance.close()


@pytest.mark.dovecot
def test_a_delivered_message_is_a_ticket_long_before_the_next_interval(
    tmp_path: Path, mailbox: DovecotMailbox
) -> None:
    instance = make_instance(tmp_path, poll_interval=3600, mail_ca_file=str(mailbox.server.ca_file))
    set_incoming_from(instance, mailbox.settings())
    jobs = scheduler.Scheduler(instance)
    jobs.start()
    try:
        wait_for(lambda: jobs._watcher._mailbox is not None)
        time.sleep(1)
        for count in (1, 2):
            mailbox.receive(make_raw())
            wait_for_tickets(instance, count)
    finally:
        started = time.monotonic()
        jobs.shutdown()
    assert time.monotonic() - started < 3
    instance.close()


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)
