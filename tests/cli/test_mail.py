"""`servicedesk mail`: set, show, parse, explain and log. What needs a mail server is in test_mail_servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.factories import NOW, PEOPLE, add_people, make_raw, set_incoming
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.mailserver.memory import MemoryMailbox, MemoryServer

CANARY = "canary-Passwort-7391"
INCOMING = ("mail", "set", "incoming", "host=imap.example.com", "username=help@example.com")


def set_up(servicedesk: Command, *more: str) -> str:
    return servicedesk.ok(*INCOMING, *more, "--password-stdin", stdin=f"{CANARY}\n")


def test_a_row_is_set_and_shown_without_its_password(servicedesk: Command) -> None:
    said = set_up(servicedesk, "archive_folder=Done", "process_unknown=true")
    assert said == (
        "Incoming email settings saved: not active, IMAP, imap.example.com:993, SSL/TLS.\n"
        "Test them with: servicedesk mail test incoming\n"
    )
    shown = servicedesk.json("mail", "show", "incoming")
    assert shown == {
        "row": "incoming",
        "set_up": True,
        "active": False,
        "protocol": "imap",
        "use_ssl": True,
        "tls_mode": "implicit",
        "host": "imap.example.com",
        "port": 993,
        "username": "help@example.com",
        "plaintext_accepted": False,
        "timeout_ms": 30000,
        "archive_folder": "Done",
        "process_unknown": True,
        "cutoff_enabled": False,
        "cutoff_at": None,
        "password": "saved",
    }
    everything = servicedesk.ok("mail", "show") + servicedesk.ok("mail", "show", "--json")
    assert CANARY not in everything + servicedesk.ok("doctor")


def test_a_user_name_of_digits_stays_a_text(servicedesk: Command) -> None:
    servicedesk.ok("mail", "set", "incoming", "username=12345", "archive_folder=true")
    shown = servicedesk.json("mail", "show", "incoming")
    assert (shown["username"], shown["archive_folder"]) == ("12345", "true")


def test_all_rows_are_shown_with_the_defaults_of_those_never_set_up(servicedesk: Command) -> None:
    rows = servicedesk.json("mail", "show")
    assert [(row["row"], row["set_up"], row["port"], row["tls_mode"]) for row in rows] == [
        ("outgoing", False, 587, "starttls"),
        ("invoice", False, 587, "starttls"),
        ("incoming", False, 993, "implicit"),
    ]
    shown = servicedesk.ok("mail", "show")
    assert "Outgoing email settings\n  set_up = false\n  active = false\n" in shown
    assert shown.count("  password = not set\n") == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["password=secret"], 2, "use --password-stdin"),
        (["password"], 2, "use --password-stdin"),
        (["client_secret=secret"], 2, "use --password-stdin"),
        ([], 2, "Name at least one KEY=VALUE to change"),
        (["host"], 2, "'host' is not of the form KEY=VALUE"),
        (["=x"], 2, "is not of the form KEY=VALUE"),
        (["nonsense=1"], 1, "Not saved. nonsense: Incoming has no setting nonsense. Known: active, "),
        (["from_address=a@b.test"], 1, "Incoming has no setting from_address."),
        (["port=0"], 1, "port: Enter a port from 1 to 65535. IMAP uses 993 (SSL/TLS) or 143 (STARTTLS)."),
        (["timeout_ms=2147483648"], 1, "timeout_ms: Enter a timeout from 1000 to 120000 milliseconds"),
        (["host=https://imap.example.com"], 1, 'host: Enter only the name, without "https://"'),
        (["host=imap.example.com\r\nA1 LOGOUT"], 1, "host: Remove the line break"),
        (["username=\udcff"], 1, "username: Remove the line break or other control character."),
        (["active=true", "host="], 1, "active: Fill in host, port, user name and password before"),
        (["host=imap.evil.example"], 1, "password: You changed the server or the account."),
        (["use_ssl=false", "plaintext_accepted=true"], 1, "the saved one is only sent to imap.example.com."),
        (["username=ann@acme.test"], 1, "ann@acme.test is also a portal user's address."),
        (["cutoff_at=soon"], 1, "cutoff_at: Enter a date and a time, such as 2026-11-23T12:00."),
    ],
)
def test_a_refused_change_is_one_line_and_changes_nothing(
    servicedesk: Command, instance: Instance, arguments: list[str], code: int, words: str
) -> None:
    add_people(instance)
    set_up(servicedesk)
    before = servicedesk.json("mail", "show", "incoming")
    assert words in servicedesk.refused("mail", "set", "incoming", *arguments, code=code)
    assert servicedesk.json("mail", "show", "incoming") == before


def test_an_empty_standard_input_is_no_password(servicedesk: Command) -> None:
    set_up(servicedesk)
    said = servicedesk.refused("mail", "set", "incoming", "--password-stdin", stdin="\n")
    assert said == "There is no password on standard input."


def test_a_new_host_takes_a_new_password(servicedesk: Command, instance: Instance) -> None:
    set_up(servicedesk)
    arguments = ("mail", "set", "incoming", "host=imap.example.net", "--password-stdin")
    servicedesk.ok(*arguments, stdin="another\r\n")
    assert servicedesk.json("mail", "show", "incoming")["host"] == "imap.example.net"


def test_turning_on_asks_nothing_and_sets_no_cutoff(servicedesk: Command) -> None:
    set_up(servicedesk)
    said = servicedesk.ok("mail", "set", "incoming", "active=true")
    assert "saved: active, IMAP" in said
    assert "Every unread message in the inbox becomes a ticket at the next run." in said
    assert "Every unread" not in servicedesk.ok("mail", "set", "incoming", "timeout_ms=20000")
    shown = servicedesk.json("mail", "show", "incoming")
    assert (shown["active"], shown["cutoff_enabled"], shown["cutoff_at"]) == (True, False, None)


def test_what_is_unusual_is_noted(servicedesk: Command) -> None:
    assert "\nNote: Port 465 is usually a sending (SMTP) port.\n" in set_up(servicedesk, "port=465")
    assert "Note: Port 993 normally uses SSL/TLS." in set_up(servicedesk, "port=993", "tls_mode=starttls")


def test_a_cutoff_is_shown_in_utc(servicedesk: Command) -> None:
    set_up(servicedesk, "cutoff_enabled=true", "cutoff_at=2026-11-23T14:00+02:00")
    assert servicedesk.json("mail", "show", "incoming")["cutoff_at"] == "2026-11-23T12:00:00+00:00"


def test_an_outgoing_row_is_summed_up(servicedesk: Command) -> None:
    said = servicedesk.ok("mail", "set", "outgoing", "host=mail.test", "username=desk@mail.test")
    assert said.startswith("Outgoing email settings saved: not active, SMTP, mail.test:587, STARTTLS.")
    assert servicedesk.json("mail", "show", "outgoing")["from_address"] == "desk@mail.test"
    said = servicedesk.ok("mail", "set", "invoice", "use_ssl=false", "requires_auth=false")
    assert said.startswith("Invoice email settings saved: not active, SMTP, no host yet:25, no SSL.")


@pytest.mark.parametrize("command", ["test", "poll"])
def test_what_is_not_set_up_is_told_with_the_command_to_do_it(servicedesk: Command, command: str) -> None:
    arguments = ("mail", "test", "incoming") if command == "test" else ("mail", "poll")
    assert "servicedesk mail set incoming" in servicedesk.refused(*arguments)
    set_up(servicedesk)
    if command == "poll":
        assert servicedesk.refused("mail", "poll").startswith("Incoming email is not active.")


@pytest.mark.parametrize(
    ("row", "address", "words"),
    [
        ("incoming", "ann@acme.test", "--send-to is for the rows that send: outgoing and invoice."),
        ("outgoing", "nobody", "is not an e-mail address"),
        ("outgoing", "a@b.test\r\nBcc: c@d.test", "is not an e-mail address|control characters"),
    ],
)
def test_a_test_message_goes_to_one_address(servicedesk: Command, row: str, address: str, words: str) -> None:
    said = servicedesk.refused("mail", "test", row, "--send-to", address, code=2)
    assert any(word in said for word in words.split("|"))


RAW = make_raw(
    subject="Drücker aus",
    text="It is off.\n",
    message_id="one@acme.test",
    files=[("photo.jpg", b"12345")],
)


def test_a_message_is_parsed_from_a_file_and_from_standard_input(
    servicedesk: Command, tmp_path: Path
) -> None:
    file = tmp_path / "one.eml"
    file.write_bytes(RAW)
    parsed = servicedesk.json("mail", "parse", str(file))
    assert parsed == servicedesk.json("mail", "parse", "-", stdin=RAW)
    assert (parsed["from_addr"], parsed["message_id"]) == ("ann@acme.test", "one@acme.test")
    assert [(part["filename"], part["size"]) for part in parsed["attachments"]] == [("photo.jpg", 5)]
    shown = servicedesk.ok("mail", "parse", str(file))
    assert "from_addr: ann@acme.test\n" in shown
    assert "attachment: photo.jpg · application/octet-stream · 5 octets\n" in shown
    assert shown.endswith(" octets\n\nIt is off.\n")


def test_parsing_needs_no_instance(servicedesk: Command, tmp_path: Path) -> None:
    Command(tmp_path / "untouched").ok("mail", "parse", "-", stdin=RAW)
    assert not (tmp_path / "untouched").exists()


@pytest.mark.parametrize(
    "raw", [b"", b"\x00\xff\xfe", b"From: \x1b[2J\n\n\x1b]0;owned\x07\xc2\x9b31m", b"\n" * 99]
)
def test_hostile_mail_neither_breaks_the_command_nor_reaches_the_terminal(
    servicedesk: Command, raw: bytes
) -> None:
    for command in ("parse", "explain"):
        shown = servicedesk.ok("mail", command, "-", stdin=raw)
        as_json = servicedesk.ok("mail", command, "-", "--json", stdin=raw)
        for text in (shown, as_json):
            assert not {char for char in text if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)}


def test_a_message_is_explained_rule_by_rule_and_nothing_is_kept(
    servicedesk: Command, instance: Instance, tmp_path: Path
) -> None:
    add_people(instance)
    file = tmp_path / "one.eml"
    file.write_bytes(RAW)
    explained = servicedesk.json("mail", "explain", str(file))
    assert explained == servicedesk.json("mail", "explain", "-", stdin=RAW)
    assert (explained["disposition"], explained["rule"]) == ("ticket", "new-ticket")
    assert {tuple(step) for step in explained["trace"]} == {("rule", "fired", "saw")}
    assert [step["rule"] for step in explained["trace"] if step["fired"]] == ["new-ticket"]
    shown = servicedesk.ok("mail", "explain", str(file))
    assert "  -> new-ticket: " in shown
    assert shown.endswith("ticket, by rule new-ticket\n")
    assert servicedesk.json("ticket", "list") == servicedesk.json("mail", "log") == []


@pytest.mark.parametrize(
    ("headers", "sender", "disposition", "rule"),
    [
        ({"Auto-Submitted": "auto-replied"}, "ann@acme.test", "ignored", "auto-submitted"),
        ({"X-Auto-Response-Suppress": "OOF, DR"}, "ann@acme.test", "ignored", "auto-response-suppress"),
        ({}, "no-reply@acme.test", "ignored", "noreply-sender"),
        ({}, "carl@nowhere.test", "ignored", "unknown-sender"),
        ({}, "help@desk.test", "ignored", "own-message"),
    ],
)
def test_an_explanation_names_the_rule(
    servicedesk: Command,
    instance: Instance,
    headers: dict[str, str],
    sender: str,
    disposition: str,
    rule: str,
) -> None:
    add_people(instance)
    set_incoming(instance, process_unknown="false")
    raw = make_raw(sender=sender, headers=headers)
    explained = servicedesk.json("mail", "explain", "-", stdin=raw)
    assert (explained["disposition"], explained["rule"]) == (disposition, rule)


def test_an_explanation_takes_the_time_of_receipt(servicedesk: Command, instance: Instance) -> None:
    set_incoming(instance, cutoff_enabled="true", cutoff_at="2026-11-23T12:00Z")
    arguments = ("mail", "explain", "-", "--received")
    early = servicedesk.json(*arguments, "2026-11-23T11:59:59", stdin=RAW)
    assert (early["disposition"], early["rule"]) == ("left untouched", "before-cutoff")
    assert servicedesk.json(*arguments, "2026-11-23T12:00Z", stdin=RAW)["rule"] == "new-ticket"
    for text in ("soon", "0001-01-01T00:00+14:00"):
        said = servicedesk.refused(*arguments, text, stdin=RAW, code=2)
        assert said.startswith(f"'{text}' is not a time such as 2026-11-23T12:00Z.")


@pytest.fixture(scope="module")
def parser() -> Iterator[ParserProcess]:
    with ParserProcess() as parser:
        yield parser


@pytest.fixture
def polled(instance: Instance, parser: ParserProcess) -> Instance:
    """Two messages became a ticket and an ignored one."""
    add_people(instance, PEOPLE)
    set_incoming(instance, process_unknown="false")
    server = MemoryServer()
    server.deliver(make_raw(subject="Ä printer", message_id="one@acme.test"), received_at=NOW)
    server.deliver(make_raw(sender="no-reply@shop.test", subject="Order"), received_at=NOW)
    poll(instance, parser, trigger="command", connect=lambda _: MemoryMailbox(server))
    return instance


def test_the_log_tells_every_message_newest_first(servicedesk: Command, polled: Instance) -> None:
    ignored, ticket = servicedesk.json("mail", "log")
    assert (ticket["disposition"], ticket["rule"], ticket["ticket"]) == ("ticket", "new-ticket", 1)
    assert (ticket["message_id"], ticket["from"], ticket["subject"]) == (
        "one@acme.test",
        "ann@acme.test",
        "Ä printer",
    )
    assert (ignored["disposition"], ignored["rule"], ignored["ticket"]) == ("ignored", "noreply-sender", None)
    assert ignored["id"] > ticket["id"]
    assert ticket["received_at"] == "2026-11-23T12:00:00+00:00"
    assert [step["fired"] for step in ticket["trace"]].count(True) == 1
    table = servicedesk.ok("mail", "log").splitlines()
    assert table[0].split() == ["id", "received", "(UTC)", "outcome", "ticket", "from", "subject", "why"]
    assert "noreply-sender: " in table[1]
    assert table[2].startswith("1   2026-11-23 12:00  ticket   T-1     ann@acme.test")


@pytest.mark.parametrize(
    ("arguments", "rules"),
    [
        (["--outcome", "ignored"], ["noreply-sender"]),
        (["--outcome", "ticket"], ["new-ticket"]),
        (["--outcome", "report"], []),
        (["--limit", "1"], ["noreply-sender"]),
        (["--since", "2020-01-01"], ["noreply-sender", "new-ticket"]),
        (["--since", "2099-01-01T00:00+02:00"], []),
    ],
)
def test_the_log_is_narrowed(
    servicedesk: Command, polled: Instance, arguments: list[str], rules: list[str]
) -> None:
    assert [row["rule"] for row in servicedesk.json("mail", "log", *arguments)] == rules


def test_an_empty_log_says_why(servicedesk: Command, polled: Instance, tmp_path: Path) -> None:
    assert servicedesk.ok("mail", "log", "--outcome", "report") == "No message matches.\n"
    fresh = Command(tmp_path / "fresh")
    assert fresh.ok("mail", "log") == "The parser has not seen any message yet.\n"
    assert fresh.json("mail", "log") == []
    servicedesk.refused("mail", "log", "--outcome", "nonsense", code=2)
    servicedesk.refused("mail", "log", "--since", "soon", code=2)
    servicedesk.refused("mail", "log", "--limit", "0", code=2)
