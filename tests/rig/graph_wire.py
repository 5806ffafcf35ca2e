"""HTTP over TLS for the Graph stand-in, and what can go wrong with it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, or one inside a $batch. Header names are in lower case."""

    method: str
    path: str  # as it came, still percent-encoded, below the version
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)

    @property
    def token(self) -> str:
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token if kind == "Bearer" else ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is JSON (a mapping), octets, or None."""

    status: int
    body: Mapping[str, Any] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""  # the CSDL type of the object, or of the objects of the collection

    def octets(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def error(status: int, code: str, message: str = "", **headers: str) -> Reply:
    """As Graph tells an error."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"error": {"code": code, "message": message or code}}, names)


@dataclass(slots=True)
class Fault:
    """What goes wrong with the requests it is about: `times` of them, after `skip` others."""

    method: str = ""  # empty: any
    path: str = ""  # a regular expression that is searched for; empty: any
    times: int = 1
    skip: int = 0
    reply: Reply | Callable[[Seen], Reply] | None = None  # said instead of doing it
    edit: Callable[[Reply], Reply] | None = None  # done, and the answer changed
    cut: bool = False  # the connection ends before anything is done
    lose_answer: bool = False  # it is done, then the connection ends
    hang: float = 0.0  # seconds before the answer
    drip: float = 0.0  # seconds between two octets of the answer
    raw: bytes | None = None  # these octets instead of an answer
    met: int = 0  # how many requests it was about

    def is_about(self, seen: Seen) -> bool:
        if self.method not in ("", seen.method) or not re.search(self.path, seen.path):
            return False
        self.met += 1
        return self.skip < self.met <= self.skip + self.times


class CutConnection(Exception):
    """The connection ends here and now."""


class GraphHttp(ThreadingHTTPServer):
    """Threads, TLS, keep-alive. `answer` makes the reply of a request."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, context: ssl.SSLContext, answer: Callable[[Seen], Reply]) -> None:
        self.faults: list[Fault] = []
        self.requests: list[Seen] = []
        self.stopping = threading.Event()
        self._answer, self._context = answer, context
        self._lock = threading.Lock()
        self._open: set[Any] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[Any, Any]:
        """The handshake is left to the connection's own thread: a peer that says nothing holds no other."""
        sock, address = super().get_request()
        sock.settimeout(60)
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)

    def cut_all(self) -> None:
        """As when the process is killed: every connection ends."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Peers that go away are part of the tests."""

    def answer(self, seen: Seen) -> tuple[Reply, Fault | None]:
        """What is said, and what goes wrong in saying it. Raises CutConnection."""
        with self._lock:
            self.requests.append(seen)
            fault = next((one for one in self.faults if one.is_about(seen)), None)
        if fault is None:
            return self._answer(seen), None
        if fault.cut:
            raise CutConnection
        if fault.hang:
            self.stopping.wait(fault.hang)
        if fault.reply is not None:
            return (fault.reply(seen) if callable(fault.reply) else fault.reply), fault
        reply = self._answer(seen)
        if fault.lose_answer:
            raise CutConnection
        return (fault.edit(reply) if fault.edit else reply), fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GraphHttp

    def do_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        seen = Seen(
            self.command,
            path,
            read_query(query),
            {name.lower(): value for name, value in self.headers.items()},
            body,
        )
        try:
            reply, fault = self.server.answer(seen)
        except CutConnection:
            self._cut()
            return
        self._say(reply, fault)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_any

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test that fails shows `requests`."""

    def _say(self, reply: Reply, fault: Fault | None) -> None:
        if fault is not None and fault.raw is not None:
            self.connection.sendall(fault.raw)
            self._cut()
            return
        octets = reply.octets()
        is_json = isinstance(reply.body, Mapping)
        headers = {"Content-Type": "application/json" if is_json else "text/plain"} | dict(reply.headers)
        head = f"HTTP/1.1 {reply.status} {'OK' if reply.status < 300 else 'No'}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head += f"Content-Length: {len(octets)}\r\n\r\n"
        if fault is None or not fault.drip:
            self.connection.sendall(head.encode() + octets)
            return
        for octet in head.encode() + octets:
            self.connection.sendall(bytes([octet]))
            if self.server.stopping.wait(fault.drip):
                return

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()


def read_query(text: str) -> dict[str, str]:
    """A query's options; the same one twice is an error the caller sees as an unknown name."""
    found: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        found[name if name not in found else f"{name} twice"] = unquote_plus(value)
    return found
