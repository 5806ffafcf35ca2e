"""What every Mailbox and every Transport must do, whatever is behind it.

A test class inherits from a contract and provides `backend`: the server's side, on which a test does what
other clients do. The stand-ins in memory keep the same contract, so that tests on them can be believed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from webapp.mailserver.base import Mailbox, Transport
from webapp.mailserver.errors import (
    ConnectionFailed,
    FolderRefused,
    MessageRefused,
    RecipientsRefused,
    SenderRefused,
)

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
NOWHERE = "99999"


class State(Protocol):
    """A message as it is on the server."""

    @property
    def raw(self) -> bytes: ...
    @property
    def seen(self) -> bool: ...
    @property
    def received_at(self) -> datetime: ...


class MailboxBackend(Protocol):
    """The server's side of a mailbox."""

    def open_mailbox(self) -> Mailbox: ...
    def deliver(self, raw: bytes, *, received_at: datetime | None = None, seen: bool = False) -> str: ...
    def expunge(self, key: str) -> None: ...
    def take_away(self, key: str, folder: str) -> None: ...
    def mark_seen(self, key: str) -> None: ...
    def create(self, folder: str) -> None: ...
    def contents(self, folder: str = "INBOX") -> Sequence[State]: ...
    def folders(self) -> set[str]: ...


def message(subject: str = "Hello", body: str = "Good morning,\r\nit does not work.\r\n") -> bytes:
    return (
        f"From: Anna <anna@example.net>\r\nTo: desk@example.com\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@example.net>\r\n\r\n{body}"
    ).encode()


def _never() -> bool:
    return False


