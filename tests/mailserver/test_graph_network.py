"""HTTPS to Microsoft Graph: servers that do not answer, certificates, proxies, the environment."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.mailserver.contract import DESK, message
from tests.rig.certificates import Authority
from tests.rig.graph_server import GraphServer
from tests.rig.graph_store import GraphMailboxStore
from tests.rig.graph_wire import Fault, error
from tests.rig.silence import nobody_answers
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.errors import (
    AddressRefused,
    CertificateRefused,
    ConnectionFailed,
    HostNotFound,
    InvalidSettings,
    PlainTextPort,
    ServerTimeout,
    Stage,
)
from webapp.mailserver.graph import GraphMailbox


@pytest.fixture
def store(graph_server: GraphServer) -> GraphMailboxStore:
    return graph_server.mailbox_of(DESK)


# Servers that do not answer.


@pytest.mark.parametrize(
    "fault", [Fault(hang=30.0), Fault(drip=0.3), Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")]
)
def test_an_answer_that_does_not_come_ends_in_time(
    graph_server: GraphServer, store: GraphMailboxStore, fault: Fault
) -> None:
    store.deliver(message())
    with GraphMailbox(graph_server.settings(DESK, timeout=1.0)) as mailbox:
        mailbox.open()
        graph_server.faults.append(fault)
        started = time.monotonic()
        with pytest.raises((ServerTimeout, ConnectionFailed)) as caught:
            mailbox.list_unread()
        assert time.monotonic() - started < 3
        if fault.raw is None:
            assert isinstance(caught.value, ServerTimeout)
        assert caught.value.stage is Stage.INBOX
        with pytest.raises(ConnectionFailed):
            mailbox.list_unread()


def test_the_end_of_everything_counts_too(graph_server: GraphServer) -> None:
    """Test Connection and the parser's run have an end of their own."""
    graph_server.faults.append(Fault(hang=30.0))
    started = time.monotonic()
    mailbox = GraphMailbox(graph_server.settings(DESK, timeout=60.0), ends_at=time.monotonic() + 0.5)
    with pytest.raises(ServerTimeout):
        mailbox.open()
    assert time.monotonic() - started < 3


def test_a_slow_answer_that_keeps_coming_is_let_be(
    graph_server: GraphServer, store: GraphMailboxStore
) -> None:
    """Every octet moves the deadline on a little: ten seconds of timeout are not ten for 300 MB."""
    key = store.deliver(message(body="x" * 2_000_000))
    with GraphMailbox(graph_server.settings(DESK, timeout=2.0)) as mailbox:
        mailbox.open()
        assert [len(found.raw) for found in mailbox.fetch([key])] == [len(message(body="x" * 2_000_000))]


@pytest.mark.parametrize("fault", [Fault(hang=30.0), Fault(drip=0.5)])
def test_it_is_cut_from_another_thread(graph_server: GraphServer, fault: Fault) -> None:
    with GraphMailbox(graph_server.settings(DESK, timeout=60.0)) as mailbox:
        mailbox.open()
        graph_server.faults.append(fault)
        threading.Timer(0.3, mailbox.abort).start()
        started = time.monotonic()
        with pytest.raises(ConnectionFailed):
            mailbox.list_unread()
        assert time.monotonic() - started < 3


def test_cut_while_connecting() -> None:
    with nobody_answers() as port:
        mailbox = GraphMailbox(_settings_for(port))
        threading.Timer(0.3, mailbox.abort).start()
        started = time.monotonic()
        with pytest.raises(ConnectionFailed):
            mailbox.open()
        assert time.monotonic() - started < 3


def test_cut_while_waiting_for_a_busy_server(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault(reply=error(429, "ApplicationThrottled", Retry_After="50")))
    mailbox = GraphMailbox(graph_server.settings(DESK, timeout=60.0))
    threading.Timer(0.5, mailbox.abort).start()
    started = time.monotonic()
    with pytest.raises(ConnectionFailed):
        mailbox.open()
    assert time.monotonic() - started < 5


def test_nobody_answers_at_all() -> None:
    with nobody_answers() as port, pytest.raises(ServerTimeout) as caught:
        GraphMailbox(_settings_for(port, timeout=0.5)).open()
    assert caught.value.stage is Stage.CONNECT


