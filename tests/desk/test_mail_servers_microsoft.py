"""Rows of Exchange and Office365: what adapters get of them, which mailbox they are, where a secret goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.desk.rows import CANARY, draft, refused, stored
from tests.factories import NOW, add_people, make_instance, set_row
from tests.rig.graph_server import GraphServer
from tests.rig.microsoft_account import APPLICATION, TENANT, set_office365, settings_of
from webapp.desk import mail_servers
from webapp.desk.activation import needs_confirmation
from webapp.desk.addresses import incoming_addresses, refuse_incoming_mailbox
from webapp.desk.mail_form import values_of
from webapp.desk.mail_identity import identity_of, own_addresses
from webapp.inbound.inbox import policy_of
from webapp.instance import Instance
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.models import Row

EXCHANGE: dict[str, Any] = {"protocol": "exchange", "host": "mail.example.com", "username": "EXAMPLE\\help",
            "mailbox": "Help@Example.com"}  # fmt: skip
OFFICE365: dict[str, Any] = {"protocol": "office365", "tenant_id": TENANT, "client_id": APPLICATION}


@pytest.fixture
def office(tmp_path: Path, graph_server: GraphServer) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "office", **settings_of(graph_server))
    yield instance
    instance.close()


def settings(instance: Instance, row: Row = Row.INCOMING) -> ServerSettings:
    wanted = mail_servers.stored_draft(instance.vault, stored(instance, row))
    return mail_servers.server_settings(wanted, instance)


def identity(instance: Instance) -> tuple[str, str, int, str]:
    with instance.database.reading() as session:
        return identity_of(session, values_of(stored(instance)))


def test_an_exchange_row_becomes_server_settings(instance: Instance) -> None:
    set_row(instance, password=CANARY, **EXCHANGE, timeout_ms="1500", archive_folder="Done")
    assert settings(instance) == ServerSettings(
        protocol=MailProtocol.EXCHANGE, host="mail.example.com", port=443, tls_mode=TlsMode.IMPLICIT,
        timeout=1.5, username="EXAMPLE\\help", password=CANARY, archive_folder="Done",
        mailbox="Help@example.com", receives=True,
    )  # fmt: skip
    assert identity(instance) == ("exchange", "mail.example.com", 443, "help@example.com")
    row = stored(instance)
    assert (row.is_set_up, row.address) == (True, "Help@example.com")


def test_a_whole_address_goes_along(instance: Instance) -> None:
    url = "https://mail.example.com:8443/EWS/Exchange.asmx"
    set_row(instance, Row.OUTGOING, CANARY, protocol="exchange", ews_url=url, username="help@example.com")
    told = settings(instance, Row.OUTGOING)
    assert (told.ews_url, told.host, told.port) == (url, "mail.example.com", 8443)
    assert (told.receives, told.from_address, told.mailbox) == (False, "help@example.com", "")
    draft(instance, Row.OUTGOING, timeout_ms="2000")  # the form as it stands: host and port are empty
    assert "host" in refused(instance, Row.OUTGOING, host="other.example.com")


def test_a_connected_account_gives_its_tokens(office: Instance, graph_server: GraphServer) -> None:
    set_office365(office, graph_server, "desk@example.com")
    told = settings(office)
    assert told.tokens is not None
    assert told.tokens.access_token().startswith("token-")
    assert (told.protocol, told.receives, told.graph_base) == ("office365", True, graph_server.base)
    assert (told.mailbox, told.username) == ("", "")  # its own
    user = graph_server.users["desk@example.com"]
    assert identity(office) == ("office365", "graph.microsoft.com", 443, user.user_id)


def test_a_shared_mailbox_is_a_mailbox_of_its_own(office: Instance, graph_server: GraphServer) -> None:
    graph_server.add_user("Shared@example.com")
    set_office365(office, graph_server, "desk@example.com", mailbox="Shared@example.com")
    assert settings(office).mailbox == "Shared@example.com"
    assert identity(office)[3] == "shared@example.com"
    with office.database.reading() as session:
        assert own_addresses(session, values_of(stored(office))) == {"shared@example.com"}


def test_another_app_registration_has_no_tokens(office: Instance, graph_server: GraphServer) -> None:
    set_office365(office, graph_server, "desk@example.com")
    with office.database.reading() as session:
        wanted = mail_servers.draft(
            session, office, Row.INCOMING, {"active": "false", "tenant_id": "other.example"},
            client_secret="another",
        )  # fmt: skip
    assert mail_servers.server_settings(wanted, office).tokens is None


def test_every_address_of_the_account_is_our_own(office: Instance, graph_server: GraphServer) -> None:
    set_office365(office, graph_server, "desk@example.com")
    with office.database.reading() as session:
        policy = policy_of(session, values_of(stored(office)))
        assert {"desk@example.com", "help@example.com"} <= policy.own_addresses


def test_the_settings_of_a_test_do_not_outlive_another_secret(
    office: Instance, graph_server: GraphServer
) -> None:
    set_office365(office, graph_server, "desk@example.com")
    told = settings(office)
    assert told.password  # only to be told apart, and taken out of what servers say
    assert replace(told, app="other") != told


@pytest.mark.parametrize("protocol", ["exchange", "office365"])
def test_a_password_stays_with_its_server(instance: Instance, protocol: str) -> None:
    set_row(instance, password=CANARY, host="imap.example.com", username="help@example.com")
    changes = EXCHANGE if protocol == "exchange" else OFFICE365
    if protocol == "exchange":
        told = refused(instance, **changes)
        assert told["password"].endswith("the saved one is only sent to imap.example.com.")
    else:
        assert draft(instance, **changes).secret is None
    set_row(instance, password=None if protocol == "office365" else "another", **changes)
    row = stored(instance)
    assert not row.password_sealed or instance.vault.unseal(row.password_sealed) == "another"


def test_the_port_of_another_protocol_is_not_taken_along(instance: Instance) -> None:
    set_row(instance, password=CANARY, host="mail.example.com", username="help@example.com", use_ssl="false",
            plaintext_accepted="true")  # fmt: skip
    set_row(instance, password=CANARY, protocol="exchange")
    assert (stored(instance).port, stored(instance).use_ssl) == (443, True)
    set_row(instance, password=CANARY, protocol="imap")
    assert (stored(instance).port, stored(instance).tls_mode) == (993, "implicit")
    assert stored(instance).host == "mail.example.com"


def test_a_portal_users_address_is_no_mailbox_to_poll(instance: Instance) -> None:
    add_people(instance)
    sentence = "ann@acme.test is also a portal user's address. Use a dedicated mailbox."
    assert refused(instance, password=CANARY, **(EXCHANGE | {"mailbox": "ann@acme.test"})) == {
        "mailbox": sentence
    }
    assert refused(instance, **OFFICE365, mailbox="ann@acme.test") == {"mailbox": sentence}
    draft(instance, Row.OUTGOING, **OFFICE365, mailbox="ann@acme.test")  # only what is polled matters


def test_nobody_gets_the_polled_mailboxs_address(instance: Instance) -> None:
    set_row(instance, password=CANARY, **EXCHANGE)
    with instance.database.reading() as session:
        assert "help@example.com" in incoming_addresses(session)
        with pytest.raises(ValueError, match="is the incoming mailbox"):
            refuse_incoming_mailbox(session, "HELP@example.com")


def test_invoice_takes_over_the_registration_and_not_the_account(
    office: Instance, graph_server: GraphServer
) -> None:
    set_office365(office, graph_server, "desk@example.com", Row.OUTGOING)
    with office.database.writing() as session:
        mail_servers.copy_outgoing(session, now=NOW, actor="test")
    row = stored(office, Row.INVOICE)
    assert (row.protocol, row.client_id, row.active) == ("office365", APPLICATION, False)
    assert office.vault.unseal(row.client_secret_sealed)
    assert settings(office, Row.INVOICE).tokens is None
    told = refused(office, Row.INVOICE, active="true")
    assert told == {"active": "Connect a Microsoft account before you turn this on."}


def test_another_mailbox_is_asked_about(office: Instance, graph_server: GraphServer) -> None:
    graph_server.add_user("shared@example.com")
    set_office365(office, graph_server, "desk@example.com")
    before = values_of(stored(office))
    assert not needs_confirmation(before, before, last_test_passed=True).needed
    other = replace(before, mailbox="shared@example.com")
    assert needs_confirmation(before, other, last_test_passed=True).step


def test_nothing_secret_is_said(office: Instance, graph_server: GraphServer) -> None:
    set_office365(office, graph_server, "desk@example.com")
    wanted = mail_servers.stored_draft(office.vault, stored(office))
    assert wanted.secret
    assert wanted.secret not in repr(wanted)
    told = settings(office)
    assert wanted.secret not in repr(told)
    assert "token-" not in repr(told)
