"""Signing in to an IMAP server (RFC 3501, RFC 9051), one step at a time.

STARTTLS is done when it is chosen, or the connection ends; nothing that was said before it is believed
afterwards, and no password travels before it.
"""

from __future__ import annotations

import base64
import imaplib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from .base import ServerSettings, TlsMode
from .errors import (
    AuthenticationFailed,
    AuthenticationNotOffered,
    ConnectionFailed,
    FolderRefused,
    MailServerError,
    PasswordsNotAccepted,
    QuotaExceeded,
    ServerBusy,
    Stage,
    StartTlsNotOffered,
    UnexpectedServer,
)
from .imap_wire import Client, CommandRefused, Goodbye, SendFailed
from .providers import MICROSOFT_IMAP
from .session import Session
from .words import said

COME_BACK = {"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"}
_GOODBYE_SECONDS = 2.0
_CODE = re.compile(rb"\[[^\]]*\]")  # [CAPABILITY ...] in the greeting


class ImapSession(Session):
    """One IMAP connection. After `begin` the server is ready for SELECT."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        super().__init__(settings, ends_at=ends_at)
        self._client: Client | None = None
        self.capabilities: frozenset[str] = frozenset()

    def check_settings(self) -> None:
        host = self.settings.host.strip().rstrip(".").lower()
        if host in MICROSOFT_IMAP:
            raise PasswordsNotAccepted(f"{host} takes no passwords", stage=Stage.SIGN_IN)
        super().check_settings()

    def greet(self) -> str:
        if self._client is None:
            self._hear_greeting()
        with self.step(Stage.GREETING) as client:
            self.capabilities = client.ask_capabilities()
            return said(_CODE.sub(b"", client.wire.welcome.removeprefix(b"* OK"), count=1))

    def abilities(self) -> str:
        return said(" ".join(sorted(self.capabilities)))

    def sign_in(self) -> str:
        with self.step(Stage.SIGN_IN) as client:
            mechanism = self._sign_in(client)
            client.wire.state = "AUTH"
            self.capabilities = client.ask_capabilities()
            return mechanism

    @contextmanager
    def step(self, stage: Stage, *, seconds: float | None = None) -> Iterator[Client]:
        """One or more commands under one deadline; see Line.step."""
        if self._client is None or not self.line.healthy:
            raise ConnectionFailed("the mailbox is not open", stage=stage)
        client = self._client
        client.wire.forget()
        with self.line.step(stage, self._translate, seconds=seconds):
            yield client

    def wait(self, stage: Stage, seconds: float, *, stop: Callable[[], bool]) -> bool:
        """Whether the server said something within this time; its silence is no failure here."""
        with self.step(stage, seconds=seconds + self.settings.timeout):
            return self.line.wait(seconds, stop=stop)

    def close(self) -> None:
        if self._client is not None and self.line.healthy:
            with (
                suppress(MailServerError),
                self.line.step(Stage.SIGN_IN, self._translate, seconds=_GOODBYE_SECONDS),
            ):
                self._client.wire.logout()
        self._client = None
        self.line.close()

    def _ask_for_tls(self) -> None:
        self._hear_greeting()
        with self.step(Stage.TLS) as client:
            wire = client.wire
            if "STARTTLS" not in wire.capabilities:
                raise StartTlsNotOffered("no STARTTLS in CAPABILITY", stage=Stage.TLS)
            wire._simple_command("STARTTLS")
            wire.forget()
            wire.capabilities = ()

    def _hear_greeting(self) -> None:
        with self.line.step(Stage.GREETING, self._translate):
            self._client = Client(self.line)
            if self._client.wire.state == "AUTH":
                self._refuse_preauth()

    def _refuse_preauth(self) -> None:
        """Nobody asked whose mailbox this would be, and STARTTLS is not possible any more."""
        text = "the server signed us in before it was asked to (PREAUTH)"
        failure = StartTlsNotOffered if self.settings.tls_mode is TlsMode.STARTTLS else UnexpectedServer
        raise failure(text, stage=Stage.GREETING)

    def _sign_in(self, client: Client) -> str:
        """PLAIN (RFC 4616) where it is offered, else LOGIN."""
        if "AUTH=PLAIN" in self.capabilities:
            self._authenticate_plain(client)
            return "PLAIN"
        if "LOGINDISABLED" in self.capabilities:
            raise AuthenticationNotOffered("the server takes no password here", stage=Stage.SIGN_IN)
        user, password = self.settings.username, self.settings.password
        if user.isascii() and password.isascii():
            client.wire._simple_command("LOGIN", _quoted(user), _quoted(password))
        else:
            client.wire.login_with_literals(user.encode(), password.encode())
        return "LOGIN"

    def _authenticate_plain(self, client: Client) -> None:
        """With SASL-IR (RFC 4959) the response goes along with the command and spares a round trip."""
        if "SASL-IR" in self.capabilities:
            response = base64.b64encode(self._plain_response()).decode("ascii")
            client.wire._simple_command("AUTHENTICATE", "PLAIN", response)
        else:
            client.wire.authenticate("PLAIN", lambda challenge: self._plain_response())

    def _plain_response(self) -> bytes:
        return f"\0{self.settings.username}\0{self.settings.password}".encode()

    def _translate(self, exc: Exception, stage: Stage) -> MailServerError | None:
        if isinstance(exc, CommandRefused):
            return self._refusal(exc, stage)
        if isinstance(exc, Goodbye):
            failure = ServerBusy if exc.code in COME_BACK else ConnectionFailed
            words = self._said(exc.words)
            return failure(f"the server closed the connection: {words}", stage=stage, server_said=words)
        if isinstance(exc, SendFailed):
            return ConnectionFailed(str(exc), stage=stage, errno=exc.errno)
        if isinstance(exc, imaplib.IMAP4.readonly):
            return FolderRefused("the inbox cannot be changed by this account", stage=stage)
        if isinstance(exc, imaplib.IMAP4.error):
            return UnexpectedServer("what the server answers is not IMAP", stage=stage)
        return None

    def _refusal(self, refused: CommandRefused, stage: Stage) -> MailServerError:
        words = self._said(refused.words)
        failure: type[MailServerError] = _REFUSALS.get(stage, UnexpectedServer)
        if refused.code in COME_BACK:
            failure = ServerBusy
        elif refused.code == "OVERQUOTA":
            failure = QuotaExceeded
        elif stage is Stage.FETCH and refused.status == "NO":
            failure = ServerBusy  # a message that cannot be read just now
        return failure(f"the server answered {refused.status}: {words}", stage=stage, server_said=words)

    def _said(self, words: bytes) -> str:
        sasl = base64.b64encode(self._plain_response()).decode("ascii")
        return said(words, self.settings.password, sasl)


_REFUSALS: dict[Stage, type[MailServerError]] = {
    Stage.TLS: StartTlsNotOffered,
    Stage.SIGN_IN: AuthenticationFailed,
    Stage.INBOX: FolderRefused,
    Stage.MOVE: FolderRefused,
    Stage.ARCHIVE: FolderRefused,
}


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
