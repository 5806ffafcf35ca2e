"""Names, addresses and connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.rig.ports import free_ports
from tests.rig.silence import nobody_answers
from webapp.mailserver import sockets
from webapp.mailserver.errors import (
    AddressRefused,
    ConnectionFailed,
    HostNotFound,
    MailServerError,
    NameLookupFailed,
    ServerTimeout,
    Stage,
)
from webapp.mailserver.line import Line

Stop = Callable[[], bool]


def answers(monkeypatch: pytest.MonkeyPatch, answer: Sequence[str] | Exception) -> None:
    """What the system's resolver says."""

    def getaddrinfo(host: str, port: int, **how: Any) -> list[Any]:
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("host", "ascii_host"),
    [
        ("imap.example.com", "imap.example.com"),
        (" IMAP.Example.com. ", "imap.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
    ],
)
def test_to_ascii_host(host: str, ascii_host: str) -> None:
    assert sockets.to_ascii_host(host) == ascii_host


@pytest.mark.parametrize("host", ["ü" * 70, "a b.exämple", "\u2764.\u200d.com"])
def test_names_that_are_none(host: str) -> None:
    with pytest.raises(HostNotFound):
        sockets.to_ascii_host(host)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), HostNotFound),
        (socket.gaierror(socket.EAI_NODATA, "No address"), HostNotFound),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), NameLookupFailed),
        (socket.gaierror(socket.EAI_FAIL, "Failure"), NameLookupFailed),
        (UnicodeError("label too long"), HostNotFound),
    ],
)
def test_lookups_that_fail(
    monkeypatch: pytest.MonkeyPatch, error: Exception, failure: type[MailServerError]
) -> None:
    answers(monkeypatch, error)
    with pytest.raises(failure) as caught:
        sockets.resolve("imap.example.com", 993, 5)
    assert type(caught.value) is failure
    assert caught.value.stage is Stage.DNS


def test_a_lookup_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **how: time.sleep(1.5))
    started = time.monotonic()
    with pytest.raises(NameLookupFailed):
        sockets.resolve("imap.example.com", 993, 0.5)
    assert 0.5 <= time.monotonic() - started < 1.2


def test_each_address_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ["192.0.2.1", "192.0.2.2", "192.0.2.1"])
    assert sockets.resolve("imap.example.com", 993, 5) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::a9fe:a9fe",
    ],
)
def test_never_a_mail_server(address: str) -> None:
    assert sockets.is_refused(address)
    with pytest.raises(AddressRefused) as caught:
        sockets.connect("host", [address], 993, 1)
    assert caught.value.permanent


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd12::1", "203.0.113.7", "2001:db8::1"]
)
def test_mail_servers_may_be_anywhere_else(address: str) -> None:
    assert not sockets.is_refused(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::1",
    ],
)
def test_this_machine_however_it_is_wrapped(address: str) -> None:
    assert sockets.is_loopback(address)
    assert not sockets.is_loopback("2001:db8::1")


def test_a_name_that_leads_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is looked up once; what was checked is what is connected to."""
    answers(monkeypatch, ["169.254.169.254"])
    addresses = sockets.resolve("rebinding.example.com", 80, 5)
    with pytest.raises(AddressRefused):
        sockets.connect("rebinding.example.com", addresses, 80, 1)


def test_the_next_address_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sock = sockets.connect("localhost", ["169.254.1.1", "127.0.0.2", "127.0.0.1"], port, 2)
        assert sock.getpeername()[0] == "127.0.0.1"
        sock.close()


def _nothing_listens() -> int:
    return free_ports(1)[0]


def test_refused_is_told_before_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect_to(address: str, port: int, seconds: float, stop: Stop) -> socket.socket:
        raise TimeoutError if address == "192.0.2.1" else ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(sockets, "_connect_to", connect_to)
    with pytest.raises(ConnectionFailed) as caught:
        sockets.connect("host", ["192.0.2.1", "192.0.2.2"], 993, 1)
    assert caught.value.errno == 111


def test_closed_port() -> None:
    started = time.monotonic()
    with pytest.raises(ConnectionFailed) as caught:
        sockets.connect("localhost", ["127.0.0.1"], _nothing_listens(), 5)
    assert time.monotonic() - started < 1
    assert (caught.value.errno, caught.value.stage) == (111, Stage.CONNECT)


def test_addresses_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []

    def connect_to(address: str, port: int, seconds: float, stop: Stop) -> socket.socket:
        shares.append(seconds)
        raise TimeoutError

    monkeypatch.setattr(sockets, "_connect_to", connect_to)
    with pytest.raises(ServerTimeout):
        sockets.connect("host", ["192.0.2.1", "192.0.2.2", "192.0.2.3"], 993, 9)
    assert [round(share) for share in shares] == [3, 4, 9]


def test_silence_ends_with_the_time() -> None:
    with nobody_answers() as port:
        started = time.monotonic()
        with pytest.raises(ServerTimeout) as caught:
            sockets.connect("host", ["127.0.0.1"], port, 0.5)
        assert 0.5 <= time.monotonic() - started < 5.5
    assert caught.value.stage is Stage.CONNECT


def test_silence_at_one_address_is_no_end() -> None:
    """A listener that drops connections at the first address; the second answers within its share."""
    with nobody_answers() as port, socket.create_server(("127.0.0.2", port)):
        sock = sockets.connect("host", ["127.0.0.1", "127.0.0.2"], port, 2)
        assert sock.getpeername()[0] == "127.0.0.2"
        assert sock.getblocking()
        sock.close()


# Stopping from another thread.


def test_a_lookup_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **how: hang.wait(60))
    line = Line("imap.example.com", 993, 60)
    threading.Timer(0.2, line.abort).start()
    started = time.monotonic()
    with pytest.raises(ConnectionFailed) as caught:
        line.resolve()
    assert 0.2 <= time.monotonic() - started < 5.2
    assert caught.value.stage is Stage.DNS
    hang.set()


def test_connecting_is_stopped() -> None:
    with nobody_answers() as port:
        line = Line("127.0.0.1", port, 60)
        threading.Timer(0.2, line.abort).start()
        started = time.monotonic()
        with pytest.raises(ConnectionFailed) as caught:
            line.connect(["127.0.0.1", "127.0.0.2"])
        assert 0.2 <= time.monotonic() - started < 5.2
    assert caught.value.stage is Stage.CONNECT
    assert not line.healthy


def test_stopped_before_it_began() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = Line("127.0.0.1", server.getsockname()[1], 60)
        line.abort()
        with pytest.raises(ConnectionFailed):
            line.resolve()
        with pytest.raises(ConnectionFailed):
            line.connect(["127.0.0.1"])
        assert not line.healthy
