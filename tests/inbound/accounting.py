"""Each of many messages is accounted for: made, sent, and counted again after whatever happened."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.factories import make_raw
from tests.rig.places import Place
from webapp.config import CHECKOUT
from webapp.instance import Instance
from webapp.models import Entry, Inbound, Placement

MESSAGES = Path(__file__).parent.parent / "messages"
MARK = re.compile(rb"X-Test-Id: (\S+)")
COMMAND = [sys.executable, "-m", "webapp.cli"]
SERVE = "from webapp.config import load_settings; from webapp.wsgi import serve; serve(load_settings())"
MAKES_AN_ENTRY = ("ticket", "update", "claim", "quarantined")

Sent = Mapping[str, tuple[str, bytes]]  # test id -> expected disposition and octets


def environment(instance: Instance, mailbox: Place, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SERVICEDESK_INSTANCE": str(instance.settings.instance),
        **mailbox.environment,
        **more,
    }


def poll(instance: Instance, mailbox: Place) -> dict[str, Any]:
    """A run that goes well; what it counted."""
    counts = run_poll(instance, mailbox)
    assert counts["error"] is None
    return counts


def run_poll(instance: Instance, mailbox: Place) -> dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, "mail", "poll", "--json"],
        env=environment(instance, mailbox),
        capture_output=True,
        timeout=120,
        check=False,
    )
    counts: dict[str, Any] = json.loads(done.stdout)
    return counts


def start_poll(instance: Instance, mailbox: Place) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "mail", "poll", "--json"],
        env=environment(instance, mailbox),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def start_process(instance: Instance, mailbox: Place, port: int, **more: str) -> subprocess.Popen[bytes]:
    """The whole program, pages and jobs; it polls every five seconds."""
    told = {"SERVICEDESK_POLL_INTERVAL": "5", "SERVICEDESK_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, "-c", SERVE],
        cwd=CHECKOUT,
        env=environment(instance, mailbox, **told, **more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def varied_messages(count: int) -> dict[str, tuple[str, bytes]]:
    """As `Sent`; each carries its id in a header."""
    # Dovecot gives NUL octets back as others (RFC 3501 section 4.3.1 knows none).
    corpus = [path for path in sorted(MESSAGES.glob("*/*.eml")) if b"\0" not in path.read_bytes()]
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


def assert_accounted(instance: Instance, mailbox: Place, sent: Sent) -> None:
    """Each message once in the ledger, once in the right folder, and its effect there exactly once."""
    found = discrepancies(instance, mailbox, sent)
    assert not found, "\n".join([f"{len(found)} discrepancies among {len(sent)} messages:", *found])


def discrepancies(instance: Instance, mailbox: Place, sent: Sent) -> list[str]:
    """What is not as it must be after a run that drained the inbox, each in one line."""
    folders = where_is_what(mailbox)
    archived, ignored = folders["Archive"], folders["Archive/Ignored"]
    found = [f"still in the inbox: {test_id}" for test_id in folders["INBOX"]]
    found += _not_once("the archive", archived + ignored, sent)
    with instance.database.reading() as session:
        rows = list(session.scalars(sa.select(Inbound)))
        entries = Counter(session.scalars(sa.select(Entry.inbound_id)))
        raws = {row.id: _raw(row) for row in rows}
        is_sqlite = instance.settings.is_sqlite
        soundness = session.scalar(sa.text("PRAGMA integrity_check")) if is_sqlite else "ok"
    found += [] if soundness == "ok" else [f"database: {soundness}"]
    found += _not_once("the ledger", Counter(mark_of(raw) for raw in raws.values()), sent)
    for row in rows:
        test_id = mark_of(raws[row.id])
        expected, raw = sent[test_id]
        if raws[row.id] != raw:
            found.append(f"other octets: {test_id}")
        if expected not in ("any", row.disposition):
            found.append(f"{test_id} is {row.disposition}, not {expected}: {row.rule}: {row.saw}")
        if row.placement is not Placement.ARCHIVED:
            found.append(f"{row.placement}: {test_id}")
        if test_id not in (ignored if row.disposition == "ignored" else archived):
            found.append(f"in the wrong folder: {test_id}")
        if entries[row.id] != (row.disposition in MAKES_AN_ENTRY):
            found.append(f"{entries[row.id]} entries: {test_id} ({row.disposition})")
    return found


def _not_once(where: str, counted: Counter[str], sent: Sent) -> list[str]:
    lost = [f"lost in {where}: {test_id}" for test_id in sent if not counted[test_id]]
    return lost + [f"{n} times in {where}: {test_id}" for test_id, n in counted.items() if n > 1]


def where_is_what(mailbox: Place) -> dict[str, Counter[str]]:
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


def _raw(row: Inbound) -> bytes:
    assert row.raw is not None
    return zlib.decompress(row.raw.compressed)
