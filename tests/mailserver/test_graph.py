"""GraphMailbox and GraphTransport on the strict stand-in: the contracts, and what Graph alone does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.mailserver.contract import (
    DESK,
    NOON,
    MailboxBackend,
    MailboxContract,
    Sent,
    State,
    TransportBackend,
    TransportContract,
    message,
    outgoing,
)
from tests.rig.graph_server import GraphServer
from tests.rig.graph_store import GraphMailboxStore
from tests.rig.graph_wire import Fault, Reply, error
from webapp.mailserver.base import UNKNOWN_TIME, Mailbox, Transport
from webapp.mailserver.connect import open_mailbox, open_transport
from webapp.mailserver.errors import FolderRefused, IdleNotSupported, Stage
from webapp.mailserver.graph import PAGE, GraphMailbox


class GraphBackend:
    def __init__(self, server: GraphServer) -> None:
        self.server = server
        self.store = server.mailbox_of(DESK)

    def open_mailbox(self) -> Mailbox:
        return open_mailbox(self.server.settings(DESK))

    def deliver(self, raw: bytes, *, received_at: datetime | None = None, seen: bool = False) -> str:
        return self.store.deliver(raw, received_at=received_at, seen=seen)

    def expunge(self, key: str) -> None:
        self.store.expunge(key)

    def take_away(self, key: str, folder: str) -> None:
        self.store.take_away(key, folder)

    def mark_seen(self, key: str) -> None:
        self.store.mark_seen(key)

    def create(self, folder: str) -> None:
        self.store.create(folder)

    def contents(self, folder: str = "INBOX") -> Sequence[State]:
        return [
            _State(one.raw, one.seen, one.received_at or UNKNOWN_TIME) for one in self.store.contents(folder)
        ]

    def folders(self) -> set[str]:
        return self.store.folders()


class _State:
    def __init__(self, raw: bytes, seen: bool, received_at: datetime) -> None:
        self.raw, self.seen, self.received_at = raw, seen, received_at


class GraphTransportBackend:
    """`refuse_sender` has nothing to do: whoever is not an address of the account is refused."""

    def __init__(self, server: GraphServer) -> None:
        self.server = server

    def open_transport(self) -> Transport:
        return open_transport(self.server.settings(DESK, receives=False))

    def refuse_recipient(self, address: str, reply: str) -> None:
        raise NotImplementedError

    def refuse_sender(self, address: str) -> None:
        assert address not in self.server.users[DESK].addresses

    def refuse_message(self) -> None:
        reply = error(400, "ErrorMimeContentInvalid", "The MIME content is invalid.")
        self.server.faults.append(Fault("POST", "sendMail$", reply=reply))

    def sent(self) -> Sequence[Sent]:
        return self.server.mailbox_of(DESK).sent


class TestGraphMailbox(MailboxContract):
    @pytest.fixture
    def backend(self, graph_server: GraphServer) -> MailboxBackend:
        return GraphBackend(graph_server)


class TestGraphTransport(TransportContract):
    @pytest.fixture
    def transport_backend(self, graph_server: GraphServer) -> TransportBackend:
        return GraphTransportBackend(graph_server)


@pytest.fixture
def store(graph_server: GraphServer) -> GraphMailboxStore:
    return graph_server.mailbox_of(DESK)


# Ids and lists.


def test_every_request_asks_for_immutable_ids(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    key = store.deliver(message())
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        list(mailbox.fetch(mailbox.list_unread()))
        mailbox.find_archive()
        mailbox.mark_read([key])
        mailbox.move([key], "Archive")
        assert mailbox.still_in_inbox([key]) == frozenset()
    assert {seen.headers["prefer"] for seen in graph_server.requests} == {'IdType="ImmutableId"'}
    assert [one.immutable_id for one in store.contents("Archive")] == [key]


def test_a_message_that_is_put_back_has_its_old_key(
    graph_server: GraphServer, store: GraphMailboxStore
) -> None:
    key = store.deliver(message())
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        assert mailbox.open().keys_are_for_ever
        mailbox.move([key], "Archive")
        store.take_away(key, "INBOX")
        assert list(mailbox.list_unread()) == [key]
        assert [found.raw for found in mailbox.fetch([key])] == [message()]


def test_a_list_of_many_pages(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    graph_server.largest_page = 7
    keys = [store.deliver(message(str(n)), received_at=NOON + timedelta(minutes=n)) for n in range(30)]
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        unread = mailbox.list_unread()
        assert list(unread) == keys
        mailbox.move(unread, "Archive")
        assert list(mailbox.list_unread()) == []
    assert len(store.contents("Archive")) == 30


def test_what_was_listed_is_not_asked_again(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    keys = [store.deliver(message(str(n)), received_at=NOON) for n in range(60)]
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open(read_only=True)
        unread = mailbox.list_unread()
        before = len(graph_server.requests)
        found = mailbox.look_up(unread)
        assert len(graph_server.requests) == before
    assert sorted(one.key for one in found) == sorted(keys)
    assert {one.received_at for one in found} == {NOON}
    assert {one.size for one in found} == {len(message("1")), len(message("10"))}
    assert before == 2  # the inbox and one page
    assert PAGE > 60


def test_what_was_moved_is_no_longer_there(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    keys = [store.deliver(message(str(n))) for n in range(3)]
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert list(mailbox.list_unread()) == keys
        mailbox.move(keys[:2], "Archive")
        assert [one.key for one in mailbox.look_up(keys)] == [keys[2]]
        assert [one.key for one in mailbox.fetch(keys)] == [keys[2]]


def test_sixty_messages_take_few_requests(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """20 a $batch; only the MIME comes one by one."""
    keys = [store.deliver(message(str(n))) for n in range(60)]
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert len(list(mailbox.fetch(keys))) == 60
        mailbox.mark_read(keys)
        assert mailbox.move(keys, "Archive").moved == set(keys)
    assert len(graph_server.requests) <= 60 + 1 + 3 * 5 + 4


def test_a_message_that_was_never_received(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """Somebody copied it there: it has no time of receipt, so Graph cannot list it by that."""
    key = store.deliver(message(), never_received=True)
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert list(mailbox.list_unread()) == []
        (found,) = mailbox.look_up([key])
        assert found.received_at == UNKNOWN_TIME


# Header fields.


def test_the_header_fields_as_they_came(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """Exchange leaves some out of the MIME it makes."""
    came = (("Auto-Submitted", "auto-replied"), ("Subject", "=?utf-8?q?=C3=B6?="), ("X-Odd", "a\r\n b\x00c"))
    key = store.deliver(message(), transport_headers=came)
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        (fetched,) = mailbox.fetch([key])
        (header,) = mailbox.fetch_headers([key])
    assert fetched.raw == message()
    assert fetched.transport_headers == (*came[:2], ("X-Odd", "a  b c"))
    assert header.raw == (
        b"Auto-Submitted: auto-replied\r\nSubject: =?utf-8?q?=C3=B6?=\r\nX-Odd: a  b c\r\n\r\n"
    )


def test_a_header_field_that_could_not_stand_in_a_header(
    graph_server: GraphServer, store: GraphMailboxStore
) -> None:
    came = (("Bad Name", "x"), ("Bad:Name", "x"), ("", "x"), ("Süd", "x"), ("Good", "ö\ud800"))
    key = store.deliver(message(), transport_headers=came)
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        (header,) = mailbox.fetch_headers([key])
    assert header.raw == "Good: ö?\r\n\r\n".encode()


def test_headers_of_what_came_over_no_transport(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    key = store.deliver(message(), transport_headers=())
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        (header,) = mailbox.fetch_headers([key])
    assert header.raw == message().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


# Folders.


def test_archive_by_name_and_not_the_well_known_one(
    graph_server: GraphServer, store: GraphMailboxStore
) -> None:
    """The mailbox's well-known "archive" is another folder (its online archive)."""
    key = store.deliver(message())
    store.create("ARCHIVE")
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        archive = mailbox.find_archive()
        assert (archive.path, archive.exists) == ("ARCHIVE", True)
        assert mailbox.move([key], archive.path).moved == {key}
    assert len(store.contents("ARCHIVE")) == 1
    assert store.contents("Online Archive") == []


