"""A server that says what it is told to and keeps every octet it received.

For refusals, silence, drips and lies that no real server can be talked into. A script is a function that
gets a `Peer`; `imap(...)` and `smtp(...)` build the ordinary ones from a table of answers.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

Script = Callable[["Peer"], None]
# What to answer: lines, or a function that does what it likes. None: keep silent for ever.
Answer = Sequence[str] | Callable[["Peer", str], None] | None


class Peer:
    """One connection as the server sees it."""

    def __init__(self, sock: socket.socket, server: ScriptedServer) -> None:
        self.sock = sock
        self.server = server
        self._buffer = bytearray()

    def say(self, *lines: str | bytes) -> None:
        """Send lines; CR LF is added."""
        encoded = (
            line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape") for line in lines
        )
        self.sock.sendall(b"".join(line + b"\r\n" for line in encoded))

    def line(self) -> str:
        """The next line of the client; EOFError at the end."""
        while self._buffer.find(b"\n") < 0:
            octets = self.sock.recv(65536)
            if not octets:
                raise EOFError
            self.server.received += octets
            self._buffer += octets
        return self._take(self._buffer.index(b"\n") + 1).rstrip(b"\r\n").decode("utf-8", "surrogateescape")

    def read(self, size: int) -> bytes:
        """Exactly that many octets of the client."""
        while len(self._buffer) < size:
            octets = self.sock.recv(65536)
            if not octets:
                raise EOFError
            self.server.received += octets
            self._buffer += octets
        return self._take(size)

    def _take(self, size: int) -> bytes:
        octets = bytes(self._buffer[:size])
        del self._buffer[:size]
        return octets

    def start_tls(self) -> None:
        assert self.server.tls is not None
        self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
        self.server.secured = True

    def hang(self) -> None:
        """Keep the connection open and say nothing until the client gives up."""
        with contextlib.suppress(OSError):
            while octets := self.sock.recv(65536):
                self.server.received += octets

    def drip(self, octets: bytes, interval: float = 0.1) -> None:
        """One octet at a time, never ending: it starts over."""
        while True:
            for octet in octets:
                self.sock.sendall(bytes([octet]))
                time.sleep(interval)

    def reset(self) -> None:
        """End the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class ScriptedServer:
    """Serves every connection with the same script, each in a thread of its own."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, implicit: bool = False) -> None:
        self.tls = tls
        self.received = bytearray()
        self.connections = 0
        self.secured = False
        self._script = script
        self._implicit = implicit
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # close() alone leaves accept() waiting.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._thread.join(5)

    def _accept(self) -> None:
        workers = []
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                break
            self.connections += 1
            worker = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            worker.start()
            workers.append(worker)
        for worker in workers:
            worker.join(5)

    def _serve(self, sock: socket.socket) -> None:
        peer = Peer(sock, self)
        self._open.append(sock)
        try:
            if self._implicit:
                peer.start_tls()
            self._script(peer)
        except (OSError, EOFError):
            pass  # the client has gone, which is what most tests wait for
        finally:
            with contextlib.suppress(OSError):
                peer.sock.close()
            sock.close()


def imap(
    answers: Mapping[str, Answer] | None = None,
    *,
    greeting: str = "* OK rig ready",
    capabilities: str = "IMAP4rev1 AUTH=PLAIN SASL-IR MOVE UIDPLUS NAMESPACE",
) -> Script:
    """An IMAP server for one empty inbox. A key is a command ("UID MOVE", "LOGIN"); `{tag}` is filled in."""
    table: dict[str, Answer] = {
        "CAPABILITY": [f"* CAPABILITY {capabilities}", "{tag} OK done"],
        "AUTHENTICATE": ["{tag} OK signed in"],
        "LOGIN": ["{tag} OK signed in"],
        "NAMESPACE": ['* NAMESPACE (("" "/")) NIL NIL', "{tag} OK done"],
        "SELECT": _opened("READ-WRITE"),
        "EXAMINE": _opened("READ-ONLY"),
        "LIST": ["{tag} OK done"],
        "NOOP": ["{tag} OK done"],
        "CREATE": ["{tag} OK done"],
        "SUBSCRIBE": ["{tag} OK done"],
        "UID SEARCH": ["* SEARCH", "{tag} OK done"],
        "UID FETCH": ["{tag} OK done"],
        "UID STORE": ["{tag} OK done"],
        "UID MOVE": ["{tag} OK done"],
        "LOGOUT": ["* BYE", "{tag} OK done"],
        "STARTTLS": _imap_starttls,
        **(answers or {}),
    }

    def script(peer: Peer) -> None:
        peer.say(greeting)
        while True:
            tag, _, command = peer.line().partition(" ")
            words = command.split(" ")
            verb = words[0].upper()
            name = f"UID {words[1].upper()}" if verb == "UID" else verb
            _answer(peer, table.get(name, ["{tag} BAD unknown command"]), command, tag)

    return script


def smtp(
    answers: Mapping[str, Answer] | None = None,
    *,
    greeting: str = "220 rig ESMTP",
    extensions: Sequence[str] = ("SIZE 10485760", "8BITMIME", "AUTH PLAIN LOGIN", "STARTTLS"),
) -> Script:
    """An SMTP server. A key is a verb; the answers come in the order asked, the last one for ever."""
    offered = [f"250-{line}" for line in ("rig", *extensions[:-1])] + [
        f"250 {line}" for line in extensions[-1:]
    ]
    table: dict[str, Answer] = {
        "EHLO": offered if extensions else ["250 rig"],
        "HELO": ["250 rig"],
        "AUTH": ["235 2.7.0 signed in"],
        "MAIL": ["250 2.1.0 sender ok"],
        "RCPT": ["250 2.1.5 recipient ok"],
        "DATA": _smtp_data(["250 2.0.0 taken"]),
        "RSET": ["250 2.0.0 forgotten"],
        "NOOP": ["250 2.0.0 here"],
        "QUIT": ["221 2.0.0 goodbye"],
        "STARTTLS": _smtp_starttls,
        **(answers or {}),
    }

    def script(peer: Peer) -> None:
        peer.say(greeting)
        while True:
            command = peer.line()
            verb = command.split(" ")[0].upper()
            _answer(peer, table.get(verb, ["502 5.5.1 unknown command"]), command, "")
            if verb == "QUIT":
                return

    return script


def smtp_data(*answer: str) -> Answer:
    """Take the message, then answer the final dot so."""
    return _smtp_data(answer)


def literal(uid: int, raw: bytes, *, name: str = "BODY[]") -> list[bytes]:
    """A FETCH answer with a body, as lines."""
    return [b"* 1 FETCH (UID %d %s {%d}" % (uid, name.encode(), len(raw)), raw + b")"]


def _answer(peer: Peer, answer: Answer, command: str, tag: str) -> None:
    if answer is None:
        peer.hang()
        raise EOFError
    if callable(answer):
        answer(peer, f"{tag} {command}".strip())
    else:
        peer.say(*(line.replace("{tag}", tag) for line in answer))


def _opened(access: str) -> list[str]:
    return [
        "* FLAGS (\\Seen)",
        "* 0 EXISTS",
        "* OK [UIDVALIDITY 7] UIDs valid",
        f"{{tag}} OK [{access}] opened",
    ]


def _imap_starttls(peer: Peer, command: str) -> None:
    peer.say(f"{command.split(' ')[0]} OK begin")
    peer.start_tls()


def _smtp_starttls(peer: Peer, command: str) -> None:
    peer.say("220 2.0.0 begin")
    peer.start_tls()


def _smtp_data(answer: Sequence[str]) -> Answer:
    def take(peer: Peer, command: str) -> None:
        peer.say("354 go on")
        while peer.line() != ".":
            pass
        peer.say(*answer)

    return take
