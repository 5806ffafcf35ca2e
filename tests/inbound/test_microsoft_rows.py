"""Exchange and Office365, end to end on their stand-ins: poll, ticket, reply, sent; and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.factories import add_people, make_instance, make_raw, set_row
from tests.rig.ews_server import PASSWORD, EwsServer
from tests.rig.ews_server import Fault as EwsFault
from tests.rig.graph_server import GraphServer
from tests.rig.graph_wire import Fault as GraphFault
from tests.rig.graph_wire import error
from tests.rig.microsoft_account import set_office365, settings_of
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.models import (
    Inbound,
    MailboxIdentity,
    MicrosoftConnection,
    MissedMessage,
    Placement,
    Row,
    Ticket,
)

EXCHANGE: dict[str, Any] = {
    "protocol": "exchange", "host": "localhost", "username": "EXAMPLE\\help", "active": "true",
    "mailbox": "help@example.com", "timeout_ms": "10000",
}  # fmt: skip


@pytest.fixture
def exchange(tmp_path: Path, ews_server: EwsServer) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "instance", mail_ca_file=str(ews_server.ca_file))
    add_people(instance)
    told = EXCHANGE | {"port": str(ews_server.port)}
    set_row(instance, Row.INCOMING, PASSWORD, **told, process_unknown="true")
    set_row(instance, Row.OUTGOING, PASSWORD, **told)
    yield instance
    instance.close()


@pytest.fixture
def office(tmp_path: Path, graph_server: GraphServer) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "instance", **settings_of(graph_server))
    add_people(instance)
    set_office365(instance, graph_server, "desk@example.com")
    set_office365(instance, graph_server, "desk@example.com", Row.OUTGOING)
    yield instance
    instance.close()


def ledger(instance: Instance) -> list[Inbound]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Inbound).order_by(Inbound.id)))


def test_exchange_mail_becomes_tickets(
    exchange: Instance, ews_server: EwsServer, parser: ParserProcess
) -> None:
    box = ews_server.mailboxes["help@example.com"]
    box.deliver(make_raw())
    box.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    report = poll(exchange, parser, trigger="command")
    assert report.failure is None
    assert (report.counts.ticket, report.counts.ignored, report.counts.moved) == (1, 1, 2)
    assert [row.placement for row in ledger(exchange)] == [Placement.ARCHIVED, Placement.ARCHIVED]
    assert len(box.contents("Archive")) == len(box.contents("Archive/Ignored")) == 1
    assert poll(exchange, parser, trigger="command").counts.processed == 0
    with exchange.database.reading() as session:
        (identity,) = session.scalars(sa.select(MailboxIdentity))
    assert (identity.protocol, identity.host, identity.account) == (
        "exchange",
        "localhost",
        "help@example.com",
    )


def test_office365_mail_becomes_tickets(
    office: Instance, graph_server: GraphServer, parser: ParserProcess
) -> None:
    box = graph_server.mailbox_of("desk@example.com")
    box.deliver(make_raw())
    box.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    report = poll(office, parser, trigger="command")
    assert report.failure is None
    assert (report.counts.ticket, report.counts.ignored, report.counts.moved) == (1, 1, 2)
    assert len(box.contents("Archive")) == len(box.contents("Archive/Ignored")) == 1
    with office.database.reading() as session:
        (identity,) = session.scalars(sa.select(MailboxIdentity))
        assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == 1
    user = graph_server.users["desk@example.com"]
    assert (identity.host, identity.account) == ("graph.microsoft.com", user.user_id)


def later() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=10)


def test_what_somebody_puts_back_is_a_duplicate_on_exchange(
    exchange: Instance, ews_server: EwsServer, parser: ParserProcess
) -> None:
    box = ews_server.mailboxes["help@example.com"]
    key = box.deliver(make_raw(message_id=""))
    poll(exchange, parser, trigger="command")
    box.take_away(key, "INBOX", "Archive")
    box.contents("INBOX")[0].seen = False
    assert poll(exchange, parser, trigger="command", clock=later).counts.duplicate == 1
    assert_put_back(exchange, key)
    assert box.contents("INBOX") == []


def test_what_somebody_puts_back_is_a_duplicate_on_office365(
    office: Instance, graph_server: GraphServer, parser: ParserProcess
) -> None:
    box = graph_server.mailbox_of("desk@example.com")
    key = box.deliver(make_raw(message_id=""))
    poll(office, parser, trigger="command")
    box.take_away(key, "INBOX")
    box.messages[key].seen = False
    assert poll(office, parser, trigger="command", clock=later).counts.duplicate == 1
    assert_put_back(office, key)
    assert box.contents("INBOX") == []


def assert_put_back(instance: Instance, key: str) -> None:
    first, second = ledger(instance)
    assert (first.remote_key, second.remote_key) == (key, f"{key}~2")
    assert second.ticket_id == first.ticket_id == 1
    assert second.placement is Placement.ARCHIVED
    with instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == 1


def test_what_somebody_opened_first_is_found(
    office: Instance, graph_server: GraphServer, parser: ParserProcess
) -> None:
    box = graph_server.mailbox_of("desk@example.com")
    poll(office, parser, trigger="command")
    at = datetime.now(UTC) + timedelta(minutes=1)
    box.deliver(make_raw(subject="Seen already"), received_at=at, seen=True)
    poll(office, parser, trigger="command", clock=later)
    with office.database.reading() as session:
        (found,) = session.scalars(sa.select(MissedMessage))
    assert found.subject == "Seen already"


def test_a_busy_exchange_is_left_alone(
    exchange: Instance, ews_server: EwsServer, parser: ParserProcess
) -> None:
    ews_server.mailboxes["help@example.com"].deliver(make_raw())
    ews_server.faults.append(EwsFault("FindItem", soap_fault="ErrorServerBusy", back_off_ms=600_000, times=9))
    now = datetime.now(UTC)
    report = poll(exchange, parser, trigger="command", clock=lambda: now)
    assert report.failure is not None
    assert not report.failure.needs_a_person
    assert report.next_try_at == now + timedelta(minutes=10)


def test_a_busy_graph_is_left_alone(
    office: Instance, graph_server: GraphServer, parser: ParserProcess
) -> None:
    graph_server.mailbox_of("desk@example.com").deliver(make_raw())
    busy = error(429, "TooManyRequests", Retry_After="600")
    graph_server.faults.append(GraphFault("GET", "messages", reply=busy, times=9))
    now = datetime.now(UTC)
    report = poll(office, parser, trigger="command", clock=lambda: now)
    assert report.failure is not None
    assert report.next_try_at == now + timedelta(minutes=10)


def test_another_account_is_another_mailbox(
    office: Instance, graph_server: GraphServer, parser: ParserProcess
) -> None:
    """Equal messages in two mailboxes are known by their octets, and each mailbox has a ledger of its own."""
    graph_server.mailbox_of("desk@example.com").deliver(make_raw())
    poll(office, parser, trigger="command")
    graph_server.add_user("second@example.com")
    with office.database.writing() as session:
        session.execute(sa.delete(MicrosoftConnection).where(MicrosoftConnection.row == Row.INCOMING.value))
    set_office365(office, graph_server, "second@example.com")
    graph_server.mailbox_of("second@example.com").deliver(make_raw())
    assert poll(office, parser, trigger="command").counts.ticket == 1
    with office.database.reading() as session:
        accounts = set(session.scalars(sa.select(MailboxIdentity.account)))
    assert accounts == {user.user_id for user in graph_server.users.values()}
