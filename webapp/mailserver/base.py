"""The contracts every mail server adapter keeps: `Mailbox` to receive, `Transport` to send.

An adapter takes a frozen `ServerSettings`, built from a stored row or from an unsaved form; it knows
neither Flask nor the database. A message crosses this seam as raw RFC 5322 octets plus the transport
headers the server kept beside them (Exchange rebuilds the MIME it hands out, so both are looked at).
Every call ends within a deadline of its own, whatever the server does; every failure is a
`MailServerError`. After a failure the adapter is closed and is not used again.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self


class TlsMode(enum.StrEnum):
    """How a connection is protected (RFC 8314)."""

    IMPLICIT = "implicit"
    STARTTLS = "starttls"
    NONE = "none"


class MailProtocol(enum.StrEnum):
    """What a row speaks to its server. Exchange and Office365 join here."""

    IMAP = "imap"
    SMTP = "smtp"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Everything an adapter needs. `timeout` is in seconds: how long to wait for the server each time."""

    protocol: MailProtocol
    host: str
    port: int
    tls_mode: TlsMode
    timeout: float
    username: str = ""
    password: str = field(default="", repr=False)
    requires_auth: bool = True
    from_address: str = ""
    archive_folder: str = ""  # empty: the server's \Archive folder, else "Archive"
    ca_file: str | None = None  # PEM bundle trusted instead of the system's


@dataclass(frozen=True, slots=True)
class InboxState:
    """What opening the inbox told. `epoch` changes when remote keys lose their meaning (UIDVALIDITY).

    `unread` is None where the server did not tell.
    """

    epoch: str
    total: int
    unread: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteMessage:
    """One message in the inbox, not fetched yet. `key` is stable within the epoch (IMAP: the UID)."""

    key: str
    size: int  # octets as the server estimates them (RFC822.SIZE): budgets batches, proves nothing
    received_at: datetime  # INTERNALDATE / receivedDateTime, aware, UTC


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    """The complete octets of one message (or of its header, where so asked)."""

    key: str
    raw: bytes = field(repr=False)
    transport_headers: tuple[tuple[str, str], ...] = ()  # as the server received them, beside the MIME


@dataclass(frozen=True, slots=True)
class ArchiveFolder:
    """Where processed mail goes: the full name on the server, and whether it is there already."""

    path: str
    exists: bool


@dataclass(frozen=True, slots=True)
class MoveResult:
    """What became of each key of a move: in the folder now, or gone before we came."""

    moved: frozenset[str]
    vanished: frozenset[str]


class Mailbox(Protocol):
    """The message store that is polled. Calls come in the order of the methods below."""

    def open(self, *, read_only: bool = False) -> InboxState:
        """Connect, sign in, check that messages can be moved (RFC 6851), open the inbox.

        `read_only` opens it without the right to change anything (EXAMINE) and skips the MOVE check.
        """

    def find_archive(self) -> ArchiveFolder:
        """Where the archive is or would be made: its full name with the server's prefix and delimiter."""

    def find_subfolder(self, parent: str, name: str) -> ArchiveFolder:
        """`name` below `parent`; where the server allows no children there, `parent` itself."""

    def create_folder(self, path: str) -> None:
        """Create and subscribe a folder; one that is there already is fine."""

    def list_unread(self, *, since: datetime | None = None) -> Sequence[str]:
        """Keys of the unread messages, oldest first; with `since` at least those received after it.

        May include messages up to a day older than `since` (IMAP SINCE has day precision).
        """

    def look_up(self, keys: Collection[str]) -> list[RemoteMessage]:
        """Size and time of receipt of each message that is still there, in the order given."""

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        """The complete messages, unread state untouched (BODY.PEEK[]); vanished ones are left out."""

    def fetch_header(self, key: str) -> FetchedMessage | None:
        """Only the header of one message, for one too large to take in."""

    def still_in_inbox(self, keys: Collection[str]) -> frozenset[str]:
        """Those of `keys` that are in the inbox now, read or not."""

    def mark_read(self, keys: Collection[str]) -> None:
        """Set \\Seen on those that are still there."""

    def move(self, keys: Collection[str], folder: str) -> MoveResult:
        """Move to `folder`, which is created once if the server says it is missing ([TRYCREATE])."""

    def close(self) -> None:
        """End the session; never raises."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class SendResult:
    """What the server answered for each recipient of one message."""

    accepted: frozenset[str]
    refused: dict[str, str]  # recipient -> the server's own words


class Transport(Protocol):
    """What submits an outgoing message (RFC 6409)."""

    def open(self) -> None:
        """Connect, secure the connection, sign in where the settings ask for it."""

    def check_sender(self, addr_spec: str) -> None:
        """Ask whether this account may send as `addr_spec` without sending anything (MAIL, RSET)."""

    def send(self, raw: bytes, *, sender: str, recipients: Sequence[str]) -> SendResult:
        """Submit one message with this envelope; raises only when no recipient was accepted."""

    def close(self) -> None:
        """End the session; never raises."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
