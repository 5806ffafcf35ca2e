"""`Mailbox` over EWS, for an Exchange of one's own (2016, 2019, Subscription Edition).

A key is the item's search key (PidTagSearchKey): a message keeps it wherever it is moved to, while its
ItemId changes with each move. ItemIds are kept for the session only. A copy that a person made has the
search key of its original: both are the same message here, and both are moved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from exchangelib.errors import EWSError

from .base import (
    UNKNOWN_TIME,
    ArchiveFolder,
    FetchedMessage,
    InboxState,
    MoveResult,
    RemoteMessage,
    ServerSettings,
)
from .errors import AccessDenied, FolderRefused, IdleNotSupported, Stage
from .ews_calls import AT_ONCE, get_folders, get_headers, get_messages, mark_as_read, move_items
from .ews_errors import GONE, NO_FOLDER, code_of, is_about_the_item
from .ews_folders import DEFAULT_NAME, DELIMITER, Folders
from .ews_items import Items, portions
from .ews_session import EwsSession
from .ews_unreadable import header_with_note
from .ews_xml import Element, Folder, FolderRef, both, either, is_read, received_after, without_time

EPOCH = "exchange"
MESSAGES_AT_ONCE = 50

logger = logging.getLogger(__name__)


class EwsMailbox:
    """A mailbox on an Exchange, from `open` to `close`."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self.session = EwsSession(settings, ends_at=ends_at)
        self._settings = settings
        self._mailbox = settings.mailbox.strip()
        self._folders = Folders(self.session, self._mailbox)
        self._items = Items(self.session)  # of the folder that is open
        self._read_only = False

    def open(self, *, read_only: bool = False) -> InboxState:
        try:
            self.session.begin()
            return self.open_inbox(read_only=read_only)
        except BaseException:
            self.close()
            raise

    def open_inbox(self, *, read_only: bool) -> InboxState:
        """Exchange has no read-only opening: a mailbox opened so refuses to change anything by itself."""
        inbox = self._inbox()
        self._items.enter(inbox.id)
        self._read_only = read_only
        return InboxState(EPOCH, inbox.total, inbox.unread, keys_are_for_ever=True)

    # Folders.

    def find_archive(self) -> ArchiveFolder:
        name = self._settings.archive_folder.strip() or DEFAULT_NAME
        self._folders.check_name(name)
        path, folder = self._folders.find(name)
        if folder is not None:
            self._folders.check_archive(folder)
        return ArchiveFolder(path, exists=folder is not None)

    def find_subfolder(self, parent: str, name: str) -> ArchiveFolder:
        path, folder = self._folders.find(f"{parent}{DELIMITER}{name}")
        return ArchiveFolder(path, exists=folder is not None)

    def create_folder(self, path: str) -> None:
        self._folders.check_name(path)
        self._check_writable(Stage.ARCHIVE)
        self._folders.make(path)

    # Messages.

    def list_unread(self, *, since: datetime | None = None) -> Sequence[str]:
        def condition() -> Element:
            unread = is_read(False)
            if since is None:
                return unread
            # What has no time of receipt is after any cut-off.
            return both(unread, _after_or_undated(since))

        return self._items.find(Stage.INBOX, condition)

    def list_read(self, *, since: datetime) -> Sequence[str]:
        return self._items.find(Stage.INBOX, lambda: both(is_read(True), received_after(_just_before(since))))

    def look_up(self, keys: Collection[str]) -> list[RemoteMessage]:
        found = self._items.locate(keys, Stage.FETCH)
        return [
            RemoteMessage(key, found[key][0].size, found[key][0].received_at or UNKNOWN_TIME)
            for key in keys
            if key in found
        ]

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        """Of a message that the server cannot hand out the header comes, with a note."""
        for some in portions(keys, MESSAGES_AT_ONCE):
            got = self._items.get(some, get_messages)
            for key in some:
                item = got.items.pop(key, None)
                if item is not None and item.mime is not None:
                    yield FetchedMessage(key, item.mime, item.headers)
                elif key in got.poison or item is not None:
                    yield from self._fetch_unreadable(key, got.poison.get(key, "no MIME content"))

    def fetch_headers(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        """The header as it came in. Where the server kept none, that of the whole message is fetched."""
        for some in portions(keys, MESSAGES_AT_ONCE):
            items = self._items.get(some, get_headers).items
            for key in some:
                if key in items and items[key].header_text:
                    item = items[key]
                    yield FetchedMessage(key, _header_octets(item.header_text), item.headers)
                elif key in items:
                    for whole in self.fetch([key]):
                        header, blank, _ = whole.raw.partition(b"\r\n\r\n")
                        yield FetchedMessage(key, header + blank, whole.transport_headers)

    def still_in_inbox(self, keys: Collection[str]) -> frozenset[str]:
        return frozenset(self._items.locate(keys, Stage.INBOX))

    def mark_read(self, keys: Collection[str]) -> None:
        self._check_writable(Stage.INBOX)
        items = [item for found in self._items.locate(keys, Stage.INBOX).values() for item in found]
        for some in portions(items, AT_ONCE):
            for answer in self._items.ask(Stage.INBOX, len(some), mark_as_read, some):
                self._pass_over(answer, Stage.INBOX, "marked as read")

    def move(self, keys: Collection[str], folder: str) -> MoveResult:
        self._folders.check_name(folder)
        self._check_writable(Stage.MOVE)
        found = self._items.locate(keys, Stage.MOVE)
        pairs = [(key, item.id) for key, items in found.items() for item in items]
        moved: set[str] = set()
        for some in portions(pairs, AT_ONCE):
            moved |= self._move(some, folder)
        # What was not moved, or only one copy of it: is it still here?
        doubtful = {key for key in found if key not in moved or len(found[key]) > 1}
        left = self.still_in_inbox(doubtful)
        gone = frozenset(moved) - left
        return MoveResult(gone, frozenset(keys) - gone - left)

    def wait_for_news(self, seconds: float, *, stop: Callable[[], bool]) -> bool:
        self.session.check_open(Stage.INBOX)
        self.close()
        raise IdleNotSupported("an Exchange is asked again and again", stage=Stage.INBOX)

    def list_folder(self, folder: str, *, since: datetime | None = None) -> Sequence[str]:
        _, found = self._folders.find(folder)
        if found is None:
            self.close()
            raise FolderRefused(f'there is no folder "{folder}"', stage=Stage.ARCHIVE)
        self._items.enter(found.id)
        self._read_only = True
        if since is None:
            return self._items.find(Stage.ARCHIVE, None)
        return self._items.find(
            Stage.ARCHIVE, lambda: either(received_after(_just_before(since)), without_time())
        )

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

    # Asking.

    def _inbox(self) -> Folder:
        session = self.session
        answers, session.inbox_answer = session.inbox_answer, []
        if not answers:
            ref = FolderRef(name="inbox", mailbox=self._mailbox)
            answers = session.ask(Stage.INBOX, lambda: get_folders(session.account, [ref]))
        (answer,) = answers
        return inbox_of(answer, session)

    def _fetch_unreadable(self, key: str, code: str) -> Iterator[FetchedMessage]:
        item = self._items.get([key], get_headers).items.get(key)
        if item is None or not item.header_text:
            logger.warning(
                "the Exchange server cannot hand out a message (%s); it stays in the inbox: %s", code, key
            )
            return
        logger.warning("the Exchange server hands out a message's header only (%s): %s", code, key)
        raw = header_with_note(_header_octets(item.header_text), code)
        yield FetchedMessage(key, raw, item.headers)

    def _move(self, pairs: Sequence[tuple[str, str]], folder: str) -> set[str]:
        """Move these; the keys of those that were. A folder that somebody removed is made again, once."""
        ids = [one for _, one in pairs]
        target = self._folders.make(folder)
        answers = self._items.ask(Stage.MOVE, len(ids), move_items, ids, FolderRef(id=target.id))
        if any(isinstance(one, EWSError) and code_of(one) in NO_FOLDER for one in answers):
            self._folders.forget()
            target = self._folders.make(folder)
            answers = self._items.ask(Stage.MOVE, len(ids), move_items, ids, FolderRef(id=target.id))
        moved = set()
        for (key, _), answer in zip(pairs, answers, strict=True):
            if not isinstance(answer, EWSError):
                moved.add(key)
            else:
                self._pass_over(answer, Stage.MOVE, "moved")
        return moved

    def _pass_over(self, answer: object, stage: Stage, what: str) -> None:
        """Raise a refusal, unless it is about one message alone or somebody was quicker."""
        if not isinstance(answer, EWSError) or code_of(answer) in GONE:
            return
        if not is_about_the_item(answer):
            raise self.session.failed(answer, stage)
        logger.warning("a message cannot be %s by the Exchange server: %s", what, code_of(answer))

    def _check_writable(self, stage: Stage) -> None:
        if self._read_only:
            self.close()
            raise FolderRefused("the mailbox was opened read-only", stage=stage)


def inbox_of(answer: Folder | EWSError, session: EwsSession) -> Folder:
    """The inbox, or what keeps this account from it. A folder without any right on it is "not found"."""
    if isinstance(answer, Folder):
        return answer
    if code_of(answer) in GONE | NO_FOLDER:
        session.close()
        raise AccessDenied(code_of(answer), stage=Stage.INBOX)
    raise session.failed(answer, Stage.INBOX)


def _after_or_undated(since: datetime) -> Element:
    return either(received_after(_just_before(since)), without_time())


def _just_before(since: datetime) -> datetime:
    """EWS can ask for "later than" on every server; "at or later" not."""
    return since - timedelta(seconds=1)


def _header_octets(text: str) -> bytes:
    """The header with the empty line that ends it. XML has taken the CR off each line end."""
    lines = text.replace("\r\n", "\n").split("\n\n", 1)[0].split("\n")
    if lines[0].startswith("Microsoft Mail Internet Headers"):
        del lines[0]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass")
