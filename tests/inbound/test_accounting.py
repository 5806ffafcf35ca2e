"""Real mail on a real Dovecot: every single message is accounted for, whatever is killed when."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.factories import NOW, add_people, make_instance, make_raw, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from webapp.instance import Instance
from webapp.models import Entry, Inbound, Placement

pytestmark = pytest.mark.dovecot

MESSAGES = Path(__file__).parent.parent / "messages"
MARK = re.compile(rb"X-Test-Id: (\S+)")
COMMAND = [sys.executable, "-m", "webapp.cli"]


@pytest.fixture
def desk(tmp_path: Path, mailbox: DovecotMailbox) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "instance")
    add_people(instance)
    set_incoming_from(instance, mailbox.settings())
    yield instance
    instance.close()


def environment(instance: Instance, mailbox: DovecotMailbox, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SERVICEDESK_INSTANCE": str(instance.settings.instance),
        "SERVICEDESK_MAIL_CA_FILE": str(mailbox.server.ca_file),
        **more,
    }


def poll(instance: Instance, mailbox: DovecotMailbox) -> dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, "mail", "poll", "--json"],
        env=environment(instance, mailbox),
        capture_output=True,
        timeout=120,
        check=True,
    )
    counts: dict[str, Any] = json.loads(done.stdout)
    return counts


def start_poll(instance: Instance, mailbox: DovecotMailbox) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "mail", "poll", "--json"],
        env=environment(instance, mailbox),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def varied_messages(count: int) -> dict[str, tuple[str, bytes]]:
    """Test id -> expected disposition and message; each carries its id in a header."""
    corpus = sorted(MESSAGES.glob("*/*.eml"))
    made: dict[str, tuple[str, bytes]] = {}
    for number in range(count):
        test_id = f"m{number:03d}"
        made[test_id] = _message(number, test_id, corpus)
    return made


def _message(number: int, test_id: str, corpus: list[Path]) -> tuple[str, bytes]:
    mark = {"X-Test-Id": test_id}
    match number % 8:
        case 0:
            return "ticket", make_raw(
                subject=f"Problem {number}", message_id=f"{test_id}@acme.test", headers=mark
            )
        case 1:  # a reply to the message before it
            reply = {"In-Reply-To": f"<m{number - 1:03d}@acme.test>", **mark}
            return "update", make_raw(
                sender="amy@acme.test", subject=f"Re: Problem {number - 1}", headers=reply
            )
        case 2:
            claim = {"References": f"<m{number - 2:03d}@acme.test>", **mark}
            return "claim", make_raw(sender="bob@binder.test", subject="mine too", headers=claim)
        case 3:
            return "ignored", make_raw(
                subject="Out of office", headers={"Auto-Submitted": "auto-replied", **mark}
            )
        case 4:
            return "ignored", make_raw(sender="no-reply@shop.test", subject="Your order", headers=mark)
        case 5:
            content = random.Random(number).randbytes(20_000)
            return "ticket", make_raw(sender="carl@new.test", files=[("a.bin", content)], headers=mark)
        case 6:
            return "ticket", make_raw(subject="Grüße ☃", text="häßlich\n" * 300, message_id="", headers=mark)
        case _:
            raw = re.sub(rb"\r\n|\r|\n", b"\r\n", corpus[number * 7 % len(corpus)].read_bytes())
            return "any", f"X-Test-Id: {test_id}\r\n".encode() + raw


def where_is_what(mailbox: DovecotMailbox) -> dict[str, Counter[str]]:
    """Folder -> test ids of the messages in it."""
    with mailbox.inspect() as imap:
        return {
            folder: Counter(mark_of(message.raw) for message in imap.contents(folder))
            for folder in imap.folders()
        }


def mark_of(raw: bytes) -> str:
    found = MARK.search(raw)
    assert found is not None
    return found.group(1).decode()


def assert_accounted(instance: Instance, mailbox: DovecotMailbox, sent: dict[str, tuple[str, bytes]]) -> None:
    """Each message once in the ledger, once in the right folder, and its effect there exactly once."""
    folders = where_is_what(mailbox)
    assert folders["INBOX"] == Counter()
    archived, ignored = folders["Archive"], folders["Archive/Ignored"]
    assert archived + ignored == Counter(dict.fromkeys(sent, 1))
    with instance.database.reading() as session:
        rows = list(session.scalars(sa.select(Inbound)))
        entries = Counter(session.scalars(sa.select(Entry.inbound_id)))
        test_ids = {row.id: mark_of(_raw(row)) for row in rows}
        assert session.scalar(sa.text("PRAGMA integrity_check")) == "ok"
    assert Counter(test_ids.values()) == Counter(dict.fromkeys(sent, 1))
    for row in rows:
        test_id = test_ids[row.id]
        expected = sent[test_id][0]
        assert expected in ("any", row.disposition), f"{test_id}: {row.rule}: {row.saw}"
        assert row.placement is Placement.ARCHIVED
        assert test_id in (ignored if row.disposition == "ignored" else archived)
        has_entry = row.disposition in ("ticket", "update", "claim", "quarantined")
        assert entries[row.id] == has_entry


def _raw(row: Inbound) -> bytes:
    assert row.raw is not None
    return zlib.decompress(row.raw.compressed)


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


def test_twenty_kills_at_random_moments_lose_and_double_nothing(
    desk: Instance, mailbox: DovecotMailbox
) -> None:
    """Before each kill new mail arrives, so that every one of them meets a parser at work."""
    started = time.monotonic()
    poll(desk, mailbox)
    idle_run = time.monotonic() - started
    sent = varied_messages(200)
    unsent = list(sent.values())
    dice = random.Random(20261123)
    killed = 0
    while killed < 20:
        mailbox.deliver_many([raw for _, raw in unsent[:10]])
        del unsent[:10]
        with start_poll(desk, mailbox) as process:
            time.sleep(idle_run * dice.uniform(0.4, 1.6))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
    mailbox.deliver_many([raw for _, raw in unsent])
    assert poll(desk, mailbox)["error"] is None
    assert_accounted(desk, mailbox, sent)


FAILPOINTS = [
    "after_lease",
    "after_fetch",
    "after_parse",
    "in_tx:7",
    "before_commit",
    "after_commit",
    "after_move",
]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_kill_at_a_named_point_loses_and_doubles_nothing(
    desk: Instance, mailbox: DovecotMailbox, failpoint: str
) -> None:
    sent = varied_messages(16)
    mailbox.deliver_many([raw for _, raw in sent.values()])
    done = subprocess.run(
        [*COMMAND, "mail", "poll"],
        env=environment(desk, mailbox, SERVICEDESK_FAILPOINT=failpoint),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    poll(desk, mailbox)
    assert_accounted(desk, mailbox, sent)


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
