"""Real mail on a real Dovecot: every single message is accounted for, whatever is killed when."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import NOW, add_people, make_instance, make_raw, set_incoming_from
from tests.inbound.accounting import (
    assert_accounted,
    discrepancies,
    poll,
    start_poll,
    varied_messages,
)
from tests.rig.dovecot import DovecotMailbox
from tests.torture.pollers import Pollers
from webapp.instance import Instance
from webapp.models import Entry, Inbound, Placement

pytestmark = pytest.mark.dovecot


@pytest.fixture
def desk(tmp_path: Path, mailbox: DovecotMailbox) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "instance")
    add_people(instance)
    set_incoming_from(instance, mailbox.settings())
    yield instance
    instance.close()


def test_two_hundred_varied_messages_are_each_accounted_for(desk: Instance, mailbox: DovecotMailbox) -> None:
    sent = varied_messages(200)
    mailbox.deliver_many([raw for _, raw in sent.values()])
    counts = poll(desk, mailbox)
    assert counts["error"] is None
    assert counts["moved"] == 200
    assert_accounted(desk, mailbox, sent)
    assert poll(desk, mailbox)["moved"] == 0


def test_mail_as_a_transfer_agent_delivers_it_keeps_its_time_of_receipt(
    desk: Instance, mailbox: DovecotMailbox
) -> None:
    before = datetime.now(NOW.tzinfo) - timedelta(seconds=2)
    mailbox.receive(make_raw(headers={"X-Test-Id": "m0"}))
    poll(desk, mailbox)
    with desk.database.reading() as session:
        row = session.scalars(sa.select(Inbound)).one()
    assert row.received_at >= before
    assert row.disposition == "ticket"


def test_the_command_killed_at_random_moments_loses_and_doubles_nothing(
    desk: Instance, mailbox: DovecotMailbox
) -> None:
    """Before each kill new mail arrives, so that every one of them meets a parser at work.

    `tests/torture` does the same hundreds of times, with parsers that start quicker.
    """
    started = time.monotonic()
    poll(desk, mailbox)
    idle_run = time.monotonic() - started
    sent = varied_messages(40)
    unsent = list(sent.values())
    dice = random.Random(20261123)
    killed = 0
    while killed < 3:
        mailbox.deliver_many([raw for _, raw in unsent[:10]])
        del unsent[:10]
        with start_poll(desk, mailbox) as process:
            time.sleep(idle_run * dice.uniform(0.4, 1.2))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
    mailbox.deliver_many([raw for _, raw in unsent])
    poll(desk, mailbox)
    assert_accounted(desk, mailbox, sent)


# The crash table: the point, and which of 16 messages are then in the ledger, are there as still to be
# moved, and lie in the inbox. Ignored mail moves after the others.
CRASHES = {
    "after_lease": ("none", "none", "all"),
    "after_fetch": ("none", "none", "all"),
    "after_parse": ("none", "none", "all"),
    "in_tx:7": ("none", "none", "all"),
    "before_commit": ("none", "none", "all"),
    "after_commit": ("all", "all", "all"),
    "after_move": ("all", "all", "ignored"),
    "after_final": ("all", "ignored", "ignored"),
}


def test_a_kill_at_each_named_point_leaves_what_the_table_says_and_loses_and_doubles_nothing(
    desk: Instance, mailbox: DovecotMailbox
) -> None:
    sent = varied_messages(16 * len(CRASHES))
    with Pollers(desk, mailbox) as pollers:
        for number, (point, left) in enumerate(CRASHES.items()):
            portion = list(sent.values())[16 * number : 16 * number + 16]
            mailbox.deliver_many([raw for _, raw in portion])
            assert pollers.was_killed(pollers.start(point)), point
            rows = newest_rows(desk, 16 * number)
            pending = [row for row in rows if row.placement is Placement.PENDING_MOVE]
            many = {"none": 0, "all": 16, "ignored": sum(row.disposition == "ignored" for row in rows)}
            found = (len(rows), len(pending), len(mailbox.contents()))
            assert (point, found) == (point, tuple(many[some] for some in left))
            assert pollers.wait(pollers.start(), 60), point
            assert mailbox.contents() == [], point
    assert_accounted(desk, mailbox, sent)


def newest_rows(instance: Instance, before: int) -> list[Inbound]:
    """The ledger's rows after the first `before` ones."""
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Inbound).order_by(Inbound.id).offset(before)))


def test_two_processes_at_once_do_everything_once(desk: Instance, mailbox: DovecotMailbox) -> None:
    sent = varied_messages(80)
    mailbox.deliver_many([raw for _, raw in sent.values()])
    pollers = [start_poll(desk, mailbox) for _ in range(2)]
    moved = 0
    for poller in pollers:
        output, _ = poller.communicate(timeout=120)
        moved += json.loads(output)["moved"]
    assert moved == 80
    assert_accounted(desk, mailbox, sent)


def test_the_count_sees_what_is_lost_doubled_or_left_behind(desk: Instance, mailbox: DovecotMailbox) -> None:
    """Each kind of harm done on purpose, so that a count without discrepancies means something."""
    sent = varied_messages(6)
    mailbox.deliver_many([raw for _, raw in sent.values()])
    poll(desk, mailbox)
    assert discrepancies(desk, mailbox, sent) == []
    archive = mailbox.contents("Archive")
    mailbox.expunge(archive[0].uid, "Archive")
    mailbox.deliver(archive[1].raw, folder="Archive")
    mailbox.deliver(archive[2].raw)
    with desk.database.writing() as session:
        session.execute(sa.update(Inbound).where(Inbound.id == 4).values(placement=Placement.PENDING_MOVE))
        session.execute(sa.delete(Entry).where(Entry.inbound_id == 2))
        entry = session.scalars(sa.select(Entry).where(Entry.inbound_id == 1)).one()
        session.add(Entry(**_columns(entry) | {"id": None, "generation": 2}))
        session.execute(sa.update(Inbound).where(Inbound.id == 6).values(disposition="ignored"))
    assert Counter(discrepancies(desk, mailbox, sent)) == Counter(
        [
            "lost in the archive: m000",
            "2 times in the archive: m001",
            "still in the inbox: m002",
            "pending_move: m003",
            "2 entries: m000 (ticket)",
            "0 entries: m001 (update)",
            "m005 is ignored, not ticket: new-ticket: unknown sender",
            "in the wrong folder: m005",
            "1 entries: m005 (ignored)",
            "in the wrong folder: m000",
        ]
    )


def _columns(entry: Entry) -> dict[str, object]:
    return {column.key: getattr(entry, column.key) for column in sa.inspect(Entry).columns}
