"""All sample mail through the real parser: what becomes of it, and that restarts double and lose nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import NOW, make_instance
from webapp.demo import furnish
from webapp.demo.certificate import make_server_context
from webapp.demo.feeder import AT_FIRST, SCRIPT, Feeder
from webapp.demo.people import COLLEAGUES, MAILBOX
from webapp.demo.place import CA_FILE, load_passwords
from webapp.demo.sample import _reflow, build
from webapp.demo.servers import MailServers
from webapp.demo.smtp_server import OutsideWorld
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.inbound.runs import RunReport
from webapp.instance import Instance
from webapp.models import Attachment, Disposition, Entry, Inbound, Placement, Ticket

OUTCOMES = {
    "george-away": "auto-submitted",
    "cloud-news-46": "noreply-sender",
    "laptop-password": "unknown-sender",
    "printer-offer": "unknown-sender",
    "petra-away": "auto-submitted",
    "backup-report": "auto-submitted",
    "flower-shop": "unknown-sender",
    "dispatch-fail": "delivery-report",
    "cloud-news-47": "noreply-sender",
    "tom-away": "auto-submitted",
    "delivery-notes": "thread-claim",
}


class Desk:
    """The demonstration without its pages: an instance, servers, and the parser run by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = make_server_context(folder / CA_FILE, None)
        self.instance: Instance = make_instance(folder, mail_ca_file=str(folder / CA_FILE))
        self.passwords = load_passwords(folder, (*(one.email for one in COLLEAGUES), MAILBOX))
        self.parser = ParserProcess()
        self.start()

    def start(self) -> None:
        self.servers = MailServers(MAILBOX, self.passwords[MAILBOX], OutsideWorld(self.folder / "sent"))
        furnish.furnish(self.instance, self.passwords, NOW)
        imap_port, smtp_port = furnish.known_ports(self.instance)
        self.servers.start(self.context, imap_port=imap_port, smtp_port=smtp_port)
        furnish.point_rows(self.instance, self.servers, NOW)
        self.feeder = Feeder(self.instance, self.servers)

    def restart(self) -> None:
        """As after a kill: the mailbox in memory is lost, the database is not."""
        self.servers.stop()
        self.start()

    def poll(self) -> RunReport:
        report = poll(self.instance, self.parser, trigger="command")
        assert report.failure is None, report.failure
        return report

    def ledger(self) -> dict[str, Inbound]:
        """By the sample's name; each of them once."""
        with self.instance.database.reading() as session:
            rows = session.scalars(sa.select(Inbound).order_by(Inbound.id)).all()
            session.expunge_all()
        names = [row.message_id.partition("@")[0] for row in rows if row.message_id]
        assert Counter(names).most_common(1)[0][1] == 1, Counter(names).most_common(3)
        return dict(zip(names, rows, strict=True))

    def close(self) -> None:
        self.servers.stop()
        self.parser.close()
        self.instance.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_every_sample_becomes_what_its_story_says(desk: Desk) -> None:
    desk.feeder.deliver_first()
    desk.poll()
    while desk.feeder.waiting:
        for _ in range(min(6, len(desk.feeder.waiting))):
            desk.feeder._deliver(NOW)
        desk.poll()
    rows = desk.ledger()
    assert set(rows) == {sample.name for sample in SCRIPT}
    for sample in SCRIPT:
        row = rows[sample.name]
        expected = OUTCOMES.get(sample.name) or ("thread" if sample.follows else "new-ticket")
        assert row.rule == expected, (sample.name, row.rule, row.saw)
        assert row.placement is Placement.ARCHIVED
        assert row.defects == [], (sample.name, row.defects)
        if expected == "thread":
            assert row.ticket_id == rows[sample.follows].ticket_id
            assert ("subject tag" in row.saw) == sample.tagged
    with desk.instance.database.reading() as session:
        assert all(session.scalars(sa.select(Ticket.company_id)))
        names = set(session.scalars(sa.select(Attachment.filename)))
        quoted = session.scalars(sa.select(Entry).where(Entry.from_addr == "aylin@oakandpine.example")).all()
    assert {"IMG_2231.png", "invoices-november.csv", "image001.png"} <= names
    reply = next(entry for entry in quoted if "Tuesday's update" in entry.body_text)
    assert "Do you see the wrong sign" in reply.body_text
    assert reply.reply_text is not None
    assert "Do you see the wrong sign" not in reply.reply_text


