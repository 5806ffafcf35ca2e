"""EwsMailbox and EwsTransport on the stand-in for an Exchange: the contracts, and what is Exchange's own."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from exchangelib.protocol import CachingProtocol
from exchangelib.util import create_element

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
from tests.rig.ews_server import PASSWORD, EwsServer
from tests.rig.ews_store import Mailbox as Store
from webapp.mailserver.base import UNKNOWN_TIME, Mailbox, Transport
from webapp.mailserver.connect import open_mailbox, open_transport
from webapp.mailserver.errors import (
    AccessDenied,
    AuthenticationFailed,
    FolderRefused,
    IdleNotSupported,
    InvalidSettings,
    MailboxUnavailable,
    SenderRefused,
    Stage,
)
from webapp.mailserver.ews import EwsMailbox
from webapp.mailserver.ews_transport import EwsTransport
from webapp.mailserver.ews_unreadable import header_with_note

START = Callable[..., EwsServer]


class Backend:
    """The server's side of one mailbox."""

    def __init__(self, server: EwsServer, address: str = "help@example.com") -> None:
        self.server = server
        self.store: Store = server.mailboxes[address]

    def open_mailbox(self) -> Mailbox:
        return open_mailbox(self.server.settings())

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
        return self.store.contents(folder)  # type: ignore[return-value]

    def folders(self) -> set[str]:
        return self.store.folders()

    # Sending.

    def open_transport(self) -> Transport:
        return open_transport(self.server.settings("desk", receives=False, from_address=DESK))

    def refuse_recipient(self, address: str, reply: str) -> None:
        raise NotImplementedError("an Exchange answers for the message as a whole")

    def refuse_sender(self, address: str) -> None:
        self.server.add_mailbox(address, user="boss")

    def refuse_message(self) -> None:
        self.server.behaviour.refuse_send = "ErrorMessageSizeExceeded"

    def sent(self) -> Sequence[Sent]:
        return self.store.sent


@pytest.mark.parametrize("offers", [("NTLM", "Basic"), ("Basic",)], ids=["ntlm", "basic"])
class TestEwsMailbox(MailboxContract):
    @pytest.fixture
    def backend(self, start_ews: START, offers: tuple[str, ...]) -> MailboxBackend:
        server = start_ews(offers=offers)
        server.add_mailbox("help@example.com")
        return Backend(server)


class TestEwsTransport(TransportContract):
    @pytest.fixture
    def transport_backend(self, ews_server: EwsServer) -> TransportBackend:
        ews_server.add_mailbox(DESK)
        return Backend(ews_server, DESK)


@pytest.fixture
def store(ews_server: EwsServer) -> Store:
    return ews_server.mailboxes["help@example.com"]


# Checked against Microsoft's schema.


@pytest.mark.schemas
def test_everything_is_checked_against_the_schema(ews_server: EwsServer, store: Store) -> None:
    """Each request, its header and each answer; the fixtures fail for whatever does not fit."""
    keys = [store.deliver(message(str(n))) for n in range(3)]
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        since = NOON - timedelta(days=1)
        mailbox.list_unread(since=since)
        mailbox.list_read(since=since)
        list(mailbox.fetch_headers(keys))
        mailbox.find_archive()
        mailbox.move(keys, "Archive/Ignored")
        mailbox.list_folder("Archive/Ignored", since=since)
    ews_server.add_mailbox(DESK)
    ews_server.behaviour.aliases_open = False
    with EwsTransport(ews_server.settings("desk")) as transport:
        transport.open()
        transport.send(outgoing(), sender=DESK, recipients=["anna@example.net"])
        with pytest.raises(SenderRefused):
            transport.check_sender("nobody@example.net")
    names = {"GetFolder", "FindFolder", "CreateFolder", "FindItem", "GetItem", "MoveItem", "CreateItem"}
    assert names <= set(ews_server.operations())
    assert ews_server.checked >= 3 * len(ews_server.requests)
    assert ews_server.violations == []