class MailboxContract:
    """See webapp.mailserver.base.Mailbox."""

    @pytest.fixture
    def backend(self) -> MailboxBackend:
        raise NotImplementedError

    # Opening and closing.

    def test_open_tells_epoch_and_total(self, backend: MailboxBackend) -> None:
        backend.deliver(message(), seen=True)
        backend.deliver(message())
        with backend.open_mailbox() as mailbox:
            state = mailbox.open()
        assert state.epoch
        assert state.total == 2
        assert state.unread == 1

    def test_epoch_lasts(self, backend: MailboxBackend) -> None:
        with backend.open_mailbox() as first, backend.open_mailbox() as second:
            assert first.open().epoch == second.open(read_only=True).epoch

    def test_empty_mailbox(self, backend: MailboxBackend) -> None:
        with backend.open_mailbox() as mailbox:
            assert mailbox.open().total == 0
            assert list(mailbox.list_unread()) == []

    def test_nothing_works_before_open_or_after_close(self, backend: MailboxBackend) -> None:
        backend.deliver(message())
        mailbox = backend.open_mailbox()
        with pytest.raises(ConnectionFailed):
            mailbox.list_unread()
        mailbox = backend.open_mailbox()
        mailbox.open()
        mailbox.close()
        mailbox.close()
        with pytest.raises(ConnectionFailed):
            mailbox.list_unread()

    @pytest.mark.parametrize(
        "change",
        [
            lambda mailbox, key: mailbox.mark_read([key]),
            lambda mailbox, key: mailbox.move([key], "Archive"),
            lambda mailbox, key: mailbox.create_folder("Other"),
        ],
    )
    def test_read_only_changes_nothing(
        self, backend: MailboxBackend, change: Callable[[Mailbox, str], object]
    ) -> None:
        key = backend.deliver(message())
        backend.create("Archive")
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            assert [m.raw for m in mailbox.fetch([key])] == [message()]
            with pytest.raises(FolderRefused):
                change(mailbox, key)
        assert [m.seen for m in backend.contents()] == [False]
        assert backend.folders() == {"INBOX", "Archive"}

    def test_no_keys_is_nothing_to_do(self, backend: MailboxBackend) -> None:
        backend.deliver(message())
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            assert list(mailbox.look_up([])) == []
            assert list(mailbox.fetch([])) == []
            assert mailbox.still_in_inbox([]) == frozenset()
            mailbox.mark_read([])
            result = mailbox.move([], "Archive")
        assert (result.moved, result.vanished) == (frozenset(), frozenset())
        assert [m.seen for m in backend.contents()] == [False]

    # Listing and looking.

    def test_unread_oldest_first(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n)), seen=n == 2) for n in range(12)]
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            unread = mailbox.list_unread()
            assert list(unread) == [key for n, key in enumerate(keys) if n != 2]
            assert len(unread) == 11
            assert list(unread[2:4]) == [keys[3], keys[4]]

    def test_unread_since(self, backend: MailboxBackend) -> None:
        backend.deliver(message("old"), received_at=NOON - timedelta(days=3))
        at = backend.deliver(message("at"), received_at=NOON)
        late = backend.deliver(message("late"), received_at=NOON + timedelta(hours=1))
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            assert list(mailbox.list_unread(since=NOON)) == [at, late]

    def test_read_since(self, backend: MailboxBackend) -> None:
        """What somebody has read; the unread, and the read of long ago, are not asked for."""
        backend.deliver(message("old"), received_at=NOON - timedelta(days=3), seen=True)
        first = backend.deliver(message("first"), received_at=NOON, seen=True)
        backend.deliver(message("unread"), received_at=NOON)
        second = backend.deliver(message("second"), received_at=NOON + timedelta(hours=1))
        backend.mark_seen(second)
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            read = mailbox.list_read(since=NOON)
            assert list(read) == [first, second]
            assert len(read) == 2
            assert list(mailbox.list_read(since=NOON + timedelta(days=5))) == []

    def test_look_up_tells_size_and_time(self, backend: MailboxBackend) -> None:
        zone = NOON + timedelta(hours=3, seconds=7)
        first = backend.deliver(message("a"), received_at=NOON)
        second = backend.deliver(message("bb"), received_at=zone)
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            found = mailbox.look_up([second, NOWHERE, first])
        assert [m.key for m in found] == [second, first]
        assert [m.received_at for m in found] == [zone, NOON]
        assert all(m.received_at.utcoffset() == timedelta(0) for m in found)
        assert [m.size for m in found] == [len(message("bb")), len(message("a"))]

    # Fetching.

    def test_fetch_is_complete_and_leaves_it_unread(self, backend: MailboxBackend) -> None:
        odd = (
            message("odd", ")\r\n{12}\r\n* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n. \r\n") + b"\xff\xfe\x80\r\n"
        )
        large = message("large", "0123456789abcdef" * 8 * 8192 + "\r\n")
        raws = [odd, large, message("plain")]
        keys = [backend.deliver(raw) for raw in raws]
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            fetched = list(mailbox.fetch(keys[::-1]))
        assert [m.key for m in fetched] == keys[::-1]
        assert [m.raw for m in fetched] == raws[::-1]
        assert not any(m.seen for m in backend.contents())

    def test_fetch_leaves_out_what_vanished(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n))) for n in range(3)]
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            backend.expunge(keys[1])
            assert [m.key for m in mailbox.fetch([*keys, NOWHERE])] == [keys[0], keys[2]]
            assert list(mailbox.fetch([keys[1]])) == []
            assert [m.key for m in mailbox.fetch_headers([keys[1], keys[2]])] == [keys[2]]

    def test_fetch_headers(self, backend: MailboxBackend) -> None:
        raws = [message("first", "not this " * 5000), message("second"), b"Subject: no body\r\n\r\n"]
        keys = [backend.deliver(raw) for raw in raws]
        asked = [keys[2], NOWHERE, keys[0], keys[1]]
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            headers = list(mailbox.fetch_headers(asked))
        assert [m.key for m in headers] == [keys[2], keys[0], keys[1]]
        heads = [raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for raw in raws]
        assert [m.raw for m in headers] == [heads[2], heads[0], heads[1]]
        assert not any(m.seen for m in backend.contents())

    def test_fetch_headers_of_many(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n))) for n in range(230)]
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            headers = list(mailbox.fetch_headers(keys))
        assert [m.key for m in headers] == keys
        assert [m.raw for m in headers] == [
            message(str(n)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for n in range(230)
        ]

    def test_still_in_inbox_by_presence(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n))) for n in range(4)]
        backend.create("Archive")
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            mailbox.mark_read([keys[0]])
            backend.expunge(keys[1])
            backend.take_away(keys[2], "Archive")
            assert mailbox.still_in_inbox([*keys, NOWHERE]) == {keys[0], keys[3]}

    # Changing.

    def test_mark_read(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n))) for n in range(4)]
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            backend.expunge(keys[1])
            mailbox.mark_read({keys[0], keys[1], keys[2], NOWHERE})
            assert list(mailbox.list_unread()) == [keys[3]]
        assert [m.seen for m in backend.contents()] == [True, True, False]

    def test_archive_is_found_without_making_it(self, backend: MailboxBackend) -> None:
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            archive = mailbox.find_archive()
            assert archive.path == "Archive"
            assert not archive.exists
            ignored = mailbox.find_subfolder(archive.path, "Ignored")
            assert not ignored.exists
        assert backend.folders() == {"INBOX"}

    def test_another_folder_is_listed_without_changing_it(self, backend: MailboxBackend) -> None:
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            archive = mailbox.find_archive()
            mailbox.create_folder(archive.path)
            keys = [backend.deliver(message(str(n)), received_at=NOON) for n in range(2)]
            mailbox.move(keys, archive.path)
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            listed = mailbox.list_folder(archive.path)
            assert len(listed) == len(keys)
            assert [found.received_at for found in mailbox.look_up(listed)] == [NOON, NOON]
            assert b"Subject: 0" in next(mailbox.fetch_headers(listed)).raw
            assert len(mailbox.list_folder(archive.path, since=NOON + timedelta(days=3))) == 0
            with pytest.raises(FolderRefused):
                mailbox.mark_read(listed)
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            with pytest.raises(FolderRefused):
                mailbox.list_folder("No such folder")

    def test_folders_are_made_once(self, backend: MailboxBackend) -> None:
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            archive = mailbox.find_archive()
            mailbox.create_folder(archive.path)
            mailbox.create_folder(archive.path)
            assert mailbox.find_archive().exists
            below = mailbox.find_subfolder(archive.path, "Ignored")
            mailbox.create_folder(below.path)
            assert mailbox.find_subfolder(archive.path, "Ignored").exists
        assert backend.folders() == {"INBOX", archive.path, below.path}

    def test_move_keeps_everything(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n)), received_at=NOON + timedelta(minutes=n)) for n in range(5)]
        backend.create("Archive")
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            mailbox.mark_read([keys[0]])
            result = mailbox.move(keys[:3], "Archive")
            assert mailbox.still_in_inbox(keys) == set(keys[3:])
        assert result.moved == set(keys[:3])
        assert result.vanished == frozenset()
        archived = sorted(backend.contents("Archive"), key=lambda m: m.received_at)
        assert [m.raw for m in archived] == [message(str(n)) for n in range(3)]
        assert [m.received_at for m in archived] == [NOON + timedelta(minutes=n) for n in range(3)]
        assert [m.seen for m in archived] == [True, False, False]
        assert len(backend.contents()) == 2

    def test_move_makes_a_missing_folder(self, backend: MailboxBackend) -> None:
        key = backend.deliver(message())
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            assert mailbox.move([key], "Archive").moved == {key}
        assert len(backend.contents("Archive")) == 1

    def test_move_goes_on_without_what_vanished(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n))) for n in range(4)]
        backend.create("Archive")
        backend.create("Elsewhere")
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            backend.expunge(keys[1])
            backend.take_away(keys[2], "Elsewhere")
            result = mailbox.move([*keys, NOWHERE], "Archive")
        assert result.moved == {keys[0], keys[3]}
        assert result.vanished == {keys[1], keys[2], NOWHERE}
        assert len(backend.contents("Archive")) == 2
        assert len(backend.contents("Elsewhere")) == 1
        assert list(backend.contents()) == []

    def test_the_same_keys_in_a_new_session(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n))) for n in range(2)]
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            mailbox.move([keys[0]], "Archive")
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            assert mailbox.still_in_inbox(keys) == {keys[1]}
            assert [m.raw for m in mailbox.fetch(keys)] == [message("1")]


