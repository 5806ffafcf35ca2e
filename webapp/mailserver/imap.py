"""`Mailbox` over IMAP (RFC 3501, RFC 9051), with MOVE (RFC 6851) and UIDPLUS (RFC 4315) where there is.

A key is a UID and is only ever used as one: sequence numbers change under our feet. Nothing is deleted,
copied or expunged; what leaves the inbox leaves it by MOVE.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from imapclient.datetime_util import format_criteria_date, parse_to_datetime
from imapclient.response_parser import parse_response

from .base import ArchiveFolder, FetchedMessage, InboxState, MoveResult, RemoteMessage, ServerSettings
from .errors import FolderRefused, MoveNotSupported, Stage
from .imap_folders import (
    DEFAULT_NAME,
    Folder,
    check_archive,
    check_name,
    has_no_children,
    read_list,
    special_archive,
    with_prefix,
)
from .imap_session import ImapSession
from .imap_sets import Keys, read_set, uid_sets
from .imap_wire import Client, CommandRefused

# One SEARCH answer over 200,000 messages is longer than imaplib's longest line.
ONE_SEARCH_UP_TO = 100_000
SEARCH_WINDOW = 5_000
# For a server that knows no time of receipt: always the same, and before any cut-off.
_NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)


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
            unread = _count_unread(client)
            answer = client.select_folder("INBOX", readonly=read_only)
            validity = answer.get(b"UIDVALIDITY")
            if not validity or b"UIDNOTSTICKY" in answer:
                raise FolderRefused("the server's UIDs do not last (UIDNOTSTICKY)", stage=Stage.INBOX)
            self._total = int(answer.get(b"EXISTS", 0))
            self._read_only = read_only
            return InboxState(epoch=f"INBOX/{validity}", total=self._total, unread=unread)

    # Folders.

    def find_archive(self) -> ArchiveFolder:
        with self.session.step(Stage.ARCHIVE) as client:
            prefix, delimiter = self._namespace(client)
            name = self._settings.archive_folder.strip()
            if name:
                check_name(name)
            found = _find_named(client, name, prefix) if name else _find_default(client, prefix)
            folder = found or Folder(with_prefix(name or DEFAULT_NAME, prefix), delimiter, frozenset())
            check_archive(folder, prefix)
            return ArchiveFolder(folder.name, exists=found is not None and found.exists)

    def find_subfolder(self, parent: str, name: str) -> ArchiveFolder:
        check_name(name)
        with self.session.step(Stage.ARCHIVE) as client:
            above = _find(client, parent)
            delimiter = above.delimiter if above else self._namespace(client)[1]
            if not delimiter or (above and has_no_children(above)):
                return ArchiveFolder(parent, exists=above is not None and above.exists)
            path = f"{parent}{delimiter}{name}"
            below = _find(client, path)
            return ArchiveFolder(path, exists=below is not None and below.exists)

    def create_folder(self, path: str) -> None:
        check_name(path)
        self._check_writable(Stage.ARCHIVE)
        with self.session.step(Stage.ARCHIVE) as client:
            _create(client, path)

    # Messages.

    def list_unread(self, *, since: datetime | None = None) -> Sequence[str]:
        criteria = "UNSEEN" if since is None else f"UNSEEN SINCE {_day_before(since)}"
        if self._total < ONE_SEARCH_UP_TO:
            return Keys(self._search(criteria))
        return Keys.joined([array("I", self._search(f"{window} {criteria}")) for window in self._windows()])

    def look_up(self, keys: Collection[str]) -> list[RemoteMessage]:
        found: dict[str, RemoteMessage] = {}
        for answer in self._fetch(keys, "INTERNALDATE RFC822.SIZE"):
            if b"RFC822.SIZE" in answer:
                key, size = str(answer[b"UID"]), int(answer[b"RFC822.SIZE"])
                found[key] = RemoteMessage(key, size, _received_at(answer.get(b"INTERNALDATE")))
        return [found[key] for key in keys if key in found]

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        bodies = self._bodies(keys, "BODY.PEEK[]", b"BODY[]")
        for key in keys:
            raw = bodies.pop(key, None)
            if raw is not None:
                yield FetchedMessage(key, raw)

    def fetch_header(self, key: str) -> FetchedMessage | None:
        raw = self._bodies([key], "BODY.PEEK[HEADER]", b"BODY[HEADER]").get(key)
        return None if raw is None else FetchedMessage(key, raw)

    def still_in_inbox(self, keys: Collection[str]) -> frozenset[str]:
        found: set[int] = set()
        for uids in uid_sets(keys):
            with self._inbox_step(Stage.INBOX) as client:
                found.update(_present(client, uids))
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
        present = self.still_in_inbox(keys)
        moved: set[str] = set()
        for uids in uid_sets(present):
            copied = self._move_set(uids, folder)
            moved |= self._move_one_by_one(read_set(uids), folder) if copied is None else copied
        # Not every server says what it moved (COPYUID): what has left the inbox has been moved.
        unsaid = present - moved
        left = self.still_in_inbox(unsaid)
        if not moved:
            moved |= unsaid - left
        return MoveResult(frozenset(moved), frozenset(keys) - moved - left)

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
            told = client.wire.untagged_responses
            self._total -= len(told.get("EXPUNGE", ()))
            if exists := told.get("EXISTS"):
                self._total = int(exists[-1])

    def _search(self, criteria: str) -> list[int]:
        with self._inbox_step(Stage.INBOX) as client:
            return _search(client, criteria)

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
                answers = list(_read_fetch(data))
            yield from answers

    def _bodies(self, keys: Collection[str], item: str, name: bytes) -> dict[str, bytes]:
        """Octets by key. A message expunged meanwhile has NIL for a body, or no answer at all."""
        found = ((str(answer[b"UID"]), answer.get(name)) for answer in self._fetch(keys, item))
        return {key: raw for key, raw in found if isinstance(raw, bytes)}

    def _move_set(self, uids: str, folder: str) -> set[str] | None:
        """Move with one command. What COPYUID names, or None where the server refused the set.

        One message that another session removed makes Dovecot refuse them all ([EXPUNGEISSUED]).
        """
        with self._inbox_step(Stage.MOVE) as client:
            try:
                return _move_or_create(client, uids, folder)
            except CommandRefused as refused:
                if refused.code == "OVERQUOTA":
                    raise
                return None

    def _move_one_by_one(self, uids: Iterable[int], folder: str) -> set[str]:
        moved: set[str] = set()
        for uid in uids:
            with self._inbox_step(Stage.MOVE) as client:
                try:
                    moved |= _move_or_create(client, str(uid), folder) or {str(uid)}
                except CommandRefused:
                    if _present(client, str(uid)):
                        raise
        return moved

    def _namespace(self, client: Client) -> tuple[str, str]:
        """Prefix and delimiter of our own folders (RFC 2342); without NAMESPACE, LIST's delimiter."""
        if self._root is None:
            self._root = _ask_namespace(client)
        return self._root


