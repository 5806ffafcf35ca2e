"""Finding a mail server and opening a TCP connection to it, within one total deadline.

Both can be stopped from another thread: `stop` is asked every `LOOK_EVERY` seconds.

The address that is checked is the address that is connected to: a name is looked up once and only its
numeric addresses are used afterwards, so a name that changes its mind (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import idna

from .errors import (
    AddressRefused,
    ConnectionFailed,
    HostNotFound,
    MailServerError,
    NameLookupFailed,
    ServerTimeout,
    Stage,
)

LOOK_EVERY = 0.05

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Never a mail server: "this host", link-local with the clouds' metadata services, multicast, broadcast,
# and the metadata addresses some clouds keep elsewhere.
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fec0::/10",
        "fd00:ec2::254/128",  # Amazon
        "fd20:ce::254/128",  # Google
        "ff00::/8",
    )
)
# IPv6 that carries an IPv4 address in its last 32 bits: IPv4-compatible (RFC 4291 section 2.5.5.1),
# NAT64 (RFC 6052), and the NAT64 of a site's own (RFC 8215).
_CARRIERS = tuple(ipaddress.ip_network(network) for network in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48"))
_IPV6_LOOPBACK = ipaddress.IPv6Address("::1")
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def to_ascii_host(host: str) -> str:
    """The host name as DNS and certificates know it (RFC 5890 A-labels); addresses as they are."""
    host = host.strip().strip("[]").rstrip(".")
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as exc:
        raise HostNotFound(f"{host!r} is not a host name", stage=Stage.DNS) from exc


def never() -> bool:
    return False


def resolve(host: str, port: int, seconds: float, *, stop: Callable[[], bool] = never) -> list[str]:
    """The numeric addresses of a host, in the system's order of preference, each once."""
    answer = _look_up(host, port, seconds, stop)
    if isinstance(answer, socket.gaierror):
        failure = HostNotFound if answer.errno in _NO_SUCH_NAME else NameLookupFailed
        raise failure(f"{host}: {answer.strerror}", stage=Stage.DNS) from answer
    if isinstance(answer, Exception):
        raise HostNotFound(f"{host!r} is not a host name", stage=Stage.DNS) from answer
    return list(dict.fromkeys(str(entry[4][0]) for entry in answer))


def connect(
    host: str, addresses: Sequence[str], port: int, seconds: float, *, stop: Callable[[], bool] = never
) -> socket.socket:
    """A connected socket. Each address is tried in turn; they share the time there is."""
    allowed = [address for address in addresses if not is_refused(address)]
    if not allowed:
        raise AddressRefused(f"{host} is at {', '.join(addresses)}", stage=Stage.CONNECT)
    ends_at = time.monotonic() + seconds
    failures: list[OSError] = []
    for tried, address in enumerate(allowed):
        share = (ends_at - time.monotonic()) / (len(allowed) - tried)
        try:
            sock = _connect_to(address, port, max(share, 0.01), stop)
        except OSError as exc:
            failures.append(exc)
        else:
            _check_peer(sock, host)
            return sock
    raise _why(failures, host, port, seconds) from failures[0]


def is_refused(address: str) -> bool:
    """Whether an address may never be connected to, also where IPv6 only wraps it."""
    ip: IpAddress = ipaddress.ip_address(address.partition("%")[0])
    return any(part in network for part in _unwrapped(ip) for network in _REFUSED)


def is_loopback(address: str) -> bool:
    """Whether an address is this machine itself, also where IPv6 only wraps it."""
    return any(part.is_loopback for part in _unwrapped(ipaddress.ip_address(address.partition("%")[0])))


def _connect_to(address: str, port: int, seconds: float, stop: Callable[[], bool]) -> socket.socket:
    """A connected, blocking socket. TimeoutError after `seconds`, another OSError as the system has it."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with suppress(BlockingIOError):  # under way
            sock.connect((address, port))
        _wait_until_connected(sock, seconds, stop)
        if failure := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(failure, os.strerror(failure))
        sock.setblocking(True)
    except BaseException:
        sock.close()
        raise
    return sock


def _wait_until_connected(sock: socket.socket, seconds: float, stop: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while True:
            remaining = ends_at - time.monotonic()
            if selector.select(max(min(remaining, LOOK_EVERY), 0)):
                return
            if stop():
                raise _stopped(Stage.CONNECT)
            if remaining <= 0:
                raise TimeoutError


def _stopped(stage: Stage) -> ConnectionFailed:
    return ConnectionFailed("stopped before the server was reached", stage=stage)


def _look_up(
    host: str, port: int, seconds: float, stop: Callable[[], bool]
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]] | Exception:
    """getaddrinfo() knows no timeout, so it runs in a thread that is left behind if need be."""
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as exc:  # ValueError: a label too long or empty, a NUL
            answers.put(exc)

    threading.Thread(target=ask, name="mail-name-lookup", daemon=True).start()
    ends_at = time.monotonic() + seconds
    while not stop():
        remaining = ends_at - time.monotonic()
        with suppress(queue.Empty):
            return answers.get(timeout=max(min(remaining, LOOK_EVERY), 0))  # type: ignore[return-value]
        if remaining <= 0:
            raise NameLookupFailed(f"no answer about {host} in {seconds:g} s", stage=Stage.DNS)
    raise _stopped(Stage.DNS)


def _check_peer(sock: socket.socket, host: str) -> None:
    peer = sock.getpeername()[0]
    if is_refused(peer):
        sock.close()
        raise AddressRefused(f"{host} is at {peer}", stage=Stage.CONNECT)


def _unwrapped(ip: IpAddress) -> list[IpAddress]:
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    inner = [ip.ipv4_mapped, ip.sixtofour]
    if ip != _IPV6_LOOPBACK and any(ip in network for network in _CARRIERS):
        inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [ip, *(address for address in inner if address is not None)]


def _why(failures: Sequence[OSError], host: str, port: int, seconds: float) -> MailServerError:
    """The most telling failure: a refusal proves that the host is there, silence says more than no route."""
    where = f"{host} port {port}"
    for failure in failures:
        if failure.errno == errno.ECONNREFUSED:
            return ConnectionFailed(f"{where}: refused", stage=Stage.CONNECT, errno=errno.ECONNREFUSED)
    if any(isinstance(failure, TimeoutError) for failure in failures):
        return ServerTimeout(f"{where}: no answer in {seconds:g} s", stage=Stage.CONNECT)
    first = failures[0]
    return ConnectionFailed(
        f"{where}: {first.strerror or first}", stage=Stage.CONNECT, errno=first.errno or 0
    )
