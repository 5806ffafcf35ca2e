"""A real SMTP server (aiosmtpd) on a free loopback port that keeps what it was sent."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.rig.dovecot import PASSWORD
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode

T = TypeVar("T")
USER = "desk@example.com"


@dataclass(slots=True)
class Received:
    """One message with its envelope."""

    raw: bytes = field(repr=False)
    sender: str
    recipients: list[str]
    options: list[str]


class SmtpServer:
    """Signs in USER with PASSWORD over TLS only; `refuse` maps recipients to replies."""

    def __init__(
        self,
        certificate: ssl.SSLContext,
        ca_file: str,
        *,
        tls_mode: TlsMode = TlsMode.STARTTLS,
        requires_auth: bool = True,
    ) -> None:
        self.messages: list[Received] = []
        self.refuse: dict[str, str] = {}
        self.refuse_senders: dict[str, str] = {}
        self.refuse_data = ""
        self.tls_mode = tls_mode
        self._ca_file = ca_file
        self._requires_auth = requires_auth
        self._certificate = certificate
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def start(self) -> None:
        self._thread.start()
        self._server = self._run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def settings(self, **changes: Any) -> ServerSettings:
        """What an administrator would enter for this server."""
        values: Mapping[str, Any] = {
            "protocol": MailProtocol.SMTP,
            "host": "localhost",
            "port": self.port,
            "tls_mode": self.tls_mode,
            "timeout": 10.0,
            "username": USER,
            "password": PASSWORD,
            "requires_auth": self._requires_auth,
            "from_address": USER,
            "ca_file": self._ca_file,
            **changes,
        }
        return ServerSettings(**values)

    # What aiosmtpd calls.

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self._requires_auth and not session.authenticated:
            return "530 5.7.0 Authentication required"
        if address in self.refuse_senders:
            return self.refuse_senders[address]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuse_data:
            return self.refuse_data
        self.messages.append(
            Received(envelope.original_content, envelope.mail_from, envelope.rcpt_tos, envelope.mail_options)
        )
        return "250 2.0.0 taken"

    # Running.

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        implicit = self._certificate if self.tls_mode is TlsMode.IMPLICIT else None
        return await self._loop.create_server(self._protocol, "127.0.0.1", 0, ssl=implicit)

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _protocol(self) -> SMTP:
        starttls = self.tls_mode is TlsMode.STARTTLS
        return SMTP(
            self,
            hostname="rig",
            loop=self._loop,
            tls_context=self._certificate if starttls else None,
            require_starttls=starttls,
            # Whether a sender has signed in is asked in handle_MAIL: aiosmtpd does not count TLS from the
            # start as TLS.
            authenticator=_authenticate if self._requires_auth else None,
            auth_require_tls=starttls,
            enable_SMTPUTF8=True,
            data_size_limit=2_000_000,
        )


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    right = data.login == USER.encode() and data.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False)
