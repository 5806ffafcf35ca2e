"""The preview's promise: what it says is what a run then does, on a real Dovecot with real mail."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import NOW, add_people, make_instance, make_raw, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from webapp.desk import mail_servers
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.inbound.preview import Preview, preview
from webapp.inbound.runs import Counts
from webapp.instance import Instance
from webapp.models import Disposition, Entry, Inbound, Row, Ticket, TicketStatus

pytestmark = pytest.mark.dovecot

CORPUS = sorted((Path(__file__).parent.parent / "messages").glob("*/*.eml"))
SOURCES = sorted({path.parent for path in CORPUS})
MIXED = 48  # of our own making, beside the corpus


@pytest.fixture
def instance(tmp_path: Path, mailbox: DovecotMailbox) -> Iterator[Instance]:
    instance = make_instance(
        tmp_path / "instance", mail_ca_file=str(mailbox.server.ca_file), max_message_mb=1
    )
    add_people(instance)
    set_incoming_from(instance, mailbox.settings())
    yield instance
    instance.close()


def look(instance: Instance, parser: ParserProcess, limit: int | None = None) -> Preview:
    with instance.database.reading() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        assert stored is not None
        wanted = mail_servers.stored_draft(instance.vault, stored)
    return preview(instance, wanted, limit=limit, parser=parser)


def run(instance: Instance, parser: ParserProcess) -> Counts:
    """Run after run until nothing is left, as `mail poll` does; what was left alone is counted once."""
    total = Counts()
    for _ in range(5):
        report = poll(instance, parser, trigger="command")
        assert report.failure is None
        total.add(report.counts)
        total.before_cutoff = report.counts.before_cutoff
        if report.drained:
            return total
    raise AssertionError("never drained")


def mixed_inbox(seed: int) -> list[bytes]:
    """Tickets, replies, claims, copies, automatic and strange mail, in an order of chance.

    A reply may come before what it answers, in another batch, or twice.
    """
    chance = random.Random(seed)
    made = [_one(number, chance) for number in range(MIXED)]
    made += [chance.choice(made) for _ in range(6)]  # the very same octets again
    made += [b"Received: from a list\r\n" + chance.choice(made) for _ in range(4)]  # the list's copy
    made.append(make_raw(subject="too large", files=[("large.bin", chance.randbytes(1_200_000))]))
    made += [_with_crlf(chance.choice(CORPUS).read_bytes()) for _ in range(16)]
    chance.shuffle(made)
    return made


def _one(number: int, chance: random.Random) -> bytes:
    other = f"<p{chance.randrange(MIXED)}@acme.test>"
    sender = chance.choice(["ann@acme.test", "amy@acme.test", "bob@binder.test", "carl@new.test"])
    own = "" if chance.random() < 0.1 else f"p{number}@acme.test"
    match chance.randrange(8):
        case 0 | 1:
            return make_raw(sender=sender, subject=f"Problem {number}", message_id=own)
        case 2 | 3:
            return make_raw(sender=sender, subject="Re:", message_id=own, headers={"In-Reply-To": other})
        case 4:
            chain = f"<nobody@x.test> {other} <p{chance.randrange(MIXED)}@acme.test>"
            return make_raw(sender=sender, message_id=own, headers={"References": chain})
        case 5:
            return make_raw(sender=sender, message_id=own, headers={"Auto-Submitted": "auto-replied"})
        case 6:
            tag = chance.choice(["[T-1]", "[T-2]", "[T-900000]"])
            return make_raw(sender=sender, subject=f"{tag} again", message_id=own)
        case _:
            return make_raw(sender="no-reply@shop.test", message_id=own)


def _with_crlf(raw: bytes) -> bytes:
    return re.sub(rb"\r\n|\r|\n", b"\r\n", raw)


def deliver_all(mailbox: DovecotMailbox, raws: list[bytes], seed: int) -> None:
    """With times of receipt in no order, as moved mail has them."""
    chance = random.Random(seed)
    with mailbox.inspect() as imap:
        for raw in raws:
            imap.append(raw, received_at=NOW - timedelta(minutes=chance.randrange(3000)))


def earlier_tickets(instance: Instance, mailbox: DovecotMailbox, parser: ParserProcess) -> None:
    """Two tickets from before, the second one closed."""
    mailbox.deliver(make_raw(message_id="p0@acme.test", subject="from before"))
    mailbox.deliver(make_raw(sender="bob@binder.test", message_id="p1@acme.test", subject="closed"))
    run(instance, parser)
    with instance.database.writing() as session:
        session.execute(sa.update(Ticket).where(Ticket.id == 2).values(status=TicketStatus.CLOSED))


def done_by_key(instance: Instance, since: int) -> dict[str, Inbound]:
    with instance.database.reading() as session:
        rows = session.scalars(sa.select(Inbound).where(Inbound.id > since))
        return {row.remote_key: row for row in rows}


def newest_row(instance: Instance) -> int:
    with instance.database.reading() as session:
        return session.scalar(sa.select(sa.func.max(Inbound.id))) or 0


def assert_same(instance: Instance, foretold: Preview, since: int) -> None:
    """Row by row: disposition, rule, the ticket it is about, and the folder it went to."""
    done = done_by_key(instance, since)
    told = {row.position: row for row in foretold.rows}
    left_alone = {row.key for row in foretold.rows if row.disposition is None}
    assert {row.key for row in foretold.rows} - left_alone == set(done)
    with instance.database.reading() as session:
        tickets = {ticket.id: ticket for ticket in session.scalars(sa.select(Ticket))}
        entries = session.execute(sa.select(Entry.inbound_id, Entry.ticket_id))
        firsts = {entry.inbound_id: entry.ticket_id for entry in entries}
    for row in foretold.rows:
        if row.disposition is None:
            assert row.rule == "before-cutoff"
            continue
        really = done[row.key]
        assert (row.disposition, row.rule) == (really.disposition, really.rule), row
        assert [(s.rule, s.fired) for s in row.trace] == [(s["rule"], s["fired"]) for s in really.trace]
        assert (row.from_addr, row.from_name, row.subject) == (
            really.from_addr, really.from_name, really.subject,
        )  # fmt: skip
        assert (foretold.folder_of(row) or "") == really.folder
        about = row.ticket_id
        if row.planned_of:
            about = firsts[done[told[row.planned_of].key].id]
        assert about == _about(really, tickets), (row, really.ticket_id)


def _about(row: Inbound, tickets: dict[int, Ticket]) -> int | None:
    """The ticket that a finished message turned out to be about."""
    if row.disposition in (Disposition.TICKET, Disposition.CLAIM, Disposition.QUARANTINED):
        assert row.ticket_id is not None
        opened = tickets[row.ticket_id]
        return opened.claimed_ticket_id or opened.follow_up_of_id
    return row.ticket_id


@pytest.mark.parametrize("seed", range(6))
def test_what_was_foretold_happens(
    instance: Instance, mailbox: DovecotMailbox, parser: ParserProcess, seed: int
) -> None:
    changes = {"process_unknown": "true" if seed % 2 else "false"}
    if seed >= 4:
        changes |= {"cutoff_enabled": "true", "cutoff_at": (NOW - timedelta(minutes=1500)).isoformat()}
    earlier_tickets(instance, mailbox, parser)
    set_incoming_from(instance, mailbox.settings(), **changes)
    raws = mixed_inbox(seed)
    deliver_all(mailbox, raws, seed)
    before, since = mailbox.contents(), newest_row(instance)
    folders = mailbox.folders()
    foretold = look(instance, parser)
    assert mailbox.contents() == before  # not a flag was touched
    assert (newest_row(instance), mailbox.folders()) == (since, folders)
    assert (foretold.unread, foretold.looked, foretold.partial) == (len(raws), len(raws), False)
    counts = run(instance, parser)
    assert_same(instance, foretold, since)
    assert asdict(foretold.counts) == asdict(counts)
    assert counts.before_cutoff == sum(row.disposition is None for row in foretold.rows)


def test_every_kind_of_outcome_was_among_them(parser: ParserProcess) -> None:
    """The inboxes above would prove little if they were all new tickets."""
    raws = [raw for seed in range(6) for raw in mixed_inbox(seed)]
    assert len(raws) >= 6 * 60
    assert sum(b"In-Reply-To" in raw for raw in raws) > 40
    assert len(set(raws)) < len(raws) - 20


@pytest.mark.parametrize("source", SOURCES, ids=[path.name for path in SOURCES])
def test_the_whole_corpus(
    instance: Instance, mailbox: DovecotMailbox, parser: ParserProcess, source: Path
) -> None:
    raws = [_with_crlf(path.read_bytes()) for path in CORPUS if path.parent == source]
    mailbox.deliver_many(raws)
    foretold = look(instance, parser)
    assert mailbox.folders() == {"INBOX"}  # the archive is named, not made
    counts = run(instance, parser)
    assert_same(instance, foretold, 0)
    assert asdict(foretold.counts) == asdict(counts)


@pytest.mark.parametrize(("seconds", "disposition"), [(-1, None), (0, "ticket"), (1, "ticket")])
@pytest.mark.parametrize("hours", [0, 14, -11])
def test_the_date_is_exact_to_the_second_whatever_the_zone_of_receipt(
    instance: Instance, mailbox: DovecotMailbox, parser: ParserProcess, seconds: int, disposition: str | None,
    hours: int,
) -> None:  # fmt: skip
    """INTERNALDATE carries the server's own offset; a day's difference in its date changes nothing."""
    cutoff = datetime(2026, 11, 23, 0, 0, 0, tzinfo=UTC)
    zoned = (cutoff + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours)))
    set_incoming_from(instance, mailbox.settings(), cutoff_enabled="true", cutoff_at=cutoff.isoformat())
    mailbox.deliver(make_raw(), received_at=zoned)
    foretold = look(instance, parser)
    [row] = foretold.rows
    assert (row.disposition, row.received_at) == (disposition, cutoff + timedelta(seconds=seconds))
    counts = run(instance, parser)
    assert (counts.ticket, counts.before_cutoff) == (int(bool(disposition)), int(not disposition))
    assert len(mailbox.contents()) == int(not disposition)
    assert foretold.newer_than(cutoff) == counts.ticket
