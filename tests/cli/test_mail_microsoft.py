"""`servicedesk mail` with rows of Exchange and Office365."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.factories import add_people, make_raw
from tests.rig.ews_server import PASSWORD, EwsServer
from tests.rig.graph_server import GraphServer
from tests.rig.microsoft_account import environment_of, set_office365
from webapp.config import load_settings
from webapp.instance import open_instance
from webapp.models import Row

APP = "11111111-2222-3333-4444-555555555555"
CANARY = "canary~Secret.Value-7391"


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "instance")


def test_an_exchange_row_from_nothing_to_a_ticket(command: Command, ews_server: EwsServer) -> None:
    command.environ["SERVICEDESK_MAIL_CA_FILE"] = str(ews_server.ca_file)
    url = f"https://localhost:{ews_server.port}/EWS/Exchange.asmx"
    told = command.ok(
        "mail", "set", "incoming", "protocol=exchange", f"ews_url={url}", "username=EXAMPLE\\help",
        "mailbox=help@example.com", "process_unknown=true", "active=true", "--password-stdin",
        stdin=PASSWORD,
    )  # fmt: skip
    assert f"saved: active, Exchange, localhost:{ews_server.port}, SSL/TLS." in told
    shown = command.json("mail", "show", "incoming")
    assert shown["ews_url"] == url
    assert shown["password"] == "saved"
    assert "tenant_id" not in shown
    assert "requires_auth" not in shown
    ews_server.mailboxes["help@example.com"].deliver(make_raw(sender="carl@new.test"))
    stages = command.json("mail", "test", "incoming")["stages"]
    names = ["settings", "dns", "connect", "tls", "sign_in", "inbox", "archive", "foresee"]
    assert [stage["stage"] for stage in stages] == names
    assert {stage["state"] for stage in stages} == {"ok"}
    assert stages[-1]["foreseen"]["counts"]["ticket"] == 1
    assert [row["disposition"] for row in command.json("mail", "preview")] == ["ticket"]
    assert command.json("mail", "poll")["ticket"] == 1
    assert [row["disposition"] for row in command.json("mail", "log")] == ["ticket"]
    assert command.json("ticket", "list")[0]["number"] == 1


def test_exchange_sends_a_test_message(command: Command, ews_server: EwsServer) -> None:
    command.environ["SERVICEDESK_MAIL_CA_FILE"] = str(ews_server.ca_file)
    command.ok(
        "mail", "set", "outgoing", "protocol=exchange", "host=localhost", f"port={ews_server.port}",
        "username=EXAMPLE\\help", "from_address=help@example.com", "--password-stdin", stdin=PASSWORD,
    )  # fmt: skip
    told = command.json("mail", "test", "outgoing", "--send-to", "anna@example.net")
    assert [stage["stage"] for stage in told["stages"]][-2:] == ["from", "send"]
    assert told["passed"]
    (sent,) = ews_server.mailboxes["help@example.com"].sent
    assert b"anna@example.net" in sent.raw


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (("host=outlook.office365.com",), "host: Exchange is for your own Exchange server."),
        (("use_ssl=false",), "use_ssl: Exchange is reached over HTTPS only"),
        (("tls_mode=starttls",), "tls_mode: Exchange has no setting tls_mode."),
        (("tenant_id=example.com",), "tenant_id: Exchange has no setting tenant_id."),
        (("ews_url=http://mail.example.com/",), "ews_url: Enter a web address that starts with https://."),
    ],
)
def test_what_exchange_does_not_take(command: Command, assignments: tuple[str, ...], sentence: str) -> None:
    assert sentence in command.refused("mail", "set", "incoming", "protocol=exchange", *assignments)
    assert not command.json("mail", "show", "incoming")["set_up"]


def test_an_office365_row_is_set_and_not_on_before_it_is_connected(command: Command) -> None:
    told = command.ok(
        "mail", "set", "incoming", "protocol=office365", "tenant_id=example.onmicrosoft.com",
        f"client_id={APP}", "client_secret_expires_on=2027-05-01", "--client-secret-stdin", stdin=CANARY,
    )  # fmt: skip
    assert "Office365, no account connected yet" in told
    assert "connect the Microsoft account" in told
    shown = command.json("mail", "show", "incoming")
    assert (shown["client_secret"], shown["account"]) == ("saved", "")
    assert CANARY not in json.dumps(shown)
    assert "host" not in shown
    refusal = command.refused("mail", "set", "incoming", "active=true")
    assert "Connect a Microsoft account before you turn this on." in refusal
    for file in command.instance.rglob("*"):
        assert not file.is_file() or CANARY.encode() not in file.read_bytes()


def test_the_secret_goes_with_its_registration(command: Command) -> None:
    base = ("mail", "set", "incoming", "protocol=office365", "tenant_id=example.com", f"client_id={APP}")
    command.ok(*base, "--password-stdin", stdin=CANARY)
    refusal = command.refused("mail", "set", "incoming", "tenant_id=other.example")
    assert "client_secret: You changed the app registration. Enter the client secret again" in refusal
    command.ok("mail", "set", "incoming", "mailbox=help@example.com")
    assert command.json("mail", "show", "incoming")["client_secret"] == "saved"


def test_the_secrets_id_is_not_the_secret(command: Command) -> None:
    told = command.refused(
        "mail", "set", "incoming", "protocol=office365", f"client_id={APP}", "--client-secret-stdin",
        stdin="99999999-2222-3333-4444-555555555555",
    )  # fmt: skip
    assert "This is the secret's ID. Enter its value" in told


def test_a_client_secret_is_no_argument_and_no_password_of_another_protocol(command: Command) -> None:
    result = command("mail", "set", "incoming", "client_secret=x")
    assert (result.exit_code, "can be seen by others" in result.output) == (2, True)
    result = command("mail", "set", "incoming", "host=imap.example.com", "--client-secret-stdin", stdin="x")
    assert (result.exit_code, "Only Office365 has a client secret" in result.output) == (2, True)


def test_a_connected_office365_row_is_tested_previewed_and_polled(
    command: Command, graph_server: GraphServer
) -> None:
    command.environ |= environment_of(graph_server)
    variables = {name: value for name, value in command.environ.items() if value}
    instance = open_instance(load_settings(variables, instance=command.instance), environ={})
    add_people(instance)
    set_office365(instance, graph_server, "desk@example.com")
    set_office365(instance, graph_server, "desk@example.com", Row.OUTGOING)
    instance.close()
    graph_server.mailbox_of("desk@example.com").deliver(make_raw())
    told = command.json("mail", "test", "incoming")
    names = ["settings", "token", "account", "inbox", "archive", "foresee"]
    assert [stage["stage"] for stage in told["stages"]] == names
    assert told["passed"], told
    assert [row["disposition"] for row in command.json("mail", "preview")] == ["ticket"]
    assert command.json("mail", "poll")["ticket"] == 1
    told = command.json("mail", "test", "outgoing", "--send-to", "anna@example.net")
    assert [stage["stage"] for stage in told["stages"]] == ["settings", "token", "account", "from", "send"]
    assert told["passed"], told
    assert command.json("mail", "show", "outgoing")["from_address"] == "desk@example.com"
    refusal = command.refused("mail", "set", "outgoing", "from_address=boss@example.com")
    assert "Choose one of this mailbox's own addresses: desk@example.com, help@example.com." in refusal
