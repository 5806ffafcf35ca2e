"""Finding a mail server and opening a TCP connection to it, within one total deadline.

The address that is checked is the address that is connected to: a name is looked up once and only its
numeric addresses are used afterwards, so a name that changes its mind (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Sequence

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
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
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


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """The numeric addresses of a host, in the system's order of preference, each once."""
    answer = _look_up(host, port, seconds)
    if isinstance(answer, socket.gaierror):
        failure = HostNotFound if answer.errno in _NO_SUCH_NAME else NameLookupFailed
        raise failure(f"{host}: {answer.strerror}", stage=Stage.DNS) from answer
    if isinstance(answer, Exception):
        raise HostNotFound(f"{host!r} is not a host name", stage=Stage.DNS) from answer
    return list(dict.fromkeys(str(entry[4][0]) for entry in answer))


def connect(host: str, addresses: Sequence[str], port: int, seconds: float) -> socket.socket:
    """A connected socket. Each address is tried in turn; they share the time there is."""
    allowed = [address for address in addresses if not is_refused(address)]
    if not allowed:
        raise AddressRefused(f"{host} is at {', '.join(addresses)}", stage=Stage.CONNECT)
    ends_at = time.monotonic() + seconds
    failures: list[OSError] = []
    for tried, address in enumerate(allowed):
        share = (ends_at - time.monotonic()) / (len(allowed) - tried)
        try:
            sock = socket.create_connection((address, port), timeout=max(share, 0.01))
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


def _look_up(
    host: str, port: int, seconds: float
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]] | Exception:
    """getaddrinfo() knows no timeout, so it runs in a thread that is left behind if need be."""
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as exc:  # ValueError: a label too long or empty, a NUL
            answers.put(exc)

    threading.Thread(target=ask, name="mail-name-lookup", daemon=True).start()
    try:
        return answers.get(timeout=seconds)  # type: ignore[return-value]
    except queue.Empty:
        raise NameLookupFailed(f"no answer about {host} in {seconds:g} s", stage=Stage.DNS) from None


def _check_peer(sock: socket.socket, host: str) -> None:
    peer = sock.getpeername()[0]
    if is_refused(peer):
        sock.close()
        raise AddressRefused(f"{host} is at {peer}", stage=Stage.CONNECT)


def _unwrapped(ip: IpAddress) -> list[IpAddress]:
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    inner = [ip.ipv4_mapped, ip.sixtofour]
    if ip in _NAT64:
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
