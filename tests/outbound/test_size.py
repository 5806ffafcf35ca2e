"""How large a message the server takes: learned where it is spoken to, forgotten with the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.factories import NOW, set_row
from tests.outbound.conftest import Outbox
from tests.rig.scripted import ScriptedServer
from webapp.desk import mail_servers
from webapp.instance import Instance
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.checks import Takes
from webapp.mailserver.diagnosis import diagnose
from webapp.mailserver.envelope import size_limit
from webapp.models import MailServer, Row

Start = Callable[..., ScriptedServer]


def largest(instance: Instance, row: Row = Row.OUTGOING) -> int | None:
    with instance.database.reading() as session:
        return session.get_one(MailServer, row.value).largest_octets


def version(instance: Instance) -> int:
    with instance.database.reading() as session:
        return session.get_one(MailServer, Row.OUTGOING.value).version


@pytest.mark.parametrize(
    ("told", "octets"),
    [
        ({"size": "35882577"}, 35_882_577),
        ({"size": "0"}, None),
        ({"size": ""}, None),
        ({}, None),
        ({"size": "x"}, None),
        ({"size": "9" * 30}, None),
    ],
)
def test_what_ehlo_says(told: dict[str, str], octets: int | None) -> None:
    assert size_limit(told) == octets


def test_learned_at_sending_and_again_when_it_changes(outbox: Outbox, scripted: Start) -> None:
    scripted(extensions=("SIZE 7000000",))
    before = version(outbox.instance)
    assert largest(outbox.instance) is None
    outbox.write()
    outbox.deliver()
    assert largest(outbox.instance) == 7_000_000
    assert version(outbox.instance) == before  # nobody who edits the row is told that it changed
    scripted(extensions=("SIZE 9000000",))
    assert largest(outbox.instance) is None  # another port is another server
    outbox.write()
    outbox.deliver()
    assert largest(outbox.instance) == 9_000_000


def test_learned_from_a_message_that_was_too_large(outbox: Outbox, scripted: Start) -> None:
    scripted(extensions=("SIZE 10",))
    outbox.write()
    outbox.deliver()
    assert outbox.one().state.value == "failed"
    assert largest(outbox.instance) == 10


def test_learned_by_a_test_of_the_saved_settings(outbox: Outbox, scripted: Start) -> None:
    scripted()
    instance, now = outbox.instance, NOW
    with instance.database.writing() as session:
        told: dict[str, Any] = {"passed": True, "sentence": "", "now": now}
        mail_servers.record_test(session, Row.OUTGOING, version=99, takes=Takes(1), **told)
        assert largest(instance) is None
        mail_servers.record_test(
            session, Row.OUTGOING, version=version(instance), takes=Takes(5_000_000), **told
        )
        mail_servers.record_test(session, Row.OUTGOING, version=version(instance), **told)
    assert largest(instance) == 5_000_000
    set_row(instance, Row.OUTGOING, password=None, timeout_ms="3000")
    assert largest(instance) == 5_000_000
    with instance.database.writing() as session:
        mail_servers.copy_outgoing(session, now=now, actor="test")
    assert largest(instance, Row.INVOICE) == 5_000_000


def test_a_test_of_the_connection_hears_it(scripted: Start, outbox: Outbox) -> None:
    scripted(extensions=("SIZE 6000000",))
    with outbox.instance.database.reading() as session:
        stored = mail_servers.load(session, Row.OUTGOING)
    assert stored is not None
    settings = ServerSettings(
        protocol=MailProtocol.SMTP, host=stored.host, port=stored.port, tls_mode=TlsMode.NONE, timeout=5,
        username="", password="", requires_auth=False, from_address=stored.from_address,
    )  # fmt: skip
    results = list(diagnose(settings))
    assert [one.state.value for one in results if one.state.value == "failed"] == []
    assert [one.detail for one in results if one.detail] == [Takes(6_000_000)]