def test_the_script_is_bounded_and_names_nobody_real() -> None:
    assert AT_FIRST < len(SCRIPT) <= 60
    assert len({sample.name for sample in SCRIPT}) == len(SCRIPT)
    for position, sample in enumerate(SCRIPT):
        assert sample.sender.domain.endswith(".example")
        assert not sample.follows or sample.follows in {one.name for one in SCRIPT[:position]}


def test_the_first_start_shows_every_kind_of_outcome(desk: Desk) -> None:
    desk.feeder.deliver_first()
    desk.poll()
    rows = desk.ledger().values()
    assert len(rows) == AT_FIRST
    assert {row.disposition for row in rows} == {
        Disposition.TICKET, Disposition.UPDATE, Disposition.IGNORED,
    }  # fmt: skip
    assert {"auto-submitted", "noreply-sender", "unknown-sender"} <= {row.rule for row in rows}


def test_a_restart_brings_again_what_was_never_taken_in(desk: Desk) -> None:
    desk.feeder.deliver_first()  # and the process ends before the first poll
    desk.restart()
    assert len(desk.feeder.waiting) == len(SCRIPT)
    desk.feeder.deliver_first()
    desk.poll()
    assert len(desk.ledger()) == AT_FIRST


def test_a_restart_doubles_nothing_and_goes_on(desk: Desk) -> None:
    desk.feeder.deliver_first()
    desk.poll()
    port = desk.servers.imap_port
    desk.restart()
    assert desk.servers.imap_port == port  # the same mailbox to the ledger, with another UIDVALIDITY
    assert desk.poll().counts.processed == 0
    desk.feeder.deliver_first()
    desk.poll()
    rows = desk.ledger()
    assert list(rows) == [sample.name for sample in SCRIPT[: AT_FIRST + 1]]
    assert len({row.epoch for row in rows.values()}) == 2


def test_what_was_still_to_be_moved_is_gone_with_the_mailbox(desk: Desk) -> None:
    desk.feeder.deliver_first()
    desk.poll()
    with desk.instance.database.writing() as session:  # as if killed between commit and MOVE
        session.execute(sa.update(Inbound).where(Inbound.id == 1).values(placement=Placement.PENDING_MOVE))
    desk.restart()
    assert [row.placement for row in desk.ledger().values()].count(Placement.GONE) == 1
    assert desk.poll().counts.processed == 0


def test_paragraphs_are_lines_and_lists_stay_lists() -> None:
    long = "a long line of the script that goes on for more than sixty characters"
    assert _reflow(f"Hi,\n\n{long}\nand on\n\nBye\nTom\n") == f"Hi,\n\n{long} and on\n\nBye\nTom"
    assert _reflow(f" - {long}\n - next") == f" - {long}\n - next"


def test_a_message_is_the_same_octets_but_for_its_boundary() -> None:
    first = build(SCRIPT[0], NOW)
    assert first == build(SCRIPT[0], NOW)
    assert b"Message-ID: <reception-printer@harbourdental.example>\r\n" in first


@pytest.mark.parametrize(
    ("told", "zone"), [("Europe/Sofia", "Europe/Sofia"), ("Etc/UTC", "UTC"), (":odd", "UTC")]
)
def test_times_are_shown_in_this_machines_zone(monkeypatch: pytest.MonkeyPatch, told: str, zone: str) -> None:
    monkeypatch.setenv("TZ", told)
    assert furnish._own_time_zone() == zone
