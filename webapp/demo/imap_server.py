"""pymap as an embedded IMAP server: one account, kept in memory, on a loopback port.

It has MOVE, IDLE and UIDPLUS and no NAMESPACE. A new start is a new mailbox with a new UIDVALIDITY and
nothing in it: the ledger meets such a mailbox as it would meet one that a provider has rebuilt.
"""

from __future__ import annotations

import asyncio
import hmac
import ssl
from argparse import Namespace
from datetime import datetime
from typing import Any

from proxyprotocol.sock import SocketInfoLocal
from pymap.backend.dict import Config, Login
from pymap.backend.dict.mailbox import MailboxData
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.user import UserMetadata
from pysasl.hashing import HashInterface

from .certificate import HOST


class ImapServer:
    """Lives in the loop it was started in."""

    def __init__(self, account: str, password: str) -> None:
        self.account = account
        self._config = _config(account, password)
        self._login = Login(self._config)
        self._login.users_dict[account] = UserMetadata(self._config, account, password=password)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, context: ssl.SSLContext, port: int) -> int:
        """Listen on this port, or on a free one (0). Returns which; OSError where that fails."""
        answer = IMAPServer(self._login, self._config)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections[task] = writer
            try:
                await answer(reader, writer, SocketInfoLocal(writer))
            finally:
                del self._connections[task]

        self._server = await asyncio.start_server(connected, HOST, port, ssl=context)
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    async def deliver(self, raw: bytes, received_at: datetime) -> None:
        """A message arrives: unread, with this INTERNALDATE. Whoever waits with IDLE is told."""
        inbox = await self.folder("INBOX")
        await inbox.append(AppendMessage(raw, received_at.replace(microsecond=0)), recent=True)

    async def folder(self, name: str) -> MailboxData:
        """Raises KeyError for one that does not exist."""
        async with self._login.demo_user_identity.new_session() as session:
            return await session.mailbox_set.get_mailbox(name)

    async def folder_names(self) -> list[str]:
        async with self._login.demo_user_identity.new_session() as session:
            tree = await session.mailbox_set.list_mailboxes()
            return [entry.name for entry in tree.list()]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        open_ones = dict(self._connections)
        for connection in open_ones:
            connection.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)  # says BYE
        for writer in open_ones.values():
            writer.transport.abort()  # TLS would wait half a minute for the other side's goodbye


class _DemoConfig(Config):
    @property
    def greeting(self) -> bytes:
        """pymap asks the resolver for its own name at every connection; here there may be no network."""
        return b"Demonstration mailbox ready."


class _Unhashed(HashInterface):
    """The password is random and nobody's: hashing it slowly would protect nothing and cost a quarter of a
    second of CPU at every poll. (pysasl's own Cleartext fails on letters outside ASCII.)
    """

    def copy(self, **kwargs: Any) -> _Unhashed:
        return self

    def hash(self, secret: str) -> str:
        return secret

    def verify(self, secret: str, hash: str) -> bool:
        return hmac.compare_digest(secret.encode(), hash.encode())


def _config(account: str, password: str) -> Config:
    """TLS is on from the first octet, so signing in needs no STARTTLS (`tls_enabled`)."""
    args = Namespace(passlib_cfg=None, proxy_protocol=None)
    return _DemoConfig(
        args,
        host=HOST,
        port=0,
        tls_enabled=False,
        hash_context=_Unhashed(),
        cpu_subsystem=Subsystem.for_asyncio(),  # no threads for what costs nothing
        max_append_len=50_000_000,
        demo_data=False,
        demo_user=account,
        demo_password=password,
    )
