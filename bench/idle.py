"""How long from delivery to ticket while the service desk waits for news (IMAP IDLE).

    .venv/bin/python -m bench.idle [--messages 60]

A real Dovecot of its own gets one message at a time over LMTP, at odd moments; the jobs of the running
process (`scheduler.Scheduler`, polling only once an hour) do the rest. Timed from the end of the delivery
until the ticket can be read in the database.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

import scheduler
from tests.factories import add_people, make_instance, make_raw, set_incoming_from
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox, DovecotServer
from webapp.instance import Instance
from webapp.models import Ticket


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("ca", "dovecot"):
            (folder / part).mkdir()
        authority = Authority(folder / "ca")
        server = DovecotServer.start(folder / "dovecot", authority.good, authority.ca_file)
        try:
            seconds = measure(folder / "instance", server, options.messages)
        finally:
            server.stop()
    seconds.sort()
    p95 = seconds[min(round(len(seconds) * 0.95), len(seconds) - 1)]
    median, worst = statistics.median(seconds), seconds[-1]
    print(f"{len(seconds)} messages, delivered one by one over LMTP")
    print(f"delivery to ticket: p50 {median:.2f} s, p95 {p95:.2f} s, max {worst:.2f} s")


def measure(folder: Path, server: DovecotServer, count: int) -> list[float]:
    mailbox = server.mailbox()
    instance = make_instance(folder, poll_interval=3600, mail_ca_file=str(server.ca_file))
    add_people(instance)
    set_incoming_from(instance, mailbox.settings())
    jobs = scheduler.Scheduler(instance)
    jobs.start()
    try:
        time.sleep(4)
        return [_one(instance, mailbox, number) for number in range(1, count + 1)]
    finally:
        jobs.shutdown()
        instance.close()


def _one(instance: Instance, mailbox: DovecotMailbox, number: int) -> float:
    time.sleep(random.uniform(0.1, 1.5))
    mailbox.receive(make_raw(subject=f"No. {number}"))
    delivered = time.monotonic()
    while time.monotonic() - delivered < 30:
        with instance.database.reading() as session:
            if session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == number:
                return time.monotonic() - delivered
        time.sleep(0.01)
    raise SystemExit(f"message {number} did not become a ticket within 30 s")


if __name__ == "__main__":
    main()
