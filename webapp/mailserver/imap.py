"""`Mailbox` over IMAP (RFC 3501, RFC 9051), with MOVE (RFC 6851) and UIDPLUS (RFC 4315) where there is.

A key is a UID and is only ever used as one: sequence numbers change under our feet. Nothing is deleted,
copied or expunged; what leaves the inbox leaves it by MOVE.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from .base import ArchiveFolder, FetchedMessage, InboxState, MoveResult, RemoteMessage, ServerSettings
from .errors import FolderRefused, IdleNotSupported, MoveNotSupported, Stage
from .imap_commands import (
    Moved,
    ask_namespace,
    count_unread,
    create_folder,
    day_before,
    find_default,
    find_folder,
    find_named,
    find_present,
    move_or_create,
    read_fetch,
    read_size,
    read_time,
    search,
)
from .imap_folders import (
    DEFAULT_NAME,
    Folder,
    check_archive,
    check_name,
    has_no_children,
    with_prefix,
)
from .imap_session import COME_BACK, ImapSession
from .imap_sets import Keys, read_set, uid_sets
from .imap_wire import Client, CommandRefused

# One SEARCH answer over 200,000 messages is longer than imaplib's longest line.
ONE_SEARCH_UP_TO = 100_000
SEARCH_WINDOW = 5_000
HEADERS_AT_ONCE = 100


class ImapMailbox:
    """A mailbox on an IMAP server; one connection, from `open` to `close`."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self.session = ImapSession(settings, ends_at=ends_at)
        self._settings = settings
        self._total = 0
        self._read_only = False
        self._root: tuple[str, str] | None = None

    def open(self, *, read_only: bool = False) -> InboxState:
        try:
            self.session.begin()
            if not read_only:
                self.check_move()
            return self.open_inbox(read_only=read_only)
        except BaseException:
            self.close()
            raise

    def check_move(self) -> None:
        """RFC 6851; the session asked for the capabilities again after signing in."""
        if "MOVE" not in self.session.capabilities:
            raise MoveNotSupported("no MOVE in CAPABILITY (RFC 6851)", stage=Stage.MOVE)

    def open_inbox(self, *, read_only: bool) -> InboxState:
        """SELECT or EXAMINE INBOX. Without lasting UIDs (RFC 3501 section 2.3.1.1) it is refused."""
        with self.session.step(Stage.INBOX) as client:
            unread = count_unread(client)
            answer = client.select_folder("INBOX", readonly=read_only)
            validity = answer.get(b"UIDVALIDITY")
            if not validity or b"UIDNOTSTICKY" in answer:
                raise FolderRefused("the server's UIDs do not last (UIDNOTSTICKY)", stage=Stage.INBOX)
            self._total = client.wire.exists = int(answer.get(b"EXISTS", 0))
            client.wire.grown = False
            self._read_only = read_only
            return InboxState(epoch=f"INBOX/{validity}", total=self._total, unread=unread)

    # Folders.

    def find_archive(self) -> ArchiveFolder:
        with self.session.step(Stage.ARCHIVE) as client:
            prefix, delimiter = self._namespace(client)
            name = self._settings.archive_folder.strip()
            if name:
                check_name(name)
            found = find_named(client, name, prefix) if name else find_default(client, prefix)
            folder = found or Folder(with_prefix(name or DEFAULT_NAME, prefix), delimiter, frozenset())
            check_archive(folder, prefix)
            return ArchiveFolder(folder.name, exists=found is not None and found.exists)

    def find_subfolder(self, parent: str, name: str) -> ArchiveFolder:
        check_name(name)
        with self.session.step(Stage.ARCHIVE) as client:
            above = find_folder(client, parent)
            delimiter = above.delimiter if above else self._namespace(client)[1]
            if not delimiter or (above and has_no_children(above)):
                return ArchiveFolder(parent, exists=above is not None and above.exists)
            path = f"{parent}{delimiter}{name}"
            below = find_folder(client, path)
            return ArchiveFolder(path, exists=below is not None and below.exists)

    def create_folder(self, path: str) -> None:
        check_name(path)
        self._check_writable(Stage.ARCHIVE)
        with self.session.step(Stage.ARCHIVE) as client:
            create_folder(client, path)

    # Messages.

    def list_unread(self, *, since: datetime | None = None) -> Sequence[str]:
        return self._list("UNSEEN" if since is None else f"UNSEEN SINCE {day_before(since)}")

    def list_read(self, *, since: datetime) -> Sequence[str]:
        return self._list(f"SEEN SINCE {day_before(since)}")

    def look_up(self, keys: Collection[str]) -> list[RemoteMessage]:
        found: dict[str, RemoteMessage] = {}
        for answer in self._fetch(keys, "INTERNALDATE RFC822.SIZE"):
            if answer.keys() & {b"RFC822.SIZE", b"INTERNALDATE"}:
                key, size = str(answer[b"UID"]), read_size(answer.get(b"RFC822.SIZE"))
                found[key] = RemoteMessage(key, size, read_time(answer.get(b"INTERNALDATE")))
        return [found[key] for key in keys if key in found]

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        bodies = self._bodies(keys, "BODY.PEEK[]", b"BODY[]")
        for key in keys:
            raw = bodies.pop(key, None)
            if raw is not None:
                yield FetchedMessage(key, raw)

    def fetch_headers(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        for start in range(0, len(keys), HEADERS_AT_ONCE):
            some = keys[start : start + HEADERS_AT_ONCE]
            headers = self._bodies(some, "BODY.PEEK[HEADER]", b"BODY[HEADER]")
            yield from (FetchedMessage(key, headers[key]) for key in some if key in headers)

    def still_in_inbox(self, keys: Collection[str]) -> frozenset[str]:
        found: set[int] = set()
        for uids in uid_sets(keys):
            with self._inbox_step(Stage.INBOX) as client:
                found.update(find_present(client, uids))
        return frozenset(map(str, found)).intersection(keys)

    def mark_read(self, keys: Collection[str]) -> None:
        self._check_writable(Stage.INBOX)
        for uids in uid_sets(keys):
            with self._inbox_step(Stage.INBOX) as client:
                try:
                    client.wire.uid("STORE", uids, "+FLAGS.SILENT", "(\\Seen)")
                except CommandRefused as refused:
                    if refused.code != "EXPUNGEISSUED":  # some are gone; the others are marked
                        raise

    def move(self, keys: Collection[str], folder: str) -> MoveResult:
        check_name(folder)
        self._check_writable(Stage.MOVE)
        moved = Moved()
        for uids in uid_sets(self.still_in_inbox(keys)):
            if not self._move_set(uids, folder, moved):
                self._move_one_by_one(read_set(uids), folder, moved)
        named = frozenset(moved.named.intersection(keys))
        left = self.still_in_inbox(frozenset(keys) - named)
        gone = named | (moved.unnamed - left)
        return MoveResult(gone, frozenset(keys) - gone - left)

    def wait_for_news(self, seconds: float, *, stop: Callable[[], bool]) -> bool:
        if "IDLE" not in self.session.capabilities and self.session.line.healthy:
            self.close()
            raise IdleNotSupported("no IDLE in CAPABILITY (RFC 2177)", stage=Stage.INBOX)
        with self._inbox_step(Stage.INBOX) as client:
            client.wire.noop()  # what came since the last command, where IDLE itself would not tell
        if not client.wire.grown:
            self._idle(client, seconds, stop)
        news, client.wire.grown = client.wire.grown, False
        return news

    def list_folder(self, folder: str, *, since: datetime | None = None) -> Sequence[str]:
        check_name(folder)
        with self.session.step(Stage.ARCHIVE) as client:
            answer = client.select_folder(folder, readonly=True)
            self._total = client.wire.exists = int(answer.get(b"EXISTS", 0))
            self._read_only = True
        return self._list("ALL" if since is None else f"SINCE {day_before(since)}")

    def abort(self) -> None:
        self.session.abort()

    def close(self) -> None:
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Commands.

    def _check_writable(self, stage: Stage) -> None:
        if self._read_only:
            self.close()
            raise FolderRefused("the mailbox was opened read-only", stage=stage)

    @contextmanager
    def _inbox_step(self, stage: Stage) -> Iterator[Client]:
        """A step that keeps count of the inbox: the windows of `list_unread` must stay within it."""
        with self.session.step(stage) as client:
            yield client
            self._total = client.wire.exists

    def _list(self, criteria: str) -> Keys:
        """UIDs, oldest first: with one SEARCH, or in windows where there may be too many for that."""
        if self._total < ONE_SEARCH_UP_TO:
            return Keys(self._search(criteria))
        return Keys.joined([array("I", self._search(f"{window} {criteria}")) for window in self._windows()])

    def _search(self, criteria: str) -> list[int]:
        with self._inbox_step(Stage.INBOX) as client:
            return search(client, criteria)

    def _windows(self) -> Iterator[str]:
        """Ranges of sequence numbers from the newest down.

        A message expunged meanwhile moves the later ones down: downwards they come twice at worst,
        upwards one would be passed over.
        """
        high = self._total
        while high > 0:
            low = max(high - SEARCH_WINDOW + 1, 1)
            yield f"{low}:{high}"
            high = min(low - 1, self._total)

    def _fetch(self, keys: Collection[str], items: str) -> Iterator[dict[bytes, Any]]:
        """The FETCH answers that name a UID; others are news about flags (RFC 3501 section 7.4.2)."""
        for uids in uid_sets(keys):
            with self._inbox_step(Stage.FETCH) as client:
                _, data = client.wire.uid("FETCH", uids, f"(UID {items})")
                answers = list(read_fetch(data))
            yield from answers

    def _bodies(self, keys: Collection[str], item: str, name: bytes) -> dict[str, bytes]:
        """Octets by key. A message expunged meanwhile has NIL for a body, or no answer at all."""
        found = ((str(answer[b"UID"]), answer.get(name)) for answer in self._fetch(keys, item))
        return {key: raw for key, raw in found if isinstance(raw, bytes)}

    def _idle(self, client: Client, seconds: float, stop: Callable[[], bool]) -> None:
        """In IDLE until the inbox has grown, the time is over or `stop()` says so."""
        ends_at = time.monotonic() + seconds
        tag = self._begin_idle()
        while not client.wire.grown and self.session.wait(Stage.INBOX, ends_at - time.monotonic(), stop=stop):
            with self._inbox_step(Stage.INBOX):
                client.wire.hear_in_idle(tag)
        with self._inbox_step(Stage.INBOX):
            client.wire.end_idle(tag)

    def _begin_idle(self) -> bytes:
        with self._inbox_step(Stage.INBOX) as client:
            try:
                return client.wire.begin_idle()
            except CommandRefused as refused:
                if refused.code in COME_BACK:
                    raise
                raise IdleNotSupported(
                    f"the server refused IDLE: {refused.status}", stage=Stage.INBOX
                ) from refused

    def _move_set(self, uids: str, folder: str, moved: Moved) -> bool:
        """Move with one command. False where the server refused the set.

        One message that another session removed makes Dovecot refuse them all ([EXPUNGEISSUED]).
        """
        with self._inbox_step(Stage.MOVE) as client:
            try:
                move_or_create(client, uids, folder, moved)
            except CommandRefused as refused:
                if refused.code == "OVERQUOTA":
                    raise
                return False
            return True

    def _move_one_by_one(self, uids: Iterable[int], folder: str, moved: Moved) -> None:
        for uid in uids:
            with self._inbox_step(Stage.MOVE) as client:
                try:
                    move_or_create(client, str(uid), folder, moved)
                except CommandRefused:
                    if find_present(client, str(uid)):
                        raise

    def _namespace(self, client: Client) -> tuple[str, str]:
        """Prefix and delimiter of our own folders (RFC 2342); without NAMESPACE, LIST's delimiter."""
        if self._root is None:
            self._root = ask_namespace(client)
        return self._root
