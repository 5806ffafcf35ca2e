"""Test Connection as a job: watched, stopped, limited, and what a page shows of it."""

from __future__ import annotations

import email
import gc
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.factories import NOW
from tests.mailserver.imap_settings import settings as imap_settings
from tests.rig.dovecot import DovecotMailbox
from tests.rig.scripted import Peer, ScriptedServer, imap
from tests.rig.smtp import SmtpServer
from webapp.desk.connection_tests import ConnectionTest, ConnectionTests, sending
from webapp.desk.jobs import TooManyJobs
from webapp.instance import Instance
from webapp.mailserver.base import Mailbox, ServerSettings
from webapp.mailserver.checks import Foreseen
from webapp.mailserver.errors import Stage
from webapp.models import Row

CANARY = "canary-Passwort-7391"


def nothing(test: ConnectionTest) -> None:
    pass


def ended(test: ConnectionTest) -> ConnectionTest:
    test.wait(10)
    assert not test.running
    return test


def look(mailbox: Mailbox) -> Foreseen:
    return Foreseen("2 unread: 2 new tickets", {"ticket": 2}, 2, 2)


@pytest.mark.dovecot
def test_a_test_that_passed_says_what_was_found(mailbox: DovecotMailbox) -> None:
    remembered: list[bool] = []
    settings = mailbox.settings()
    started = ConnectionTests().start(
        Row.INCOMING, settings, lambda test: remembered.append(test.passed), foresee=look
    )
    test = ended(started)
    assert (test.passed, remembered, test.sentence, test.quick_fix) == (True, [True], "", None)
    assert test.summary is not None
    assert test.summary.sentences == (
        "Inbox: 0 messages, 0 unread",
        "the server can move messages (MOVE) and tells when mail comes (IDLE)",
        'folder "Archive" will be created',
    )
    assert test.summary.foreseen == look(None)  # type: ignore[arg-type]
    assert len(test.lines()) == 10
    assert test.lines()[-1].fact == "2 unread: 2 new tickets"
    assert settings.password not in test.details


def test_all_stages_are_there_from_the_start() -> None:
    with ScriptedServer(Peer.hang) as server:
        test = ConnectionTests().start(Row.INCOMING, imap_settings(server.port), nothing, foresee=look)
        while len(test.results) < 4:
            time.sleep(0.01)
        assert [line.state for line in test.lines()] == [*["ok"] * 3, "warning", "running", *["waiting"] * 5]
        assert test.lines()[-1].label == "What will happen"
        assert test.summary is None
        test.stop()
        assert ended(test).stopped


def test_a_test_that_failed_has_a_cure_and_details() -> None:
    with ScriptedServer(imap({"AUTHENTICATE": [f"{{tag}} NO [AUTHENTICATIONFAILED] {CANARY}?"]})) as server:
        settings = imap_settings(server.port, password=CANARY, username="help@example.com")
        test = ended(ConnectionTests().start(Row.INCOMING, settings, nothing))
    assert not test.passed
    assert test.failure is not None
    assert test.failure.stage is Stage.SIGN_IN
    assert test.summary is None
    assert "h***@example.com" in test.details
    assert CANARY not in f"{test} {test.details} {test.lines()} {test.remedy}"


def test_no_password_is_left_once_a_test_has_ended(instance: Instance, smtp_server: SmtpServer) -> None:
    def start_looking(tests: ConnectionTests, port: int) -> ConnectionTest:
        settings = imap_settings(port, password=CANARY)
        assert holders() == [settings]
        return ended(tests.start(Row.INCOMING, settings, nothing, foresee=lambda mailbox: look(settings)))  # type: ignore[arg-type]

    tests = ConnectionTests()
    with ScriptedServer(imap({"AUTHENTICATE": [f"{{tag}} NO [AUTHENTICATIONFAILED] {CANARY}?"]})) as server:
        kept = [
            start_looking(tests, server.port),
            start_sending(instance, smtp_server, "anna@example.com", password=CANARY),
        ]
    assert [test.failure.stage for test in kept if test.failure] == [Stage.SIGN_IN, Stage.SIGN_IN]
    until = time.monotonic() + 5
    while holders() and time.monotonic() < until:  # the thread's last steps
        time.sleep(0.02)
    assert holders() == []
    assert [test.settings.password for test in kept] == ["", ""]


def holders() -> list[ServerSettings]:
    """Settings in the memory of this process that have the password of this module in them."""
    gc.collect()
    return [
        thing for thing in gc.get_objects() if isinstance(thing, ServerSettings) and thing.password == CANARY
    ]


def test_settings_are_known_again_by_their_password_too() -> None:
    with ScriptedServer(imap()) as server:
        settings = imap_settings(server.port, password=CANARY)
        test = ended(ConnectionTests().start(Row.INCOMING, settings, nothing))
    assert test.is_of(imap_settings(server.port, password=CANARY))
    assert not test.is_of(imap_settings(server.port, password="another"))
    assert not test.is_of(imap_settings(server.port + 1, password=CANARY))


