"""kill -9 of a real process in the middle of sending, with the copies counted on the server's side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.outbound.conftest import Outbox
from tests.rig.scripted import Peer, ScriptedServer
from webapp.desk.sending import make_deliverer
from webapp.instance import Instance
from webapp.models import OutgoingKind
from webapp.outbound import claims
from webapp.outbound.claims import LEASE, ClaimLost
from webapp.outbound.outcome import SENT
from webapp.outbound.worker import is_gone, make_worker_name

CONSOLE_SCRIPT = Path(sys.executable).with_name("servicedesk")
Start = Callable[..., ScriptedServer]
QUARTER = timedelta(minutes=15)


@pytest.fixture
def outbox(instance: Instance) -> Outbox:
    """By the real clock, as the child lives by it."""
    return Outbox(instance, now=datetime.now(UTC))


class Copies:
    """A server that counts the messages whose final dot it has seen."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.victim = 0  # a process to kill between the dot and the answer

    def __call__(self, peer: Peer, command: str) -> None:
        peer.say("354 go on")
        lines = []
        while (line := peer.line()) != ".":
            lines.append(line)
        self.taken.append("\n".join(lines).encode())
        if self.victim:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = 0
            raise EOFError
        peer.say("250 2.0.0 taken")

    @property
    def ids(self) -> set[bytes]:
        return {line for raw in self.taken for line in raw.split(b"\n") if line.startswith(b"Message-ID")}


def child(instance: Instance, failpoint: str = "") -> subprocess.Popen[bytes]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("SERVICEDESK_")}
    env |= {"SERVICEDESK_INSTANCE": str(instance.settings.instance), "SERVICEDESK_FAILPOINT": failpoint}
    return subprocess.Popen([CONSOLE_SCRIPT, "outbox", "deliver"], env=env, stdout=subprocess.DEVNULL)


KINDS = [OutgoingKind.REPLY, OutgoingKind.ALERT]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("failpoint", ["smtp_claimed", "smtp_before_dot"])
def test_killed_before_the_dot_is_sent_at_once_by_the_next(
    outbox: Outbox, scripted: Start, instance: Instance, failpoint: str, kind: OutgoingKind
) -> None:
    copies = Copies()
    scripted({"DATA": copies})
    outbox.write(kind=kind)
    assert child(instance, failpoint).wait(30) == -signal.SIGKILL
    assert (outbox.one().state.value, copies.taken) == ("sending", [])
    outbox.deliver()
    assert (outbox.one().state.value, len(copies.taken)) == ("sent", 1)


@pytest.mark.parametrize("failpoint", ["smtp_at_dot", "after the dot", "after_smtp_250"])
def test_killed_at_the_dot_a_persons_mail_arrives_with_one_message_id(
    outbox: Outbox, scripted: Start, instance: Instance, failpoint: str
) -> None:
    copies = Copies()
    scripted({"DATA": copies})
    outbox.write()
    kill(instance, copies, failpoint)
    outbox.deliver()
    assert outbox.one().state.value == "uncertain"
    for _ in range(4):
        outbox.deliver(after=QUARTER)
    assert outbox.one().state.value == "sent"
    assert 1 <= len(copies.taken) <= 2
    assert len(copies.taken) == (1 if failpoint == "smtp_at_dot" else 2)
    assert len(copies.ids) == 1


@pytest.mark.parametrize("failpoint", ["smtp_at_dot", "after the dot", "after_smtp_250"])
def test_killed_at_the_dot_automatic_mail_arrives_at_most_once(
    outbox: Outbox, scripted: Start, instance: Instance, failpoint: str
) -> None:
    copies = Copies()
    scripted({"DATA": copies})
    outbox.write(kind=OutgoingKind.ALERT)
    kill(instance, copies, failpoint)
    for _ in range(4):
        outbox.deliver(after=QUARTER)
    assert (outbox.one().state.value, outbox.one().attention) == ("uncertain", True)
    assert len(copies.taken) == (0 if failpoint == "smtp_at_dot" else 1)


def kill(instance: Instance, copies: Copies, failpoint: str) -> None:
    running = child(instance, "" if failpoint == "after the dot" else failpoint)
    if failpoint == "after the dot":
        copies.victim = running.pid
    assert running.wait(30) == -signal.SIGKILL


def test_two_processes_and_two_threads_never_send_one_delivery_twice(
    outbox: Outbox, scripted: Start, instance: Instance
) -> None:
    copies = Copies()
    scripted({"DATA": copies})
    for _ in range(60):
        outbox.write()
    running = [child(instance), child(instance)]
    workers = [make_deliverer(instance), make_deliverer(instance)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda worker: worker.run(), workers))
    assert [one.wait(60) for one in running] == [0, 0]
    outbox.deliver()
    assert {one.state.value for one in outbox.all()} == {"sent"}
    assert (len(copies.taken), len(copies.ids)) == (60, 60)


def test_a_slow_worker_that_lives_is_not_robbed(outbox: Outbox, scripted: Start, instance: Instance) -> None:
    scripted()
    message = outbox.write()
    with instance.database.writing() as session:
        mine = claims.claim(session, message, make_worker_name(), outbox.now)
    assert mine is not None
    assert outbox.deliver(after=LEASE) == 0
    assert outbox.one().state.value == "sending"


def test_one_that_was_robbed_cannot_send_any_more(
    outbox: Outbox, scripted: Start, instance: Instance
) -> None:
    """It slept for longer than its claim lasts; whoever took over has sent the message."""
    server = scripted()
    message = outbox.write()
    with instance.database.writing() as session:
        mine = claims.claim(session, message, make_worker_name(), outbox.now)
    assert mine is not None
    assert outbox.deliver(after=LEASE + timedelta(seconds=1)) == 1
    with pytest.raises(ClaimLost), instance.database.writing() as session:
        claims.mark_final_dot(session, mine, frozenset(mine.recipients.values()))
    assert outbox.one().state.value == "sent"
    assert server.received.count(b"Message-ID") == 1


def test_a_late_250_ends_the_doubt(outbox: Outbox, scripted: Start, instance: Instance) -> None:
    message = outbox.write_queued(scripted)
    with instance.database.writing() as session:
        mine = claims.claim(session, message, make_worker_name(), outbox.now)
        assert mine is not None
        claims.mark_final_dot(session, mine, frozenset(mine.recipients.values()))
    outbox.deliver(after=LEASE + timedelta(seconds=1))
    assert outbox.one().state.value == "uncertain"
    with instance.database.writing() as session:
        claims.settle(session, mine, dict.fromkeys(mine.recipients, SENT), outbox.now)
    assert (outbox.one().state.value, outbox.one().next_try_at) == ("sent", None)


def test_whether_a_process_is_gone() -> None:
    own = make_worker_name()
    assert len(own) <= 50
    assert not is_gone(own)
    sleeper = subprocess.Popen(["sleep", "60"])
    its = make_worker_name(sleeper.pid)
    assert not is_gone(its)
    sleeper.kill()
    time.sleep(0.2)
    assert is_gone(its)  # a zombie sends nothing
    sleeper.wait()
    assert is_gone(its)
    place, pid, started, rest = own.split(".")
    assert is_gone(f"{place}.{pid}.{int(started) + 1}.{rest}")  # another process has its number now
    assert not is_gone(f"elsewhere.{pid}.1.{rest}")
