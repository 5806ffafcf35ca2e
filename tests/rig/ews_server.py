"""A stand-in for an Exchange: EWS over TLS, with Basic and a real NTLM acceptor, strict about each request.

It is no Exchange and proves nothing about Microsoft's. Every request, and every answer of its own, is checked
against Microsoft's schema where SERVICEDESK_TEST_SCHEMAS names the folder that has it; a violation fails the
test. `faults` break what real servers break.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import hashlib
import os
import socket
import ssl
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import spnego
from lxml import etree
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

from tests.rig.certificates import ServerCertificate
from tests.rig.ews_answers import NAMES, Behaviour, Desk, envelope, fault
from tests.rig.ews_store import Mailbox
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode

PATH = "/EWS/Exchange.asmx"
DOMAIN = "EXAMPLE"
PASSWORD = "canary-ews-ä9f1"


@dataclass(slots=True)
class Fault:
    """Something that goes wrong with a request; the first that fits is used up.

    `operation`: which one ("" = any). `after_skipping` so many that fit. `done`: the operation takes effect
    first, and then the answer is spoiled. `times` None: again and again.
    """

    operation: str = ""
    after_skipping: int = 0
    times: int | None = 1
    done: bool = False
    hang: float = 0.0  # seconds before anything is answered
    drip: float = 0.0  # seconds between two octets of the answer
    cut: bool = False  # the connection ends without an answer
    half: bool = False  # the connection ends in the middle of the answer
    unmeasured: bool = False  # ... whose length was not told, so that the end looks like the end
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    soap_fault: str = ""
    back_off_ms: int = 0


@dataclass(slots=True)
class Asked:
    """A request as it was understood."""

    operation: str
    user: str
    mechanism: str
    connection: int
    xml: bytes = field(repr=False)


class EwsServer:
    """Listens on a loopback port of its own, from `start()` to `stop()`. Thread-safe."""

    def __init__(
        self, certificate: ServerCertificate, ca_file: Path, *, offers: tuple[str, ...] = ("NTLM", "Basic")
    ) -> None:
        self.offers, self.ca_file = offers, ca_file
        self.behaviour = Behaviour()
        self.faults: list[Fault] = []
        self.requests: list[Asked] = []
        self.refused_sign_ins = 0
        self.ntlm_challenge: str | None = None  # said instead of the real one
        self.breaks_handshake = False  # an error where the challenge should be
        self.connections = 0
        self.violations: list[str] = []
        self.checked = 0  # documents that were checked against the schema
        self.mailboxes: dict[str, Mailbox] = {}
        self.passwords: dict[str, str] = {}  # by user name, lower case, without domain
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.open_connections: set[ssl.SSLSocket] = set()
        self._context = certificate.server_context()
        self._bindings = _bindings_of(certificate)
        self._schema = schema()
        self._users = Path(tempfile.mkstemp(prefix="ntlm-users-")[1])
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.ews = self
        self.port: int = self._http.server_address[1]

    # Setting up.

    def add_mailbox(self, address: str, *, user: str = "", aliases: tuple[str, ...] = ()) -> Mailbox:
        """A mailbox and the account it belongs to, whose user name is the part before the @ unless given."""
        mailbox = Mailbox(address, aliases=aliases)
        name = (user or address.partition("@")[0]).lower()
        self.add_user(name)
        mailbox.users.add(name)
        mailbox.send_as.add(name)
        self.mailboxes[address.lower()] = mailbox
        return mailbox

    def add_user(self, name: str, password: str = PASSWORD) -> None:
        self.passwords[name.lower()] = password
        lines = [f"{DOMAIN}:{user}:{secret}" for user, secret in self.passwords.items()]
        for user, secret in self.passwords.items():  # a domain controller knows them without a domain, too
            lines += [f":{user}:{secret}", f":{user}@example.com:{secret}"]
        self._users.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def share(self, mailbox: Mailbox, user: str, *, send_as: bool = False) -> None:
        """Full access for somebody else."""
        mailbox.users.add(user.lower())
        if send_as:
            mailbox.send_as.add(user.lower())

    def settings(self, user: str = "help", **changes: Any) -> ServerSettings:
        """What an administrator would enter."""
        values: dict[str, Any] = {
            "protocol": MailProtocol.EXCHANGE,
            "host": "localhost",
            "port": self.port,
            "tls_mode": TlsMode.IMPLICIT,
            "timeout": 10.0,
            "username": f"{DOMAIN}\\{user}",
            "password": PASSWORD,
            "ca_file": str(self.ca_file),
            **changes,
        }
        return ServerSettings(**values)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}{PATH}"

    def operations(self) -> list[str]:
        return [asked.operation for asked in self.requests]

    # Running.

    def start(self) -> None:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
        self._users.unlink()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def drop_connections(self) -> None:
        """End all that are open, as a server does with idle ones."""
        with self.lock:
            for sock in self.open_connections:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def wait_until_idle(self, seconds: float = 5.0) -> None:
        """Until every connection has ended."""
        end = time.monotonic() + seconds
        while self.open_connections and time.monotonic() < end:
            time.sleep(0.02)

    def stop_listening(self) -> None:
        """Nobody can connect any more; what is open stays."""
        self._http.shutdown()
        self._http.socket.close()

    def expect_certificate(self, certificate: ServerCertificate) -> None:
        """Extended protection as if this server had another certificate: somebody stands in between."""
        self._bindings = _bindings_of(certificate)

    # For the handler.

    def secure(self, sock: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(sock, server_side=True)

    def begin_ntlm(self) -> spnego.ContextProxy:
        """A real acceptor. It must see the channel binding of our certificate (extended protection)."""
        os.environ["NTLM_USER_FILE"] = str(self._users)
        return spnego.server(protocol="ntlm", channel_bindings=self._bindings)

    def take_fault(self, operation: str) -> Fault | None:
        with self.lock:
            for one in self.faults:
                if one.operation not in ("", operation):
                    continue
                if one.after_skipping > 0:
                    one.after_skipping -= 1
                    continue
                if one.times is not None:
                    one.times -= 1
                    if one.times <= 0:
                        self.faults.remove(one)
                return one
        return None

    def answer(self, xml: bytes, user: str, mechanism: str, connection: int) -> tuple[str, bytes]:
        """The operation's name, and the answer to it."""
        root = _parse(xml)
        body = root.find("s:Body", NAMES)[0]
        operation = etree.QName(body).localname
        with self.lock:
            self.requests.append(Asked(operation, user, mechanism, connection, xml))
            self._check("request", body)
            for part in root.findall("s:Header/*", NAMES):
                self._check("request header", part)
            answer = Desk(self.mailboxes, self.behaviour, user).answer(body)
            self._check("answer", answer)
        return operation, envelope(answer)

    def _check(self, what: str, element: Any) -> None:
        if self._schema is None:
            return
        self.checked += 1
        document = _parse(etree.tostring(copy.deepcopy(element), with_tail=False))
        if not self._schema.validate(document):
            name = etree.QName(element).localname
            self.violations.append(f"{what} {name}: {self._schema.error_log}")


