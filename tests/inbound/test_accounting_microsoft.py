"""The crash harness on Exchange and Office365 (stand-ins): 0 lost, 0 doubled, as on IMAP.

TORTURE_KILLS_MICROSOFT changes how many kills at random moments there are; ten messages come before each.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import add_people, make_instance
from tests.inbound.accounting import assert_accounted, poll, run_poll, varied_messages
from tests.inbound.test_accounting import CRASHES, newest_rows
from tests.rig.ews_server import EwsServer
from tests.rig.ews_server import Fault as EwsFault
from tests.rig.graph_server import GraphServer
from tests.rig.graph_wire import Fault as GraphFault
from tests.rig.places import StandIn, exchange_place, office365_place
from tests.torture.pollers import Pollers
from webapp.instance import Instance
from webapp.models import Placement

KILLS = int(os.environ.get("TORTURE_KILLS_MICROSOFT", "6"))

pytestmark = pytest.mark.timeout(300 + 12 * KILLS)


@pytest.fixture(params=["exchange", "office365"])
def place(request: pytest.FixtureRequest) -> StandIn:
    if request.param == "exchange":
        server: EwsServer = request.getfixturevalue("ews_server")
        return exchange_place(server)
    graph: GraphServer = request.getfixturevalue("graph_server")
    return office365_place(graph)


@pytest.fixture
def desk(tmp_path: Path, place: StandIn) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "instance", **place.settings)
    add_people(instance)
    place.set_up(instance)
    yield instance
    instance.close()


def test_varied_messages_are_each_accounted_for(desk: Instance, place: StandIn) -> None:
    sent = varied_messages(80)
    place.deliver_many([raw for _, raw in sent.values()])
    counts = poll(desk, place)
    assert counts["moved"] == 80
    assert_accounted(desk, place, sent)
    assert poll(desk, place)["moved"] == 0


def test_a_kill_at_each_named_point_leaves_what_the_table_says(desk: Instance, place: StandIn) -> None:
    sent = varied_messages(16 * len(CRASHES))
    with Pollers(desk, place) as pollers:
        for number, (point, left) in enumerate(CRASHES.items()):
            portion = list(sent.values())[16 * number : 16 * number + 16]
            place.deliver_many([raw for _, raw in portion])
            assert pollers.was_killed(pollers.start(point)), point
            rows = newest_rows(desk, 16 * number)
            pending = [row for row in rows if row.placement is Placement.PENDING_MOVE]
            many = {"none": 0, "all": 16, "ignored": sum(row.disposition == "ignored" for row in rows)}
            found = (len(rows), len(pending), len(place.contents()))
            assert (point, found) == (point, tuple(many[some] for some in left))
            assert pollers.wait(pollers.start(), 60), point
            assert place.contents() == [], point
    assert_accounted(desk, place, sent)


def test_kills_at_random_moments_lose_and_double_nothing(desk: Instance, place: StandIn) -> None:
    sent = varied_messages(10 * KILLS)
    unsent = [raw for _, raw in sent.values()]
    dice = random.Random(20261124)
    killed = 0
    with Pollers(desk, place) as pollers:
        assert pollers.wait(pollers.start(), 60)  # the archive is made
        while killed < KILLS:
            place.deliver_many(unsent[:10])
            del unsent[:10]
            pid = pollers.start()
            time.sleep(dice.uniform(0.2, 1.6))
            killed += pollers.kill(pid)
    place.deliver_many(unsent)
    poll(desk, place)
    assert_accounted(desk, place, sent)


def test_two_processes_at_once_do_everything_once(desk: Instance, place: StandIn) -> None:
    sent = varied_messages(40)
    place.deliver_many([raw for _, raw in sent.values()])
    with Pollers(desk, place) as pollers:
        pids = [pollers.start() for _ in range(2)]
        assert all([pollers.wait(pid, 100) for pid in pids])
    poll(desk, place)
    assert_accounted(desk, place, sent)


def test_moves_whose_answer_is_lost_are_finished(
    desk: Instance, place: StandIn, request: pytest.FixtureRequest
) -> None:
    """The server has moved the message, and the connection ends before it says so."""
    sent = varied_messages(24)
    place.deliver_many([raw for _, raw in sent.values()])
    if "exchange" in request.node.callspec.id:
        ews: EwsServer = request.getfixturevalue("ews_server")
        ews.faults.append(EwsFault("MoveItem", done=True, cut=True, times=3))
    else:
        graph: GraphServer = request.getfixturevalue("graph_server")
        graph.faults.extend(GraphFault("POST", "batch", skip=skip, lose_answer=True) for skip in range(2, 5))
    failures = 0
    while run_poll(desk, place)["error"]:
        failures += 1
        assert failures < 10
    assert failures
    assert_accounted(desk, place, sent)
