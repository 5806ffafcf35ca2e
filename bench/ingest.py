"""How much the email parser costs: messages a second, and CPU seconds a thousand messages.

    .venv/bin/python -m bench.ingest [--messages 2000] [--runs 3] [--tickets 0]

A real Dovecot of its own (tests/rig) is filled with the same messages for every run: the test corpus in
turn, plain mail between, 56 KB in the mean. Counted is the CPU time of `servicedesk mail poll` and its
parser process, not the server's. `--tickets` fills the database first, to show that the cost stays flat.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from tests.factories import NOW, add_people, make_instance, make_raw, set_incoming_from
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotServer
from webapp.instance import Instance
from webapp.models import Entry, EntryKind, Ticket, TicketStatus

MEAN_OCTETS = 56_000


def main() -> None:
    options = _options()
    messages = make_messages(options.messages)
    mean = sum(map(len, messages)) / len(messages)
    print(f"{len(messages)} messages, {mean / 1000:.0f} KB in the mean, {options.tickets} tickets before")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("ca", "dovecot"):
            (folder / part).mkdir()
        authority = Authority(folder / "ca")
        server = DovecotServer.start(folder / "dovecot", authority.good, authority.ca_file)
        try:
            results = [
                _run(folder / f"run{n}", server, messages, options.tickets) for n in range(options.runs)
            ]
        finally:
            server.stop()
    for label, position in (("CPU s per 1,000 messages", 0), ("messages per second", 1)):
        figures = [result[position] for result in results]
        low, high = min(figures), max(figures)
        print(f"{label}: median {statistics.median(figures):.2f} (from {low:.2f} to {high:.2f})")


def make_messages(count: int) -> list[bytes]:
    """A third replies, a third with a file, a third plain; sizes from 2 KB to 500 KB."""
    dice = random.Random(1)
    messages = []
    for number in range(count):
        octets = int(dice.expovariate(1 / (MEAN_OCTETS * 0.7)))
        files = [("scan.pdf", dice.randbytes(octets))] if number % 3 else []
        text = "\n".join(f"Line {line} of what the customer wrote, with häßlich words." for line in range(30))
        headers = {"In-Reply-To": f"<b{number - 1}@acme.test>"} if number % 3 == 1 else {}
        message_id = f"b{number}@acme.test"
        subject = f"Problem {number}"
        messages.append(
            make_raw(subject=subject, text=text, message_id=message_id, headers=headers, files=files)
        )
    return messages


def _run(folder: Path, server: DovecotServer, messages: list[bytes], tickets: int) -> tuple[float, float]:
    instance = make_instance(folder)
    add_people(instance)
    mailbox = server.mailbox()
    set_incoming_from(instance, mailbox.settings(), timeout_ms="60000")
    _fill(instance, tickets)
    mailbox.deliver_many(messages)
    environment = {
        **os.environ,
        "SERVICEDESK_INSTANCE": str(folder),
        "SERVICEDESK_MAIL_CA_FILE": str(server.ca_file),
    }
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "webapp.cli", "mail", "poll", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    elapsed, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    counts = json.loads(done.stdout)
    if counts["moved"] != len(messages) or counts["ticket"] + counts["update"] != len(messages):
        raise SystemExit(f"not every message was taken in: {counts}")
    instance.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000 / len(messages), len(messages) / elapsed


def _fill(instance: Instance, tickets: int) -> None:
    at = NOW - timedelta(days=30)
    old = {"status": TicketStatus.OPEN, "requester_name": "", "created_at": at, "updated_at": at}
    said = {"kind": EntryKind.MAIL, "generation": 1, "from_name": "", "body_text": "text", "created_at": at}
    with instance.database.writing() as session:
        for start in range(0, tickets, 5000):
            numbers = range(start + 1, min(start + 5000, tickets) + 1)
            session.execute(sa.insert(Ticket), [{"id": n, "subject": f"Old {n}", **old} for n in numbers])
            session.execute(
                sa.insert(Entry),
                [
                    {"ticket_id": n, "message_id": f"old{n}@acme.test", "reply_text": "", **said}
                    for n in numbers
                ],
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tickets", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
