"""A mailbox and a transport in memory: strict stand-ins that keep the same contract tests as the real ones.

`MemoryServer` is the server's side, seen by every `MemoryMailbox` on it and changed by tests between the
calls; its knobs break what real servers break.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import NoReturn, Self

from .base import ArchiveFolder, FetchedMessage, InboxState, MoveResult, RemoteMessage, SendResult
from .errors import (
    ConnectionFailed,
    FolderRefused,
    IdleNotSupported,
    MailServerError,
    MoveNotSupported,
    QuotaExceeded,
    RecipientsRefused,
    SenderRefused,
    Stage,
)

_LOOK_EVERY = 0.01


@dataclass(slots=True)
class StoredMessage:
    """A message as the server keeps it. MOVE keeps the time of receipt and gives a new UID."""

    uid: int
    raw: bytes = field(repr=False)
    received_at: datetime
    seen: bool = False
    transport_headers: tuple[tuple[str, str], ...] = ()
    misjudged: int = 0  # octets that RFC822.SIZE is wrong by


@dataclass(slots=True)
class MemoryServer:
    """The server's side: folders by name, and what to do wrong."""

    folders: dict[str, list[StoredMessage]] = field(default_factory=lambda: {"INBOX": []})
    uid_validity: int = 1
    delimiter: str = "/"
    archive_name: str = "Archive"
    can_move: bool = True
    can_idle: bool = True
    keys_are_for_ever: bool = False  # a message keeps its key wherever it is moved to
    children_allowed: bool = True
    has_quota: bool = False  # every folder but the inbox is full
    lose_reply_of: set[str] = field(default_factory=set)  # "move": it is done, then the connection ends
    fail_on: dict[str, MailServerError] = field(default_factory=dict)  # method -> what it raises instead
    commands: list[str] = field(default_factory=list)  # methods called, in order
    _last_uid: int = 0

    def deliver(
        self,
        raw: bytes,
        *,
        received_at: datetime | None = None,
        seen: bool = False,
        folder: str = "INBOX",
        transport_headers: tuple[tuple[str, str], ...] = (),
    ) -> str:
        """A new message; its key."""
        uid = self._next_uid()
        at = (received_at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
        self.folders.setdefault(folder, []).append(StoredMessage(uid, raw, at, seen, transport_headers))
        return str(uid)

    def expunge(self, key: str) -> None:
        """Somebody else deletes a message from the inbox."""
        self.folders["INBOX"] = [message for message in self.folders["INBOX"] if str(message.uid) != key]

    def put_back(self, key: str, folder: str) -> None:
        """Somebody moves a message from a folder to the inbox, and marks it as unread."""
        message = next(one for one in self.folders[folder] if str(one.uid) == key)
        self.folders[folder].remove(message)
        message.seen = False
        if not self.keys_are_for_ever:
            message.uid = self._next_uid()
        self.folders["INBOX"].append(message)

    def change_epoch(self) -> None:
        """UIDVALIDITY changes: every message of the inbox gets a new UID."""
        self.uid_validity += 1
        for message in self.folders["INBOX"]:
            message.uid = self._next_uid()

    def move(self, message: StoredMessage, folder: str) -> None:
        self.folders["INBOX"].remove(message)
        if not self.keys_are_for_ever:
            message.uid = self._next_uid()
        self.folders[folder].append(message)

    @property
    def newest_uid(self) -> int:
        return max((message.uid for message in list(self.folders["INBOX"])), default=0)

    def _next_uid(self) -> int:
        self._last_uid += 1
        return self._last_uid


class MemoryMailbox:
    """A session on a MemoryServer. Like a real one it must be opened first and is dead after a failure."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self._open = False
        self._read_only = False
        self._opened = "INBOX"
        self._known_uid = 0

    def open(self, *, read_only: bool = False) -> InboxState:
        self._open, self._opened = True, "INBOX"
        self._command("open", Stage.CONNECT)
        if not read_only and not self.server.can_move:
            self._fail(MoveNotSupported("no MOVE in CAPABILITY (RFC 6851)", stage=Stage.MOVE))
        self._read_only = read_only
        self._known_uid = self.server.newest_uid
        unread = sum(not message.seen for message in self._inbox)
        for_ever = self.server.keys_are_for_ever
        epoch = "memory" if for_ever else f"INBOX/{self.server.uid_validity}"
        return InboxState(epoch, len(self._inbox), unread, keys_are_for_ever=for_ever)

    def find_archive(self) -> ArchiveFolder:
        self._command("find_archive", Stage.ARCHIVE)
        return self._folder(self.server.archive_name)

    def find_subfolder(self, parent: str, name: str) -> ArchiveFolder:
        self._command("find_subfolder", Stage.ARCHIVE)
        if not self.server.children_allowed:
            return self._folder(parent)
        return self._folder(f"{parent}{self.server.delimiter}{name}")

    def create_folder(self, path: str) -> None:
        self._command("create_folder", Stage.ARCHIVE, writes=True)
        if self.server.has_quota and path not in self.server.folders:
            self._fail(QuotaExceeded("no room", stage=Stage.ARCHIVE, server_said="[OVERQUOTA] no room"))
        self.server.folders.setdefault(path, [])

    def list_unread(self, *, since: datetime | None = None) -> Sequence[str]:
        self._command("list_unread", Stage.INBOX)
        unread = (message for message in self._inbox if not message.seen)
        return [str(message.uid) for message in unread if since is None or message.received_at >= since]

    def list_read(self, *, since: datetime) -> Sequence[str]:
        self._command("list_read", Stage.INBOX)
        return [str(message.uid) for message in self._inbox if message.seen and message.received_at >= since]

    def look_up(self, keys: Collection[str]) -> list[RemoteMessage]:
        self._command("look_up", Stage.FETCH)
        found = self._by_key()
        return [
            RemoteMessage(key, len(found[key].raw) + found[key].misjudged, found[key].received_at)
            for key in keys
            if key in found
        ]

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        self._command("fetch", Stage.FETCH)
        found = self._by_key()
        for key in keys:
            if key in found:
                yield FetchedMessage(key, found[key].raw, found[key].transport_headers)

    def fetch_headers(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        self._command("fetch_headers", Stage.FETCH)
        found = self._by_key()
        for key in keys:
            if key in found:
                header, blank, _ = found[key].raw.partition(b"\r\n\r\n")
                yield FetchedMessage(key, header + blank, found[key].transport_headers)

    def still_in_inbox(self, keys: Collection[str]) -> frozenset[str]:
        self._command("still_in_inbox", Stage.INBOX)
        return frozenset(self._by_key()).intersection(keys)

    def mark_read(self, keys: Collection[str]) -> None:
        self._command("mark_read", Stage.INBOX, writes=True)
        for key, message in self._by_key().items():
            message.seen = message.seen or key in keys

    def move(self, keys: Collection[str], folder: str) -> MoveResult:
        self._command("move", Stage.MOVE, writes=True)
        if self.server.has_quota:
            self._fail(QuotaExceeded("no room", stage=Stage.MOVE, server_said="[OVERQUOTA] no room"))
        self.server.folders.setdefault(folder, [])
        found = {key: message for key, message in self._by_key().items() if key in keys}
        for message in found.values():
            self.server.move(message, folder)
        if "move" in self.server.lose_reply_of:
            self._fail(ConnectionFailed("the connection ended", stage=Stage.MOVE))
        return MoveResult(frozenset(found), frozenset(keys) - frozenset(found))

    def wait_for_news(self, seconds: float, *, stop: Callable[[], bool]) -> bool:
        """`fail_on` also counts when it is filled during the wait: the server goes away."""
        self._command("wait_for_news", Stage.INBOX)
        if not self.server.can_idle:
            self._fail(IdleNotSupported("no IDLE in CAPABILITY (RFC 2177)", stage=Stage.INBOX))
        ends_at = time.monotonic() + seconds
        while (newest := self.server.newest_uid) <= self._known_uid:
            if not self._open:
                self._fail(ConnectionFailed("the connection ended", stage=Stage.INBOX))
            if "wait_for_news" in self.server.fail_on:
                self._fail(self.server.fail_on["wait_for_news"])
            if time.monotonic() >= ends_at or stop():
                return False
            time.sleep(_LOOK_EVERY)
        self._known_uid = newest
        return True

    def list_folder(self, folder: str, *, since: datetime | None = None) -> Sequence[str]:
        self._command("list_folder", Stage.ARCHIVE)
        if folder not in self.server.folders:
            self._fail(FolderRefused("no such folder", stage=Stage.ARCHIVE))
        self._opened, self._read_only = folder, True
        return [str(m.uid) for m in self._inbox if since is None or m.received_at >= since]

    def abort(self) -> None:
        self._open = False

    def close(self) -> None:
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _inbox(self) -> list[StoredMessage]:
        """The folder that is open: the inbox, until `list_folder`."""
        return self.server.folders[self._opened]

    def _by_key(self) -> dict[str, StoredMessage]:
        return {str(message.uid): message for message in self._inbox}

    def _folder(self, path: str) -> ArchiveFolder:
        if path.upper() == "INBOX":
            self._fail(FolderRefused("the archive cannot be the inbox", stage=Stage.ARCHIVE))
        return ArchiveFolder(path, exists=path in self.server.folders)

    def _command(self, name: str, stage: Stage, *, writes: bool = False) -> None:
        """What every call does first: is the session open, may it write, is it meant to fail?"""
        if not self._open:
            raise ConnectionFailed("the mailbox is not open", stage=stage)
        self.server.commands.append(name)
        if name in self.server.fail_on:
            self._fail(self.server.fail_on[name])
        if writes and self._read_only:
            self._fail(FolderRefused("the mailbox was opened read-only", stage=stage))

    def _fail(self, error: MailServerError) -> NoReturn:
        self.close()
        raise error


@dataclass(slots=True)
class SentMessage:
    """One message as a MemoryTransport took it."""

    raw: bytes = field(repr=False)
    sender: str
    recipients: tuple[str, ...]


@dataclass(slots=True)
class MemoryOutbox:
    """The server's side of sending, and what to refuse. A refusal is the server's words, "550 ..."."""

    sent: list[SentMessage] = field(default_factory=list)
    refuse_recipients: dict[str, str] = field(default_factory=dict)
    refuse_senders: set[str] = field(default_factory=set)
    fail_on: dict[str, MailServerError] = field(default_factory=dict)  # method -> what it raises instead
    lose_reply: bool = False  # the message is taken, then the connection ends


class MemoryTransport:
    """A session on a MemoryOutbox."""

    def __init__(self, outbox: MemoryOutbox) -> None:
        self.outbox = outbox
        self._open = False

    def open(self) -> None:
        self._open = True
        self._command("open", Stage.CONNECT)

    def check_sender(self, addr_spec: str) -> None:
        self._command("check_sender", Stage.FROM)
        self._check_sender(addr_spec, Stage.FROM)

    def send(
        self,
        raw: bytes,
        *,
        sender: str,
        recipients: Sequence[str],
        before_final_dot: Callable[[frozenset[str]], None] | None = None,
    ) -> SendResult:
        self._command("send", Stage.SEND)
        self._check_sender(sender, Stage.SEND)
        refused = {to: words for to, words in self.outbox.refuse_recipients.items() if to in recipients}
        accepted = tuple(to for to in dict.fromkeys(recipients) if to not in refused)
        if not accepted:
            permanent = all(words.startswith("5") for words in refused.values())
            self._fail(RecipientsRefused("every recipient was refused", refused=refused, permanent=permanent))
        if before_final_dot is not None:
            before_final_dot(frozenset(accepted))
        self.outbox.sent.append(SentMessage(raw, sender, accepted))
        if self.outbox.lose_reply:
            lost = ConnectionFailed("the connection ended", stage=Stage.SEND)
            lost.uncertain = True
            self._fail(lost)
        return SendResult(frozenset(accepted), refused)

    def abort(self) -> None:
        self._open = False

    def close(self) -> None:
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_sender(self, sender: str, stage: Stage) -> None:
        if sender in self.outbox.refuse_senders:
            words = "550 5.7.60 not allowed to send as this sender"
            self._fail(SenderRefused(words, stage=stage, server_said=words, reply_code=550))

    def _command(self, name: str, stage: Stage) -> None:
        if not self._open:
            raise ConnectionFailed("the transport is not open", stage=stage)
        if name in self.outbox.fail_on:
            self._fail(self.outbox.fail_on[name])

    def _fail(self, error: MailServerError) -> NoReturn:
        self.close()
        raise error
