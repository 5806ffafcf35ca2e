"""The watcher wakes the poll, and never makes a fuss."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.factories import set_incoming
from tests.inbound.conftest import Desk
from webapp.inbound import watch
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


def test_it_stops_at_once(desk: Desk) -> None:
    desk.poll()
    watching = Watching(desk)
    watching.wait_until_idle()
    started = time.monotonic()
    watching.watcher.stop()
    assert time.monotonic() - started < 1
    assert not any(thread.name == "mail-watcher" for thread in threading.enumerate())
