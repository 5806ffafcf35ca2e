"""Hundreds of kills at a parser at work: nothing is lost, doubled, cut short or left behind.

Killed are the parser (at named points, and from outside at random moments), the mail server's own
processes, and connections after so many octets; sometimes two parsers work at once. After all of it one
undisturbed run, and then the count: see `assert_accounted`.

TORTURE_KILLS, TORTURE_MESSAGES and TORTURE_SEED change what `make test` does; `make torture` does 500
kills with 5,000 messages.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import add_people, make_instance, set_incoming_from
from tests.inbound.accounting import assert_accounted, poll, run_poll, varied_messages
from tests.rig.dovecot import DovecotMailbox
from tests.rig.proxy import Plan, Proxy
from tests.torture.pollers import Pollers
from webapp.instance import Instance

KILLS = int(os.environ.get("TORTURE_KILLS", "60"))
MESSAGES = int(os.environ.get("TORTURE_MESSAGES", "300"))
SEED = int(os.environ.get("TORTURE_SEED", "20261124"))
POINTS = (
    "after_lease", "after_fetch", "after_parse", "in_tx", "before_commit", "after_commit", "after_move",
    "after_final",
)  # fmt: skip
WAYS = ("failpoint", "failpoint", "outside", "outside", "outside", "server", "connection", "two")

pytestmark = [pytest.mark.dovecot, pytest.mark.timeout(300 + 8 * KILLS)]


@pytest.fixture
def proxy(mailbox: DovecotMailbox) -> Iterator[Proxy]:
    with Proxy(mailbox.server.tls_port) as proxy:
        yield proxy


def test_kills_lose_and_double_nothing(tmp_path: Path, mailbox: DovecotMailbox, proxy: Proxy) -> None:
    dice = random.Random(SEED)
    desk = make_instance(tmp_path / "instance")
    add_people(desk)
    set_incoming_from(desk, mailbox.settings(port=proxy.port))
    sent = varied_messages(MESSAGES)
    unsent = [raw for _, raw in sent.values()]
    done: Counter[str] = Counter()
    started = time.monotonic()
    with Pollers(desk, mailbox) as pollers:
        pollers.wait(pollers.start(), 30)  # the archive is made, everything is warm
        while done.total() < KILLS:
            portion = max(1, len(unsent) // max(1, KILLS - done.total()))
            mailbox.deliver_many(unsent[:portion])
            del unsent[:portion]
            way = dice.choice(WAYS)
            done[way] += _strike(pollers, proxy, way, dice)
            proxy.plan = Plan()
        mailbox.deliver_many(unsent)
    _let_it_recover(desk, mailbox)
    assert poll(desk, mailbox)["moved"] == 0
    assert_accounted(desk, mailbox, sent)
    desk.close()
    seconds = time.monotonic() - started
    told = ", ".join(f"{number} {way}" for way, number in sorted(done.items()))
    sys.stdout.write(
        f"\ntorture: seed {SEED}, {len(sent)} messages, {done.total()} kills ({told}) in {seconds:.0f} s: "
        f"each message once in ledger, archive and tickets, octets equal, nothing pending, database sound\n"
    )


def _let_it_recover(desk: Instance, mailbox: DovecotMailbox) -> None:
    """A killed Dovecot process can leave a lock on the mailbox that others respect for two minutes."""
    end = time.monotonic() + 180
    while error := run_poll(desk, mailbox)["error"]:
        assert time.monotonic() < end, error
        time.sleep(1)


def _strike(pollers: Pollers, proxy: Proxy, way: str, dice: random.Random) -> bool:
    """One disturbance of a parser at work; whether it hit."""
    if way == "failpoint":
        pid = pollers.start(f"{dice.choice(POINTS)}:{dice.randint(1, 3)}")
        return pollers.was_killed(pid)
    if way == "connection":
        proxy.plan = Plan(cut_after=dice.randint(1, 40_000))
        return pollers.wait(pollers.start(), 20)
    first = pollers.start()
    if way == "two":
        second = pollers.start()
        time.sleep(dice.uniform(0.05, 0.4))
        hit = pollers.kill(first)
        time.sleep(dice.uniform(0.0, 0.3))
        return pollers.kill(second) or hit
    time.sleep(dice.uniform(0.05, 0.5))
    if way == "server":
        hit = pollers.kill_a_server_child(dice)
        pollers.wait(first, 20)
        return hit
    return pollers.kill(first)
