"""Mailboxes, accounts and sent mail of the Graph stand-in: what is there, without any HTTP."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser

WELL_KNOWN = {
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "junkemail": "Junk Email",
    "archive": "Online Archive",  # not the folder that an administrator means by "Archive"
}

IMMUTABLE, ITEM = "AAkA", "AAMk"  # how ids of either kind begin


@dataclass(slots=True)
class StoredFile:
    """A file attached to a draft through an attachment or an upload session."""

    name: str
    content_type: str
    octets: bytes = field(repr=False)


@dataclass(slots=True)
class StoredMessage:
    """A message; `item_id` changes with every move, `immutable_id` never."""

    immutable_id: str
    item_id: str
    folder_id: str
    raw: bytes = field(repr=False)
    received_at: datetime | None
    seen: bool = False
    is_draft: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    files: list[StoredFile] = field(default_factory=list)


@dataclass(slots=True)
class StoredFolder:
    id: str
    name: str
    parent: str  # "" at the top


@dataclass(frozen=True, slots=True)
class SentMail:
    """A message the stand-in has taken to deliver."""

    raw: bytes = field(repr=False)
    sender: str
    recipients: list[str]
    files: list[StoredFile] = field(default_factory=list)


class GraphMailboxStore:
    """One mailbox. The methods are what other clients do to it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.messages: dict[str, StoredMessage] = {}  # by immutable id
        self.by_folder: dict[str, StoredFolder] = {}
        self.well_known: dict[str, str] = {}
        self.sent: list[SentMail] = []
        self.full = False
        self._last_ids: dict[str, tuple[int, str]] = {}
        for key, name in WELL_KNOWN.items():
            self.well_known[key] = self.make_folder("", name).id

    def deliver(
        self,
        raw: bytes,
        *,
        received_at: datetime | None = None,
        seen: bool = False,
        folder: str = "INBOX",
        transport_headers: tuple[tuple[str, str], ...] | None = None,
        never_received: bool = False,
    ) -> str:
        """A new message; its immutable id. Exchange keeps the header fields as they came beside the MIME."""
        at = (received_at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
        headers = headers_of(raw) if transport_headers is None else transport_headers
        with self.lock:
            where = self.folder_at(folder)
            message = StoredMessage(
                self.new_id(IMMUTABLE),
                self.new_id(ITEM),
                where.id,
                raw,
                None if never_received else at,
                seen,
                headers=headers,
            )
            self.messages[message.immutable_id] = message
            return message.immutable_id

    def expunge(self, key: str) -> None:
        with self.lock:
            del self.messages[key]

    def take_away(self, key: str, folder: str) -> None:
        """A person moves a message."""
        with self.lock:
            self.move(self.messages[key], self.folder_at(folder).id)

    def mark_seen(self, key: str) -> None:
        self.messages[key].seen = True

    def create(self, path: str) -> StoredFolder:
        with self.lock:
            parent = ""
            for name in path.split("/"):
                found = self.child(parent, name) or self.make_folder(parent, name)
                parent = found.id
            return self.by_folder[parent]

    def remove_folder(self, path: str) -> None:
        with self.lock:
            del self.by_folder[self.folder_at(path).id]

    def contents(self, folder: str = "INBOX") -> Sequence[StoredMessage]:
        """Oldest first, by the order they came in."""
        with self.lock:
            where = self.folder_at(folder).id
            return [message for message in self.messages.values() if message.folder_id == where]

    def folders(self) -> set[str]:
        """The paths of the inbox and of what somebody made."""
        with self.lock:
            made = [one for one in self.by_folder.values() if one.id not in self.well_known.values()]
            return {"INBOX", *(self._path(one) for one in made)}

    def folder_at(self, path: str) -> StoredFolder:
        if path == "INBOX":
            return self.by_folder[self.well_known["inbox"]]
        found: StoredFolder | None = None
        for name in path.split("/"):
            found = self.child(found.id if found else "", name)
            if found is None:
                raise KeyError(path)
        assert found is not None
        return found

    # What the server does.

    def child(self, parent: str, name: str) -> StoredFolder | None:
        return next((one for one in self.children(parent) if one.name.lower() == name.lower()), None)

    def children(self, parent: str) -> list[StoredFolder]:
        return [one for one in self.by_folder.values() if one.parent == parent]

    def make_folder(self, parent: str, name: str) -> StoredFolder:
        folder = StoredFolder(self.new_id("AQMk"), name, parent)
        self.by_folder[folder.id] = folder
        return folder

    def move(self, message: StoredMessage, folder_id: str) -> None:
        message.folder_id = folder_id
        message.item_id = self.new_id(ITEM)

    def add_draft(self, raw: bytes) -> StoredMessage:
        with self.lock:
            message = StoredMessage(
                self.new_id(IMMUTABLE),
                self.new_id(ITEM),
                self.well_known["drafts"],
                raw,
                None,
                seen=True,
                is_draft=True,
            )
            self.messages[message.immutable_id] = message
            return message

    def new_id(self, start: str) -> str:
        """Pairs of one kind differ in nothing but case: who compares without it finds another message."""
        number, token = self._last_ids.get(start, (0, ""))
        if number % 2 == 0:
            token = base64.urlsafe_b64encode(secrets.token_bytes(30)).decode()
        self._last_ids[start] = number + 1, token
        return f"{start}{token}{'-_Aq' if number % 2 == 0 else '-_aQ'}="

    def _path(self, folder: StoredFolder) -> str:
        if not folder.parent:
            return folder.name
        return f"{self._path(self.by_folder[folder.parent])}/{folder.name}"


def headers_of(raw: bytes) -> tuple[tuple[str, str], ...]:
    """The header fields of a message, unfolded."""
    message = BytesParser(policy=policy.compat32).parsebytes(raw, headersonly=True)
    return tuple((name, "".join(str(value).splitlines())) for name, value in message.items())


@dataclass(slots=True)
class GraphUser:
    """An account; `mailbox` is None where it has no licence for one."""

    user_id: str
    address: str
    display_name: str
    aliases: tuple[str, ...]
    tenant: str
    mailbox: GraphMailboxStore | None
    shared_with: set[str] = field(default_factory=set)  # addresses that may open and send as it

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.address, *self.aliases)