class NewsContract(MailboxContract):
    """A server that tells by itself that mail has come (IMAP IDLE)."""

    def test_no_news(self, backend: MailboxBackend) -> None:
        """What was there when the inbox was opened is none."""
        backend.deliver(message())
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            started = time.monotonic()
            assert mailbox.wait_for_news(0.5, stop=_never) is False
            assert 0.5 <= time.monotonic() - started < 5.5
            assert mailbox.wait_for_news(0, stop=_never) is False
            assert len(mailbox.list_unread()) == 1

    def test_news_ends_the_wait(self, backend: MailboxBackend) -> None:
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            for subject in ("one", "two"):
                delivery = threading.Timer(0.3, backend.deliver, [message(subject)])
                delivery.start()
                started = time.monotonic()
                assert mailbox.wait_for_news(60, stop=_never) is True
                assert time.monotonic() - started < 20
                delivery.join()
            assert mailbox.wait_for_news(0.3, stop=_never) is False
        assert [m.seen for m in backend.contents()] == [False, False]

    def test_news_between_opening_and_waiting(self, backend: MailboxBackend) -> None:
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            for subject in ("one", "two"):
                backend.deliver(message(subject))
                assert mailbox.wait_for_news(60, stop=_never) is True
            assert mailbox.wait_for_news(0.3, stop=_never) is False

    def test_news_while_others_leave(self, backend: MailboxBackend) -> None:
        """As many messages as before, but another one."""
        backend.create("Archive")
        key = backend.deliver(message("first"))
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            for subject in ("second", "third"):
                backend.take_away(key, "Archive")
                key = backend.deliver(message(subject))
                assert mailbox.wait_for_news(60, stop=_never) is True
            backend.take_away(key, "Archive")
            assert mailbox.wait_for_news(0.5, stop=_never) is False

    def test_the_wait_is_stopped(self, backend: MailboxBackend) -> None:
        stop = threading.Event()
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            threading.Timer(0.3, stop.set).start()
            started = time.monotonic()
            assert mailbox.wait_for_news(60, stop=stop.is_set) is False
            assert time.monotonic() - started < 20
            assert list(mailbox.list_unread()) == []

    def test_the_wait_is_cut(self, backend: MailboxBackend) -> None:
        """Unlike a stop it costs the session."""
        with backend.open_mailbox() as mailbox:
            mailbox.open(read_only=True)
            threading.Timer(0.3, mailbox.abort).start()
            started = time.monotonic()
            with pytest.raises(ConnectionFailed):
                mailbox.wait_for_news(60, stop=_never)
            assert time.monotonic() - started < 20
            with pytest.raises(ConnectionFailed):
                mailbox.list_unread()

    def test_no_wait_when_closed(self, backend: MailboxBackend) -> None:
        mailbox = backend.open_mailbox()
        with pytest.raises(ConnectionFailed):
            mailbox.wait_for_news(60, stop=_never)


