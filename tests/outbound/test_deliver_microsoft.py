"""The outbox over Exchange and Office365 (stand-ins): no SMTP codes, and the same promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.factories import make_instance, set_row
from tests.outbound.conftest import Outbox
from tests.rig.ews_server import PASSWORD, EwsServer
from tests.rig.ews_server import Fault as EwsFault
from tests.rig.graph_server import GraphServer
from tests.rig.graph_wire import Fault as GraphFault
from tests.rig.graph_wire import error
from tests.rig.microsoft_account import save, set_office365, settings_of
from webapp.desk import microsoft_connections
from webapp.instance import Instance
from webapp.models import OutgoingKind, Row
from webapp.outbound.outbox import Outgoing, enqueue


@dataclass(frozen=True, slots=True)
class Case:
    """A sending row, what its server took, and how the server is made to fail."""

    outbox: Outbox
    address: str
    taken: Callable[[], list[bytes]]
    lose_answer: Callable[[], object]
    be_busy: Callable[[int], object]

    def write(self, *recipients: str, kind: OutgoingKind = OutgoingKind.REPLY, sender: str = "") -> int:
        now = self.outbox.now
        sender = sender or self.address
        raw = (
            f"From: {sender}\r\nTo: {', '.join(recipients)}\r\nSubject: Hello\r\n"
            f"Message-ID: <m.{now.timestamp()}@desk.test>\r\n\r\nIt prints.\r\n"
        ).encode()
        outgoing = Outgoing(
            raw=raw, message_id=f"m.{now.timestamp()}@desk.test", from_addr=sender, subject="Hello"
        )
        with self.outbox.instance.database.writing() as session:
            written = enqueue(
                session,
                outgoing,
                recipients,
                row=Row.OUTGOING,
                kind=kind,
                created_by="bob@desk.test",
                now=now,
            )
        assert written is not None
        return written.id


@pytest.fixture(params=["exchange", "office365"])
def case(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    now = datetime.now(UTC)
    if request.param == "exchange":
        ews: EwsServer = request.getfixturevalue("ews_server")
        instance = make_instance(tmp_path / "instance", mail_ca_file=str(ews.ca_file))
        set_row(instance, Row.OUTGOING, PASSWORD, protocol="exchange", host="localhost", port=str(ews.port),
                username="EXAMPLE\\help", from_address="help@example.com", active="true")  # fmt: skip
        box = ews.mailboxes["help@example.com"]
        yield Case(
            Outbox(instance, now), "help@example.com", lambda: [sent.raw for sent in box.sent],
            lambda: ews.faults.append(EwsFault("CreateItem", done=True, cut=True)),
            lambda seconds: ews.faults.append(
                EwsFault("CreateItem", back_off_ms=seconds * 1000, soap_fault="ErrorServerBusy")
            ),
        )  # fmt: skip
    else:
        graph: GraphServer = request.getfixturevalue("graph_server")
        instance = make_instance(tmp_path / "instance", **settings_of(graph))
        set_office365(instance, graph, "desk@example.com", Row.OUTGOING)
        store = graph.mailbox_of("desk@example.com")
        yield Case(
            Outbox(instance, now), "desk@example.com", lambda: [sent.raw for sent in store.sent],
            lambda: graph.faults.append(GraphFault("POST", "sendMail$", lose_answer=True)),
            lambda seconds: graph.faults.append(GraphFault(
                "POST", "sendMail$", times=9,
                reply=error(429, "TooManyRequests", Retry_After=str(seconds)),
            )),
        )  # fmt: skip
    instance.close()


def test_sent_means_the_server_took_it(case: Case) -> None:
    case.write("ann@acme.test", "amy@acme.test")
    assert case.outbox.deliver() == 1
    assert set(case.outbox.states().values()) == {"sent"}
    (raw,) = case.taken()
    assert b"ann@acme.test" in raw
    assert case.outbox.trouble() is None


def test_a_lost_answer_is_uncertain_and_automatic_mail_is_not_sent_again(case: Case) -> None:
    case.lose_answer()
    case.write("ann@acme.test", kind=OutgoingKind.ACKNOWLEDGEMENT)
    case.outbox.deliver()
    assert case.outbox.states() == {"ann@acme.test": "uncertain"}
    case.outbox.deliver(after=timedelta(hours=1))
    assert case.outbox.states() == {"ann@acme.test": "uncertain"}
    assert len(case.taken()) == 1


def test_a_person_s_message_is_sent_once_more(case: Case) -> None:
    case.lose_answer()
    case.write("ann@acme.test")
    case.outbox.deliver()
    assert case.outbox.states() == {"ann@acme.test": "uncertain"}
    case.outbox.deliver(after=timedelta(minutes=20))
    assert len(case.taken()) == 2
    assert len({raw.split(b"Message-ID: ")[1].split(b"\r\n")[0] for raw in case.taken()}) == 1


def test_a_busy_server_is_left_alone_as_long_as_it_asks(case: Case) -> None:
    case.be_busy(900)
    case.write("ann@acme.test")
    case.outbox.deliver()
    assert case.outbox.one().state == "deferred"
    trouble = case.outbox.trouble()
    assert trouble is not None
    assert trouble.next_try_at - case.outbox.now == timedelta(seconds=900)
    assert case.taken() == []


def test_nothing_is_sent_as_somebody_else(case: Case) -> None:
    """A message that was written before From was changed keeps the old one: it is not sent so."""
    case.write("ann@acme.test", sender="boss@example.com")
    case.outbox.deliver()
    assert case.outbox.one().state in ("deferred", "failed")
    assert case.taken() == []
    assert case.outbox.one().error


def test_an_account_that_is_gone_holds_everything_back(tmp_path: Path, graph_server: GraphServer) -> None:

    instance: Instance = make_instance(tmp_path / "instance", **settings_of(graph_server))
    set_office365(instance, graph_server, "desk@example.com", Row.OUTGOING)
    outbox = Outbox(instance, datetime.now(UTC))
    case = Case(outbox, "desk@example.com", list, list, lambda seconds: None)
    case.write("ann@acme.test")
    with instance.database.writing() as session:
        held = microsoft_connections.find(session, Row.OUTGOING)
        assert held is not None
        session.delete(held)
    outbox.deliver()
    trouble = outbox.trouble()
    assert trouble is not None
    assert trouble.sentence == "No Microsoft account is connected to this row."
    assert outbox.one().state == "queued"
    assert graph_server.requests == []
    save(instance, Row.OUTGOING, {"active": "false"})
    instance.close()


def test_an_invoice_goes_through_its_own_row(tmp_path: Path, ews_server: EwsServer) -> None:
    """Invoice over Exchange while Outgoing is not set up: it never falls back, and needs nothing of it."""
    instance = make_instance(tmp_path / "instance", mail_ca_file=str(ews_server.ca_file))
    url = f"https://localhost:{ews_server.port}/EWS/Exchange.asmx"
    set_row(instance, Row.INVOICE, PASSWORD, protocol="exchange", ews_url=url, username="EXAMPLE\\help",
            from_address="support@example.com", active="true")  # fmt: skip
    outbox = Outbox(instance, datetime.now(UTC))
    raw = (
        b"From: support@example.com\r\nTo: ann@acme.test\r\nSubject: Invoice 7\r\n"
        b"Message-ID: <invoice.7@desk.test>\r\n\r\nSee the file.\r\n"
    )
    outgoing = Outgoing(
        raw=raw, message_id="invoice.7@desk.test", from_addr="support@example.com", subject="Invoice 7"
    )
    with instance.database.writing() as session:
        enqueue(session, outgoing, ("ann@acme.test",), row=Row.INVOICE, kind=OutgoingKind.INVOICE,
                created_by="bob@desk.test", now=outbox.now)  # fmt: skip
    assert outbox.deliver() == 1
    assert outbox.states() == {"ann@acme.test": "sent"}
    (sent,) = ews_server.mailboxes["help@example.com"].sent
    assert b"From: support@example.com" in sent.raw  # an alias of the account
    instance.close()
