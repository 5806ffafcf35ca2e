"""What becomes of each recipient when the server refuses, fails or falls silent at each phase."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.factories import set_row
from tests.outbound.conftest import Outbox, aim
from tests.rig.dovecot import PASSWORD
from tests.rig.scripted import Answer, Peer, ScriptedServer, smtp_data
from tests.rig.smtp import USER, SmtpServer
from webapp.desk.sending import make_deliverer
from webapp.instance import Instance
from webapp.models import OutgoingKind, Row
from webapp.outbound import claims
from webapp.outbound.worker import make_worker_name

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ALERT = OutgoingKind.ALERT
Start = Callable[..., ScriptedServer]


def take(peer: Peer) -> None:
    peer.say("354 go on")
    while peer.line() != ".":
        pass


def hang_up(peer: Peer, command: str) -> None:
    raise EOFError


def hang_up_after_dot(peer: Peer, command: str) -> None:
    take(peer)
    raise EOFError


def silent_after_dot(peer: Peer, command: str) -> None:
    take(peer)
    peer.hang()


def drop_after_250(peer: Peer, command: str) -> None:
    take(peer)
    peer.say("250 2.0.0 taken")
    raise EOFError


def one_in_three(peer: Peer, command: str) -> None:
    peer.say("550 5.1.1 no such user" if "amy" in command else "250 ok")


def test_sent_to_all_in_one_transaction_over_one_connection(outbox: Outbox, server: SmtpServer) -> None:
    first = outbox.write("ann@acme.test", "amy@acme.test")
    outbox.write("bob@binder.test")
    assert outbox.deliver() == 2
    assert set(outbox.states().values()) == {"sent"}
    assert [message.recipients for message in server.messages] == [
        ["ann@acme.test", "amy@acme.test"],
        ["bob@binder.test"],
    ]
    assert b"Message-ID: <out." in server.messages[0].raw
    sent = outbox.all(first)[0]
    assert (sent.attempts, sent.next_try_at, sent.settled_at, sent.error) == (1, None, outbox.now, "")


def test_several_messages_over_one_connection(outbox: Outbox, scripted: Start) -> None:
    server = scripted()
    for _ in range(5):
        outbox.write()
    assert outbox.deliver() == 5
    assert server.connections == 1


# Each phase. `state` of the delivery, whether the row is in trouble afterwards.
PHASES: list[tuple[dict[str, Answer], str, bool]] = [
    ({"EHLO": ["554 no"], "HELO": ["554 no"]}, "queued", True),
    ({"EHLO": hang_up}, "queued", True),
    ({"MAIL": ["451 4.3.0 not now"]}, "deferred", False),
    ({"MAIL": ["421 4.3.2 closing"]}, "deferred", True),
    ({"MAIL": ["550 5.7.1 not as this sender"]}, "deferred", True),
    ({"MAIL": ["552 5.3.4 too large"]}, "failed", False),
    ({"MAIL": hang_up}, "deferred", True),
    ({"RCPT": ["450 4.2.1 greylisted"]}, "deferred", False),
    ({"RCPT": ["550 5.1.1 no such user"]}, "failed", False),
    ({"RCPT": ["421 4.3.2 closing"]}, "deferred", True),
    ({"RCPT": None}, "deferred", True),
    ({"DATA": ["451 4.3.0 not now"]}, "deferred", False),
    ({"DATA": ["554 5.7.1 no"]}, "failed", False),
    ({"DATA": hang_up}, "deferred", True),
    ({"DATA": smtp_data("451 4.3.0 not now")}, "deferred", False),
    ({"DATA": smtp_data("421 4.3.2 closing")}, "deferred", True),
    ({"DATA": smtp_data("554 5.7.1 spam")}, "failed", False),
    ({"DATA": hang_up_after_dot}, "uncertain", True),
    ({"DATA": silent_after_dot}, "uncertain", True),
    ({"DATA": drop_after_250}, "sent", False),
]


@pytest.mark.parametrize(("answers", "state", "trouble"), PHASES)
def test_phases(
    outbox: Outbox, scripted: Start, answers: dict[str, Answer], state: str, trouble: bool
) -> None:
    scripted(answers)
    outbox.write()
    outbox.deliver()
    found = outbox.one()
    assert found.state.value == state
    assert (outbox.trouble() is not None) is trouble
    assert (found.attempts == 0) is (state == "queued")
    assert found.attention is (state == "failed")
    if state == "failed" or (state == "deferred" and not trouble):
        assert found.server_words[:1] in "45"
        assert found.error.endswith(".")
    if state == "deferred":
        assert found.next_try_at == outbox.now + MINUTE


def test_refused_at_the_greeting(outbox: Outbox, scripted: Start) -> None:
    scripted(greeting="554 5.3.2 go away")
    outbox.write()
    outbox.deliver()
    assert outbox.one().state.value == "queued"
    assert outbox.trouble() is not None


def test_one_refused_recipient_keeps_nobody_else_from_theirs(outbox: Outbox, scripted: Start) -> None:
    server = scripted({"RCPT": one_in_three})
    outbox.write("ann@acme.test", "amy@acme.test", "bob@binder.test")
    outbox.deliver()
    assert outbox.states() == {
        "ann@acme.test": "sent", "amy@acme.test": "failed", "bob@binder.test": "sent",
    }  # fmt: skip
    assert outbox.all()[1].server_words == "550 5.1.1 no such user"
    assert server.received.count(b"DATA") == 1
    outbox.deliver(after=49 * HOUR)
    assert server.received.count(b"DATA") == 1


def test_a_later_try_is_only_for_those_who_have_it_not(outbox: Outbox, scripted: Start) -> None:
    answers = iter(["250 ok", "450 4.2.1 greylisted", "250 ok"])
    server = scripted({"RCPT": lambda peer, command: peer.say(next(answers))})
    outbox.write("ann@acme.test", "bob@binder.test")
    outbox.deliver()
    assert outbox.states() == {"ann@acme.test": "sent", "bob@binder.test": "deferred"}
    outbox.deliver(after=MINUTE)
    assert outbox.states() == {"ann@acme.test": "sent", "bob@binder.test": "sent"}
    assert server.received.count(b"RCPT TO:<ann@acme.test>") == 1


def test_of_a_lost_answer_the_refused_recipient_is_not_uncertain(outbox: Outbox, scripted: Start) -> None:
    scripted({"RCPT": one_in_three, "DATA": hang_up_after_dot})
    outbox.write("ann@acme.test", "amy@acme.test")
    outbox.deliver()
    assert outbox.states() == {"ann@acme.test": "uncertain", "amy@acme.test": "deferred"}


def test_deferred_mail_backs_off_and_is_given_up_after_48_hours(outbox: Outbox, scripted: Start) -> None:
    server = scripted({"RCPT": ["450 4.2.1 greylisted"]})
    outbox.write()
    waits = []
    while outbox.one().state.value in ("queued", "deferred"):
        outbox.deliver()
        found = outbox.one()
        if found.next_try_at:
            waits.append((found.next_try_at - outbox.now) // MINUTE)
            outbox.now = found.next_try_at
    assert waits[:6] == [1, 5, 15, 60, 240, 240]
    assert sum(waits) * MINUTE <= 48 * HOUR
    assert outbox.one().state.value == "failed"
    assert outbox.one().error.startswith("The mail server could not be reached, or did not take this")
    assert server.received.count(b"RCPT") == len(waits) + 1


@pytest.mark.parametrize(
    ("kind", "hours"), [(OutgoingKind.UPDATED, 24), (OutgoingKind.ACKNOWLEDGEMENT, 24), (ALERT, 4)]
)
def test_automatic_mail_is_dropped_after_its_time_and_said_so(
    outbox: Outbox, scripted: Start, kind: OutgoingKind, hours: int
) -> None:
    server = scripted({"RCPT": ["450 4.2.1 greylisted"]})
    outbox.write(kind=kind)
    outbox.write(kind=OutgoingKind.REPLY)
    outbox.deliver()
    outbox.deliver(after=hours * HOUR - MINUTE)
    assert [one.state.value for one in outbox.all()] == ["deferred", "deferred"]
    outbox.deliver(after=2 * MINUTE)
    assert [one.state.value for one in outbox.all()] == ["not-sent", "deferred"]
    assert f"{hours} hours" in outbox.all()[0].error
    assert server.received.count(b"RCPT") == 4


def test_an_uncertain_reply_is_sent_once_more_after_15_minutes(outbox: Outbox, scripted: Start) -> None:
    server = scripted({"DATA": hang_up_after_dot})
    outbox.write()
    outbox.deliver()
    assert not outbox.one().attention
    outbox.deliver(after=14 * MINUTE)
    assert server.received.count(b"Message-ID") == 1
    outbox.deliver(after=MINUTE)
    assert server.received.count(b"Message-ID") == 2
    found = outbox.one()
    assert (found.state.value, found.repeated_after_doubt, found.attention) == ("uncertain", True, True)
    assert "sent once more" in found.error
    for _ in range(5):
        outbox.deliver(after=12 * HOUR)
    assert server.received.count(b"Message-ID") == 2
    ids = {line for line in bytes(server.received).split(b"\r\n") if line.startswith(b"Message-ID")}
    assert len(ids) == 1


def test_a_repeated_reply_that_is_confirmed_is_sent_and_noted(outbox: Outbox, scripted: Start) -> None:
    scripted({"DATA": silent_after_dot})
    outbox.write()
    outbox.deliver()
    server = scripted()
    outbox.deliver(after=15 * MINUTE)
    found = outbox.one()
    assert (found.state.value, found.repeated_after_doubt) == ("sent", True)
    assert server.received.count(b"Message-ID") == 1


def test_a_repeat_that_could_not_be_made_is_made_later(outbox: Outbox, scripted: Start) -> None:
    scripted({"DATA": silent_after_dot})
    outbox.write()
    outbox.deliver()
    scripted({"RCPT": ["450 4.2.1 greylisted"]})
    outbox.deliver(after=15 * MINUTE)
    found = outbox.one()
    assert (found.state.value, found.repeated_after_doubt) == ("uncertain", False)
    scripted()
    outbox.deliver(after=HOUR)
    assert outbox.one().state.value == "sent"


def test_uncertain_automatic_mail_is_never_resent(outbox: Outbox, scripted: Start) -> None:
    server = scripted({"DATA": hang_up_after_dot})
    outbox.write(kind=ALERT)
    for after in (0, 16, 60, 240, 3000):
        outbox.deliver(after=after * MINUTE)
    assert server.received.count(b"Message-ID") == 1
    assert (outbox.one().state.value, outbox.one().attention) == ("uncertain", True)


# The server as a whole.


def test_an_outage_of_two_hours_delays_and_loses_nothing(
    outbox: Outbox, scripted: Start, instance: Instance
) -> None:
    scripted().__exit__(None, None, None)
    for _ in range(20):
        outbox.write()
    tries = 0
    for _ in range(120):
        tries += outbox.deliver(after=MINUTE)
    assert 8 <= tries <= 16  # one message at a time asks the server
    known = outbox.trouble()
    assert known is not None
    assert known.since == outbox.now - 119 * MINUTE
    assert "nothing answers" in known.sentence
    assert {one.attempts for one in outbox.all()} == {0}
    server = scripted()
    assert outbox.deliver() == 20
    assert set(outbox.states().values()) == {"sent"}
    assert server.received.count(b"Message-ID") == 20
    assert outbox.trouble() is None


def test_the_server_back_after_an_outage_is_found_by_the_probe(outbox: Outbox, scripted: Start) -> None:
    answers: dict[str, Answer] = {"MAIL": ["421 4.3.2 closing"]}
    server = scripted(answers)
    outbox.write()
    outbox.write()
    outbox.deliver()
    assert server.connections == 1
    set_answer(server, "MAIL", ["250 ok"])
    assert outbox.deliver(after=30 * timedelta(seconds=1)) == 0
    assert outbox.deliver(after=MINUTE) == 2
    assert outbox.trouble() is None


def set_answer(server: ScriptedServer, verb: str, answer: Answer) -> None:
    """From now on."""
    from tests.rig.scripted import smtp

    server._script = smtp({verb: answer}, extensions=("8BITMIME",))


def test_a_refused_sign_in_is_not_repeated_for_half_an_hour(
    outbox: Outbox, scripted: Start, instance: Instance, smtp_server: SmtpServer
) -> None:
    aim(instance, smtp_server.settings(password="wrong-canary"))
    outbox.write()
    outbox.write()
    tries = sum(outbox.deliver(after=MINUTE) for _ in range(120))
    assert tries == 3  # at once, after 30 and after 90 minutes
    known = outbox.trouble()
    assert known is not None
    assert known.cure
    told = f"{known.sentence} {known.cure} {known.server_words} {outbox.all()[0].error}"
    assert "wrong-canary" not in told
    aim(instance, smtp_server.settings())  # the right password: at once
    assert outbox.deliver() == 2
    assert len(smtp_server.messages) == 2
    assert PASSWORD not in told


def test_a_row_turned_off_keeps_what_waits(outbox: Outbox, server: SmtpServer, instance: Instance) -> None:
    outbox.write()
    set_row(instance, Row.OUTGOING, password=None, active="false")
    outbox.deliver()
    assert outbox.one().state.value == "queued"
    set_row(instance, Row.OUTGOING, password=None, active="true")
    outbox.deliver()
    assert outbox.one().state.value == "sent"


def test_each_row_has_its_own_server_and_trouble(
    outbox: Outbox, server: SmtpServer, instance: Instance, start_smtp: Callable[..., SmtpServer]
) -> None:
    invoices = start_smtp()
    aim(instance, invoices.settings(from_address="billing@example.com"), Row.INVOICE)
    aim(instance, server.settings(password="wrong"))
    outbox.write()
    outbox.write(row=Row.INVOICE, kind=OutgoingKind.INVOICE)
    outbox.deliver()
    assert [one.state.value for one in outbox.all()] == ["queued", "sent"]
    assert [message.sender for message in invoices.messages] == ["billing@example.com"]
    assert outbox.trouble(Row.INVOICE) is None


def test_the_envelope_sender_is_the_rows_from_when_it_is_sent(
    outbox: Outbox, server: SmtpServer, instance: Instance
) -> None:
    outbox.write()
    aim(instance, server.settings(from_address="new@example.com"))
    outbox.deliver()
    assert server.messages[0].sender == "new@example.com"
    assert f"From: {USER}".encode() in server.messages[0].raw


def test_a_mistake_of_ours_defers_the_message_and_goes_on(
    outbox: Outbox, server: SmtpServer, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.write()
    monkeypatch.setattr("webapp.outbound.claims.mark_final_dot", lambda *_: 1 / 0)
    outbox.deliver()
    monkeypatch.undo()
    assert (outbox.one().state.value, server.messages) == ("deferred", [])
    outbox.deliver(after=MINUTE)
    assert outbox.one().state.value == "sent"


def test_what_became_of_it_is_written_once_the_database_works_again(
    outbox: Outbox, scripted: Start, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's 250 must not be forgotten: a person's mail would be sent once more."""
    server = scripted()
    outbox.write()
    worker = make_deliverer(instance)

    def fail(*_: object) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, OSError("disk full"))

    monkeypatch.setattr(claims, "settle", fail)
    with pytest.raises(sa.exc.OperationalError):
        worker.run(now=outbox.now)
    worker.run(now=outbox.now + MINUTE)  # still full
    assert outbox.one().state.value == "sending"
    monkeypatch.undo()
    worker.run(now=outbox.now + 2 * MINUTE)
    assert (outbox.one().state.value, outbox.one().attempts) == ("sent", 1)
    worker.run(now=outbox.now + HOUR)
    assert server.received.count(b"Message-ID") == 1


