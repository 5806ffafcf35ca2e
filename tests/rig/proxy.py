"""A TCP proxy that spoils the conversation between a client and a real server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

Edit = Callable[[bytes], bytes]


@dataclass(slots=True)
class Plan:
    """What the proxy does. Limits count the octets from the server to the client; None: no limit."""

    cut_after: int | None = None  # then both sides are closed
    reset_after: int | None = None  # then the client gets a RST
    silent_after: int | None = None  # then nothing is passed on, and nothing is closed
    drip_after: int | None = None  # then one octet every `drip_interval` seconds
    half_close_after: int | None = None  # then the client sees the end of the stream, but can still write
    drip_interval: float = 0.1
    delay: float = 0.0  # before each piece, in both directions
    piece: int = 65536  # octets passed on at a time
    never_answer: bool = False  # connected, and that is all
    edit: Edit | None = None  # changes what the server says (clear text only)
    silent_when: bytes | None = None  # go silent once the client has sent this (clear text only)

    def limit(self) -> int | None:
        """After how many octets from the server the spoiling begins."""
        limits = (
            self.cut_after,
            self.reset_after,
            self.silent_after,
            self.drip_after,
            self.half_close_after,
        )
        return min((limit for limit in limits if limit is not None), default=None)


class Proxy:
    """Listens on a port of its own. `plan` may be changed between connections, also during one."""

    def __init__(self, target_port: int, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()
        self.from_client = bytearray()
        self.from_server = bytearray()
        self.connections = 0
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in [self._listener, *self._sockets]:
            _shut(sock)
            sock.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(client)
                if self.plan.never_answer:
                    continue
                server = socket.create_connection(("127.0.0.1", self._target_port), 10)
                server.settimeout(None)
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(server)
                self._start(self._to_server, client, server)
                self._start(self._to_client, client, server)

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while octets := client.recv(65536):
                self.from_client += octets
                if self.plan.silent_when and self.plan.silent_when in self.from_client:
                    self.plan.silent_after = 0
                time.sleep(self.plan.delay)
                server.sendall(octets)
        _shut(server)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while octets := server.recv(self.plan.piece):
                self.from_server += octets
                plan = self.plan
                time.sleep(plan.delay)
                octets = plan.edit(octets) if plan.edit else octets
                limit = plan.limit()
                head = octets if limit is None else octets[: max(limit - passed, 0)]
                client.sendall(head)
                passed += len(octets)
                if limit is not None and passed >= limit:
                    self._spoil(client, server, octets[len(head) :])
                    return
        _shut(client)

    def _spoil(self, client: socket.socket, server: socket.socket, rest: bytes) -> None:
        plan = self.plan
        if plan.silent_after is not None:
            while server.recv(65536):
                pass
        elif plan.drip_after is not None:
            while True:
                for octet in rest or b"x":
                    client.sendall(bytes([octet]))
                    time.sleep(plan.drip_interval)
        elif plan.half_close_after is not None:
            client.shutdown(socket.SHUT_WR)
        elif plan.reset_after is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.shutdown(socket.SHUT_RD)  # the other thread still reads it, and would keep it open
            time.sleep(0.02)
            client.close()
        else:
            _shut(client)
            _shut(server)


def without_move(octets: bytes) -> bytes:
    """An edit: a server that cannot move messages, of the same length so that literals stay right."""
    return octets.replace(b" MOVE", b" XOVE")


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
