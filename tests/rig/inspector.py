"""Looking into a mailbox, and meddling with it, with plain imaplib: never with the adapter under test."""

from __future__ import annotations

import imaplib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imapclient import imap_utf7


@dataclass(frozen=True, slots=True)
class MessageState:
    """A message as the inspector sees it."""

    uid: str
    raw: bytes = field(repr=False)
    flags: frozenset[str]
    received_at: datetime

    @property
    def seen(self) -> bool:
        return "\\Seen" in self.flags


class Inspector:
    """Plain imaplib; only what the tests need."""

    def __init__(self, imap: imaplib.IMAP4) -> None:
        self._imap = imap

    def append(
        self,
        raw: bytes,
        *,
        received_at: datetime | None = None,
        seen: bool = False,
        folder: str = "INBOX",
    ) -> str:
        at = imaplib.Time2Internaldate(received_at or datetime.now(UTC))
        answer = _ok(self._imap.append(_encoded(folder), "\\Seen" if seen else "", at, raw))
        match = re.search(rb"APPENDUID \d+ (\d+)", answer[0])
        assert match
        return match[1].decode()

    def contents(self, folder: str = "INBOX") -> list[MessageState]:
        _ok(self._imap.select(_encoded(folder), readonly=True))
        data = self._imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]
        return sorted((_state(item) for item in data if isinstance(item, tuple)), key=lambda m: int(m.uid))

    def folders(self, command: str = "LIST") -> set[str]:
        lines = _ok(self._imap.list() if command == "LIST" else self._imap.lsub())
        return {_decoded(line) for line in lines if line}

    def store(self, uid: str, command: str, flags: str, folder: str = "INBOX") -> None:
        _ok(self._imap.select(_encoded(folder)))
        _ok(self._imap.uid("STORE", uid, command, f"({flags})"))

    def expunge(self, uid: str, folder: str = "INBOX") -> None:
        self.store(uid, "+FLAGS", "\\Deleted", folder)
        _ok(self._imap.expunge())

    def move(self, uid: str, to: str, folder: str = "INBOX") -> None:
        _ok(self._imap.select(_encoded(folder)))
        _ok(self._imap.uid("MOVE", uid, _encoded(to)))

    def create(self, folder: str) -> None:
        _ok(self._imap.create(_encoded(folder)))

    def rename(self, folder: str, to: str) -> None:
        _ok(self._imap.rename(_encoded(folder), _encoded(to)))

    def delete(self, folder: str) -> None:
        _ok(self._imap.delete(_encoded(folder)))


def _ok(answer: tuple[str, list[Any]]) -> list[Any]:
    assert answer[0] == "OK", answer
    return answer[1]


def _encoded(folder: str) -> str:
    escaped = imap_utf7.encode(folder).decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _decoded(line: bytes) -> str:
    match = re.fullmatch(rb'\(.*?\) (?:"(?:[^"\\]|\\.)*"|NIL) (.*)', line)
    assert match, line
    name = match[1]
    if name.startswith(b'"'):
        name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
    decoded: str = imap_utf7.decode(name)
    return decoded


def _state(item: tuple[bytes, bytes]) -> MessageState:
    uid = re.search(rb"UID (\d+)", item[0])
    flags = re.search(rb"FLAGS \(([^)]*)\)", item[0])
    date = re.search(rb'INTERNALDATE "([^"]+)"', item[0])
    assert uid
    assert flags
    assert date
    return MessageState(
        uid=uid[1].decode(),
        raw=item[1],
        flags=frozenset(flags[1].decode().split()) - {"\\Recent"},
        received_at=datetime.strptime(date[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC),
    )