def test_stopping_waits_a_moment_for_the_answer_after_the_dot(
    outbox: Outbox, scripted: Start, instance: Instance
) -> None:
    def slowly(peer: Peer, command: str) -> None:
        take(peer)
        time.sleep(1)
        peer.say("250 2.0.0 taken")

    scripted({"DATA": slowly})
    set_row(instance, Row.OUTGOING, password=None, timeout_ms="60000")
    outbox.write()
    worker = make_deliverer(instance)
    thread = threading.Thread(target=worker.run)
    thread.start()
    end = time.monotonic() + 10
    while not outbox.one().at_final_dot and time.monotonic() < end:
        time.sleep(0.02)
    worker.stop()
    thread.join(10)
    assert (outbox.one().state.value, outbox.one().error) == ("sent", "")


def test_nothing_waits_for_a_clock_that_was_wrong(outbox: Outbox, scripted: Start) -> None:
    """It was years ahead for a while: what was put off then is tried as soon as it is right."""
    scripted({"EHLO": hang_up})
    right, outbox.now = outbox.now, outbox.now + 1000 * 24 * HOUR
    outbox.write()
    outbox.deliver()
    assert outbox.trouble() is not None
    scripted({"RCPT": ["450 4.2.1 greylisted"]})
    outbox.deliver()
    assert outbox.one().state.value == "deferred"
    outbox.now = right
    scripted()
    outbox.deliver()
    assert outbox.one().state.value == "sent"