def test_folders_are_found_on_later_pages(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    graph_server.largest_page = 3
    for number in range(10):
        store.create(f"Folder {number}")
    store.create("Söndag")
    with open_mailbox(graph_server.settings(DESK, archive_folder="SÖNDAG")) as mailbox:
        mailbox.open()
        assert mailbox.find_archive().path == "Söndag"


@pytest.mark.parametrize(("made", "asked"), [("Support/Done", "support/done"), ("A/B/C", "A/B/C")])
def test_a_folder_below_another(
    graph_server: GraphServer, store: GraphMailboxStore, made: str, asked: str
) -> None:
    key = store.deliver(message())
    with open_mailbox(graph_server.settings(DESK, archive_folder=asked)) as mailbox:
        mailbox.open()
        assert not mailbox.find_archive().exists
        mailbox.create_folder(made)
        archive = mailbox.find_archive()
        assert (archive.path, archive.exists) == (made, True)
        mailbox.move([key], archive.path)
    assert len(store.contents(made)) == 1


def test_a_name_with_a_slash_in_it(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    folder = store.make_folder("", "In/Out")
    store.make_folder(folder.id, "Ignored")
    with open_mailbox(graph_server.settings(DESK, archive_folder="in/out")) as mailbox:
        mailbox.open()
        archive = mailbox.find_archive()
        assert (archive.path, archive.exists) == ("In/Out", True)
        assert mailbox.find_subfolder(archive.path, "ignored").path == "In/Out/Ignored"
        mailbox.create_folder("In/Out/Ignored")
    assert len(store.children("")) == 7


def test_somebody_made_the_folder_at_the_same_moment(
    graph_server: GraphServer, store: GraphMailboxStore
) -> None:
    def made_meanwhile(reply: Reply) -> Reply:
        store.create("Archive")
        return reply

    graph_server.faults.append(Fault("GET", "/mailFolders$", edit=made_meanwhile))
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        mailbox.create_folder("Archive")
        assert mailbox.find_archive().exists
    statuses = [seen.method for seen in graph_server.requests if seen.path.endswith("/mailFolders")]
    assert "POST" in statuses
    assert store.folders() == {"INBOX", "Archive"}


def test_the_archive_was_removed_meanwhile(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    store.create("Archive")
    keys = [store.deliver(message(str(n))) for n in range(3)]
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        archive = mailbox.find_archive()
        store.remove_folder("Archive")
        store.expunge(keys[1])
        result = mailbox.move(keys, archive.path)
    assert result.moved == {keys[0], keys[2]}
    assert result.vanished == {keys[1]}
    assert len(store.contents("Archive")) == 2


@pytest.mark.parametrize("name", ["Inbox", "deleted items", "Junk Email", "Inbox/Done"])
def test_folders_that_are_never_the_archive(
    graph_server: GraphServer, store: GraphMailboxStore, name: str
) -> None:
    inbox = store.folder_at("INBOX")
    store.make_folder(inbox.id, "Done")
    with open_mailbox(graph_server.settings(DESK, archive_folder=name)) as mailbox:
        mailbox.open()
        with pytest.raises(FolderRefused) as caught:
            mailbox.find_archive()
    assert caught.value.stage is Stage.ARCHIVE


@pytest.mark.parametrize("name", ["", " ", "a//b", "/a", "a/", "a\r\nb", "x" * 256])
def test_names_no_folder_can_have(graph_server: GraphServer, store: GraphMailboxStore, name: str) -> None:
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(FolderRefused):
            mailbox.create_folder(name)
    assert store.folders() == {"INBOX"}


def test_a_folder_is_listed_without_the_right_to_change_it(
    graph_server: GraphServer, store: GraphMailboxStore
) -> None:
    store.create("Archive")
    key = store.deliver(message(), folder="Archive")
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert list(mailbox.list_folder("archive")) == [key]
        with pytest.raises(FolderRefused):
            mailbox.move([key], "INBOX")
    assert len(store.contents("Archive")) == 1


# Shared mailboxes.


def test_a_shared_mailbox(graph_server: GraphServer) -> None:
    own = graph_server.mailbox_of(DESK)
    graph_server.add_user("o'brien+shared@example.com")
    shared = graph_server.mailbox_of("o'brien+shared@example.com")
    graph_server.share("o'brien+shared@example.com", DESK)
    own.deliver(message("own"))
    key = shared.deliver(message("shared"))
    settings = graph_server.settings(DESK, mailbox="o'brien+shared@example.com")
    with open_mailbox(settings) as mailbox:
        assert mailbox.open().total == 1
        assert [found.raw for found in mailbox.fetch(mailbox.list_unread())] == [message("shared")]
        mailbox.mark_read([key])
        mailbox.move([key], "Archive/Ignored")
    assert [one.seen for one in shared.contents("Archive/Ignored")] == [True]
    assert own.folders() == {"INBOX"}
    assert [one.seen for one in own.contents()] == [False]


def test_sending_as_a_shared_mailbox(graph_server: GraphServer) -> None:
    graph_server.add_user("team@example.com")
    graph_server.share("team@example.com", DESK)
    settings = graph_server.settings(
        DESK, mailbox="team@example.com", from_address="team@example.com", receives=False
    )
    raw = outgoing().replace(DESK.encode(), b"team@example.com")
    with open_transport(settings) as transport:
        transport.open()
        transport.check_sender("Team@example.com")
        transport.send(raw, sender="team@example.com", recipients=["anna@example.net"])
    assert [one.sender for one in graph_server.mailbox_of("team@example.com").sent] == ["team@example.com"]


# Waiting.


def test_nobody_is_told_of_news(graph_server: GraphServer) -> None:
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open(read_only=True)
        with pytest.raises(IdleNotSupported):
            mailbox.wait_for_news(60, stop=lambda: False)


def test_times_are_utc(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """The cut-off is asked for in UTC, whatever zone it was written in."""
    late = store.deliver(message(), received_at=NOON)
    store.deliver(message("early"), received_at=NOON - timedelta(seconds=1))
    with open_mailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        zone = datetime.fromisoformat("2026-11-20T14:00:00+02:00")
        assert list(mailbox.list_unread(since=zone)) == [late]
    (asked,) = [seen for seen in graph_server.requests if "$filter" in seen.query]
    assert asked.query["$filter"] == "receivedDateTime ge 2026-11-20T12:00:00Z and isRead eq false"
    assert zone.astimezone(UTC) == NOON
