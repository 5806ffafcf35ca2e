"""ImapMailbox on a real Dovecot: the contract, and what only a real server shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import pytest

from tests.mailserver.contract import MailboxBackend, NewsContract, State, message
from tests.rig.dovecot import DovecotMailbox, DovecotServer
from tests.rig.fixtures import DovecotStarter
from tests.rig.proxy import Plan, Proxy, without_move
from webapp.mailserver.base import Mailbox, ServerSettings, TlsMode
from webapp.mailserver.connect import open_mailbox
from webapp.mailserver.errors import (
    AuthenticationFailed,
    FolderRefused,
    MoveNotSupported,
    QuotaExceeded,
    Stage,
    StartTlsNotOffered,
)
from webapp.mailserver.imap import ImapMailbox

pytestmark = pytest.mark.dovecot


class DovecotBackend:
    def __init__(self, mailbox: DovecotMailbox, tls_mode: TlsMode) -> None:
        self.mailbox = mailbox
        self._tls_mode = tls_mode

    def open_mailbox(self) -> Mailbox:
        return open_mailbox(self.mailbox.settings(self._tls_mode))

    def deliver(self, raw: bytes, *, received_at: datetime | None = None, seen: bool = False) -> str:
        return self.mailbox.deliver(raw, received_at=received_at, seen=seen)

    def expunge(self, key: str) -> None:
        self.mailbox.expunge(key)

    def take_away(self, key: str, folder: str) -> None:
        self.mailbox.move(key, folder)

    def mark_seen(self, key: str) -> None:
        self.mailbox.mark_seen(key)

    def create(self, folder: str) -> None:
        self.mailbox.create(folder)

    def contents(self, folder: str = "INBOX") -> Sequence[State]:
        return self.mailbox.contents(folder)

    def folders(self) -> set[str]:
        return self.mailbox.folders()


@pytest.mark.parametrize("tls_mode", [TlsMode.IMPLICIT, TlsMode.STARTTLS])
class TestImapMailbox(NewsContract):
    @pytest.fixture
    def backend(self, dovecot: DovecotServer, tls_mode: TlsMode) -> MailboxBackend:
        return DovecotBackend(dovecot.mailbox(), tls_mode)


# Signing in.


def test_wrong_password(mailbox: DovecotMailbox) -> None:
    imap = ImapMailbox(mailbox.settings(password="wrong"))
    with pytest.raises(AuthenticationFailed) as caught:
        imap.open()
    assert caught.value.stage is Stage.SIGN_IN
    assert caught.value.server_said.startswith("[AUTHENTICATIONFAILED]")
    assert not imap.session.line.healthy


def test_odd_user_names_reach_their_own_mailbox(dovecot: DovecotServer) -> None:
    mailbox = dovecot.mailbox('o"brien+söndag@example.com')
    mailbox.deliver(message())
    with ImapMailbox(mailbox.settings()) as imap:
        assert imap.open().total == 1


# MOVE.


def test_a_server_without_move_is_refused_and_nothing_changes(mailbox: DovecotMailbox) -> None:
    mailbox.deliver(message())
    with Proxy(mailbox.server.port, Plan(edit=without_move)) as proxy:
        settings = mailbox.settings(TlsMode.NONE, port=proxy.port)
        with ImapMailbox(settings) as imap, pytest.raises(MoveNotSupported, match="RFC 6851"):
            imap.open()
        with ImapMailbox(settings) as imap:
            assert imap.open(read_only=True).total == 1
        assert b"SELECT" not in proxy.from_client
    assert [m.seen for m in mailbox.contents()] == [False]
    assert mailbox.folders() == {"INBOX"}


def test_move_without_copyuid(mailbox: DovecotMailbox) -> None:
    """Not every server says what it moved; then it is told by what has left the inbox."""
    keys = [mailbox.deliver(message(str(n))) for n in range(4)]
    plan = Plan(edit=lambda octets: octets.replace(b"[COPYUID ", b"[XOPYUID "))
    with (
        Proxy(mailbox.server.port, plan) as proxy,
        ImapMailbox(mailbox.settings(TlsMode.NONE, port=proxy.port)) as imap,
    ):
        imap.open()
        mailbox.expunge(keys[2])
        result = imap.move(keys, "Archive")
    assert result.moved == {keys[0], keys[1], keys[3]}
    assert result.vanished == {keys[2]}
    assert len(mailbox.contents("Archive")) == 3


# The archive's name.


@pytest.mark.parametrize(
    "name", ["Ärchiv & Söhne", "Done", "Support/Done", 'with "quotes" and \\', "日本語", "a+b&c"]
)
def test_archive_names(mailbox: DovecotMailbox, name: str) -> None:
    key = mailbox.deliver(message())
    with ImapMailbox(mailbox.settings(archive_folder=name)) as imap:
        imap.open()
        archive = imap.find_archive()
        assert (archive.path, archive.exists) == (name, False)
        imap.create_folder(archive.path)
        assert imap.find_archive().exists
        ignored = imap.find_subfolder(archive.path, "Ignored")
        assert ignored.path == f"{name}/Ignored"
        assert imap.move([key], ignored.path).moved == {key}
    assert {name, f"{name}/Ignored"} <= mailbox.folders()
    assert name in mailbox.subscribed()
    assert [m.raw for m in mailbox.contents(f"{name}/Ignored")] == [message()]


@pytest.mark.parametrize("name", ["INBOX", "inbox", "Trash", "Junk", "a%b", "a*b", "[Gmail]/All Mail"])
def test_folders_that_are_no_archive(mailbox: DovecotMailbox, name: str) -> None:
    for special in ("Trash", "Junk", "[Gmail]/All Mail"):
        mailbox.create(special)
    with ImapMailbox(mailbox.settings(archive_folder=name)) as imap:
        imap.open()
        with pytest.raises(FolderRefused) as caught:
            imap.find_archive()
    assert caught.value.stage is Stage.ARCHIVE


def test_a_name_the_server_does_not_take(mailbox: DovecotMailbox) -> None:
    with ImapMailbox(mailbox.settings(archive_folder="~peter")) as imap:
        imap.open()
        archive = imap.find_archive()
        with pytest.raises(FolderRefused) as caught:
            imap.create_folder(archive.path)
    assert "Invalid mailbox name" in caught.value.server_said


def test_a_folder_that_only_has_children_is_made(mailbox: DovecotMailbox) -> None:
    mailbox.create("Parent/Child")
    key = mailbox.deliver(message())
    with ImapMailbox(mailbox.settings(archive_folder="Parent")) as imap:
        imap.open()
        archive = imap.find_archive()
        assert (archive.path, archive.exists) == ("Parent", False)
        assert imap.move([key], "Parent").moved == {key}
    assert len(mailbox.contents("Parent")) == 1


def test_the_servers_own_archive_folder(start_dovecot: DovecotStarter) -> None:
    server = start_dovecot(mailboxes="mailbox Erledigt {\n special_use = \\Archive\n auto = create\n }")
    with ImapMailbox(server.mailbox().settings()) as imap:
        imap.open()
        archive = imap.find_archive()
    assert (archive.path, archive.exists) == ("Erledigt", True)


@pytest.fixture
def prefixed(start_dovecot: DovecotStarter) -> DovecotMailbox:
    return start_dovecot(prefix="INBOX.", separator=".").mailbox()


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("", "INBOX.Archive"),
        ("Done", "INBOX.Done"),
        ("INBOX.Done", "INBOX.Done"),
        ("Ärchiv & Söhne", "INBOX.Ärchiv & Söhne"),
    ],
)
def test_everything_is_below_the_inbox(prefixed: DovecotMailbox, typed: str, path: str) -> None:
    key = prefixed.deliver(message())
    with ImapMailbox(prefixed.settings(archive_folder=typed)) as imap:
        imap.open()
        assert imap.find_archive().path == path
        below = imap.find_subfolder(path, "Ignored")
        assert below.path == f"{path}.Ignored"
        assert imap.move([key], path).moved == {key}
        assert imap.find_archive().exists
    assert path in prefixed.folders()


def test_the_inbox_below_the_inbox_is_no_archive(prefixed: DovecotMailbox) -> None:
    with ImapMailbox(prefixed.settings(archive_folder="INBOX.INBOX")) as imap:
        imap.open()
        with pytest.raises(FolderRefused):
            imap.find_archive()


def test_mail_delivered_by_lmtp(mailbox: DovecotMailbox) -> None:
    mailbox.receive(message("lmtp"))
    with ImapMailbox(mailbox.settings()) as imap:
        imap.open()
        (fetched,) = imap.fetch(imap.list_unread())
    assert fetched.raw.endswith(message("lmtp"))
    assert fetched.raw.startswith(b"Return-Path: <someone@example.net>")


# Messages that others take away while they are being moved.


class Interrupted(ImapMailbox):
    """Does something between looking what is there and moving it."""

    def __init__(self, settings: ServerSettings, meanwhile: Callable[[], None]) -> None:
        super().__init__(settings)
        self._meanwhile: list[Callable[[], None]] = [meanwhile]

    def still_in_inbox(self, keys: Collection[str]) -> frozenset[str]:
        found = super().still_in_inbox(keys)
        while self._meanwhile:
            self._meanwhile.pop()()
        return found


@pytest.mark.parametrize("gone", [0, 1, 3])
@pytest.mark.parametrize("names_copies", [True, False])
def test_a_message_vanishes_in_the_moment_it_is_moved(
    mailbox: DovecotMailbox, gone: int, names_copies: bool
) -> None:
    keys = [mailbox.deliver(message(str(n))) for n in range(4)]
    mailbox.create("Archive")
    edit = None if names_copies else (lambda octets: octets.replace(b"[COPYUID ", b"[XOPYUID "))
    with Proxy(mailbox.server.port, Plan(edit=edit)) as proxy:
        settings = mailbox.settings(TlsMode.NONE, port=proxy.port)
        with Interrupted(settings, lambda: mailbox.expunge(keys[gone])) as imap:
            imap.open()
            result = imap.move(keys, "Archive")
    assert result.vanished == {keys[gone]}
    assert result.moved == set(keys) - {keys[gone]}
    assert len(mailbox.contents("Archive")) == 3
    assert mailbox.contents() == []


def test_all_vanish_in_the_moment_they_are_moved(mailbox: DovecotMailbox) -> None:
    keys = [mailbox.deliver(message(str(n))) for n in range(3)]
    mailbox.create("Archive")

    def meanwhile() -> None:
        for key in keys:
            mailbox.expunge(key)

    with Interrupted(mailbox.settings(), meanwhile) as imap:
        imap.open()
        result = imap.move(keys, "Archive")
    assert (result.moved, result.vanished) == (frozenset(), frozenset(keys))
    assert mailbox.contents("Archive") == []


# The archive between two runs.


def test_an_archive_that_was_renamed_is_made_again(mailbox: DovecotMailbox) -> None:
    """Its old messages stay under the new name; nothing is moved there any more."""
    keys = [mailbox.deliver(message(str(n))) for n in range(3)]
    settings = mailbox.settings(archive_folder="Ärchiv & Söhne")
    with ImapMailbox(settings) as imap:
        imap.open()
        path = imap.find_archive().path
        assert imap.move([keys[0]], path).moved == {keys[0]}
        mailbox.rename(path, "Old")
        assert imap.move([keys[1]], path).moved == {keys[1]}  # within one run
    mailbox.delete(path)
    with ImapMailbox(settings) as imap:
        imap.open()
        assert not imap.find_archive().exists
        assert imap.move([keys[2]], path).moved == {keys[2]}
    assert [m.raw for m in mailbox.contents("Old")] == [message("0")]
    assert [m.raw for m in mailbox.contents(path)] == [message("2")]


@pytest.fixture
def with_own_quota(start_dovecot: DovecotStarter) -> DovecotMailbox:
    """Everything below "Full/" holds one message: a quota root of its own, or MOVE would not be counted."""
    return start_dovecot(
        extra="""
        mail_plugins = quota
        namespace full {
          prefix = Full/
          separator = /
          location = maildir:~/Full
        }
        plugin {
          quota = maildir:Inbox:ns=
          quota2 = maildir:Archive:ns=Full/
          quota2_rule = *:messages=1
        }
        """
    ).mailbox()


def test_an_archive_that_is_full(with_own_quota: DovecotMailbox) -> None:
    mailbox = with_own_quota
    keys = [mailbox.deliver(message(str(n))) for n in range(2)]
    mailbox.create("Full/Done")
    old = mailbox.deliver(message("old"), folder="Full/Done")
    settings = mailbox.settings(archive_folder="Full/Done")
    with ImapMailbox(settings) as imap:
        imap.open()
        archive = imap.find_archive()
        with pytest.raises(QuotaExceeded) as caught:
            imap.move(keys, archive.path)
    assert caught.value.stage is Stage.MOVE
    assert caught.value.server_said.startswith("[OVERQUOTA]")
    assert not caught.value.permanent
    assert [m.seen for m in mailbox.contents()] == [False, False]
    assert len(mailbox.contents("Full/Done")) == 1
    mailbox.expunge(old, "Full/Done")
    with ImapMailbox(settings) as imap:
        imap.open()
        assert imap.move([keys[0]], archive.path).moved == {keys[0]}
    assert [m.raw for m in mailbox.contents("Full/Done")] == [message("0")]


def test_a_stripped_starttls_ends_it(mailbox: DovecotMailbox) -> None:
    """Somebody on the way takes STARTTLS out of what a real server offers."""
    plan = Plan(edit=lambda octets: octets.replace(b" STARTTLS", b" XTARTTLS"))
    with Proxy(mailbox.server.port, plan) as proxy:
        with (
            ImapMailbox(mailbox.settings(TlsMode.STARTTLS, port=proxy.port)) as imap,
            pytest.raises(StartTlsNotOffered),
        ):
            imap.open()
        sent = bytes(proxy.from_client)
    assert mailbox.user.encode() not in sent
    assert not any(word in sent.upper() for word in (b"LOGIN", b"AUTHENTICATE", b"STARTTLS"))
