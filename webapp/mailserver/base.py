"""The contracts every mail server adapter keeps: `Mailbox` to receive, `Transport` to send.

An adapter takes a frozen `ServerSettings`, built from a stored row or from an unsaved form; it knows
neither Flask nor the database. A message crosses this seam as raw RFC 5322 octets plus the transport
headers the server kept beside them (Exchange rebuilds the MIME it hands out, so both are looked at).
Every call ends within a deadline of its own, whatever the server does; every failure is a
`MailServerError`. After a failure the adapter is closed and is not used again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self, runtime_checkable


class TlsMode(enum.StrEnum):
    """How a connection is protected (RFC 8314)."""

    IMPLICIT = "implicit"
    STARTTLS = "starttls"
    NONE = "none"


class MailProtocol(enum.StrEnum):
    """What a row speaks to its server."""

    IMAP = "imap"
    SMTP = "smtp"
    EXCHANGE = "exchange"  # EWS of an Exchange of one's own (2016, 2019, SE)
    OFFICE365 = "office365"  # Microsoft Graph v1.0


class TokenSource(Protocol):
    """Where Office365 gets its access tokens from; safe to use from several threads."""

    def access_token(self, *, refused: str = "", claims_challenge: str = "") -> str:
        """A token that is good for five minutes at least.

        `refused` is the token the server did not take (401): another one is fetched then, once for all who
        ask; `claims_challenge` is what its WWW-Authenticate asked for. Raises SignInNeeded, AppMisconfigured,
        or a ConnectionFailed / ServerTimeout / ServerBusy of the stage TOKEN.
        """


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
    ews_url: str = ""  # Exchange: the whole EWS address; empty: https://host:port/EWS/Exchange.asmx
    # Exchange, Office365: the mailbox's address where it is not that of the account (a shared mailbox).
    mailbox: str = ""
    graph_base: str = ""  # Office365: https://graph.microsoft.com/v1.0, or a test's
    app: str = ""  # Office365: which app registration, for people and to tell two tests apart
    tokens: TokenSource | None = field(default=None, repr=False, compare=False)  # Office365
    # A mailbox that is polled, not one that mail is sent from. Only Exchange and Office365 do either.
    receives: bool = True

    def __post_init__(self) -> None:
        if self.protocol in (MailProtocol.IMAP, MailProtocol.SMTP):
            object.__setattr__(self, "receives", self.protocol is MailProtocol.IMAP)


@dataclass(frozen=True, slots=True)
class InboxState:
    """What opening the inbox told. `epoch` changes when remote keys lose their meaning (UIDVALIDITY).

    `unread` is None where the server did not tell. With `keys_are_for_ever` a key is never given to another
    message, whatever folder it is in (Graph's immutable id, Exchange's search key): a known key in the inbox
    is that same message, put back by somebody.
    """

    epoch: str
    total: int
    unread: int | None = None
    keys_are_for_ever: bool = False


# For a message whose time of receipt cannot be read: always the same, so that the message is recognised
# from run to run, and after any cut-off, so that it is rather processed than silently left.
UNKNOWN_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RemoteMessage:
    """One message in the inbox, not fetched yet. `key` is stable within the epoch (IMAP: the UID)."""

    key: str
    size: int  # octets as the server estimates them (RFC822.SIZE): budgets batches, proves nothing
    received_at: datetime  # INTERNALDATE / receivedDateTime, aware, UTC; else UNKNOWN_TIME


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
    """What became of each key of a move: in the folder now, or gone from the inbox before we came.

    In neither: still in the inbox. A server that does not say what it moved (IMAP without COPYUID) lets a
    message that others removed at that very moment, together with ours, be taken for moved.
    """

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

    def list_read(self, *, since: datetime) -> Sequence[str]:
        """Keys of the messages marked as read (\\Seen) and received since then, oldest first.

        May include messages up to a day older, as `list_unread` may.
        """

    def look_up(self, keys: Collection[str]) -> list[RemoteMessage]:
        """Size and time of receipt of each message that is still there, in the order given."""

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        """The complete messages, unread state untouched (BODY.PEEK[]); vanished ones are left out."""

    def fetch_headers(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        """Only the header octets of each message (BODY.PEEK[HEADER]); vanished ones are left out."""

    def still_in_inbox(self, keys: Collection[str]) -> frozenset[str]:
        """Those of `keys` that are in the inbox now, read or not."""

    def mark_read(self, keys: Collection[str]) -> None:
        """Set \\Seen on those that are still there."""

    def move(self, keys: Collection[str], folder: str) -> MoveResult:
        """Move to `folder`, which is created once if the server says it is missing ([TRYCREATE])."""

    def wait_for_news(self, seconds: float, *, stop: Callable[[], bool]) -> bool:
        """Wait until the inbox may have something new: True at once when it may, also without waiting.

        News is what came since `open`, or since the last time this returned True; what was there before
        is not, so the inbox is looked through once after opening. False after `seconds` (at most 28
        minutes: servers end a session after 30, RFC 2177) or within half a second of `stop()` saying so.
        The session can be used afterwards. Raises IdleNotSupported where the server cannot do this.
        """

    def list_folder(self, folder: str, *, since: datetime | None = None) -> Sequence[str]:
        """Keys of all messages of another folder, oldest first, which is opened read-only (EXAMINE).

        From now on `look_up` and `fetch_headers` are about that folder; the inbox takes a new session. May
        include messages up to a day older than `since`, as `list_unread` may.
        """

    def abort(self) -> None:
        """Cut the connection, from any thread: whatever waits for the server fails at once. Never raises."""

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


@runtime_checkable
class SaysSize(Protocol):
    """A transport whose server says how large a message may be."""

    @property
    def largest_octets(self) -> int | None:
        """After `open`: the octets of the largest message it takes; None where it names no limit."""


class Transport(Protocol):
    """What submits an outgoing message (RFC 6409)."""

    def open(self) -> None:
        """Connect, secure the connection, sign in where the settings ask for it."""

    def check_sender(self, addr_spec: str) -> None:
        """Ask whether this account may send as `addr_spec` without sending anything (MAIL, RSET)."""

    def send(
        self,
        raw: bytes,
        *,
        sender: str,
        recipients: Sequence[str],
        before_final_dot: Callable[[frozenset[str]], None] | None = None,
    ) -> SendResult:
        """Submit one message with this envelope; raises only when no recipient was accepted.

        A server that has no envelopes is handed one message for those it names and one more for each other
        recipient; where a later one fails, the error tells in `delivered` who has got theirs.
        `before_final_dot` is called with those that were, when all but the octets that commit the message
        have gone out (RFC 5321 section 4.1.1.4). What it raises ends the connection: nothing is sent then.
        """

    def abort(self) -> None:
        """Cut the connection, from any thread: whatever waits for the server fails at once. Never raises."""

    def close(self) -> None:
        """End the session; never raises."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
