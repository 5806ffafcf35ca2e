"""A desk with an incoming mailbox in memory, and a short way to poll it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from tests.factories import NOW, add_people, make_instance, make_raw, set_incoming, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.inbound.runs import RunReport
from webapp.instance import Instance
from webapp.mailserver.memory import MemoryMailbox, MemoryServer
from webapp.models import Entry, Inbound, Ticket


@dataclass
class Desk:
    """The instance, the mail server beside it, and the time."""

    instance: Instance
    server: MemoryServer
    parser: ParserProcess
    now: datetime = field(default=NOW)

    def deliver(self, raw: bytes | None = None, *, at: datetime | None = None) -> str:
        return self.server.deliver(raw or make_raw(), received_at=at or self.now)

    def poll(self, trigger: str = "command") -> RunReport:
        self.now += timedelta(seconds=60)
        return poll(
            self.instance,
            self.parser,
            trigger=trigger,
            connect=lambda _: MemoryMailbox(self.server),
            clock=lambda: self.now,
        )

    def tickets(self) -> list[Ticket]:
        with self.instance.database.reading() as session:
            query = sa.select(Ticket).options(
                selectinload(Ticket.entries).selectinload(Entry.attachments), selectinload(Ticket.company)
            )
            return list(session.scalars(query.order_by(Ticket.id)))

    def ledger(self) -> list[Inbound]:
        with self.instance.database.reading() as session:
            return list(session.scalars(sa.select(Inbound).order_by(Inbound.id)))

    def folder(self, name: str) -> list[bytes]:
        return [message.raw for message in self.server.folders.get(name, [])]


@pytest.fixture(scope="session")
def parser() -> Iterator[ParserProcess]:
    """One parser process for all tests: starting one takes longer than most tests."""
    with ParserProcess() as process:
        yield process


@pytest.fixture
def desk(tmp_path: Path, parser: ParserProcess) -> Iterator[Desk]:
    instance = make_instance(tmp_path / "instance")
    add_people(instance)
    set_incoming(instance)
    yield Desk(instance, MemoryServer(), parser)
    instance.close()


@pytest.fixture
def at(tmp_path: Path, mailbox: DovecotMailbox) -> Iterator[Instance]:
    """A desk on a real Dovecot."""
    instance = make_instance(tmp_path / "instance", mail_ca_file=str(mailbox.server.ca_file))
    add_people(instance)
    set_incoming_from(instance, mailbox.settings())
    yield instance
    instance.close()
