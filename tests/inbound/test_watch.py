"""The watcher wakes the poll, and never makes a fuss."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.factories import make_instance, set_incoming, set_incoming_from
from tests.inbound.conftest import Desk
from tests.rig.fixtures import DovecotStarter
from webapp.inbound import watch
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.inbound.runs import RunReport
from webapp.inbound.watch import Watcher
from webapp.mailserver.base import ServerSettings
from webapp.mailserver.errors import ConnectionFailed, Stage
from webapp.mailserver.memory import MemoryMailbox


class Watching:
    """A watcher of the desk's mailbox; counts its connections and the times it woke the poll."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.connections, self.woken = desk, 0, 0
        self.watcher = Watcher(desk.instance, self.wake, connect=self.connect)
        self.watcher.start()

    def wake(self) -> None:
        self.woken += 1

    def connect(self, _: ServerSettings) -> MemoryMailbox:
        self.connections += 1
        return MemoryMailbox(self.desk.server)

    def wait(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not happened():
            assert time.monotonic() < end, (self.connections, self.woken, self.desk.server.commands[-5:])
            time.sleep(0.01)

    def wait_until_idle(self) -> None:
        self.wait(lambda: self.desk.server.commands[-1:] == ["wait_for_news"])


@pytest.fixture
def watching(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watching]:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.02)
    desk.poll()
    desk.server.commands.clear()
    watching = Watching(desk)
    yield watching
    watching.watcher.stop()
    assert not watching.watcher._thread.is_alive()


def test_it_wakes_the_poll_after_connecting_and_for_each_new_message(watching: Watching) -> None:
    watching.wait_until_idle()
    assert watching.woken == 1
    for number in (2, 3):
        watching.desk.deliver()
        watching.wait(lambda: watching.woken == number)  # noqa: B023 - it is asked at once
    assert watching.connections == 1
    assert set(watching.desk.server.commands) == {"open", "wait_for_news"}


def test_exchange_is_polled_and_not_watched(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no IDLE: asking for it would be one sign-in more for nothing."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.02)
    set_incoming(desk.instance, protocol="exchange", host="mail.desk.test", port="")
    desk.poll()
    watching = Watching(desk)
    time.sleep(0.3)
    watching.watcher.stop()
    assert (watching.connections, watching.woken) == (0, 0)


def test_changed_settings_make_a_new_connection_and_off_ends_it(watching: Watching) -> None:
    watching.wait_until_idle()
    set_incoming(watching.desk.instance)
    watching.wait(lambda: watching.connections == 2)
    watching.wait_until_idle()
    set_incoming(watching.desk.instance, active="false")
    time.sleep(0.2)
    watching.desk.deliver()
    time.sleep(0.1)
    assert (watching.connections, watching.woken) == (2, 2)


def test_a_server_without_idle_is_asked_once(watching: Watching) -> None:
    watching.wait_until_idle()
    watching.desk.server.can_idle = False
    set_incoming(watching.desk.instance)
    watching.wait(lambda: watching.connections == 2)
    time.sleep(0.3)
    assert watching.connections == 2


def test_while_polling_fails_it_stays_away_and_comes_back(watching: Watching) -> None:
    watching.wait_until_idle()
    watching.desk.poll()  # both were connected together
    watching.desk.server.fail_on["open"] = ConnectionFailed("no", stage=Stage.CONNECT)
    watching.desk.poll()
    time.sleep(0.2)
    connections = watching.connections
    time.sleep(0.2)
    assert watching.connections == connections == 1
    watching.desk.server.fail_on.clear()
    watching.desk.poll()
    watching.wait(lambda: watching.connections == 2)


def test_a_connection_that_is_lost_is_made_again_after_a_while(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_DELAY", timedelta(0))
    watching.wait_until_idle()
    server = watching.desk.server
    server.fail_on["wait_for_news"] = ConnectionFailed("the server restarts", stage=Stage.INBOX)
    watching.wait(lambda: watching.connections > 1)
    server.fail_on.clear()
    watching.wait_until_idle()
    before = watching.woken
    watching.desk.deliver()
    watching.wait(lambda: watching.woken > before)


def test_a_failure_without_the_watcher_too_is_not_its_fault(watching: Watching) -> None:
    watching.wait_until_idle()
    watching.desk.server.fail_on["open"] = ConnectionFailed("no", stage=Stage.CONNECT)
    for _ in range(4):
        watching.desk.poll()
        time.sleep(0.3)
    watching.desk.server.fail_on.clear()
    watching.desk.poll()
    watching.wait(lambda: watching.connections == 2)


@pytest.mark.dovecot
def test_where_one_connection_is_allowed_it_is_the_polls(
    tmp_path: Path, start_dovecot: DovecotStarter, parser: ParserProcess, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    caplog.set_level("INFO", logger=watch.__name__)
    server = start_dovecot(extra="protocol imap {\n  mail_max_userip_connections = 1\n}\n")
    box = server.mailbox()
    instance = make_instance(tmp_path / "desk", mail_ca_file=str(server.ca_file))
    set_incoming_from(instance, box.settings())

    def run() -> RunReport:
        return poll(instance, parser, trigger="command")

    assert run().failure is None
    woken = threading.Event()
    watcher = Watcher(instance, woken.set)
    watcher.start()
    try:
        assert woken.wait(10)  # it has the one connection
        failure = run().failure
        assert failure is not None
        assert "mail_max_userip_connections" in failure.sentence
        woken.clear()
        end = time.monotonic() + 10
        while run().failure is not None:  # until it has left
            assert time.monotonic() < end
        time.sleep(1)
        for _ in range(3):
            assert run().failure is None
            time.sleep(0.2)
        assert not woken.is_set()
    finally:
        watcher.stop()
    said = [record.getMessage() for record in caplog.records if "too few" in record.getMessage()]
    assert said == ["the mail server allows too few connections: new messages are found by polling"]
    instance.close()


def test_it_stops_at_once(desk: Desk) -> None:
    desk.poll()
    watching = Watching(desk)
    watching.wait_until_idle()
    started = time.monotonic()
    watching.watcher.stop()
    assert time.monotonic() - started < 1
    assert not any(thread.name == "mail-watcher" for thread in threading.enumerate())
