"""The outbox over an Exchange (a stand-in): what one answer for a whole message means for each recipient."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import set_row
from tests.outbound.conftest import Outbox
from tests.rig.ews_server import DOMAIN, PASSWORD, EwsServer, Fault
from tests.rig.ews_store import Mailbox as Store
from tests.rig.smtp import USER
from webapp.instance import Instance
from webapp.models import OutgoingKind, Row


@pytest.fixture
def store(ews_server: EwsServer, instance: Instance) -> Store:
    """The mailbox that the Outgoing row sends from."""
    store = ews_server.add_mailbox(USER)
    told = {"protocol": "exchange", "host": "localhost", "port": str(ews_server.port), "timeout_ms": "3000"}
    set_row(
        instance,
        Row.OUTGOING,
        password=PASSWORD,
        username=f"{DOMAIN}\\{USER.partition('@')[0]}",
        from_address=USER,
        active="true",
        **told,
    )
    return store


def test_sent_over_one_connection(outbox: Outbox, ews_server: EwsServer, store: Store) -> None:
    for _ in range(3):
        outbox.write("you@example.net")
    outbox.deliver()
    assert set(outbox.states().values()) == {"sent"}
    assert [sent.recipients for sent in store.sent] == [("you@example.net",)] * 3
    assert ews_server.connections == 1


def test_the_answer_is_lost_for_one_of_two(outbox: Outbox, ews_server: EwsServer, store: Store) -> None:
    """Each hidden recipient has a mail of its own: who has theirs is sent to no more, and nobody twice."""
    ews_server.faults.append(Fault("CreateItem", after_skipping=1, done=True, cut=True))
    outbox.write("ann@acme.test", "bob@acme.test", kind=OutgoingKind.ALERT)
    outbox.deliver()
    assert outbox.states() == {"ann@acme.test": "sent", "bob@acme.test": "uncertain"}
    outbox.deliver(after=timedelta(hours=1))
    assert [sent.recipients for sent in store.sent] == [("ann@acme.test",), ("bob@acme.test",)]


def test_one_of_two_is_told_to_wait(outbox: Outbox, ews_server: EwsServer, store: Store) -> None:
    ews_server.faults.append(Fault("CreateItem", after_skipping=1, status=503))
    outbox.write("ann@acme.test", "bob@acme.test")
    outbox.deliver()
    assert outbox.states()["ann@acme.test"] == "sent"
    assert outbox.states()["bob@acme.test"] in ("queued", "deferred")
    outbox.deliver(after=timedelta(hours=1))
    assert set(outbox.states().values()) == {"sent"}
    assert [sent.recipients for sent in store.sent] == [("ann@acme.test",), ("bob@acme.test",)]


def test_too_large_for_good(outbox: Outbox, ews_server: EwsServer, store: Store) -> None:
    ews_server.behaviour.refuse_send = "ErrorMessageSizeExceeded"
    outbox.write("you@example.net")
    outbox.deliver()
    assert outbox.one().state.value == "failed"
    assert "larger than the Exchange server takes" in (outbox.one().error or "")
    assert outbox.trouble() is None


def test_a_wrong_password_holds_the_row_back(outbox: Outbox, ews_server: EwsServer, store: Store) -> None:
    ews_server.add_user(USER.partition("@")[0], "another")
    outbox.write("you@example.net")
    outbox.deliver()
    outbox.deliver(after=timedelta(minutes=5))
    assert outbox.one().state.value == "queued"
    assert ews_server.refused_sign_ins == 1
    trouble = outbox.trouble()
    assert trouble is not None
    assert "rejected the user name or password" in trouble.sentence
