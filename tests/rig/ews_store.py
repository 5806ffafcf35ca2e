"""The mailboxes of the EWS stand-in: what other clients of that Exchange see and do.

Not an Exchange: it keeps what the protocol promises (an item's id changes when it is moved, its search key
does not) and breaks what real ones break, on demand.
"""

from __future__ import annotations

import base64
import itertools
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

WELL_KNOWN = {
    "msgfolderroot": "Top of Information Store",
    "inbox": "Inbox",
    "deleteditems": "Deleted Items",
    "drafts": "Drafts",
    "junkemail": "Junk Email",
    "outbox": "Outbox",
    "sentitems": "Sent Items",
    "calendar": "Calendar",
}


def _new_id(kind: str) -> str:
    """As long as Exchange's are, and case-sensitive."""
    return base64.b64encode(kind.encode() + secrets.token_bytes(87)).decode()


@dataclass(slots=True)
class Folder:
    """One folder; `parent` is None for the root alone."""

    name: str
    parent: Folder | None
    folder_class: str = "IPF.Note"
    well_known: str = ""
    id: str = field(default_factory=lambda: _new_id("folder"))
    change_key: str = field(default_factory=lambda: _new_id("f"))
    items: list[Item] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Below the root, with "/": what the product calls it, except for the inbox."""
        if self.well_known == "inbox":
            return "INBOX"
        if self.parent is None or self.parent.parent is None:
            return self.name
        return f"{self.parent.path}/{self.name}"


@dataclass(slots=True)
class Item:
    """One item. `kind` is its element: an inbox also holds MeetingRequests, Contacts and what not."""

    raw: bytes = field(repr=False)
    received_at: datetime | None
    seen: bool = False
    headers: tuple[tuple[str, str], ...] = ()  # as received; empty: those of `raw`
    kind: str = "Message"
    error: str = ""  # the ResponseCode whenever its content is asked for
    has_transport_headers: bool = True
    search_key: str = field(default_factory=lambda: secrets.token_hex(16))
    id: str = field(default_factory=lambda: _new_id("item"))
    change_key: str = field(default_factory=lambda: _new_id("c"))

    def touch(self) -> None:
        self.change_key = _new_id("c")


@dataclass(slots=True)
class Sent:
    """A message as the stand-in took it: to whom its MIME says."""

    raw: bytes = field(repr=False)
    sender: str
    recipients: tuple[str, ...]


class Mailbox:
    """A mailbox and those who may open it. Thread-safe: tests and the server work on it at once."""

    def __init__(self, address: str, *, aliases: tuple[str, ...] = ()) -> None:
        self.address, self.aliases = address, aliases
        self.users: set[str] = set()  # user names, lower case, that may open it
        self.send_as: set[str] = set()
        self.sent: list[Sent] = []
        self.keeps_ids = False  # through moves; no Exchange does
        self.lock = threading.RLock()
        root = Folder(WELL_KNOWN["msgfolderroot"], None, well_known="msgfolderroot")
        self.folders_by_id: dict[str, Folder] = {root.id: root}
        self.well_known: dict[str, Folder] = {"msgfolderroot": root}
        for name, shown in itertools.islice(WELL_KNOWN.items(), 1, None):
            folder_class = "IPF.Appointment" if name == "calendar" else "IPF.Note"
            self.well_known[name] = self._add(Folder(shown, root, folder_class, well_known=name))

    # What other clients do.

    def deliver(
        self,
        raw: bytes,
        *,
        received_at: datetime | None = None,
        seen: bool = False,
        folder: str = "INBOX",
        undated: bool = False,
        **options: object,
    ) -> str:
        """A new message; its key. `undated`: nobody knows when it was received."""
        at = (received_at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
        item = Item(raw, None if undated else at, seen, **options)  # type: ignore[arg-type]
        with self.lock:
            self.folder(folder).items.append(item)
        return item.search_key

    def expunge(self, key: str) -> None:
        with self.lock:
            inbox = self.folder("INBOX")
            inbox.items = [item for item in inbox.items if item.search_key != key]

    def take_away(self, key: str, folder: str, source: str = "INBOX") -> None:
        """A person moves it: its id changes."""
        with self.lock:
            for item in [item for item in self.folder(source).items if item.search_key == key]:
                self.move(item, self.folder(folder))

    def copy(self, key: str) -> None:
        """A person copies it within the inbox: another id, the same search key (PidTagSearchKey)."""
        with self.lock:
            item = self._in_inbox(key)
            twin = Item(item.raw, item.received_at, item.seen, item.headers, search_key=item.search_key)
            self.folder("INBOX").items.append(twin)

    def mark_seen(self, key: str) -> None:
        with self.lock:
            item = self._in_inbox(key)
            item.seen = True
            item.touch()

    def create(self, path: str, folder_class: str = "IPF.Note") -> Folder:
        with self.lock:
            parent = self.well_known["msgfolderroot"]
            for name in path.split("/"):
                found = next((one for one in self.children(parent) if one.name == name), None)
                parent = found or self._add(Folder(name, parent, folder_class))
            return parent

    def remove_folder(self, path: str) -> None:
        with self.lock:
            del self.folders_by_id[self.folder(path).id]

    def contents(self, folder: str = "INBOX") -> list[Item]:
        with self.lock:
            return list(self.folder(folder).items)

    def folders(self) -> set[str]:
        """Paths of what people made, and the inbox."""
        with self.lock:
            made = {folder.path for folder in self.folders_by_id.values() if not folder.well_known}
        return made | {"INBOX"}

    def folder(self, path: str) -> Folder:
        return next(one for one in self.folders_by_id.values() if one.path == path)

    # What the server does.

    def children(self, parent: Folder) -> list[Folder]:
        return [folder for folder in self.folders_by_id.values() if folder.parent is parent]

    def make(self, name: str, parent: Folder) -> Folder | None:
        """None: there is one of that name, whatever its case."""
        if any(folder.name.casefold() == name.casefold() for folder in self.children(parent)):
            return None
        return self._add(Folder(name, parent))

    def locate(self, item_id: str) -> tuple[Folder, Item] | None:
        for folder, item in self._all():
            if item.id == item_id:
                return folder, item
        return None

    def move(self, item: Item, target: Folder) -> None:
        """The id changes, the search key and the time of receipt stay."""
        for folder in self.folders_by_id.values():
            if item in folder.items:
                folder.items.remove(item)
        if not self.keeps_ids:
            item.id = _new_id("item")
        item.touch()
        target.items.append(item)

    def _add(self, folder: Folder) -> Folder:
        self.folders_by_id[folder.id] = folder
        return folder

    def _in_inbox(self, key: str) -> Item:
        return next(item for item in self.folder("INBOX").items if item.search_key == key)

    def _all(self) -> Iterator[tuple[Folder, Item]]:
        for folder in self.folders_by_id.values():
            for item in folder.items:
                yield folder, item