@pytest.mark.schemas
def test_the_schema_would_tell(start_ews: START, monkeypatch: pytest.MonkeyPatch) -> None:
    from webapp.mailserver import ews_calls

    server = start_ews()
    server.add_mailbox("help@example.com")
    monkeypatch.setattr(ews_calls, "folder_shape", lambda: create_element("m:FolderShape"))
    with EwsMailbox(server.settings()) as mailbox:
        mailbox.open()
    (violation,) = server.violations
    assert violation.startswith("request GetFolder")
    server.violations.clear()


# Keys.


def test_keys_last_across_moves_and_sessions(ews_server: EwsServer, store: Store) -> None:
    key = store.deliver(message())
    with EwsMailbox(ews_server.settings()) as mailbox:
        state = mailbox.open()
        assert (state.epoch, state.keys_are_for_ever) == ("exchange", True)
        assert mailbox.list_unread() == [key]
        assert mailbox.move([key], "Archive").moved == {key}
    store.take_away(key, "INBOX", source="Archive")
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        assert mailbox.list_unread() == [key]
        assert mailbox.still_in_inbox([key]) == {key}


def test_moved_away_and_back_within_a_session(ews_server: EwsServer, store: Store) -> None:
    """The id that was listed is void; the search key finds the message."""
    keys = [store.deliver(message(str(n))) for n in range(2)]
    store.create("Elsewhere")
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        mailbox.list_unread()
        store.take_away(keys[0], "Elsewhere")
        store.take_away(keys[0], "INBOX", source="Elsewhere")
        assert [m.key for m in mailbox.look_up(keys)] == keys
        store.take_away(keys[1], "Elsewhere")
        store.take_away(keys[1], "INBOX", source="Elsewhere")
        assert [m.raw for m in mailbox.fetch(keys)] == [message("0"), message("1")]
        assert mailbox.move(keys, "Archive").moved == set(keys)
    assert store.contents() == []


def test_an_id_is_no_proof_of_the_folder(ews_server: EwsServer, store: Store) -> None:
    """Were an id to live on in another folder: what counts is where the message is."""
    keys = [store.deliver(message(str(n))) for n in range(2)]
    store.create("Elsewhere")
    store.keeps_ids = True
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        mailbox.list_unread()
        store.take_away(keys[0], "Elsewhere")
        assert mailbox.still_in_inbox(keys) == {keys[1]}
        assert mailbox.move(keys, "Archive").moved == {keys[1]}
    assert len(store.contents("Elsewhere")) == 1


def test_a_copy_is_the_same_message(ews_server: EwsServer, store: Store) -> None:
    """It has the search key of its original: listed once, fetched once, and both are moved."""
    key = store.deliver(message())
    store.copy(key)
    with EwsMailbox(ews_server.settings()) as mailbox:
        assert mailbox.open().total == 2
        assert mailbox.list_unread() == [key]
        assert [m.raw for m in mailbox.fetch([key])] == [message()]
        mailbox.mark_read([key])
        assert [item.seen for item in store.contents()] == [True, True]
        assert mailbox.move([key], "Archive").moved == {key}
    assert store.contents() == []
    assert len(store.contents("Archive")) == 2


def test_one_copy_deleted_while_we_look(ews_server: EwsServer, store: Store) -> None:
    key = store.deliver(message())
    store.copy(key)
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        mailbox.list_unread()
        inbox = store.folder("INBOX")
        del inbox.items[0]
        assert [m.raw for m in mailbox.fetch([key])] == [message()]


# Messages.


def test_what_the_server_left_out_of_the_mime_stands_in_the_transport_headers(
    ews_server: EwsServer, store: Store
) -> None:
    raw = b"Auto-Submitted: auto-replied\r\nX-Custom: 1\r\n" + message()
    key = store.deliver(raw)
    ews_server.behaviour.rebuilds_mime = True
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        (fetched,) = mailbox.fetch([key])
        (header,) = mailbox.fetch_headers([key])
    assert b"auto-replied" not in fetched.raw
    assert b"X-Auto-Response-Suppress: OOF, AutoReply" in fetched.raw
    assert ("Auto-Submitted", "auto-replied") in fetched.transport_headers
    assert header.raw.startswith(b"Auto-Submitted: auto-replied\r\nX-Custom: 1\r\nFrom: ")
    assert header.transport_headers == fetched.transport_headers


