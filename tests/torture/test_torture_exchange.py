"""As `test_torture`, on an Exchange (a stand-in): kills, connections that end anywhere, two parsers at once.

TORTURE_KILLS, TORTURE_MESSAGES and TORTURE_SEED change what is done.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.factories import add_people, make_instance, set_row
from tests.inbound.accounting import assert_accounted, poll, run_poll, varied_messages
from tests.rig.ews_server import PASSWORD, EwsServer, Fault
from tests.rig.places import exchange_place
from tests.rig.proxy import Plan, Proxy
from tests.torture.pollers import Pollers
from tests.torture.test_torture import POINTS
from webapp.models import Row

KILLS = int(os.environ.get("TORTURE_KILLS", "20"))
MESSAGES = int(os.environ.get("TORTURE_MESSAGES", "120"))
SEED = int(os.environ.get("TORTURE_SEED", "20261124"))
WAYS = ("failpoint", "failpoint", "outside", "outside", "server", "answer", "connection", "two")

pytestmark = pytest.mark.timeout(300 + 10 * KILLS)


def test_kills_lose_and_double_nothing(tmp_path: Path, ews_server: EwsServer) -> None:
    dice = random.Random(SEED)
    place = exchange_place(ews_server)
    desk = make_instance(tmp_path / "instance", **place.settings)
    add_people(desk)
    place.set_up(desk)
    sent = varied_messages(MESSAGES)
    unsent = [raw for _, raw in sent.values()]
    done: Counter[str] = Counter()
    started = time.monotonic()
    with Proxy(ews_server.port) as proxy, Pollers(desk, place) as pollers:
        set_row(desk, Row.INCOMING, PASSWORD, port=str(proxy.port))
        pollers.wait(pollers.start(), 30)  # the archive is made, everything is warm
        while done.total() < KILLS:
            portion = max(1, len(unsent) // max(1, KILLS - done.total()))
            place.deliver_many(unsent[:portion])
            del unsent[:portion]
            way = dice.choice(WAYS)
            done[way] += _strike(pollers, proxy, ews_server, way, dice)
            proxy.plan = Plan()
            ews_server.faults.clear()
        place.deliver_many(unsent)
        while error := run_poll(desk, place)["error"]:  # back-off of the last failure
            assert time.monotonic() < started + 240 + 10 * KILLS, error
        assert poll(desk, place)["moved"] == 0
    assert_accounted(desk, place, sent)
    desk.close()
    told = ", ".join(f"{number} {way}" for way, number in sorted(done.items()))
    sys.stdout.write(
        f"\ntorture of Exchange: seed {SEED}, {len(sent)} messages, {done.total()} kills ({told}) in "
        f"{time.monotonic() - started:.0f} s: each message once in ledger, archive and tickets\n"
    )


def _strike(pollers: Pollers, proxy: Proxy, server: EwsServer, way: str, dice: random.Random) -> bool:
    """One disturbance of a parser at work; whether it hit."""
    if way == "failpoint":
        return pollers.was_killed(pollers.start(f"{dice.choice(POINTS)}:{dice.randint(1, 3)}"))
    if way == "connection":
        proxy.plan = Plan(cut_after=dice.randint(1, 40_000))
        return pollers.wait(pollers.start(), 30)
    if way == "answer":  # it is done, and nobody is told
        operation = dice.choice(["MoveItem", "UpdateItem", "GetItem", "CreateFolder"])
        server.faults.append(Fault(operation, done=True, cut=True, after_skipping=dice.randint(0, 2)))
        return pollers.wait(pollers.start(), 30)
    first = pollers.start()
    if way == "two":
        second = pollers.start()
        time.sleep(dice.uniform(0.05, 0.6))
        hit = pollers.kill(first)
        time.sleep(dice.uniform(0.0, 0.3))
        return pollers.kill(second) or hit
    time.sleep(dice.uniform(0.05, 0.8))
    if way == "server":
        server.drop_connections()
        return pollers.wait(first, 30)
    return pollers.kill(first)