class Sent(Protocol):
    """A message as the server took it."""

    @property
    def raw(self) -> bytes: ...
    @property
    def sender(self) -> str: ...
    @property
    def recipients(self) -> Sequence[str]: ...


class TransportBackend(Protocol):
    """The server's side of sending."""

    def open_transport(self) -> Transport: ...
    def refuse_recipient(self, address: str, reply: str) -> None: ...
    def refuse_sender(self, address: str) -> None: ...
    def refuse_message(self) -> None: ...
    def sent(self) -> Sequence[Sent]: ...


DESK = "desk@example.com"


def outgoing(
    subject: str = "Hello",
    body: str = "Good morning,\r\nit works again.\r\n",
    *,
    to: Sequence[str] = ("anna@example.net",),
) -> bytes:
    """A message of the desk's that names its recipients."""
    return (
        f"From: Help Desk <{DESK}>\r\nTo: {', '.join(to)}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@example.com>\r\n\r\n{body}"
    ).encode()


class TransportContract:
    """See webapp.mailserver.base.Transport."""

    @pytest.fixture
    def transport_backend(self) -> TransportBackend:
        raise NotImplementedError

    def test_send(self, transport_backend: TransportBackend) -> None:
        both = ["anna@example.net", "bob@example.net"]
        raw = outgoing("dots", ".\r\n..\r\n.hidden\r\nend\r\n", to=both)
        with transport_backend.open_transport() as transport:
            transport.open()
            result = transport.send(raw, sender=DESK, recipients=both)
            again = transport.send(outgoing("again"), sender=DESK, recipients=["anna@example.net"])
        assert result.accepted == {"anna@example.net", "bob@example.net"}
        assert result.refused == {}
        assert again.accepted == {"anna@example.net"}
        first, second = transport_backend.sent()
        assert (first.raw, first.sender) == (raw, DESK)
        assert list(first.recipients) == ["anna@example.net", "bob@example.net"]
        assert second.raw == outgoing("again")

    def test_check_sender_sends_nothing(self, transport_backend: TransportBackend) -> None:
        transport_backend.refuse_sender("boss@example.com")
        with transport_backend.open_transport() as transport:
            transport.open()
            transport.check_sender(DESK)
            with pytest.raises(SenderRefused):
                transport.check_sender("boss@example.com")
        assert list(transport_backend.sent()) == []

    def test_a_message_may_follow_a_check(self, transport_backend: TransportBackend) -> None:
        with transport_backend.open_transport() as transport:
            transport.open()
            transport.check_sender(DESK)
            transport.send(outgoing(), sender=DESK, recipients=["anna@example.net"])
        assert len(transport_backend.sent()) == 1

    def test_a_refused_message(self, transport_backend: TransportBackend) -> None:
        transport_backend.refuse_message()
        with transport_backend.open_transport() as transport:
            transport.open()
            with pytest.raises(MessageRefused) as caught:
                transport.send(outgoing(), sender=DESK, recipients=["anna@example.net"])
        assert caught.value.permanent
        assert not caught.value.uncertain

    def test_nothing_works_before_open_or_after_close(self, transport_backend: TransportBackend) -> None:
        transport = transport_backend.open_transport()
        with pytest.raises(ConnectionFailed):
            transport.check_sender(DESK)
        transport = transport_backend.open_transport()
        transport.open()
        transport.close()
        transport.close()
        with pytest.raises(ConnectionFailed) as caught:
            transport.send(outgoing(), sender=DESK, recipients=["anna@example.net"])
        assert not caught.value.uncertain


