"""The stand-ins keep the contract, and their knobs do what they say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest

from tests.mailserver.contract import (
    DESK,
    EnvelopeContract,
    MailboxBackend,
    NewsContract,
    Sent,
    State,
    TransportBackend,
    message,
)
from webapp.mailserver.base import Mailbox, Transport
from webapp.mailserver.errors import (
    ConnectionFailed,
    MessageRefused,
    MoveNotSupported,
    QuotaExceeded,
    ServerTimeout,
    Stage,
)
from webapp.mailserver.memory import MemoryMailbox, MemoryOutbox, MemoryServer, MemoryTransport


class MemoryBackend:
    def __init__(self) -> None:
        self.server = MemoryServer()

    def open_mailbox(self) -> Mailbox:
        return MemoryMailbox(self.server)

    def deliver(self, raw: bytes, *, received_at: datetime | None = None, seen: bool = False) -> str:
        return self.server.deliver(raw, received_at=received_at, seen=seen)

    def expunge(self, key: str) -> None:
        self.server.expunge(key)

    def take_away(self, key: str, folder: str) -> None:
        self.server.move(self._message(key), folder)

    def mark_seen(self, key: str) -> None:
        self._message(key).seen = True

    def create(self, folder: str) -> None:
        self.server.folders[folder] = []

    def contents(self, folder: str = "INBOX") -> Sequence[State]:
        return self.server.folders[folder]

    def folders(self) -> set[str]:
        return set(self.server.folders)

    def _message(self, key: str):  # type: ignore[no-untyped-def]
        return next(m for m in self.server.folders["INBOX"] if str(m.uid) == key)


class MemoryTransportBackend:
    def __init__(self) -> None:
        self.outbox = MemoryOutbox()

    def open_transport(self) -> Transport:
        return MemoryTransport(self.outbox)

    def refuse_recipient(self, address: str, reply: str) -> None:
        self.outbox.refuse_recipients[address] = reply

    def refuse_sender(self, address: str) -> None:
        self.outbox.refuse_senders.add(address)

    def refuse_message(self) -> None:
        self.outbox.fail_on["send"] = MessageRefused("no", stage=Stage.SEND, server_said="554 no")

    def sent(self) -> Sequence[Sent]:
        return self.outbox.sent


class TestMemoryMailbox(NewsContract):
    @pytest.fixture
    def backend(self) -> MailboxBackend:
        return MemoryBackend()


class TestMemoryTransport(EnvelopeContract):
    @pytest.fixture
    def transport_backend(self) -> TransportBackend:
        return MemoryTransportBackend()


def test_the_reply_of_a_move_is_lost() -> None:
    server = MemoryServer(lose_reply_of={"move"})
    key = server.deliver(message())
    mailbox = MemoryMailbox(server)
    mailbox.open()
    with pytest.raises(ConnectionFailed):
        mailbox.move([key], "Archive")
    assert len(server.folders["Archive"]) == 1
    with pytest.raises(ConnectionFailed):  # and the session is over
        mailbox.list_unread()


def test_the_epoch_changes() -> None:
    server = MemoryServer()
    key = server.deliver(message())
    mailbox = MemoryMailbox(server)
    before = mailbox.open().epoch
    server.change_epoch()
    assert mailbox.open().epoch != before
    assert list(mailbox.list_unread()) != [key]


def test_no_move_no_children_no_room() -> None:
    server = MemoryServer(can_move=False, children_allowed=False)
    mailbox = MemoryMailbox(server)
    with pytest.raises(MoveNotSupported):
        mailbox.open()
    mailbox.open(read_only=True)
    assert mailbox.find_subfolder("Archive", "Ignored").path == "Archive"
    server.can_move, server.has_quota = True, True
    mailbox.open()
    with pytest.raises(QuotaExceeded):
        mailbox.create_folder("Archive")


def test_a_chosen_failure_ends_the_session() -> None:
    server = MemoryServer(fail_on={"fetch": ServerTimeout("no answer", stage=Stage.FETCH)})
    mailbox = MemoryMailbox(server)
    mailbox.open()
    with pytest.raises(ServerTimeout):
        list(mailbox.fetch(["1"]))
    assert server.commands == ["open", "fetch"]
    with pytest.raises(ConnectionFailed):
        mailbox.list_unread()


def test_an_uncertain_outcome() -> None:
    outbox = MemoryOutbox(lose_reply=True)
    transport = MemoryTransport(outbox)
    transport.open()
    with pytest.raises(ConnectionFailed) as caught:
        transport.send(message(), sender=DESK, recipients=["anna@example.net"])
    assert caught.value.uncertain
    assert len(outbox.sent) == 1