_NO_SUCH_FOLDER = {"TRYCREATE", "NONEXISTENT"}


def _count_unread(client: Client) -> int | None:
    """STATUS before SELECT (RFC 3501 section 6.3.10): a number, where SEARCH would list them all."""
    try:
        counted = client.folder_status("INBOX", ["UNSEEN"]).get(b"UNSEEN")
    except CommandRefused:
        return None
    return None if counted is None else int(counted)


def _search(client: Client, criteria: str) -> list[int]:
    _, data = client.wire.uid("SEARCH", criteria)
    return [int(uid) for line in data if line for uid in line.split()]


def _present(client: Client, uids: str) -> list[int]:
    """Those of a set that are there. NOOP first: until then Dovecot finds what another session expunged."""
    client.wire.noop()
    return _search(client, f"UID {uids}")


def _move_or_create(client: Client, uids: str, folder: str) -> set[str]:
    try:
        return _move(client, uids, folder)
    except CommandRefused as refused:
        if refused.code not in _NO_SUCH_FOLDER:
            raise
    _create(client, folder)
    return _move(client, uids, folder)


def _move(client: Client, uids: str, folder: str) -> set[str]:
    """UID MOVE; the UIDs that COPYUID says were moved (RFC 4315 section 3)."""
    client.wire.untagged_responses.pop("COPYUID", None)
    client.move(uids, folder)
    told = client.wire.untagged_responses.pop("COPYUID", [])
    return {str(uid) for words in told for uid in read_set(words.split()[1].decode("ascii"))}


def _read_fetch(data: list[Any]) -> Iterator[dict[bytes, Any]]:
    """One dict an answer. IMAPClient's own reader merges answers by sequence number and takes that for
    the UID where there is none."""
    parsed = iter(parse_response(data))
    for _, items in zip(parsed, parsed, strict=True):
        answer = {bytes(name).upper(): value for name, value in zip(items[::2], items[1::2], strict=True)}
        if b"UID" in answer:
            yield answer


def _received_at(text: Any) -> datetime:
    try:
        received: datetime = parse_to_datetime(text, normalise=False)
        return received.astimezone(UTC)
    except (TypeError, ValueError, AttributeError):
        return _NO_DATE


def _day_before(moment: datetime) -> str:
    """SINCE compares days in whatever zone the server likes (RFC 3501 section 6.4.4)."""
    day: bytes = format_criteria_date(moment.astimezone(UTC) - timedelta(days=1))
    return day.decode("ascii")


def _ask_namespace(client: Client) -> tuple[str, str]:
    if client.has_capability("NAMESPACE"):
        for prefix, delimiter in client.namespace().personal or ():
            return prefix, delimiter or ""
    roots = read_list(client.list_folders("", ""))
    return "", roots[0].delimiter if roots else ""


def _find_named(client: Client, name: str, prefix: str) -> Folder | None:
    """The folder a person typed: under our own prefix, else exactly as written."""
    full = with_prefix(name, prefix)
    return _find(client, full) or (_find(client, name) if full != name else None)


def _find_default(client: Client, prefix: str) -> Folder | None:
    return special_archive(_list(client, "*")) or _find(client, prefix + DEFAULT_NAME)


def _find(client: Client, name: str) -> Folder | None:
    return next((folder for folder in _list(client, name) if folder.name == name), None)


def _list(client: Client, pattern: str) -> list[Folder]:
    return read_list(client.list_with_uses(pattern))


def _create(client: Client, path: str) -> None:
    """CREATE and SUBSCRIBE. Not every server says [ALREADYEXISTS]."""
    try:
        client.create_folder(path)
    except CommandRefused as refused:
        if refused.code != "ALREADYEXISTS" and _find(client, path) is None:
            raise
    with suppress(CommandRefused):
        client.subscribe_folder(path)
