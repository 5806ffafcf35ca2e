"""What breaks around a run: the server, the database, people, and the signal to stop."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.factories import add_people, make_instance, make_raw, set_incoming_from
from tests.inbound.accounting import (
    assert_accounted,
    poll,
    start_poll,
    start_process,
    varied_messages,
    wait_for,
)
from tests.inbound.conftest import Desk
from tests.rig.dovecot import DovecotMailbox
from tests.rig.fixtures import DovecotStarter
from tests.rig.ports import free_ports
from tests.rig.proxy import Plan, Proxy
from webapp.inbound import missed
from webapp.inbound import poll as polling
from webapp.inbound.parser_process import ParserProcess
from webapp.instance import Instance
from webapp.models import Inbound, MailboxIdentity, MissedMessage, MissedState, Placement, Ticket


def tickets(instance: Instance) -> int:
    with instance.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Ticket)) or 0


def placements(instance: Instance) -> list[Placement]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Inbound.placement).order_by(Inbound.id)))


@pytest.mark.sqlite
class TestTheDatabase:
    """Nothing is told to the server that is not on the disk; when the disk is well again it goes on."""

    def test_locked_by_another_for_too_long(self, desk: Desk) -> None:
        desk.poll()
        desk.deliver()
        path = desk.instance.database.engine.url.database
        other = sqlite3.connect(str(path), isolation_level=None)
        sa.event.listen(desk.instance.database.engine, "checkout", _impatient)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sa.exc.OperationalError, match="locked"):
            desk.poll()
        assert "move" not in desk.server.commands
        other.execute("ROLLBACK")
        other.close()
        assert desk.poll().counts.ticket == 1

    def test_full(self, desk: Desk) -> None:
        desk.poll()
        desk.deliver(make_raw(files=[("big.bin", os.urandom(3_000_000))]))
        limit = _MaxPages(desk.instance.database.engine)
        report = desk.poll()
        assert report.failure is not None
        assert "full" in report.failure.sentence
        assert (desk.tickets(), desk.ledger(), len(desk.folder("INBOX"))) == ([], [], 1)
        assert "move" not in desk.server.commands
        limit.lift()
        report = desk.poll()
        assert (report.failure, report.counts.ticket, report.counts.moved) == (None, 1, 1)

    def test_read_only(self, desk: Desk) -> None:
        desk.poll()
        desk.deliver()
        sa.event.listen(desk.instance.database.engine, "begin", _read_only)
        report = desk.poll()
        assert report.failure is not None
        assert "readonly" in report.failure.sentence
        assert "move" not in desk.server.commands
        sa.event.remove(desk.instance.database.engine, "begin", _read_only)
        assert desk.folder("INBOX") != []
        assert desk.poll().counts.ticket == 1


def _impatient(driver: Any, *_: object) -> None:
    """Half a minute is what a program waits, not a test."""
    driver.execute("PRAGMA busy_timeout=50")


def _read_only(connection: sa.Connection) -> None:
    _driver(connection).execute("PRAGMA query_only=ON")


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


class _MaxPages:
    """The database may not grow by more than a hundred pages."""

    def __init__(self, engine: sa.Engine) -> None:
        with engine.connect() as connection:
            self._limit = connection.scalar(sa.text("PRAGMA page_count")) + 100
        self._engine = engine
        sa.event.listen(engine, "begin", self._set)

    def lift(self) -> None:
        self._limit = 1_000_000

    def _set(self, connection: sa.Connection) -> None:
        _driver(connection).execute(f"PRAGMA max_page_count={self._limit}")


@pytest.mark.dovecot
class TestTheServer:
    def test_a_run_that_hangs_is_ended_by_its_deadline(
        self, at: Instance, mailbox: DovecotMailbox, parser: ParserProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(polling, "deadline_seconds", lambda _: 2.0)
        mailbox.deliver(make_raw())
        with Proxy(mailbox.server.tls_port) as proxy:
            set_incoming_from(at, mailbox.settings(port=proxy.port), timeout_ms="60000")
            proxy.plan = Plan(silent_after=4000)
            started = time.monotonic()
            report = polling.poll(at, parser, trigger="schedule")
            assert time.monotonic() - started < 5
        assert report.failure is not None
        assert "The run was ended after" in report.failure.sentence

    def test_an_archive_with_a_name_of_its_own_below_a_prefix(
        self, start_dovecot: DovecotStarter, tmp_path: Path
    ) -> None:
        mailbox = start_dovecot(prefix="INBOX.", separator=".").mailbox()
        desk = make_instance(tmp_path / "instance")
        add_people(desk)
        set_incoming_from(desk, mailbox.settings(), archive_folder="Ärchiv & Söhne")
        mailbox.deliver_many([make_raw(), make_raw(headers={"Auto-Submitted": "auto-replied"})])
        assert poll(desk, mailbox)["moved"] == 2
        assert len(mailbox.contents("INBOX.Ärchiv & Söhne")) == 1
        assert len(mailbox.contents("INBOX.Ärchiv & Söhne.Ignored")) == 1
        for folder in ("INBOX.Ärchiv & Söhne.Ignored", "INBOX.Ärchiv & Söhne"):
            mailbox.delete(folder)
        mailbox.deliver(make_raw())
        assert poll(desk, mailbox)["moved"] == 1
        assert len(mailbox.contents("INBOX.Ärchiv & Söhne")) == 1
        desk.close()


@pytest.mark.dovecot
class TestSize:
    def test_large_messages_fit_into_memory_and_too_large_ones_are_said_to_be(
        self, at: Instance, mailbox: DovecotMailbox
    ) -> None:
        large = make_raw(subject="large", files=[("big.bin", os.urandom(34_000_000))])
        mailbox.deliver_many([large, make_raw(subject="too large") + b"x\r\n" * 20_000_000, make_raw()])
        with start_poll(at, mailbox) as process:
            most = 0
            while process.poll() is None:
                most = max(most, _most_resident(process.pid))
                time.sleep(0.02)
            assert process.stdout is not None
            counts = json.loads(process.stdout.read())
        assert (counts["error"], counts["ticket"], counts["moved"]) == (None, 3, 3)
        assert 50_000 < most < 700_000  # kB
        with at.database.reading() as session:
            notices = dict(session.execute(sa.select(Ticket.subject, Ticket.notice)).all())
        assert notices == {"large": None, "too large": "too-large", "Printer offline": None}


def _most_resident(pid: int) -> int:
    """The high-water mark (kB) of a process or of one of its children, whichever is higher."""
    most = 0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *children):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    most = max(most, int(line.split()[1]))
    except OSError:
        pass  # it has just ended
    return most


@pytest.mark.dovecot
@pytest.mark.sqlite
def test_a_database_of_yesterday_makes_nothing_twice(
    at: Instance, mailbox: DovecotMailbox, tmp_path: Path
) -> None:
    """The mailbox has moved on: what was archived since stays archived, and new mail comes in."""
    mailbox.deliver(make_raw(subject="yesterday"))
    poll(at, mailbox)
    database = Path(str(at.database.engine.url.database))
    with contextlib.closing(sqlite3.connect(database)) as copying:
        copying.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    mailbox.deliver(make_raw(subject="today"))
    poll(at, mailbox)
    at.database.dispose()
    for file in database.parent.glob("servicedesk.db-*"):
        file.unlink()
    shutil.copy(tmp_path / "backup.db", database)
    mailbox.deliver(make_raw(subject="after the restore"))
    assert poll(at, mailbox)["ticket"] == 1
    with at.database.reading() as session:
        assert list(session.scalars(sa.select(Ticket.subject).order_by(Ticket.id))) == [
            "yesterday",
            "after the restore",
        ]
    assert len(mailbox.contents("Archive")) == 3


@pytest.mark.dovecot
class TestPeople:
    def test_a_message_opened_in_another_client_is_found_and_taken_in_when_wanted(
        self, at: Instance, mailbox: DovecotMailbox, parser: ParserProcess
    ) -> None:
        poll(at, mailbox)
        with at.database.writing() as session:
            hour_ago = datetime.now(UTC) - timedelta(hours=1)
            session.execute(sa.update(MailboxIdentity).values(first_run_at=hour_ago, missed_looked_at=None))
        key = mailbox.deliver(make_raw(subject="Opened by a person"))
        mailbox.mark_seen(key)
        poll(at, mailbox)
        with at.database.writing() as session:
            [found] = session.scalars(sa.select(MissedMessage))
            assert (found.subject, found.state, found.remote_key) == ("Opened by a person", "found", key)
            missed.want(session, [found.id])
        assert poll(at, mailbox)["ticket"] == 1
        assert mailbox.contents() == []
        with at.database.reading() as session:
            assert session.scalars(sa.select(MissedMessage.state)).one() is MissedState.PROCESSED


@pytest.mark.dovecot
class TestTheProcess:
    @pytest.mark.parametrize("delay", [0.0, 0.15, 0.3])
    def test_told_to_stop_at_work_it_stops_and_loses_nothing(
        self, at: Instance, mailbox: DovecotMailbox, delay: float
    ) -> None:
        sent = varied_messages(120)
        mailbox.deliver_many([raw for _, raw in sent.values()])
        process = start_process(at, mailbox, *free_ports(1))
        wait_for(lambda: bool(placements(at)))
        time.sleep(delay)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - started < 10
        assert poll(at, mailbox)["error"] is None
        assert_accounted(at, mailbox, sent)

    def test_when_one_process_is_killed_the_other_takes_over_within_an_interval(
        self, at: Instance, mailbox: DovecotMailbox
    ) -> None:
        first_port, second_port = free_ports(2)
        doomed = start_process(at, mailbox, first_port, SERVICEDESK_FAILPOINT="before_commit")
        wait_for(lambda: _has_polled(at))
        other = start_process(at, mailbox, second_port)
        try:
            sent = varied_messages(16)
            mailbox.deliver_many([raw for _, raw in sent.values()])
            delivered = time.monotonic()
            wait_for(lambda: len(placements(at)) == 16, 30)
            assert (
                time.monotonic() - delivered < 5 + 5
            )  # an interval, and the time of a start on a busy machine
            wait_for(lambda: set(placements(at)) == {Placement.ARCHIVED}, 30)
            assert_accounted(at, mailbox, sent)
        finally:
            for process in (doomed, other):
                process.kill()
                process.wait()


def _has_polled(instance: Instance) -> bool:
    with instance.database.reading() as session:
        return session.scalar(sa.select(MailboxIdentity.last_success_at)) is not None