@functools.cache
def schema() -> etree.XMLSchema | None:
    """Microsoft's, where the folder with it is known."""
    folder = os.environ.get("SERVICEDESK_TEST_SCHEMAS")
    if not folder:
        return None
    return etree.XMLSchema(etree.parse(Path(folder) / "ews-schema" / "messages.xsd"))


def _bindings_of(certificate: ServerCertificate) -> GssChannelBindings:
    """RFC 5929 section 4."""
    der = ssl.PEM_cert_to_DER_cert(
        certificate.chain_file.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    )
    return GssChannelBindings(application_data=b"tls-server-end-point:" + hashlib.sha256(der).digest())


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    ews: EwsServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or a handshake that fails, is the test's own affair."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        with self.ews.lock:
            self.ews.connections += 1
            self.connection_number = self.ews.connections
        self.request.settimeout(30)
        self.request = self.ews.secure(self.request)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.ews.lock:
            self.ews.open_connections.add(self.request)
        self.user, self.mechanism = "", ""
        self.ntlm: spnego.ContextProxy | None = None
        super().setup()

    def finish(self) -> None:
        """The server closes what it accepted; this is another object since TLS began."""
        with contextlib.suppress(OSError):
            super().finish()
        with self.ews.lock:
            self.ews.open_connections.discard(self.request)
        self.request.close()

    @property
    def ews(self) -> EwsServer:
        return self.server.ews

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._reply(200, b"<html>OWA</html>", "text/html")

    def do_POST(self) -> None:
        octets = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.lower() != PATH.lower():
            self._reply(404, b"<html>no such page</html>", "text/html")
        elif self._sign_in():
            self._operate(octets)

    # Signing in: NTLM for the connection, Basic for the request.

    def _sign_in(self) -> bool:
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return bool(self.user) or self._unauthorized()
        if scheme not in self.ews.offers:
            return self._unauthorized()
        try:
            token = base64.b64decode(credentials, validate=True)
        except ValueError:
            return self._unauthorized()
        return self._basic(token) if scheme == "Basic" else self._ntlm(scheme, token)

    def _basic(self, token: bytes) -> bool:
        name, _, password = token.decode().partition(":")
        domain, _, user = name.rpartition("\\")
        known = self.ews.passwords.get(user.partition("@")[0].lower())
        if known is None or known != password or domain.upper() not in ("", DOMAIN):
            return self._wrong()
        self.user, self.mechanism = user.partition("@")[0].lower(), "Basic"
        return True

    def _ntlm(self, scheme: str, token: bytes) -> bool:
        try:
            if self.ews.ntlm_challenge is not None:
                return self._unauthorized(f"{scheme} {self.ews.ntlm_challenge}".strip())
            if self.ews.breaks_handshake:
                self._reply(500, b"<html>broken</html>", "text/html")
                return False
            if self.ntlm is None:
                self.ntlm = self.ews.begin_ntlm()
            answer = self.ntlm.step(token)
        except SpnegoError:
            self.ntlm = None
            return self._wrong()
        if not self.ntlm.complete:
            return self._unauthorized(f"{scheme} {base64.b64encode(answer or b'').decode()}")
        name = (self.ntlm.client_principal or "").rpartition("\\")[2]
        self.user = name.partition("@")[0].lower()
        self.mechanism, self.ntlm = "NTLM", None
        return True

    def _wrong(self) -> bool:
        self.ews.refused_sign_ins += 1
        return self._unauthorized()

    def _unauthorized(self, challenge: str = "") -> bool:
        offered = [challenge] if challenge else [_offer(name) for name in self.ews.offers]
        self.send_response(401)
        for one in offered:
            self.send_header("WWW-Authenticate", one)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    # Operations and what goes wrong with them.

    def _operate(self, octets: bytes) -> None:
        operation = _operation_of(octets)
        spoiled = self.ews.take_fault(operation)
        if spoiled is not None and not spoiled.done and not (spoiled.drip or spoiled.half):
            self._spoil(spoiled, b"")
            if not spoiled.hang or spoiled.status or spoiled.soap_fault or spoiled.cut:
                return
        _, answer = self.ews.answer(octets, self.user, self.mechanism, self.connection_number)
        if spoiled is not None and (spoiled.done or spoiled.drip or spoiled.half):
            self._spoil(spoiled, answer)
        else:
            self._reply(200, answer)

    def _spoil(self, spoiled: Fault, answer: bytes) -> None:
        if spoiled.hang:
            self.ews.stopping.wait(spoiled.hang)
        if spoiled.soap_fault:
            self._reply(500, fault(spoiled.soap_fault, back_off_ms=spoiled.back_off_ms))
        elif spoiled.status:
            self._reply(spoiled.status, spoiled.body, "text/html", spoiled.headers)
        elif spoiled.drip:
            self._drip(answer, spoiled.drip)
        elif spoiled.half:
            length = None if spoiled.unmeasured else len(answer)
            self._head(200, length, "text/xml; charset=utf-8", {})
            self.wfile.write(answer[: len(answer) // 2])
            self._hang_up()
        elif spoiled.cut:
            self._hang_up()
        elif answer:
            self._reply(200, answer)

    def _drip(self, answer: bytes, interval: float) -> None:
        self._head(200, len(answer), "text/xml; charset=utf-8", {})
        with contextlib.suppress(OSError):
            for octet in answer:
                self.wfile.write(bytes([octet]))
                self.wfile.flush()
                if self.ews.stopping.wait(interval):
                    break
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.request, socket.SHUT_RDWR)

    def _reply(
        self,
        status: int,
        octets: bytes,
        kind: str = "text/xml; charset=utf-8",
        headers: dict[str, str] | None = None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._head(status, len(octets), kind, headers or {})
            self.wfile.write(octets)

    def _head(self, status: int, length: int | None, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _offer(name: str) -> str:
    return f'{name} realm="localhost"' if name in ("Basic", "Bearer") else name


def _operation_of(octets: bytes) -> str:
    return str(etree.QName(_parse(octets).find("s:Body", NAMES)[0]).localname)


def _parse(octets: bytes) -> Any:
    return etree.fromstring(octets, etree.XMLParser(resolve_entities=False, huge_tree=True))
