"""An instance whose Outgoing row speaks to a server of the rig, and short ways to write and deliver mail."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.factories import NOW, make_instance, set_row
from tests.rig.certificates import Authority
from tests.rig.scripted import Answer, ScriptedServer, smtp
from tests.rig.smtp import USER, SmtpServer
from webapp.desk.sending import make_deliverer
from webapp.instance import Instance
from webapp.mailserver.base import ServerSettings
from webapp.models import Delivery, OutgoingKind, Row, SendingTrouble
from webapp.outbound.outbox import Outgoing, enqueue

_numbers = itertools.count(1)


def make_outgoing(subject: str = "Your printer") -> Outgoing:
    number = next(_numbers)
    message_id = f"out.{number}@desk.test"
    raw = (
        f"From: {USER}\r\nTo: you@example.net\r\nSubject: {subject}\r\n"
        f"Message-ID: <{message_id}>\r\n\r\nIt prints.\r\n"
    )
    return Outgoing(raw=raw.encode(), message_id=message_id, from_addr=USER, subject=subject)


def aim(instance: Instance, settings: ServerSettings, row: Row = Row.OUTGOING, **changes: str) -> None:
    """Save the row for this server of the rig."""
    told = {
        "host": settings.host,
        "port": str(settings.port),
        "use_ssl": "false" if settings.tls_mode.value == "none" else "true",
        "username": settings.username,
        "from_address": settings.from_address,
        "requires_auth": str(settings.requires_auth).lower(),
        "timeout_ms": "2000",
        "active": "true",
    }
    if settings.tls_mode.value != "none":
        told["tls_mode"] = settings.tls_mode.value
    set_row(instance, row, password=settings.password or None, **(told | changes))


@dataclass
class Outbox:
    """The outbox of an instance at a time of its own."""

    instance: Instance
    now: datetime = NOW
    connections: list[datetime] = field(default_factory=list)

    def write(
        self,
        *recipients: str,
        kind: OutgoingKind = OutgoingKind.REPLY,
        row: Row = Row.OUTGOING,
        **values: Any,
    ) -> int:
        with self.instance.database.writing() as session:
            written = enqueue(
                session,
                make_outgoing(),
                recipients or ("ann@acme.test",),
                row=row,
                kind=kind,
                created_by="bob@desk.test",
                now=self.now,
                **values,
            )
            assert written is not None
            return written.id

    def write_queued(self, scripted: Callable[..., ScriptedServer]) -> int:
        scripted()
        return self.write()

    def deliver(self, *, after: timedelta = timedelta()) -> int:
        self.now += after
        return make_deliverer(self.instance).run(now=self.now)

    def all(self, outgoing_id: int | None = None) -> list[Delivery]:
        query = sa.select(Delivery).order_by(Delivery.id)
        if outgoing_id is not None:
            query = query.where(Delivery.outgoing_id == outgoing_id)
        with self.instance.database.reading() as session:
            return list(session.scalars(query))

    def one(self, outgoing_id: int | None = None) -> Delivery:
        (found,) = self.all(outgoing_id)
        return found

    def states(self) -> dict[str, str]:
        return {one.recipient: one.state.value for one in self.all()}

    def trouble(self, row: Row = Row.OUTGOING) -> SendingTrouble | None:
        with self.instance.database.reading() as session:
            return session.get(SendingTrouble, row.value)


@pytest.fixture
def instance(tmp_path: Path, authority: Authority) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "instance", mail_ca_file=str(authority.ca_file))
    yield instance
    instance.close()


@pytest.fixture
def outbox(instance: Instance) -> Outbox:
    return Outbox(instance)


@pytest.fixture
def server(instance: Instance, smtp_server: SmtpServer) -> SmtpServer:
    aim(instance, smtp_server.settings())
    return smtp_server


@pytest.fixture
def scripted(instance: Instance) -> Iterator[Callable[..., ScriptedServer]]:
    """Aim the Outgoing row at a scripted server with these answers."""
    running: list[ScriptedServer] = []

    def start(
        answers: dict[str, Answer] | None = None, *, extensions: Sequence[str] = ("8BITMIME",), **options: Any
    ) -> ScriptedServer:
        script = smtp(answers, extensions=extensions, **options)
        server = ScriptedServer(script).__enter__()
        running.append(server)
        set_row(
            instance,
            Row.OUTGOING,
            password=None,
            host="127.0.0.1",
            port=str(server.port),
            use_ssl="false",
            requires_auth="false",
            from_address=USER,
            timeout_ms="1000",
            active="true",
        )
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)
