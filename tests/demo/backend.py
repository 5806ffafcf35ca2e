"""The embedded IMAP server as the adapter's contract wants it: the server's side, done on its own data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pymap.backend.dict.mailbox import MailboxData
from pymap.flags import FlagOp
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import FetchRequirement
from pymap.parsing.specials.flag import Seen

from webapp.demo.certificate import make_server_context
from webapp.demo.servers import MailServers
from webapp.demo.smtp_server import OutsideWorld
from webapp.mailserver.base import Mailbox, MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.connect import open_mailbox

ACCOUNT, PASSWORD = "support@desk.example", "a password with spaces äöü"


def start_servers(folder: Path, *, imap_port: int = 0) -> tuple[MailServers, Path]:
    """Running servers and the CA file to believe them by."""
    ca_file = folder / "ca.pem"
    servers = MailServers(ACCOUNT, PASSWORD, OutsideWorld(folder / "sent"))
    return servers.start(make_server_context(ca_file, None), imap_port=imap_port), ca_file


@dataclass(frozen=True, slots=True)
class Stored:
    raw: bytes
    seen: bool
    received_at: datetime


@dataclass(frozen=True, slots=True)
class DemoBackend:
    servers: MailServers
    ca_file: Path

    def settings(self, protocol: MailProtocol = MailProtocol.IMAP) -> ServerSettings:
        imap = protocol is MailProtocol.IMAP
        return ServerSettings(
            protocol=protocol,
            host="127.0.0.1",
            port=self.servers.imap_port if imap else self.servers.smtp_port,
            tls_mode=TlsMode.IMPLICIT if imap else TlsMode.STARTTLS,
            timeout=10.0,
            username=ACCOUNT,
            password=PASSWORD,
            from_address=ACCOUNT,
            ca_file=str(self.ca_file),
        )

    def open_mailbox(self) -> Mailbox:
        return open_mailbox(self.settings())

    def deliver(self, raw: bytes, *, received_at: datetime | None = None, seen: bool = False) -> str:
        when = (received_at or datetime.now(UTC)).replace(microsecond=0)
        return self.servers.call(self._append(raw, when, seen))

    def expunge(self, key: str) -> None:
        self.servers.call(self._expunge(int(key)))

    def take_away(self, key: str, folder: str) -> None:
        self.servers.call(self._take_away(int(key), folder))

    def mark_seen(self, key: str) -> None:
        self.servers.call(self._mark_seen(int(key)))

    def create(self, folder: str) -> None:
        self.servers.call(self._create(folder))

    def contents(self, folder: str = "INBOX") -> Sequence[Stored]:
        return self.servers.call(self._contents(folder))

    def folders(self) -> set[str]:
        return set(self.servers.call(self.servers.imap.folder_names()))

    async def _append(self, raw: bytes, when: datetime, seen: bool) -> str:
        inbox = await self._folder("INBOX")
        flags = frozenset({Seen} if seen else ())
        return str((await inbox.append(AppendMessage(raw, when, flags))).uid)

    async def _expunge(self, uid: int) -> None:
        await (await self._folder("INBOX")).delete([uid])

    async def _take_away(self, uid: int, folder: str) -> None:
        await (await self._folder("INBOX")).move(uid, await self._folder(folder))

    async def _mark_seen(self, uid: int) -> None:
        inbox = await self._folder("INBOX")
        found = [message async for message in inbox.messages() if message.uid == uid]
        await inbox.update(uid, found[0], frozenset({Seen}), FlagOp.ADD)

    async def _create(self, folder: str) -> None:
        async with self.servers.imap._login.demo_user_identity.new_session() as session:
            await session.mailbox_set.add_mailbox(folder)

    async def _contents(self, folder: str) -> list[Stored]:
        found = []
        async for message in (await self._folder(folder)).messages():
            loaded = await message.load_content(FetchRequirement.CONTENT)
            raw = bytes(loaded.get_body(binary=True))
            found.append(Stored(raw, Seen in message.permanent_flags, message.internal_date))
        return found

    async def _folder(self, name: str) -> MailboxData:
        return await self.servers.imap.folder(name)
