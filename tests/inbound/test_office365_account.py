"""A mailbox at Microsoft from the sign-in to the ticket, and consent that is withdrawn: both stand-ins."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.desk.microsoft import connect, held, register, tokens_of
from tests.factories import add_people, make_instance, make_raw
from tests.rig.graph_server import Grant, GraphServer
from tests.rig.graph_store import GraphMailboxStore
from tests.rig.microsoft_sign_in import HELP, IdentityProvider
from webapp.desk import mail_servers
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.inbound.runs import RunReport
from webapp.instance import Instance
from webapp.mailserver.connect import open_mailbox
from webapp.mailserver.errors import MailServerError
from webapp.models import ConnectionState, MailServer, Row, Ticket

pytestmark = pytest.mark.identity_provider


@pytest.fixture
def instance(
    tmp_path: Path, identity_provider: IdentityProvider, graph_server: GraphServer
) -> Iterator[Instance]:
    """The incoming row is on, with the mailbox of helpdesk@contoso.example at the Graph stand-in."""

    def accept(token: str) -> Grant | None:
        found = identity_provider.who(token)
        scopes = frozenset(str(found["scopes"]).split()) if found else frozenset()
        return Grant(str(found["address"]), scopes, float(found["expiresAt"])) if found else None

    graph_server.add_user(HELP.address, aliases=HELP.aliases)
    graph_server.accept = accept
    told = identity_provider.settings | {"ms_graph_base": graph_server.base}
    instance = make_instance(tmp_path, **told)
    add_people(instance)
    register(instance)
    connect(instance, identity_provider)
    with instance.database.writing() as session:
        wanted = mail_servers.draft(session, instance, Row.INCOMING, {"active": "true"})
        mail_servers.save(session, instance.vault, wanted, now=datetime.now(UTC), actor="test")
    identity_provider.asked()
    yield instance
    instance.close()


@pytest.fixture
def parser() -> Iterator[ParserProcess]:
    with ParserProcess() as parser:
        yield parser


def mailbox_of(server: GraphServer) -> GraphMailboxStore:
    found = server.users[HELP.address].mailbox
    assert found is not None
    return found


def run(instance: Instance, parser: ParserProcess) -> RunReport:
    return poll(instance, parser, trigger="command")


def test_from_the_sign_in_to_the_ticket(
    instance: Instance, parser: ParserProcess, graph_server: GraphServer, identity_provider: IdentityProvider
) -> None:
    mailbox = mailbox_of(graph_server)
    mailbox.deliver(make_raw(subject="Printer offline"))
    report = run(instance, parser)
    assert report.failure is None
    assert report.counts.ticket == 1
    assert mailbox.contents() == []
    with instance.database.reading() as session:
        assert session.query(Ticket).one().subject == "Printer offline"
    assert identity_provider.asked() == []  # the token of the sign-in is still good


def test_a_token_that_graph_refuses_is_renewed_in_the_middle_of_a_run(
    instance: Instance, parser: ParserProcess, graph_server: GraphServer, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    known = graph_server.accept
    graph_server.accept = lambda shown: None if shown == token else known(shown)
    mailbox_of(graph_server).deliver(make_raw())
    report = run(instance, parser)
    assert (report.failure, report.counts.ticket) == (None, 1)
    assert identity_provider.asked() == ["refresh_token"]


def test_consent_withdrawn_while_polling_is_one_question_an_interval(
    instance: Instance, parser: ParserProcess, graph_server: GraphServer, identity_provider: IdentityProvider
) -> None:
    mailbox = mailbox_of(graph_server)
    mailbox.deliver(make_raw())
    identity_provider.revoke(HELP)
    for _ in range(6):
        failure = run(instance, parser).failure
        assert failure is not None
        assert failure.needs_a_person
        assert failure.sentence.startswith("The connection to the Microsoft account was withdrawn")
        assert "Reconnect" in failure.cure
    assert identity_provider.asked() == ["refresh_token"]
    assert held(instance).state is ConnectionState.NEEDS_RECONNECT
    (waiting,) = mailbox.contents()
    assert not waiting.seen
    connect(instance, identity_provider)
    report = run(instance, parser)
    assert (report.failure, report.counts.ticket) == (None, 1)
    assert mailbox.contents() == []


def test_an_account_that_was_disconnected_is_told_as_such(instance: Instance, parser: ParserProcess) -> None:
    with instance.database.reading() as session:
        stored = session.get_one(MailServer, Row.INCOMING.value)
    settings = mail_servers.server_settings(mail_servers.stored_draft(instance.vault, stored), instance)
    with pytest.raises(MailServerError), open_mailbox(dataclasses.replace(settings, tokens=None)) as mailbox:
        mailbox.open()


def test_pages_go_on_writing_while_microsoft_takes_its_time(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    """A renewal holds no transaction while it waits."""
    token = tokens_of(instance).access_token()
    identity_provider.delay(2000)
    renewing = threading.Thread(target=lambda: tokens_of(instance).access_token(refused=token))
    renewing.start()
    while identity_provider.asked() != ["refresh_token"]:
        time.sleep(0.02)
    began = time.monotonic()
    add_people(instance, b"email,name,company,other_emails\nnew@acme.test,New,Acme,\n")
    assert time.monotonic() - began < 1
    assert renewing.is_alive()
    renewing.join()
    assert tokens_of(instance).access_token() != token
