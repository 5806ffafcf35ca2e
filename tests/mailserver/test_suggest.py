"""Settings for an address, from a scripted name server and real TLS servers on loopback."""

from __future__ import annotations

import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.rig.names import NameServer, Zone
from tests.rig.scripted import Peer, ScriptedServer
from webapp.mailserver import probe
from webapp.mailserver import suggest as suggesting
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.mailserver.dns import Names
from webapp.mailserver.remedy import IMPLICIT_PORT
from webapp.mailserver.suggest import Suggestion, suggest

HERE = ["127.0.0.1"]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("suggest") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return ca, path


def tls_server(ca: trustme.CA, *names: str) -> ScriptedServer:
    """A server that shakes hands and then keeps silent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return ScriptedServer(Peer.hang, tls=context, implicit=True)


def ask(zone: Zone, ca_file: Path, address: str = "help@example.test", **how: Any) -> Suggestion | None:
    how = {"sending": False, "allow_loopback": True, "ca_file": str(ca_file), **how}
    with NameServer(zone) as server:
        return suggest(address, names=Names(server.address), **how)


@pytest.mark.parametrize("sending", [False, True])
def test_a_known_domain_needs_no_network(sending: bool) -> None:
    found = suggest("anna@gmail.com", sending=sending, names=Names(("127.0.0.1", 1)))
    assert found is not None
    expected = {False: ("imap.gmail.com", 993), True: ("smtp.gmail.com", 587)}[sending]
    assert (found.host, found.port) == expected
    assert found.username == "anna@gmail.com"
    assert "app password" in found.note
    assert "what Gmail and Google Workspace tells its customers" in found.sentence


def test_a_domain_at_a_known_provider(ca: tuple[trustme.CA, Path]) -> None:
    found = ask({("example.test", "MX"): ["20 b.example.test.", "10 in1-smtp.messagingengine.com."]}, ca[1])
    assert found is not None
    assert found.changes == {
        "host": "imap.fastmail.com",
        "port": "993",
        "use_ssl": "true",
        "tls_mode": "implicit",
        "username": "help@example.test",
    }
    assert found.why.startswith("example.test's mail goes to Fastmail")


def test_microsoft_is_told_plainly(ca: tuple[trustme.CA, Path]) -> None:
    zone = {("example.test", "MX"): ["10 example-test.mail.protection.outlook.com."]}
    receiving, sending = ask(zone, ca[1]), ask(zone, ca[1], sending=True)
    assert receiving is not None
    assert receiving.changes == {"protocol": "office365", "mailbox": "help@example.test"}
    assert "is kept at Microsoft 365: choose Office365" in receiving.sentence
    assert sending is not None
    assert sending.changes == receiving.changes


def test_a_personal_microsoft_mailbox_is_told_plainly(ca: tuple[trustme.CA, Path]) -> None:
    for sending in (False, True):
        told = suggesting.suggest("helpdesk@outlook.com", sending=sending)
        assert told is not None
        assert told.changes == {}
        assert "signing in with a password does not work any more" in told.sentence


def test_the_domains_own_record(ca: tuple[trustme.CA, Path]) -> None:
    with tls_server(ca[0], "box.example.test") as server:
        zone = {
            ("_imaps._tcp.example.test", "SRV"): [f"10 1 {server.port} box.example.test."],
            ("box.example.test", "A"): HERE,
        }
        found = ask(zone, ca[1])
    assert found is not None
    assert (found.host, found.port, found.tls_mode) == ("box.example.test", server.port, TlsMode.IMPLICIT)
    assert found.why == "from example.test's own DNS record (_imaps._tcp)"
    assert found.unchecked == suggesting.SIGN_IN_UNCHECKED
    assert server.received == b""


def test_records_in_their_order_and_only_those_that_answer(ca: tuple[trustme.CA, Path]) -> None:
    with tls_server(ca[0], "second.other.test") as server, tls_server(ca[0], "wrong.test") as wrong:
        zone = {
            ("_submissions._tcp.example.test", "SRV"): [
                f"20 1 {server.port} second.other.test.",
                f"10 1 {wrong.port} first.example.test.",
            ],
            ("first.example.test", "A"): HERE,
            ("second.other.test", "A"): HERE,
        }
        found = ask(zone, ca[1], sending=True)
    assert wrong.connections == 1  # asked first, and its certificate is for another name
    assert found is not None
    assert found.host == "second.other.test"
    assert "second.other.test is not part of example.test: is that your mail provider?" in found.unchecked


def test_a_record_for_starttls_says_what_was_not_checked(ca: tuple[trustme.CA, Path]) -> None:
    with ScriptedServer(Peer.hang) as server:
        zone = {
            ("_imaps._tcp.example.test", "SRV"): ["0 0 0 ."],  # not offered (RFC 6186 section 3.4)
            ("_imap._tcp.example.test", "SRV"): [f"0 1 {server.port} imap.example.test."],
            ("imap.example.test", "A"): HERE,
        }
        found = ask(zone, ca[1])
    assert found is not None
    assert (found.port, found.tls_mode) == (server.port, TlsMode.STARTTLS)
    assert found.unchecked == suggesting.STARTTLS_UNCHECKED
    assert server.received == b""


def test_names_that_are_no_host_names(ca: tuple[trustme.CA, Path]) -> None:
    """Somebody else wrote the record; what it names ends up on a page and in a command to copy."""
    zone = {
        ("_imaps._tcp.example.test", "SRV"): ["0 1 993 `id`.example.test.", "0 1 993 <b>.example.test."],
        ("example.test", "MX"): ["10 a&b.example.test."],
    }
    with NameServer(zone) as server:
        names = Names(server.address)
        assert names.service("_imaps._tcp", "example.test") == []
        assert names.mail_servers("example.test") == []
        assert len(server.asked) == 2


@pytest.mark.parametrize("host", ["imap.example.test", "mail.example.test", "mx1.example.test"])
def test_the_usual_names(ca: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with tls_server(ca[0], host) as server:
        monkeypatch.setitem(IMPLICIT_PORT, MailProtocol.IMAP, server.port)
        zone = {
            ("example.test", "MX"): ["10 mx1.example.test."],
            ("imap.example.test", "A"): HERE,
            ("mail.example.test", "A"): HERE,
            ("mx1.example.test", "A"): HERE,
        }
        found = ask(zone, ca[1])
    assert found is not None
    assert (found.host, found.why) == (host, f"{host} answers with a valid certificate")
    assert server.received == b""


def test_a_certificate_nobody_trusts_is_no_suggestion(
    ca: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_server(trustme.CA(), "imap.example.test") as server:
        monkeypatch.setitem(IMPLICIT_PORT, MailProtocol.IMAP, server.port)
        assert ask({("imap.example.test", "A"): HERE}, ca[1]) is None
    assert server.connections == 1


@pytest.mark.parametrize(
    ("address", "how"),
    [("127.0.0.1", {"allow_loopback": False}), ("169.254.169.254", {}), ("::1", {"allow_loopback": False})],
)
def test_addresses_that_are_never_asked(
    ca: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch, address: str, how: dict[str, Any]
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(probe, "answers_tls", lambda *args, **kw: asked.append(args))
    kind = "AAAA" if ":" in address else "A"
    assert ask({("imap.example.test", kind): [address]}, ca[1], **how) is None
    assert asked == []


@pytest.mark.parametrize("sending", [False, True])
def test_nothing_is_found(ca: tuple[trustme.CA, Path], sending: bool) -> None:
    assert ask({}, ca[1], sending=sending) is None


@pytest.mark.parametrize("stop", [False, True])
def test_a_name_server_that_never_answers(ca: tuple[trustme.CA, Path], stop: bool) -> None:
    cancelled = threading.Event()
    timer = threading.Timer(0.3, cancelled.set)
    with NameServer({}, silent=True) as server:
        started = time.monotonic()
        if stop:
            timer.start()
        found = suggest(
            "help@example.test",
            sending=False,
            names=Names(server.address),
            cancelled=cancelled.is_set,
            ca_file=str(ca[1]),
            seconds=20.0 if stop else 0.8,
        )
    assert found is None
    assert time.monotonic() - started < 1.5


def test_a_port_that_never_answers(
    ca: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch, black_hole: int
) -> None:
    monkeypatch.setitem(IMPLICIT_PORT, MailProtocol.IMAP, black_hole)
    started = time.monotonic()
    assert ask({("imap.example.test", "A"): HERE}, ca[1], seconds=0.8) is None
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    "text", ["", "help", "@example.test", "help@", "a@b c.test", "a@localhost", "a@-x.test"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="Enter one email address"):
        suggest(text, sending=False)


def test_an_international_domain(ca: tuple[trustme.CA, Path]) -> None:
    zone = {("xn--bcher-kva.test", "MX"): ["10 mx.mailbox.org."]}
    found = ask(zone, ca[1], address="help@bücher.test")
    assert found is not None
    assert found.host == "imap.mailbox.org"
