"""Signing in to a submission server (RFC 6409, RFC 5321, RFC 4954), one step at a time.

STARTTLS is done when it is chosen, or the connection ends (RFC 3207); what EHLO told before it is
forgotten, and no password travels before it.
"""

from __future__ import annotations

import base64
import ipaddress
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .base import ServerSettings, TlsMode
from .errors import (
    AuthenticationFailed,
    AuthenticationNotOffered,
    ConnectionFailed,
    MailServerError,
    ServerBusy,
    Stage,
    StartTlsNotOffered,
    UnexpectedServer,
)
from .line import Line
from .session import Session
from .words import check_speaks, said

_GOODBYE_SECONDS = 2.0


class Reply(Exception):
    """A reply that was not the one hoped for."""

    def __init__(self, code: int, words: bytes) -> None:
        super().__init__(f"the server answered {code}")
        self.code = code
        self.words = words


class Client(smtplib.SMTP):
    """smtplib on a Line. Never with set_debuglevel: that prints the password."""

    def __init__(self, line: Line, local_address: str) -> None:
        # A name of our own would be looked up in DNS first; the address will do (RFC 5321 section 4.1.3).
        super().__init__(local_hostname=_address_literal(local_address))
        self._host = line.host
        self.sock: Any = line

    def ask(self, command: str, arguments: str = "", *, hoped_for: tuple[int, ...] = (250,)) -> bytes:
        """Send a command; the words of the reply. Raises Reply for any other code."""
        return self.hear(self.docmd(command, arguments), hoped_for)

    def hear(self, reply: tuple[int, bytes], hoped_for: tuple[int, ...]) -> bytes:
        code, words = reply
        if code not in hoped_for:
            raise Reply(code, words)
        return words

    def introduce(self) -> None:
        """EHLO, and HELO for a server that knows nothing newer."""
        code, _ = self.ehlo()
        if code != 250:
            self.hear(self.helo(), (250,))

    def forget(self) -> None:
        """Forget what was told before TLS (RFC 3207 section 4.2)."""
        self.esmtp_features = {}
        self.does_esmtp = False
        self.ehlo_resp = self.helo_resp = None


class SmtpSession(Session):
    """One SMTP connection. After `begin` the server is ready for MAIL."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        super().__init__(settings, ends_at=ends_at)
        self._client: Client | None = None
        self._greeting = ""

    def abilities(self) -> str:
        return said(", ".join(f"{name} {value}".strip().upper() for name, value in self.extensions.items()))

    @property
    def extensions(self) -> dict[str, str]:
        """What EHLO offered, lower case, with the parameters."""
        return dict(self._client.esmtp_features) if self._client else {}

    def greet(self) -> str:
        if self._client is None:
            self._hear_greeting()
        elif self.settings.tls_mode is TlsMode.STARTTLS:
            with self.step(Stage.GREETING) as client:
                client.introduce()
        return self._greeting

    def sign_in(self) -> str:
        if not self.settings.requires_auth:
            return ""
        with self.step(Stage.SIGN_IN) as client:
            return self._sign_in(client)

    @contextmanager
    def step(self, stage: Stage, *, seconds: float | None = None) -> Iterator[Client]:
        """One or more commands under one deadline; see Line.step."""
        if self._client is None or not self.line.healthy:
            raise ConnectionFailed("the transport is not open", stage=stage)
        with self.line.step(stage, self._translate, seconds=seconds):
            yield self._client

    def close(self) -> None:
        if self._client is not None and self.line.healthy:
            with suppress(MailServerError), self.step(Stage.SEND, seconds=_GOODBYE_SECONDS) as client:
                client.docmd("QUIT")
        self._client = None
        self.line.close()

    def refusal(self, reply: Reply, stage: Stage, refused: type[MailServerError]) -> MailServerError:
        """4yz: come back later; anything else is `refused` (RFC 5321 section 4.2.1)."""
        words = self.words_of(reply)
        failure = ServerBusy if 400 <= reply.code < 500 else refused
        if reply.code < 200:
            failure = UnexpectedServer
        return failure(
            f"the server answered {words}", stage=stage, server_said=words, reply_code=max(reply.code, 0)
        )

    def _ask_for_tls(self) -> None:
        self._hear_greeting()
        with self.step(Stage.TLS) as client:
            if not client.has_extn("starttls"):
                raise StartTlsNotOffered("no STARTTLS after EHLO", stage=Stage.TLS)
            client.ask("STARTTLS", hoped_for=(220,))
            client.forget()

    def _hear_greeting(self) -> None:
        """The greeting and EHLO."""
        with self.line.step(Stage.GREETING, self._translate):
            self._client = client = Client(self.line, self.line.local_address)
            code, words = client.getreply()
            check_speaks("SMTP", self.line.heard, Stage.GREETING)
            self._greeting = said(client.hear((code, words), (220,)))
            client.introduce()

    def _sign_in(self, client: Client) -> str:
        offered = client.esmtp_features.get("auth", "").upper().split()
        if not offered:
            raise AuthenticationNotOffered("no AUTH after EHLO", stage=Stage.SIGN_IN)
        user, password = self.settings.username, self.settings.password
        if "PLAIN" in offered:
            client.ask("AUTH", f"PLAIN {_encoded(self._plain_response())}", hoped_for=(235,))
            return "PLAIN"
        if "LOGIN" in offered:
            client.ask("AUTH", "LOGIN", hoped_for=(334,))
            client.ask(_encoded(user), hoped_for=(334,))
            client.ask(_encoded(password), hoped_for=(235,))
            return "LOGIN"
        raise AuthenticationFailed(f"none of {', '.join(offered)} takes a password", stage=Stage.SIGN_IN)

    def _plain_response(self) -> str:
        return f"\0{self.settings.username}\0{self.settings.password}"

    def _translate(self, exc: Exception, stage: Stage) -> MailServerError | None:
        if isinstance(exc, Reply):
            return self.refusal(exc, stage, _REFUSALS.get(stage, UnexpectedServer))
        if isinstance(exc, smtplib.SMTPServerDisconnected):
            errno = getattr(exc.__context__, "errno", 0) or 0
            return ConnectionFailed("the connection ended", stage=stage, errno=errno)
        if isinstance(exc, smtplib.SMTPException):
            return UnexpectedServer("what the server answers is not SMTP", stage=stage)
        return None

    def words_of(self, reply: Reply) -> str:
        """Code and words of a reply, fit to be shown."""
        password = self.settings.password
        secrets = (password, _encoded(password), _encoded(self._plain_response()))
        code = b"%d " % reply.code if reply.code > 0 else b""
        return said(code + reply.words, *secrets)


_REFUSALS: dict[Stage, type[MailServerError]] = {
    Stage.TLS: StartTlsNotOffered,
    Stage.SIGN_IN: AuthenticationFailed,
}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _address_literal(address: str) -> str:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"
