"""`Mailbox` over Microsoft Graph v1.0 (Office365).

A key is a message's immutable id: it stays when the message is moved within the mailbox, so before anything
is read or changed it is checked that the message is still in the folder it was listed in. Nothing is
deleted or copied; what leaves the inbox leaves it by `move`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import quote

from .base import (
    ArchiveFolder,
    FetchedMessage,
    InboxState,
    MoveResult,
    RemoteMessage,
    ServerSettings,
)
from .errors import (
    ConnectionFailed,
    FolderRefused,
    IdleNotSupported,
    MailServerError,
    Stage,
    UnexpectedServer,
)
from .graph_errors import Answer, refusal
from .graph_folders import GraphFolders, check_path, joined
from .graph_items import EXPAND_SIZE, header_of, read_listed, transport_headers, unreadable
from .graph_requests import Call, written
from .graph_send import GraphTransport as GraphTransport
from .graph_session import BATCH, GraphSession

EPOCH = "graph"
DEFAULT_NAME = "Archive"
PAGE = 250
_LISTED = "id,receivedDateTime"
_LOOKED_AT = "id,parentFolderId,receivedDateTime"
_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
_HEADER_LIMIT = 256 * 1024


class GraphMailbox:
    """A mailbox in Exchange Online, from `open` to `close`."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self.session = GraphSession(settings, ends_at=ends_at)
        self._settings = settings
        self._folders = GraphFolders(self.session)
        self._folder_id = ""  # of the inbox, or of the folder that is listed instead of it
        self._read_only = False
        self._listed: dict[str, RemoteMessage] = {}

    def open(self, *, read_only: bool = False) -> InboxState:
        try:
            self.session.begin()
            return self.open_inbox(read_only=read_only)
        except BaseException:
            self.close()
            raise

    def open_inbox(self, *, read_only: bool) -> InboxState:
        """Find the inbox and learn how much is in it."""
        query = {"$select": "id,totalItemCount,unreadItemCount"}
        inbox = self.session.get(f"{self.session.root}/mailFolders/inbox", Stage.INBOX, query)
        self._folder_id = str(inbox.get("id") or "")
        if not self._folder_id:
            self._fail(UnexpectedServer("an inbox without an id", stage=Stage.INBOX))
        self._read_only = read_only
        self._listed.clear()
        total, unread = inbox.get("totalItemCount"), inbox.get("unreadItemCount")
        return InboxState(
            EPOCH,
            total=total if isinstance(total, int) else 0,
            unread=unread if isinstance(unread, int) else None,
            keys_are_for_ever=True,
        )

    # Folders.

    def find_archive(self) -> ArchiveFolder:
        self._check_open(Stage.ARCHIVE)
        path = self._settings.archive_folder.strip() or DEFAULT_NAME
        self._check_path(path)
        chain = self._folders.find(path)
        if chain is None:
            return ArchiveFolder(path, exists=False)
        self._folders.check_usable(chain)
        return ArchiveFolder(joined(chain), exists=True)

    def find_subfolder(self, parent: str, name: str) -> ArchiveFolder:
        self._check_open(Stage.ARCHIVE)
        self._check_path(name)
        chain = self._folders.find(parent)
        child = self._folders.find_child(chain[-1], name) if chain else None
        return ArchiveFolder(f"{parent}/{child.name if child else name}", exists=child is not None)

    def create_folder(self, path: str) -> None:
        self._check_path(path)
        self._check_writable(Stage.ARCHIVE)
        self._folders.create(path)

    # Messages.

    def list_unread(self, *, since: datetime | None = None) -> Sequence[str]:
        return self._list(since, " and isRead eq false")

    def list_read(self, *, since: datetime) -> Sequence[str]:
        return self._list(since, " and isRead eq true")

    def look_up(self, keys: Collection[str]) -> list[RemoteMessage]:
        """From the list, where it stands there: one that left since then is noticed when it is fetched."""
        self._check_open(Stage.FETCH)
        unknown = [key for key in keys if key not in self._listed]
        known = {
            key: read_listed(one) for key, one in self._details(unknown, _LOOKED_AT, Stage.FETCH).items()
        }
        known |= {key: self._listed[key] for key in keys if key in self._listed}
        return [known[key] for key in keys if key in known]

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        """The MIME that Exchange makes of its properties, and the header fields as they came in.

        Of a message that Exchange cannot hand out the header comes, with a note. Something inside Graph that
        fails for one message is passed over for this time; if it fails for the next one too, it is Graph.
        """
        broken = 0
        for key, found in self._with_headers(keys):
            answer = self._mime(key, tolerate=lambda answer: answer.is_poison or answer.is_broken)
            broken = broken + 1 if answer.is_broken and not answer.is_poison else 0
            if broken > 1:
                self._fail(refusal(answer, Stage.FETCH))
            headers = transport_headers(found)
            if answer.status == 200:
                yield FetchedMessage(key, answer.content, headers)
            elif not answer.is_gone:
                yield from unreadable(key, headers, answer)

    def fetch_headers(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        """The header fields as they came in. What came in over no transport has none: then its MIME's."""
        for key, found in self._with_headers(keys):
            headers = transport_headers(found)
            if headers:
                yield FetchedMessage(key, header_of(headers))
                continue
            answer = self._mime(key, tolerate=lambda answer: answer.is_poison)
            if answer.status == 200:
                header, blank, _ = answer.content.partition(b"\r\n\r\n")
                yield FetchedMessage(key, header[:_HEADER_LIMIT] + blank)

    def still_in_inbox(self, keys: Collection[str]) -> frozenset[str]:
        self._check_open(Stage.INBOX)
        return frozenset(self._details(keys, "id,parentFolderId", Stage.INBOX, with_size=False))

    def mark_read(self, keys: Collection[str]) -> None:
        self._check_writable(Stage.INBOX)
        here = self.still_in_inbox(keys)
        self.session.batch([Call("PATCH", self._path(key), {"isRead": True}) for key in here], Stage.INBOX)

    def move(self, keys: Collection[str], folder: str) -> MoveResult:
        self._check_path(folder)
        self._check_writable(Stage.MOVE)
        here = self.still_in_inbox(keys)
        moved = self._move(here, folder) if here else frozenset()
        missed = self.still_in_inbox(here - moved)
        if missed:  # the folder's id is no longer good: somebody removed it
            self._folders.forget()
            moved |= self._move(missed, folder)
            missed = self.still_in_inbox(missed - moved)
        for key in moved:
            self._listed.pop(key, None)
        return MoveResult(moved, frozenset(keys) - moved - missed)

    def wait_for_news(self, seconds: float, *, stop: Callable[[], bool]) -> bool:
        self._check_open(Stage.INBOX)
        self._fail(IdleNotSupported("Graph tells nobody who only listens", stage=Stage.INBOX))

    def list_folder(self, folder: str, *, since: datetime | None = None) -> Sequence[str]:
        self._check_path(folder)
        self._check_open(Stage.ARCHIVE)
        chain = self._folders.find(folder)
        if chain is None:
            self._fail(FolderRefused("there is no such folder", stage=Stage.ARCHIVE))
        self._folder_id, self._read_only = chain[-1].id, True
        self._listed.clear()
        return self._list(since, "")

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

    # Details.

    def _check_open(self, stage: Stage) -> None:
        if not self._folder_id or not self.session.wire.healthy:
            self._fail(ConnectionFailed("the mailbox is not open", stage=stage))

    def _check_writable(self, stage: Stage) -> None:
        self._check_open(stage)
        if self._read_only:
            self._fail(FolderRefused("the mailbox was opened read-only", stage=stage))

    def _check_path(self, path: str) -> None:
        try:
            check_path(path)
        except FolderRefused:
            self.close()
            raise

    def _fail(self, error: MailServerError) -> NoReturn:
        self.close()
        raise error

    def _path(self, key: str) -> str:
        return f"{self.session.root}/messages/{quote(key, safe='')}"

    def _list(self, since: datetime | None, condition: str) -> list[str]:
        """Keys, oldest first. What is sorted by must come first in the filter (else InefficientFilter)."""
        self._check_open(Stage.INBOX)
        since = (since or _BEGINNING).astimezone(UTC)
        query = {
            "$filter": f"receivedDateTime ge {since:%Y-%m-%dT%H:%M:%SZ}{condition}",
            "$orderby": "receivedDateTime asc",
            "$select": _LISTED,
            "$expand": EXPAND_SIZE,
            "$top": str(PAGE),
        }
        path = f"{self.session.root}/mailFolders/{quote(self._folder_id, safe='')}/messages"
        found = [read_listed(one) for one in self.session.pages(path, Stage.INBOX, query)]
        self._listed |= {message.key: message for message in found}
        return list(dict.fromkeys(message.key for message in found))

    def _mime(self, key: str, *, tolerate: Callable[[Answer], bool]) -> Answer:
        path = f"{self._path(key)}/$value"
        return self.session.call("GET", path, Stage.FETCH, missing_is_fine=True, tolerate=tolerate)

    def _details(
        self, keys: Collection[str], select: str, stage: Stage, *, with_size: bool = True
    ) -> dict[str, dict[str, Any]]:
        """What Graph says about the messages that are in the folder now, by key."""
        query = {"$select": select} | ({"$expand": EXPAND_SIZE} if with_size else {})
        calls = [Call("GET", f"{self._path(key)}?{written(query)}") for key in keys]
        with_headers = "internetMessageHeaders" in select
        answers = self.session.batch(
            calls, stage, tolerate=lambda answer: with_headers and (answer.is_poison or answer.is_broken)
        )
        found = {}
        for key, answer in zip(keys, answers, strict=True):
            if answer.status == 200:
                one = answer.json(stage)
                if one.get("parentFolderId") == self._folder_id:
                    found[key] = one
            elif not answer.is_gone:  # its header fields are what is wrong: then without them
                found |= self._details([key], "id,parentFolderId", stage, with_size=False)
        return found

    def _with_headers(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Those that are in the folder, with their header fields, in the order given."""
        self._check_open(Stage.FETCH)
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            select = "id,parentFolderId,internetMessageHeaders"
            yield from self._details(some, select, Stage.FETCH, with_size=False).items()

    def _move(self, keys: Collection[str], folder: str) -> frozenset[str]:
        """Those that were moved; the others are gone, or the folder is."""
        chain = self._folders.find(folder) or self._folders.create(folder)
        body = {"destinationId": chain[-1].id}
        ordered = list(keys)
        calls = [Call("POST", f"{self._path(key)}/move", body) for key in ordered]
        answers = self.session.batch(calls, Stage.MOVE)
        return frozenset(
            key for key, answer in zip(ordered, answers, strict=True) if answer.status in (200, 201)
        )
