"""`servicedesk mail test` and `mail poll` against a real Dovecot and a real SMTP server."""

from __future__ import annotations

import email
import json

import pytest

from tests.cli.conftest import Command
from tests.factories import make_instance, make_raw
from tests.rig.certificates import Authority
from tests.rig.dovecot import PASSWORD as DOVECOT_PASSWORD
from tests.rig.dovecot import DovecotMailbox
from tests.rig.ports import free_ports
from tests.rig.smtp import SmtpServer
from webapp.desk import mail_servers
from webapp.mailserver.base import ServerSettings
from webapp.models import Row

IMAP_STAGES = [
    "settings", "dns", "connect", "tls", "greeting", "sign_in", "inbox", "move", "archive", "foresee",
]  # fmt: skip


def set_up(servicedesk: Command, row: str, settings: ServerSettings, password: str, **changes: str) -> None:
    told = {
        "host": settings.host,
        "port": str(settings.port),
        "tls_mode": settings.tls_mode.value,
        "username": settings.username,
        "timeout_ms": "5000",
    }
    servicedesk.environ["SERVICEDESK_MAIL_CA_FILE"] = settings.ca_file
    assignments = [f"{name}={value}" for name, value in (told | changes).items()]
    servicedesk.ok("mail", "set", row, *assignments, "--password-stdin", stdin=f"{password}\n")


def closed_port() -> str:
    return str(free_ports(1)[0])


@pytest.mark.dovecot
class TestIncoming:
    def test_a_test_that_passes_changes_nothing(self, servicedesk: Command, mailbox: DovecotMailbox) -> None:
        mailbox.deliver(make_raw())
        set_up(servicedesk, "incoming", mailbox.settings(), DOVECOT_PASSWORD)
        report = servicedesk.json("mail", "test", "incoming")
        assert report["passed"] is True
        assert [stage["stage"] for stage in report["stages"]] == IMAP_STAGES
        assert {stage["state"] for stage in report["stages"]} <= {"ok", "warning"}
        assert set(report["stages"][0]) == {"stage", "label", "state", "elapsed_ms", "fact"}
        assert report["stages"][-1]["foreseen"]["unread"] == 1
        assert report["stages"][-1]["foreseen"]["looked"] == 1
        assert sum(report["stages"][-1]["foreseen"]["counts"].values()) == 1
        shown = servicedesk.ok("mail", "test", "incoming")
        assert "ok    Inbox" in shown
        assert "ok    What will happen" in shown
        assert 'folder "Archive" will be created' in shown
        assert "\nTest passed in " in shown
        assert not mailbox.contents()[0].seen
        assert mailbox.folders() & {"Archive"} == set()
        assert DOVECOT_PASSWORD not in shown + str(report)

    def test_a_wrong_password_fails_at_sign_in_with_its_cure(
        self, servicedesk: Command, mailbox: DovecotMailbox
    ) -> None:
        set_up(servicedesk, "incoming", mailbox.settings(), "wrong-canary")
        result = servicedesk("mail", "test", "incoming")
        assert (result.exit_code, result.stderr) == (1, "")
        assert "FAIL  Sign-in" in result.stdout
        assert "-     Inbox" in result.stdout
        assert "Test failed at Sign-in.\nThe server rejected the user name or password." in result.stdout
        as_json = servicedesk("mail", "test", "incoming", "--json")
        assert as_json.exit_code == 1
        assert '"passed": false' in as_json.stdout
        assert '"cure": "' in as_json.stdout
        assert "wrong-canary" not in result.stdout + as_json.stdout

    def test_a_closed_port_fails_at_the_connection(
        self, servicedesk: Command, mailbox: DovecotMailbox
    ) -> None:
        port = closed_port()
        set_up(servicedesk, "incoming", mailbox.settings(), DOVECOT_PASSWORD, port=port)
        result = servicedesk("mail", "test", "incoming")
        assert result.exit_code == 1
        assert (
            f"Test failed at Connection.\nlocalhost is there, but nothing answers on port {port}."
            in result.stdout
        )

    def test_the_last_test_is_remembered(self, servicedesk: Command, mailbox: DovecotMailbox) -> None:
        set_up(servicedesk, "incoming", mailbox.settings(), "wrong-canary")
        servicedesk("mail", "test", "incoming")
        instance = make_instance(servicedesk.instance)
        with instance.database.reading() as session:
            stored = mail_servers.load(session, Row.INCOMING)
        instance.close()
        assert stored is not None
        assert stored.last_test_passed is False
        assert stored.last_test_sentence.startswith("The server rejected the user name or password.")

    def test_a_poll_turns_mail_into_tickets(self, servicedesk: Command, mailbox: DovecotMailbox) -> None:
        mailbox.deliver_many(
            [make_raw(subject="First"), make_raw(subject="Second"), make_raw(sender="noreply@shop.test")]
        )
        settings = mailbox.settings()
        set_up(servicedesk, "incoming", settings, DOVECOT_PASSWORD, active="true", process_unknown="true")
        counts = servicedesk.json("mail", "poll")
        assert (counts["ticket"], counts["ignored"], counts["moved"], counts["error"]) == (2, 1, 3, None)
        assert servicedesk.ok("mail", "poll") == "Nothing new in the inbox.\n"
        assert [ticket["subject"] for ticket in servicedesk.json("ticket", "list")] == ["Second", "First"]
        assert len(mailbox.contents("Archive")) == 2
        assert mailbox.contents() == []

    @pytest.mark.parametrize("what", ["password", "port"])
    def test_a_poll_that_fails_names_sentence_cure_and_next_try(
        self, servicedesk: Command, mailbox: DovecotMailbox, what: str
    ) -> None:
        mailbox.deliver(make_raw())
        changes = {"port": closed_port()} if what == "port" else {}
        password = "wrong-canary" if what == "password" else DOVECOT_PASSWORD
        set_up(servicedesk, "incoming", mailbox.settings(), password, active="true", **changes)
        result = servicedesk("mail", "poll")
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        sentence = {
            "password": "The server rejected the user name or password.",
            "port": "localhost is there, but nothing answers on port",
        }[what]
        assert result.stderr.startswith(f"Error: {sentence}")
        assert " The next try is at " in result.stderr
        as_json = servicedesk("mail", "poll", "--json")
        assert as_json.exit_code == 1
        assert '"next_try_at": "20' in as_json.stdout
        assert "wrong-canary" not in result.output + as_json.output
        assert [message.seen for message in mailbox.contents()] == [False]
        assert servicedesk.json("ticket", "list") == []
        assert "FAIL  mail       incoming: failing since" in servicedesk("doctor").stdout


