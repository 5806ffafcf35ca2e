"""aiosmtpd as an embedded SMTP server: takes what the desk sends, and nothing leaves this machine.

Mail to the desk's own mailbox arrives there, as it would at a real provider; mail to anybody else ends
in the outside world, a folder of .eml files one can look into.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakSet

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from webapp.mail.address import fold_addr_spec

from .certificate import HOST

KEPT = 500  # messages; older ones make room
LIMIT_OCTETS = 35_000_000


class OutsideWorld:
    """Every message that left the desk, oldest first, as numbered files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        self.count = max((int(path.stem) for path in folder.glob("[0-9]*.eml")), default=0)

    def keep(self, sender: str, recipients: list[str], raw: bytes) -> None:
        """With the envelope on top, as a mail server writes it at delivery (RFC 5321 section 4.4)."""
        self.count += 1
        envelope = "".join(
            f"{name}: {_one_line(value)}\r\n"
            for name, value in [("Return-Path", f"<{sender}>"), *(("Delivered-To", to) for to in recipients)]
        )
        self._path(self.count).write_bytes(envelope.encode("utf-8", "replace") + raw)
        self._path(self.count - KEPT).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.eml"


class SmtpServer:
    """Lives in the loop it was started in. STARTTLS and the account's password are required."""

    def __init__(
        self,
        account: str,
        password: str,
        outside: OutsideWorld,
        deliver: Callable[[bytes, datetime], Awaitable[None]],
    ) -> None:
        self._account, self._password = account, password
        self._outside, self._deliver = outside, deliver
        self._server: asyncio.Server | None = None
        self._sessions: WeakSet[SMTP] = WeakSet()

    async def start(self, context: ssl.SSLContext, port: int) -> int:
        """Listen on this port, or on a free one (0). Returns which; OSError where that fails."""
        loop = asyncio.get_running_loop()

        def answer() -> SMTP:
            session = SMTP(
                self,
                hostname="demo.invalid",  # its own name would be asked of the resolver
                ident="Demonstration SMTP server",
                tls_context=context,
                require_starttls=True,
                auth_required=True,
                authenticator=self._authenticate,
                data_size_limit=LIMIT_OCTETS,
                enable_SMTPUTF8=True,
                loop=loop,
            )
            self._sessions.add(session)
            return session

        self._server = await loop.create_server(answer, HOST, port)
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """aiosmtpd's hook: the whole message is here; after our answer it is ours."""
        raw = envelope.original_content or b""
        ours = fold_addr_spec(self._account)
        outside = [to for to in envelope.rcpt_tos if fold_addr_spec(to) != ours]
        if len(outside) < len(envelope.rcpt_tos):
            await self._deliver(raw, datetime.now(UTC))
        if outside:
            self._outside.keep(envelope.mail_from or "", outside, raw)
        return "250 2.0.0 Accepted; in the demonstration nothing leaves this machine"

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            if isinstance(session.transport, asyncio.Transport):
                session.transport.abort()

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and (
            hmac.compare_digest(data.login, self._account.encode())
            and hmac.compare_digest(data.password, self._password.encode())
        )
        return AuthResult(success=good, handled=False)


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