def test_a_header_the_server_did_not_keep_is_taken_of_the_message(
    ews_server: EwsServer, store: Store
) -> None:
    key = store.deliver(message(), has_transport_headers=False)
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        (header,) = mailbox.fetch_headers([key])
    assert header.raw == message().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def test_a_message_never_received_is_after_every_cut_off(ews_server: EwsServer, store: Store) -> None:
    undated = store.deliver(message("undated"), undated=True)
    store.deliver(message("old"), received_at=NOON - timedelta(days=3))
    new = store.deliver(message("new"), received_at=NOON)
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        assert mailbox.list_unread(since=NOON) == [new, undated]
        assert [m.received_at for m in mailbox.look_up([undated])] == [UNKNOWN_TIME]


def test_one_message_that_cannot_be_handed_out_keeps_nobody_back(
    ews_server: EwsServer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    keys = [store.deliver(message(str(n))) for n in range(3)]
    store.contents()[1].error = "ErrorMimeContentConversionFailed"
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        fetched = list(mailbox.fetch(mailbox.list_unread()))
        assert mailbox.move(keys, "Archive").moved == set(keys)
    assert [m.key for m in fetched] == keys
    assert [fetched[0].raw, fetched[2].raw] == [message("0"), message("2")]
    header, _, body = fetched[1].raw.partition(b"\r\n\r\n")
    assert header.startswith(message("1").partition(b"\r\n\r\n")[0] + b"\r\n")
    assert b"could not hand out the content of this message (ErrorMimeContentConversionFailed)" in body
    assert "header only (ErrorMimeContentConversionFailed)" in caplog.text


def test_a_message_of_which_nothing_can_be_had_stays_in_the_inbox(
    ews_server: EwsServer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    keys = [store.deliver(message(str(n)), has_transport_headers=n != 1) for n in range(3)]
    store.contents()[1].error = "ErrorItemCorrupt"
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        assert [m.key for m in mailbox.fetch(keys)] == [keys[0], keys[2]]
        assert mailbox.still_in_inbox(keys) == set(keys)
    assert "cannot hand out a message (ErrorItemCorrupt); it stays in the inbox" in caplog.text


def test_the_note_replaces_what_described_the_body() -> None:
    header = (
        b"Subject: a\r\n b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=x\r\n"
        b"Content-Transfer-Encoding: base64\r\nTo: c\r\n\r\n"
    )
    raw = header_with_note(header, "ErrorItemCorrupt")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head == (
        b"Subject: a\r\n b\r\nTo: c\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii"
    )
    assert b"(ErrorItemCorrupt)" in body


def test_an_inbox_holds_more_than_messages(ews_server: EwsServer, store: Store) -> None:
    for kind in ("MeetingRequest", "Contact", "PostItem", "Task"):
        store.deliver(message(kind), kind=kind)
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        keys = mailbox.list_unread()
        assert [m.raw for m in mailbox.fetch(keys)] == [i.raw for i in store.contents()]
        assert mailbox.move(keys, "Archive").moved == set(keys)


def test_many_unread_are_listed_page_by_page(ews_server: EwsServer, store: Store) -> None:
    keys = [store.deliver(message(str(n)), received_at=NOON + timedelta(seconds=n)) for n in range(1203)]
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        assert mailbox.list_unread() == keys
        assert [m.key for m in mailbox.look_up(keys)] == keys
    assert ews_server.operations().count("FindItem") == 3


def test_a_move_that_tells_no_new_id(ews_server: EwsServer, store: Store) -> None:
    key = store.deliver(message())
    ews_server.behaviour.move_returns_ids = False
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        assert mailbox.move([key], "Archive").moved == {key}
    assert len(store.contents("Archive")) == 1


def test_a_move_that_was_done_and_reported_as_failed(ews_server: EwsServer, store: Store) -> None:
    key = store.deliver(message())
    ews_server.behaviour.hidden_move = "ErrorMoveCopyFailed"
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        result = mailbox.move([key], "Archive")
    assert not result.moved
    assert result.vanished == {key}
    assert len(store.contents("Archive")) == 1


def test_reading_asks_for_no_receipt(ews_server: EwsServer, store: Store) -> None:
    key = store.deliver(message())
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        mailbox.mark_read([key])
    (update,) = (asked.xml for asked in ews_server.requests if asked.operation == "UpdateItem")
    assert b'SuppressReadReceipts="true"' in update


def test_an_exchange_cannot_tell_that_mail_has_come(ews_server: EwsServer) -> None:
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open(read_only=True)
        with pytest.raises(IdleNotSupported):
            mailbox.wait_for_news(60, stop=lambda: False)


# Folders.


@pytest.mark.parametrize(
    "name", ["Ärchiv & Söhne", "Done", "Support/Done/2026", 'with "quotes" and \\', "日本語"]
)
def test_archive_names(ews_server: EwsServer, store: Store, name: str) -> None:
    key = store.deliver(message())
    with EwsMailbox(ews_server.settings(archive_folder=name)) as mailbox:
        mailbox.open()
        archive = mailbox.find_archive()
        assert (archive.path, archive.exists) == (name, False)
        mailbox.create_folder(archive.path)
        assert mailbox.find_archive().exists
        ignored = mailbox.find_subfolder(archive.path, "Ignored")
        assert (ignored.path, ignored.exists) == (f"{name}/Ignored", False)
        assert mailbox.move([key], ignored.path).moved == {key}
    assert {name, f"{name}/Ignored"} <= store.folders()
    assert [item.raw for item in store.contents(f"{name}/Ignored")] == [message()]


def test_a_folder_is_found_whatever_its_case(ews_server: EwsServer, store: Store) -> None:
    store.create("ERLEDIGT")
    with EwsMailbox(ews_server.settings(archive_folder="erledigt")) as mailbox:
        mailbox.open()
        archive = mailbox.find_archive()
    assert (archive.path, archive.exists) == ("ERLEDIGT", True)


def test_a_folder_somebody_makes_at_the_same_moment(ews_server: EwsServer, store: Store) -> None:
    """Found missing, and there when we create it: ErrorFolderExists."""
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        assert not mailbox.find_archive().exists
        made: list[object] = []
        original = store.make

        def make(name: str, parent: object) -> object:
            if not made:
                made.append(store.create("Archive"))
            return original(name, parent)  # type: ignore[arg-type]

        store.make = make  # type: ignore[method-assign, assignment]
        mailbox.create_folder("Archive")
        assert mailbox.find_archive().exists
    assert store.folders() == {"INBOX", "Archive"}


def test_a_folder_that_vanished_is_made_again(ews_server: EwsServer, store: Store) -> None:
    keys = [store.deliver(message(str(n))) for n in range(2)]
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        assert mailbox.move(keys[:1], "Archive").moved == {keys[0]}
        store.remove_folder("Archive")
        assert mailbox.move(keys[1:], "Archive").moved == {keys[1]}
    assert [item.raw for item in store.contents("Archive")] == [message("1")]


@pytest.mark.parametrize(
    "name",
    [
        "INBOX",
        "inbox",
        "Deleted Items",
        "junk email",
        "Drafts",
        "Sent Items",
        "Calendar",
        "a//b",
        "/",
        "x" * 256,
        "\ufffe",
    ],
)
def test_folders_that_are_no_archive(ews_server: EwsServer, name: str) -> None:
    with EwsMailbox(ews_server.settings(archive_folder=name)) as mailbox:
        mailbox.open()
        with pytest.raises(FolderRefused) as caught:
            mailbox.find_archive()
    assert caught.value.stage is Stage.ARCHIVE


def test_a_folder_that_may_not_be_made(ews_server: EwsServer) -> None:
    ews_server.behaviour.refuse_folders = "ErrorAccessDenied"
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        with pytest.raises(AccessDenied) as caught:
            mailbox.create_folder("Archive")
    assert caught.value.stage is Stage.ARCHIVE


# Whose mailbox.


def test_a_shared_mailbox(ews_server: EwsServer) -> None:
    shared = ews_server.add_mailbox("info@example.com", user="nobody")
    ews_server.share(shared, "help")
    key = shared.deliver(message())
    with EwsMailbox(ews_server.settings(mailbox="info@example.com")) as mailbox:
        assert mailbox.open().total == 1
        assert mailbox.list_unread() == [key]
        assert mailbox.move([key], "Archive").moved == {key}
    assert len(shared.contents("Archive")) == 1


@pytest.mark.parametrize(
    ("mailbox", "error"),
    [("boss@example.com", AccessDenied), ("nobody@example.com", MailboxUnavailable)],
)
def test_a_mailbox_that_is_not_ours(ews_server: EwsServer, mailbox: str, error: type[Exception]) -> None:
    ews_server.add_mailbox("boss@example.com")
    with pytest.raises(error) as caught:
        EwsMailbox(ews_server.settings(mailbox=mailbox)).open()
    assert caught.value.stage is Stage.INBOX  # type: ignore[attr-defined]


def test_an_account_without_a_mailbox(ews_server: EwsServer) -> None:
    ews_server.add_user("service")
    with pytest.raises(InvalidSettings) as caught:
        EwsMailbox(ews_server.settings("service")).open()
    assert caught.value.field == "mailbox"


# Sending.


def test_an_alias_may_send(ews_server: EwsServer, store: Store) -> None:
    with EwsTransport(ews_server.settings()) as transport:
        transport.open()
        transport.check_sender("Support@Example.com")
        transport.check_sender("support@example.com")
    assert ews_server.operations() == ["GetFolder", "GetFolder"]


def test_an_alias_where_only_the_primary_address_opens_a_mailbox(ews_server: EwsServer) -> None:
    ews_server.behaviour.aliases_open = False
    with EwsTransport(ews_server.settings()) as transport:
        transport.open()
        transport.check_sender("support@example.com")
    assert ews_server.operations()[-2:] == ["ResolveNames", "GetFolder"]


def test_nothing_is_spoofed(ews_server: EwsServer, store: Store) -> None:
    """Neither by the envelope nor by the message, whatever the server itself would let through."""
    boss = ews_server.add_mailbox("boss@example.com")
    ews_server.share(boss, "help")  # may read the mailbox, which is not being the boss
    ews_server.behaviour.checks_send_as = False
    own = outgoing().replace(b"desk@", b"help@")
    forged = outgoing().replace(b"desk@", b"boss@")
    for sender, raw in (("boss@example.com", own), ("help@example.com", forged)):
        with EwsTransport(ews_server.settings()) as transport:
            transport.open()
            with pytest.raises(SenderRefused) as caught:
                transport.send(raw, sender=sender, recipients=["anna@example.net"])
            assert not caught.value.uncertain
    assert (store.sent, boss.sent) == ([], [])


def test_sending_as_a_shared_mailbox(ews_server: EwsServer) -> None:
    shared = ews_server.add_mailbox("info@example.com", user="nobody")
    ews_server.share(shared, "help", send_as=True)
    raw = b"From: info@example.com\r\nTo: anna@example.net\r\n\r\nhello\r\n"
    with EwsTransport(ews_server.settings(mailbox="info@example.com")) as transport:
        transport.open()
        transport.send(raw, sender="info@example.com", recipients=["anna@example.net"])
    assert [sent.raw for sent in shared.sent] == [raw]


def test_the_server_denies_sending_as(ews_server: EwsServer) -> None:
    shared = ews_server.add_mailbox("info@example.com", user="nobody")
    ews_server.share(shared, "help", send_as=False)
    raw = b"From: info@example.com\r\nTo: anna@example.net\r\n\r\nhello\r\n"
    with EwsTransport(ews_server.settings(mailbox="info@example.com")) as transport:
        transport.open()
        with pytest.raises(SenderRefused) as caught:
            transport.send(raw, sender="info@example.com", recipients=["anna@example.net"])
    assert not caught.value.uncertain
    assert shared.sent == []


def test_only_those_who_are_meant_get_it(ews_server: EwsServer, store: Store) -> None:
    """One of two in To, one whom nobody is to see, and a Bcc that was left in: each of ours gets one mail."""
    raw = (
        b"From: help@example.com\r\nTo: Anna <anna@example.net>, bob@example.net\r\nBcc: eve@example.net\r\n"
        b"Message-ID: <1@example.com>\r\n\r\nhello\r\n"
    )
    told: list[frozenset[str]] = []
    wanted = ["anna@example.net", "hidden@example.net"]
    with EwsTransport(ews_server.settings()) as transport:
        transport.open()
        result = transport.send(
            raw, sender="help@example.com", recipients=wanted, before_final_dot=told.append
        )
    assert result.accepted == set(wanted)
    assert [sent.recipients for sent in store.sent] == [("anna@example.net",), ("hidden@example.net",)]
    assert all(b"Message-ID: <1@example.com>" in sent.raw for sent in store.sent)
    assert not any(b"eve@" in sent.raw or b"bob@" in sent.raw for sent in store.sent)
    assert told == [frozenset({"anna@example.net"}), frozenset({"hidden@example.net"})]


# The library.


def test_nothing_is_left_in_the_librarys_cache(ews_server: EwsServer) -> None:
    """Each session asks with the password and the timeout it was given, whatever came before."""
    with pytest.raises(Exception, match="401"):
        EwsMailbox(ews_server.settings(password="wrong")).open()
    with EwsMailbox(ews_server.settings(timeout=3.5)) as mailbox:
        mailbox.open()
        assert mailbox.session.wire.timeout == 3.5
    assert CachingProtocol._protocol_cache == {}


def test_a_closed_session_gives_its_sockets_back(ews_server: EwsServer) -> None:
    """At once, not when somebody forgets about it."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    sessions = [EwsMailbox(ews_server.settings(password=password)) for password in (PASSWORD, "wrong") * 4]
    for mailbox in sessions:
        with contextlib.suppress(AuthenticationFailed):
            mailbox.open()
        mailbox.close()
    ews_server.wait_until_idle()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_nothing_secret_is_logged(ews_server: EwsServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = ews_server.mailboxes["help@example.com"]
    store.deliver(message("canary-subject"))
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        list(mailbox.fetch(mailbox.list_unread()))
        assert PASSWORD not in repr(mailbox.session.account)
    with pytest.raises(Exception, match="401"):
        EwsMailbox(ews_server.settings(password="canary-wrong")).open()
    for secret in (PASSWORD, "canary-subject", "canary-wrong", "NTLM TlRM"):
        assert secret not in caplog.text


@pytest.mark.parametrize("library", ["exchangelib", "msal", "requests"])
def test_the_library_is_imported_for_an_exchange_alone(library: str) -> None:
    script = (
        "import sys; from webapp.app import create_app; import webapp.mailserver.diagnosis, webapp.wsgi;"
        "import webapp.inbound.poll, webapp.outbound.deliver, webapp.cli;"
        f"sys.exit({library!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_time_in_utc_reads_as_it_was_received(ews_server: EwsServer, store: Store) -> None:
    at = datetime(2026, 10, 25, 1, 30, 7, tzinfo=UTC)  # clocks went back in Europe
    key = store.deliver(message(), received_at=at)
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        assert [m.received_at for m in mailbox.look_up([key])] == [at]