class TestOutgoing:
    @pytest.fixture
    def outgoing(self, servicedesk: Command, smtp_server: SmtpServer) -> SmtpServer:
        set_up(servicedesk, "outgoing", smtp_server.settings(), smtp_server.settings().password)
        return smtp_server

    def test_a_test_sends_nothing(self, servicedesk: Command, outgoing: SmtpServer) -> None:
        report = servicedesk.json("mail", "test", "outgoing")
        assert (report["passed"], report["message_id"]) == (True, None)
        assert outgoing.messages == []

    def test_a_test_message_is_sent_when_asked_for(self, servicedesk: Command, outgoing: SmtpServer) -> None:
        shown = servicedesk.ok("mail", "test", "outgoing", "--send-to", "me@example.com")
        [received] = outgoing.messages
        message = email.message_from_bytes(received.raw)
        assert received.recipients == ["me@example.com"]
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["X-Auto-Response-Suppress"] == "All"
        assert f"accepted a test message for me@example.com (Message-ID {message['Message-ID']})" in shown

    def test_a_refused_recipient_is_told_with_its_cure(
        self, servicedesk: Command, outgoing: SmtpServer
    ) -> None:
        outgoing.refuse["no@example.com"] = "550 5.1.1 No such person"
        result = servicedesk("mail", "test", "outgoing", "--send-to", "no@example.com")
        assert (result.exit_code, result.stderr) == (1, "")
        assert "Test failed at Sending." in result.stdout
        assert "No such person" in result.stdout
        as_json = servicedesk("mail", "test", "outgoing", "--send-to", "no@example.com", "--json")
        assert as_json.exit_code == 1
        assert '"stage": "send"' in as_json.stdout
        report = json.loads(as_json.stdout)
        assert (report["passed"], report["message_id"], len(report["stages"])) == (False, None, 8)

    def test_a_wrong_password_is_told_with_its_cure(
        self, servicedesk: Command, smtp_server: SmtpServer
    ) -> None:
        set_up(servicedesk, "outgoing", smtp_server.settings(), "wrong-canary")
        result = servicedesk("mail", "test", "outgoing", "--send-to", "me@example.com")
        assert result.exit_code == 1
        assert "Test failed at Sign-in.\nThe server rejected the user name or password." in result.stdout
        assert smtp_server.messages == []

    def test_the_number_of_stages_is_the_tests(self, servicedesk: Command, outgoing: SmtpServer) -> None:
        assert len(servicedesk.json("mail", "test", "outgoing")["stages"]) == 7
        sent = servicedesk.json("mail", "test", "outgoing", "--send-to", "me@example.com")
        assert [stage["stage"] for stage in sent["stages"]][-2:] == ["from", "send"]
        assert sent["message_id"].startswith("test.")
        assert len(outgoing.messages) == 1

    def test_a_certificate_of_an_unknown_authority_is_refused(
        self, servicedesk: Command, outgoing: SmtpServer, authority: Authority
    ) -> None:
        servicedesk.environ.pop("SERVICEDESK_MAIL_CA_FILE")
        result = servicedesk("mail", "test", "outgoing")
        assert result.exit_code == 1
        assert "Test failed at Encryption." in result.stdout


class TestSuggest:
    def test_a_known_provider_with_the_command_that_enters_it(self, servicedesk: Command) -> None:
        shown = servicedesk.ok("mail", "suggest", "help@fastmail.com")
        assert shown.startswith("imap.fastmail.com, port 993, SSL/TLS: what Fastmail tells its customers")
        command = shown.splitlines()[-1].split()[3:]
        assert command[0] == "incoming"
        servicedesk.ok("mail", "set", *command, stdin="secret-canary\n")
        saved = servicedesk.json("mail", "show", "incoming")
        assert (saved["host"], saved["username"]) == ("imap.fastmail.com", "help@fastmail.com")

    def test_for_sending_as_json(self, servicedesk: Command) -> None:
        found = servicedesk.json("mail", "suggest", "help@gmail.com", "--sending")
        assert (found["host"], found["port"], found["tls_mode"]) == ("smtp.gmail.com", 587, "starttls")
        assert found["changes"]["username"] == "help@gmail.com"

    def test_what_is_no_address(self, servicedesk: Command) -> None:
        assert "Enter one email address" in servicedesk("mail", "suggest", "help").stderr