class EnvelopeContract(TransportContract):
    """A server that is told the recipients apart from the message, and answers for each (SMTP)."""

    def test_one_refused_recipient_does_not_keep_the_others(
        self, transport_backend: TransportBackend
    ) -> None:
        transport_backend.refuse_recipient("gone@example.net", "550 5.1.1 no such user")
        with transport_backend.open_transport() as transport:
            transport.open()
            result = transport.send(
                outgoing(), sender=DESK, recipients=["gone@example.net", "anna@example.net"]
            )
        assert result.accepted == {"anna@example.net"}
        assert result.refused == {"gone@example.net": "550 5.1.1 no such user"}
        assert list(transport_backend.sent()[0].recipients) == ["anna@example.net"]

    @pytest.mark.parametrize(
        ("replies", "permanent"),
        [(["550 5.1.1 no", "554 no"], True), (["550 5.1.1 no", "450 4.2.1 later"], False)],
    )
    def test_every_recipient_refused(
        self, transport_backend: TransportBackend, replies: list[str], permanent: bool
    ) -> None:
        addresses = ["a@example.net", "b@example.net"]
        for address, reply in zip(addresses, replies, strict=True):
            transport_backend.refuse_recipient(address, reply)
        with transport_backend.open_transport() as transport:
            transport.open()
            with pytest.raises(RecipientsRefused) as caught:
                transport.send(outgoing(), sender=DESK, recipients=addresses)
        assert caught.value.refused == dict(zip(addresses, replies, strict=True))
        assert caught.value.permanent is permanent
        assert not caught.value.uncertain
        assert list(transport_backend.sent()) == []
