"""`servicedesk outbox` on a real SMTP server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.factories import make_instance
from tests.outbound.conftest import Outbox, aim
from tests.rig.certificates import Authority
from tests.rig.smtp import SmtpServer


@pytest.fixture
def outbox(tmp_path: Path, smtp_server: SmtpServer, authority: Authority) -> Iterator[Outbox]:
    instance = make_instance(tmp_path, mail_ca_file=str(authority.ca_file))
    aim(instance, smtp_server.settings())
    yield Outbox(instance)
    instance.close()


@pytest.fixture
def command(servicedesk: Command, authority: Authority) -> Command:
    servicedesk.environ["SERVICEDESK_MAIL_CA_FILE"] = str(authority.ca_file)
    return servicedesk


def test_list_deliver_and_resend(outbox: Outbox, command: Command, smtp_server: SmtpServer) -> None:
    assert command.ok("outbox", "list") == "Nothing was sent yet.\n"
    smtp_server.refuse["amy@acme.test"] = "550 5.1.1 no such user"
    outbox.now = outbox.now.now(outbox.now.tzinfo)
    outbox.write("ann@acme.test", "amy@acme.test")
    told = command.json("outbox", "deliver")
    assert told == {"tried": 1, "waiting": 0, "trouble": []}
    second, first = command.json("outbox", "list")
    assert (first["id"], first["state"], first["to"], first["subject"]) == (
        1, "sent", "ann@acme.test", "Your printer",
    )  # fmt: skip
    assert (second["state"], second["server_words"]) == ("failed", "550 5.1.1 no such user")
    assert [row["id"] for row in command.json("outbox", "list", "--state", "failed")] == [2]
    assert len(command.json("outbox", "list", "--limit", "1")) == 1
    assert "amy@acme.test" in command.ok("outbox", "list")

    smtp_server.refuse.clear()
    assert command.ok("outbox", "resend", "2") == "The message to amy@acme.test is sent again.\n"
    assert command.refused("outbox", "resend", "2") == "It is waiting to be sent already."
    command.ok("outbox", "deliver")
    assert [message.recipients for message in smtp_server.messages] == [["ann@acme.test"], ["amy@acme.test"]]
    assert command.refused("outbox", "resend", "1") == "It was sent: the mail server took it."
    assert "no delivery 9" in command.refused("outbox", "resend", "9")


def test_resend_all_that_failed(outbox: Outbox, command: Command, smtp_server: SmtpServer) -> None:
    smtp_server.refuse_data = "554 5.7.1 no"
    outbox.write()
    outbox.write()
    outbox.deliver()
    assert command.ok("outbox", "resend", "--failed-since", "2026-11-01") == (
        "2 failed deliveries are sent again.\n"
    )
    assert command.ok("outbox", "resend", "--failed-since", "2026-11-01").startswith("0 failed")
    assert command.refused("outbox", "resend", code=2).startswith("Name one delivery")
    assert "not a time" in command.refused("outbox", "resend", "--failed-since", "soon", code=2)


def test_trouble_is_told_without_the_password(
    outbox: Outbox, command: Command, smtp_server: SmtpServer
) -> None:
    aim(outbox.instance, smtp_server.settings(password="wrong-canary"))
    outbox.write()
    told = command.ok("outbox", "deliver")
    assert "1 messages tried" in told
    assert "Outgoing email has failed since" in told
    assert "wrong-canary" not in told
    assert "0 messages tried" in command.ok("outbox", "deliver")
