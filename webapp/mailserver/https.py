"""HTTPS with deadlines that really end a request, for the protocols that run over it.

requests does the talking; what it connects with is ours: the address policy of `sockets`, the verified TLS
of `tls`, and a `Wire` that can cut every connection made through it. A redirect is never followed, nothing
is tried twice, and of the environment only the proxies count: variables that name other certificates or a
.netrc would override what is set here.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from . import sockets, tls
from .deadline import Alarm
from .errors import (
    CertificateFacts,
    CertificateRefused,
    ConnectionFailed,
    MailServerError,
    ServerTimeout,
    Stage,
    TlsFailed,
    UnexpectedServer,
)
from .line import Line, forget_locals

_CHUNK = 64 * 1024
# The largest answer that is read: a message of 150 MB (Exchange Online's most) in base64 is 206 MB.
LONGEST_ANSWER = 256 * 1024 * 1024

# It writes whole addresses to the log, and those of upload sessions carry a token.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class Wire:
    """The connections of one conversation, and the deadline of its running step.

    `timeout` is the time of each step; `ends_at` (monotonic) caps them all together. Every octet that comes
    or goes moves a deadline on a little (see `Alarm`). After a failure the wire is closed for good.
    """

    def __init__(self, timeout: float, *, ends_at: float | None = None) -> None:
        self.timeout = timeout
        self.connected_to = ""  # the address of the last connection
        self.handed_over = False  # in this step a whole request has gone out, and may have been acted upon
        self._ends_at = ends_at
        self._alarm = Alarm(self._shut_down)
        self._step_ends_at = 0.0
        self._handles: dict[tuple[str, int], socket.socket] = {}
        self._cut = threading.Event()
        self._closed = False

    @property
    def healthy(self) -> bool:
        return not self._closed and not self._cut.is_set()

    @contextmanager
    def step(self, stage: Stage) -> Iterator[None]:
        """A piece of the conversation; whatever goes wrong in it leaves as a MailServerError.

        What is none of the network's (an exception of ours) is let through, and closes the wire too.
        """
        self.handed_over = False
        if not self.healthy:
            self.close()
            raise ConnectionFailed("the session is closed", stage=stage)
        self._set_alarm()
        failure: BaseException | None = None
        try:
            yield
        except BaseException as exc:
            self._alarm.clear()
            failure = self._translate(exc, stage)
            _forget(exc)
            if failure is exc:
                self.close()
                raise
        self._alarm.clear()
        if failure is None and self._alarm.expired:
            failure = self._timed_out(stage)
        if failure is not None:
            self.close()
            raise failure from None

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Inside a step: its deadline starts anew after this, which is none of the server's doing."""
        self._alarm.clear()
        yield
        if not self.healthy:
            raise OSError("the connection was cut off")
        self._set_alarm()

    def progress(self, octets: int) -> None:
        """So many octets came or went."""
        self._alarm.progress(octets)

    def wait(self, seconds: float, stage: Stage) -> None:
        """Sleep between two steps. Raises ConnectionFailed at once when aborted."""
        if self._cut.wait(seconds):
            self.close()
            raise ConnectionFailed("stopped while waiting for the server", stage=stage)

    def seconds_left(self) -> float:
        """How long all steps together may still take; infinite without an end."""
        return float("inf") if self._ends_at is None else self._ends_at - time.monotonic()

    def connect(self, host: str, port: int) -> socket.socket:
        """A connected socket; its duplicate stays here, so that it can be shut down from any thread."""
        host = sockets.to_ascii_host(host)
        addresses = sockets.resolve(host, port, self._left(), stop=self._cut.is_set)
        sock = sockets.connect(host, addresses, port, self._left(), stop=self._cut.is_set)
        # The alarm ends every wait; the socket's own timeout is there should the alarm's thread be gone.
        sock.settimeout(self.timeout + 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connected_to = str(sock.getpeername()[0])
        before = self._handles.pop((host, port), None)
        if before is not None:
            before.close()
        self._handles[host, port] = sock.dup()
        if self._cut.is_set() or self._alarm.expired:  # in this very moment
            self._shut_down()
        return sock

    def abort(self) -> None:
        """Cut everything, also from another thread: whatever waits fails at once. Never raises."""
        self._cut.set()
        self._shut_down()

    def close(self) -> None:
        """Give the sockets back; never raises."""
        self._closed = True
        self._alarm.clear()
        self._shut_down()
        handles, self._handles = self._handles, {}
        for handle in handles.values():
            handle.close()

    def _shut_down(self) -> None:
        for handle in list(self._handles.values()):
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def _set_alarm(self) -> None:
        seconds = max(min(self.timeout, self.seconds_left()), 0.001)
        self._step_ends_at = time.monotonic() + seconds
        self._alarm.set(seconds)

    def _left(self) -> float:
        return max(self._step_ends_at - time.monotonic(), 0.001)

    def _translate(self, exc: BaseException, stage: Stage) -> BaseException:
        if isinstance(exc, MailServerError) and not isinstance(exc, TlsFailed):
            return exc
        if not isinstance(exc, (TlsFailed, requests.RequestException, HTTPError, OSError, ValueError)):
            return exc
        if self._cut.is_set():
            return ConnectionFailed("stopped", stage=stage)
        if self._alarm.expired or _is_timeout(exc):  # also where a handshake was cut by it
            return self._timed_out(stage)
        if isinstance(exc, TlsFailed):
            return exc
        reason = _os_error_of(exc)
        if reason is not None:
            words = reason.strerror or type(reason).__name__
            return ConnectionFailed(words, stage=stage, errno=reason.errno or 0)
        if isinstance(exc, (requests.ConnectionError, HTTPError, OSError)):
            return ConnectionFailed(f"the connection ended ({type(exc).__name__})", stage=stage)
        return UnexpectedServer(f"not an answer over HTTP ({type(exc).__name__})", stage=stage)

    def _timed_out(self, stage: Stage) -> ServerTimeout:
        return ServerTimeout("no answer in time", stage=stage)


class WireAdapter(HTTPAdapter):
    """requests' way to the network, through a wire. `ca_file` is trusted instead of the system's."""

    def __init__(self, wire: Wire, ca_file: str | None) -> None:
        self._wire, self._context = wire, tls.verifying_context(ca_file)
        super().__init__(pool_connections=2, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)
        self._lead(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options, ssl_context=self._context)
        self._lead(manager)
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Everything is in the context already; certifi's authorities must not join it."""
        conn.cert_reqs = "CERT_REQUIRED"

    def _lead(self, manager: urllib3.PoolManager) -> None:
        connection = type("WiredConnection", (_WiredConnection,), {"wire": self._wire})
        pool = type("WiredPool", (HTTPSConnectionPool,), {"ConnectionCls": connection})
        manager.pool_classes_by_scheme = cast("dict[str, type[HTTPConnectionPool]]", {"https": pool})


class _WiredConnection(HTTPSConnection):
    wire: Wire

    def _new_conn(self) -> socket.socket:
        return self.wire.connect(self._dns_host, self.port)

    def request(self, *args: Any, **options: Any) -> None:
        super().request(*args, **options)
        self.wire.handed_over = True

    def send(self, data: Any) -> None:
        """In pieces: the timeout of socket.sendall() is for all of it together, however large."""
        if not isinstance(data, bytes):
            super().send(data)
            return
        for start in range(0, len(data), _CHUNK):
            piece = data[start : start + _CHUNK]
            super().send(piece)
            self.wire.progress(len(piece))

    def connect(self) -> None:
        try:
            super().connect()
        except ssl.SSLError as exc:
            host = self._tunnel_host or self.host
            failure = tls.handshake_failure(exc, host)
            if isinstance(failure, CertificateRefused) and not self._tunnel_host:
                failure.facts = _look_at_certificate(host, self.port, self.wire)
            raise failure from None


def _look_at_certificate(host: str, port: int, wire: Wire) -> CertificateFacts | None:
    """Read the certificate that was refused, over a connection that is used for nothing else."""
    look = Line(host, port, max(min(wire.timeout, wire.seconds_left()), 0.001))
    with closing(look), suppress(MailServerError, ValueError):
        look.connect([wire.connected_to])
        look.start_tls(tls.looking_context())
        return tls.facts_of(look.secured).certificate if look.secured else None
    return None


class HttpsSession(requests.Session):
    """A session whose every request is a step of its own, and whose answers are there as a whole.

    Raises only MailServerError, of `stage`. What `before_last` raises is let through.
    """

    def __init__(
        self, wire: Wire, ca_file: str | None, *, stage: Stage = Stage.TOKEN, uses_proxies: bool = True
    ) -> None:
        super().__init__()
        self.wire, self.stage, self._uses_proxies = wire, stage, uses_proxies
        self.trust_env = False
        self.adapters.clear()
        self.mount("https://", WireAdapter(wire, ca_file))
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(  # type: ignore[override]
        self, method: str, url: str, *, limit: int = LONGEST_ANSWER, **options: Any
    ) -> requests.Response:
        """As requests.Session.request; `limit` is the largest answer in octets."""
        if not url.startswith("https://"):
            raise UnexpectedServer("an address without encryption is never asked", stage=self.stage)
        options["proxies"] = get_environ_proxies(url) if self._uses_proxies else {}
        options |= {"allow_redirects": False, "stream": True, "timeout": self.wire.timeout + 5}
        with self.wire.step(self.stage):
            response = super().request(method, url, **options)
            with closing(response):
                if response.is_redirect:
                    raise UnexpectedServer(f"{urlsplit(url).hostname} sends us elsewhere", stage=self.stage)
                self._read(response, limit)
        return response

    def _read(self, response: requests.Response, limit: int) -> None:
        chunks, size = [], 0
        for chunk in response.iter_content(_CHUNK):
            self.wire.progress(len(chunk))
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise UnexpectedServer(f"an answer of more than {limit} octets", stage=self.stage)
        response._content = b"".join(chunks)

    def close(self) -> None:
        super().close()
        self.wire.close()


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """An exception and those inside: urllib3 and requests wrap what the system said, in several ways."""
    waiting: list[object] = [exc]
    for _ in range(12):
        if not waiting:
            return
        seen = waiting.pop(0)
        if isinstance(seen, BaseException):
            yield seen
            waiting += [getattr(seen, "reason", None), *seen.args, seen.__cause__]


def _os_error_of(exc: BaseException) -> OSError | None:
    return next(
        (e for e in _causes(exc) if isinstance(e, OSError) and not isinstance(e, requests.RequestException)),
        None,
    )


def _is_timeout(exc: BaseException) -> bool:
    kinds = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
    return any(isinstance(e, kinds) for e in _causes(exc))


def _forget(exc: BaseException) -> None:
    """Empty an exception's frames, and take off the request it carries: both hold tokens."""
    forget_locals(exc)
    for seen in _causes(exc):
        if isinstance(seen, requests.RequestException):
            seen.request = seen.response = None