@pytest.mark.dovecot
def test_a_stop_during_the_last_stage_is_no_news(
    mailbox: DovecotMailbox, caplog: pytest.LogCaptureFixture
) -> None:
    looking, stopped = threading.Event(), threading.Event()
    remembered: list[bool] = []

    def look_long(inbox: Mailbox) -> Foreseen:
        looking.set()
        stopped.wait(5)
        raise ValueError("I/O operation on closed file")

    test = ConnectionTests().start(
        Row.INCOMING, mailbox.settings(), lambda test: remembered.append(test.passed), foresee=look_long
    )
    assert looking.wait(10)
    test.stop()
    stopped.set()
    assert ended(test).stopped
    assert (test.crashed, test.failure, test.lines()[-1].state, remembered) == (False, None, "skipped", [])
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_one_test_a_row() -> None:
    tests = ConnectionTests()
    with ScriptedServer(Peer.hang) as server:
        settings = imap_settings(server.port)
        first = tests.start(Row.INCOMING, settings, nothing)
        other = tests.start(Row.OUTGOING, settings, nothing)
        second = tests.start(Row.INCOMING, settings, nothing)
        assert tests.running_rows() == {Row.INCOMING, Row.OUTGOING}
        first.wait(2)
        assert (first.running, first.stopped) == (False, True)
        assert other.running
        assert second.running
        for test in (other, second):
            test.stop()
            assert test.row not in tests.running_rows()  # from now on, not only once it has ended
            ended(test)


def test_six_a_minute_messages_counted() -> None:
    tests = ConnectionTests()
    with ScriptedServer(imap()) as server:
        for _ in range(6):
            ended(tests.start(Row.INCOMING, imap_settings(server.port), nothing))
        with pytest.raises(TooManyJobs, match="At most 6 tests a minute"):
            tests.start(Row.OUTGOING, imap_settings(server.port), nothing, send=lambda transport: None)  # type: ignore[arg-type, return-value]
        assert server.connections == 6


def test_what_breaks_at_the_end_is_said() -> None:
    def broken(test: ConnectionTest) -> None:
        raise RuntimeError("no database")

    with ScriptedServer(imap()) as server:
        test = ended(ConnectionTests().start(Row.INCOMING, imap_settings(server.port), broken))
    assert test.crashed
    assert test.sentence == "The test itself broke. The log has the details."


# A test message.


def start_sending(instance: Instance, server: SmtpServer, to: str, **changes: Any) -> ConnectionTest:
    settings = server.settings(**changes)
    send = sending(instance, settings, to, row_label="Outgoing email settings", now=NOW)
    return ended(ConnectionTests().start(Row.OUTGOING, settings, nothing, send=send))


def test_a_message_is_sent_at_the_end(instance: Instance, smtp_server: SmtpServer) -> None:
    test = start_sending(instance, smtp_server, "anna@example.com")
    assert test.passed
    assert test.summary is not None
    assert test.summary.sentences == (
        "This account may send as desk@example.com",
        "the server accepted a test message for anna@example.com",
    )
    (received,) = smtp_server.messages
    message = email.message_from_bytes(received.raw)
    assert received.recipients == ["anna@example.com"]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert test.summary.delivered is not None
    assert message["Message-ID"] == f"<{test.summary.delivered.message_id}>"


def test_the_servers_words_about_a_recipient(instance: Instance, smtp_server: SmtpServer) -> None:
    smtp_server.refuse["no@example.com"] = "550 5.1.1 No such person"
    test = start_sending(instance, smtp_server, "no@example.com")
    assert test.failure is not None
    assert test.failure.stage is Stage.SEND
    assert (
        test.sentence
        == 'The server does not take mail for no@example.com. It said: "550 5.1.1 No such person"'
    )
    assert smtp_server.messages == []


def test_a_message_refused_for_what_is_in_it(instance: Instance, smtp_server: SmtpServer) -> None:
    smtp_server.refuse_data = "554 5.7.1 looks like spam"
    test = start_sending(instance, smtp_server, "anna@example.com")
    assert test.sentence == 'The server did not take the message. It said: "554 5.7.1 looks like spam"'


def test_nothing_is_sent_when_a_stage_before_failed(
    instance: Instance, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp()
    server.refuse_senders["desk@example.com"] = "553 5.7.1 not yours"
    test = start_sending(instance, server, "anna@example.com")
    assert test.failure is not None
    assert test.failure.stage is Stage.FROM
    assert [line.state for line in test.lines()][-2:] == ["failed", "skipped"]
    assert server.messages == []


def test_a_from_address_no_ordinary_server_takes(instance: Instance, smtp_server: SmtpServer) -> None:
    test = start_sending(instance, smtp_server, "anna@example.com", from_address="jürgen@example.com")
    assert test.remedy is not None
    assert (test.remedy.field, smtp_server.messages) == ("from_address", [])