def test_trouble_of_a_wrong_clock_blocks_nothing_once_it_is_right(outbox: Outbox, scripted: Start) -> None:
    right, outbox.now = outbox.now, outbox.now + 1000 * 24 * HOUR

    def until_it_is_right(peer: Peer, command: str) -> None:
        if outbox.now != right:
            raise EOFError
        peer.say("250 desk.test")

    scripted({"EHLO": until_it_is_right})
    outbox.write()
    outbox.deliver()
    assert outbox.trouble() is not None
    outbox.now = right
    outbox.deliver()
    assert outbox.one().state.value == "sent"


def test_other_settings_that_fail_alike_are_not_counted_on(
    outbox: Outbox, scripted: Start, instance: Instance
) -> None:
    scripted(greeting="554 5.3.2 go away")
    outbox.write()
    for _ in range(4):
        outbox.deliver(after=HOUR)
    told = outbox.trouble()
    assert told is not None
    assert told.failures == 4
    set_row(instance, Row.OUTGOING, password=None, timeout_ms="1100")
    outbox.deliver()
    told = outbox.trouble()
    assert told is not None
    assert (told.failures, told.next_try_at) == (1, outbox.now + MINUTE)


def test_what_another_row_s_worker_left_does_not_hurry_a_refused_sign_in(
    outbox: Outbox, smtp_server: SmtpServer, instance: Instance
) -> None:
    aim(instance, smtp_server.settings(password="wrong"), Row.INVOICE)
    outbox.write(row=Row.INVOICE, kind=OutgoingKind.INVOICE)
    outbox.deliver()
    before = outbox.trouble(Row.INVOICE)
    assert before is not None
    aim(instance, smtp_server.settings())
    message = outbox.write()
    with instance.database.writing() as session:
        assert claims.claim(session, message, make_worker_name(), outbox.now) is not None
    outbox.deliver(after=claims.LEASE + MINUTE)
    assert outbox.one(message).state.value == "sent"
    after = outbox.trouble(Row.INVOICE)
    assert after is not None
    assert (after.failures, after.next_try_at) == (1, before.next_try_at)


def test_stopping_cuts_the_try_off_and_leaves_it_for_another_time(
    outbox: Outbox, scripted: Start, instance: Instance
) -> None:
    scripted({"RCPT": None})
    set_row(instance, Row.OUTGOING, password=None, timeout_ms="60000")
    outbox.write()
    worker = make_deliverer(instance)
    thread = threading.Thread(target=worker.run)
    thread.start()
    end = time.monotonic() + 10
    while outbox.one().state.value != "sending" and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    begun = time.monotonic()
    worker.stop()
    thread.join(10)
    assert time.monotonic() - begun < 3
    assert (outbox.one().state.value, outbox.one().attempts) == ("queued", 0)
    assert outbox.trouble() is None
