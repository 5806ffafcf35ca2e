"""A million unread messages: memory stays bounded, and each run goes on where the one before stopped."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import pytest

from tests.factories import NOW, make_raw
from tests.inbound.conftest import Desk
from webapp.inbound import inbox
from webapp.inbound.poll import poll
from webapp.inbound.runs import RunReport
from webapp.mailserver.base import FetchedMessage, InboxState, MoveResult, RemoteMessage
from webapp.mailserver.imap_sets import Keys
from webapp.mailserver.memory import MemoryMailbox, MemoryServer

MILLION = 1_000_000
A_RUN = 100  # messages; 5,000 of them would only take longer
MOST = 15_000_000  # octets beside the keys, which are 4 MB; a list of them as texts would be over 60


class Million(MemoryMailbox):
    """The inbox holds every UID up to a million but those moved; messages are made when asked for."""

    def __init__(self, moved: set[int], unread: Keys) -> None:
        super().__init__(MemoryServer())
        self._moved, self._unread = moved, unread

    def open(self, *, read_only: bool = False) -> InboxState:
        return dataclasses.replace(super().open(read_only=read_only), unread=MILLION - len(self._moved))

    def list_unread(self, *, since: datetime | None = None) -> Sequence[str]:
        return self._unread

    def look_up(self, keys: Collection[str]) -> list[RemoteMessage]:
        return [RemoteMessage(key, 500, NOW) for key in keys if int(key) not in self._moved]

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        return (FetchedMessage(key, make_raw(subject=f"message {key}")) for key in keys)

    def move(self, keys: Collection[str], folder: str) -> MoveResult:
        self._moved.update(map(int, keys))
        return MoveResult(frozenset(keys), frozenset())

    def mark_read(self, keys: Collection[str]) -> None:
        pass


def test_a_million_unread_messages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "RUN_MESSAGES", A_RUN)
    moved: set[int] = set()
    unread = [Keys(range(1, MILLION + 1)), Keys(range(A_RUN + 1, MILLION + 1))]
    tracemalloc.start()
    try:
        for number, keys in enumerate(unread, 1):
            report = run_over(desk, Million(moved, keys))
            assert report.failure is None
            assert not report.drained  # so the next run comes at once
            assert report.counts.processed == A_RUN
            assert moved == set(range(1, A_RUN * number + 1))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MOST
    assert [ticket.subject for ticket in desk.tickets()] == [f"message {n}" for n in range(1, 2 * A_RUN + 1)]


def run_over(desk: Desk, mailbox: Million) -> RunReport:
    return poll(desk.instance, desk.parser, trigger="command", connect=lambda _: mailbox)