@pytest.mark.parametrize("words", [b"", b"* OK ready\r\n"])
def test_a_server_that_does_not_speak_tls(words: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[socket.socket] = []

        def take() -> None:
            taken.append(listener.accept()[0])
            taken[0].sendall(words)

        thread = threading.Thread(target=take)
        thread.start()
        started = time.monotonic()
        with pytest.raises(PlainTextPort if words else ServerTimeout):
            GraphMailbox(_settings_for(listener.getsockname()[1], timeout=1.0)).open()
        assert time.monotonic() - started < 3
        thread.join()
        taken[0].close()


def test_a_closed_port(graph_server: GraphServer) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        GraphMailbox(_settings_for(1)).open()
    assert caught.value.stage is Stage.CONNECT
    assert caught.value.errno


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(HostNotFound):
        GraphMailbox(_settings_for(443, host="graph.invalid")).open()


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_addresses_that_are_never_microsofts(host: str) -> None:
    with pytest.raises(AddressRefused):
        GraphMailbox(_settings_for(443, host=host)).open()


# Certificates and the environment.


def test_another_certificate_authority_is_not_trusted(graph_server: GraphServer) -> None:
    with pytest.raises(CertificateRefused) as caught:
        GraphMailbox(graph_server.settings(DESK, ca_file=None)).open()
    assert caught.value.facts is not None
    assert "localhost" in caught.value.facts.names
    assert graph_server.requests == []


def test_a_certificate_for_another_name(authority: Authority) -> None:
    server = GraphServer(authority.other_name.server_context(), str(authority.ca_file))
    server.add_user(DESK)
    server.start()
    try:
        with pytest.raises(CertificateRefused) as caught:
            GraphMailbox(server.settings(DESK)).open()
    finally:
        server.stop()
    assert caught.value.facts is not None
    assert "mail.example.net" in caught.value.facts.names


def test_the_environment_overrides_no_certificate(
    graph_server: GraphServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca_file))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(authority.ca_file))
    with pytest.raises(CertificateRefused):
        GraphMailbox(graph_server.settings(DESK, ca_file=None)).open()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.self_signed.chain_file))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()


def test_the_authorities_of_a_library_do_not_join_ours(
    graph_server: GraphServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests brings a bundle of its own (certifi); a CA file that is set stands alone."""
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(authority.ca_file))
    other = str(authority.self_signed.chain_file)
    with pytest.raises(CertificateRefused):
        GraphMailbox(graph_server.settings(DESK, ca_file=other)).open()


def test_a_netrc_does_not_replace_the_token(
    graph_server: GraphServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login root password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
    assert all(seen.token.startswith("token-") for seen in graph_server.requests)


def test_a_proxy_of_the_environment_is_used(
    graph_server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ConnectionFailed):
        GraphMailbox(graph_server.settings(DESK)).open()
    monkeypatch.setenv("no_proxy", "localhost")
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()


@contextmanager
def tunnel(
    words: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
) -> Iterator[tuple[int, list[bytes]]]:
    """A proxy for CONNECT (RFC 9110 section 9.3.6); what it was asked."""
    asked: list[bytes] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while octets := source.recv(65536):
                target.sendall(octets)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        with client:
            request = client.recv(65536)
            asked.append(request)
            client.sendall(words)
            if b" 200 " not in words:
                return
            host, _, port = request.split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as target:
                there = threading.Thread(target=pump, args=(client, target))
                there.start()
                pump(target, client)
                there.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads.append(threading.Thread(target=accept))
        threads[0].start()
        yield listener.getsockname()[1], asked
        listener.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()


def test_through_a_proxy(
    graph_server: GraphServer, store: GraphMailboxStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy sees a host and a port; certificate, deadline and abort are as without it."""
    store.deliver(message())
    with tunnel() as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pass@127.0.0.1:{port}")
        with GraphMailbox(graph_server.settings(DESK)) as mailbox:
            assert mailbox.open().total == 1
            assert len(mailbox.list_unread()) == 1
            graph_server.faults.append(Fault(hang=30.0))
            threading.Timer(0.3, mailbox.abort).start()
            started = time.monotonic()
            with pytest.raises(ConnectionFailed):
                mailbox.list_unread()
            assert time.monotonic() - started < 3
        with pytest.raises(CertificateRefused):
            GraphMailbox(graph_server.settings(DESK, ca_file=None)).open()
    assert asked[0].startswith(f"CONNECT localhost:{graph_server.port} HTTP/1.".encode())
    assert b"Proxy-Authorization: Basic" in asked[0]
    assert b"Bearer" not in b"".join(asked)


def test_a_proxy_that_says_no(graph_server: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with tunnel(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as (port, _):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectionFailed) as caught:
            GraphMailbox(graph_server.settings(DESK)).open()
    assert not caught.value.permanent
    assert graph_server.requests == []


@pytest.mark.parametrize(
    "base", ["http://localhost:1/v1.0", "localhost", "", "https:///v1.0", "https://h/?q=1"]
)
def test_an_address_that_cannot_be_asked(graph_server: GraphServer, base: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        GraphMailbox(graph_server.settings(DESK, graph_base=base)).open()
    assert caught.value.field == "graph_base"


def test_control_characters_never_leave(graph_server: GraphServer) -> None:
    with pytest.raises(InvalidSettings) as caught:
        GraphMailbox(graph_server.settings(DESK, mailbox="a@b.example\r\nX: y")).open()
    assert caught.value.field == "mailbox"
    assert graph_server.requests == []


class _SomeToken:
    def access_token(self, *, refused: str = "", claims_challenge: str = "") -> str:
        return "token"


def _settings_for(port: int, *, host: str = "localhost", timeout: float = 10.0) -> ServerSettings:
    return ServerSettings(
        protocol=MailProtocol.OFFICE365,
        host=host,
        port=port,
        tls_mode=TlsMode.IMPLICIT,
        timeout=timeout,
        graph_base=f"https://{host}:{port}/v1.0",
        tokens=_SomeToken(),
    )
