"""ImapMailbox and servers that answer oddly or refuse: no Dovecot can be talked into these."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime

import pytest

from tests.mailserver.imap_settings import against
from tests.rig.scripted import Peer, imap, literal
from webapp.mailserver import imap as imap_module
from webapp.mailserver.base import UNKNOWN_TIME, MoveResult, RemoteMessage
from webapp.mailserver.errors import (
    ConnectionFailed,
    FolderRefused,
    MailServerError,
    QuotaExceeded,
    ServerBusy,
    Stage,
)

# The inbox.


@pytest.mark.parametrize(
    "select",
    [
        [
            "* 3 EXISTS",
            "* NO [UIDNOTSTICKY] UIDs change",
            "* OK [UIDVALIDITY 7] ok",
            "{tag} OK [READ-WRITE] x",
        ],
        ["* 3 EXISTS", "* OK [UIDNOTSTICKY] x", "* OK [UIDVALIDITY 7] ok", "{tag} OK [READ-WRITE] x"],
        ["* 3 EXISTS", "{tag} OK [READ-WRITE] no UIDVALIDITY"],
        ["* 3 EXISTS", "* OK [UIDVALIDITY 7] ok", "{tag} OK [READ-ONLY] x"],
        ["{tag} NO [NOPERM] not yours"],
    ],
)
def test_an_inbox_that_cannot_be_used(select: list[str]) -> None:
    with against(imap({"SELECT": select})) as (_, mailbox), pytest.raises(FolderRefused) as caught:
        mailbox.open()
    assert caught.value.stage is Stage.INBOX


def test_a_large_inbox_is_searched_in_windows_from_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """While message 3 is expunged by somebody else: everything after it moves down by one."""
    monkeypatch.setattr(imap_module, "ONE_SEARCH_UP_TO", 10)
    monkeypatch.setattr(imap_module, "SEARCH_WINDOW", 4)
    uids = [10 * n for n in range(1, 13)]
    asked: list[str] = []

    def search(peer: Peer, command: str) -> None:
        tag, _, _, window, *_ = command.split(" ")
        asked.append(window)
        low, high = map(int, window.split(":"))
        found = " ".join(map(str, uids[low - 1 : high]))
        news = ["* 3 EXPUNGE"] if len(asked) == 1 else []
        if news:
            uids.pop(2)
        peer.say(f"* SEARCH {found}", *news, f"{tag} OK done")

    select = ["* 12 EXISTS", "* OK [UIDVALIDITY 7] ok", "{tag} OK [READ-WRITE] x"]
    with against(imap({"SELECT": select, "UID SEARCH": search})) as (_, mailbox):
        mailbox.open()
        unread = mailbox.list_unread(since=datetime(2026, 3, 1, 0, 30, tzinfo=UTC))
    assert asked == ["9:12", "5:8", "1:4"]
    assert [int(key) for key in unread] == uids


def test_a_million_unread_messages_take_little_memory() -> None:
    """4 octets a message and one window's answer at a time, where one list of all answers takes 90 MB."""
    million = 1_000_000

    def search(peer: Peer, command: str) -> None:
        tag, _, _, window, *_ = command.split(" ")
        low, high = map(int, window.split(":"))
        peer.say("* SEARCH " + " ".join(str(2 * n) for n in range(low, high + 1)), f"{tag} OK done")

    select = [f"* {million} EXISTS", "* OK [UIDVALIDITY 7] ok", "{tag} OK [READ-WRITE] x"]
    with against(imap({"SELECT": select, "UID SEARCH": search})) as (server, mailbox):
        mailbox.open()
        tracemalloc.start()
        unread = mailbox.list_unread()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert server.received.count(b"UID SEARCH") == 200
    assert (len(unread), unread[0], unread[-1]) == (million, "2", str(2 * million))
    assert peak < 30_000_000


def test_since_asks_for_a_day_earlier() -> None:
    with against(imap()) as (server, mailbox):
        mailbox.open()
        mailbox.list_unread(since=datetime(2026, 3, 1, 0, 30, tzinfo=UTC))
        assert b"UID SEARCH UNSEEN SINCE 28-Feb-2026\r\n" in server.received


# Fetching.


def fetched(answer: list[str | bytes], keys: list[str]) -> dict[str, bytes]:
    def fetch(peer: Peer, command: str) -> None:
        peer.say(*answer, f"{command.split(' ')[0]} OK done")

    with against(imap({"UID FETCH": fetch}), timeout=0.5) as (_, mailbox):
        mailbox.open()
        return {message.key: message.raw for message in mailbox.fetch(keys)}


def test_answers_nobody_asked_for_are_no_messages() -> None:
    answer: list[str | bytes] = [
        "* 7 FETCH (FLAGS (\\Seen))",
        *literal(7, b"seven"),
        "* 1 EXPUNGE",
        *literal(8, b"eight"),  # the same sequence number again
        "* 9 FETCH (FLAGS () UID 9)",
        *literal(99, b"not asked for"),
    ]
    assert fetched(answer, ["7", "8", "9"]) == {"7": b"seven", "8": b"eight"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("NIL", {}),
        ('""', {"7": b""}),
        ('"quoted \\"text\\""', {"7": b'quoted "text"'}),
        ("{0}\r\n", {"7": b""}),
    ],
)
def test_forms_of_a_body(body: str, expected: dict[str, bytes]) -> None:
    assert fetched([f"* 1 FETCH (UID 7 BODY[] {body})"], ["7"]) == expected


def test_a_message_without_a_uid_is_not_believed() -> None:
    assert fetched(["* 7 FETCH (BODY[] {5}\r\nseven)"], ["7"]) == {}


@pytest.mark.parametrize("answer", ["* 1 FETCH (UID 7 BODY[] {5}\r\nabc", "* 1 FETCH (UID", "* what"])
def test_broken_answers(answer: str) -> None:
    with pytest.raises(MailServerError):
        fetched([answer], ["7"])


def test_a_message_that_cannot_be_read_just_now() -> None:
    with against(imap({"UID FETCH": ["{tag} NO [SERVERBUG] internal error"]})) as (_, mailbox):
        mailbox.open()
        with pytest.raises(ServerBusy):
            list(mailbox.fetch(["7"]))


@pytest.mark.parametrize(
    "internaldate",
    [
        '"never"',
        "NIL",
        "7",
        '""',
        "(a b)",
        '"31-Dec-9999 23:59:59 -1400"',
        '"01-Jan-0000 00:00:00 +0000"',
        '"31-Feb-2026 10:00:00 +0000"',
        '"24-Nov-2026 10:00:00 +9999"',
        '"24-Nov-26 10:00:00 +0000"',
    ],
)
def test_a_time_of_receipt_that_cannot_be_read(internaldate: str) -> None:
    """It is the same in every run, and no cut-off leaves the message behind."""
    answer = [f"* 1 FETCH (UID 7 RFC822.SIZE 5 INTERNALDATE {internaldate})", "{tag} OK done"]
    with against(imap({"UID FETCH": answer})) as (_, mailbox):
        mailbox.open()
        assert mailbox.look_up(["7"]) == [RemoteMessage("7", 5, UNKNOWN_TIME)]


def test_a_time_of_receipt_long_ago_is_believed() -> None:
    answer = ['* 1 FETCH (UID 7 RFC822.SIZE 5 INTERNALDATE " 1-Jan-1970 01:00:00 +0100")', "{tag} OK done"]
    with against(imap({"UID FETCH": answer})) as (_, mailbox):
        mailbox.open()
        (found,) = mailbox.look_up(["7"])
    assert found.received_at == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("told", "size"), [("NIL", 0), ("many", 0), ("12", 12)])
def test_a_size_that_is_none(told: str, size: int) -> None:
    """Sizes only budget the batches: such a message is not passed over."""
    answer = [
        f'* 1 FETCH (UID 7 RFC822.SIZE {told} INTERNALDATE "24-Nov-2026 10:00:00 +0000")',
        "* 2 FETCH (UID 8 FLAGS (\\Seen))",
        "{tag} OK done",
    ]
    with against(imap({"UID FETCH": answer})) as (_, mailbox):
        mailbox.open()
        found = mailbox.look_up(["7", "8"])
    assert found == [RemoteMessage("7", size, datetime(2026, 11, 24, 10, tzinfo=UTC))]


# Moving.


@pytest.mark.parametrize(
    ("answer", "left", "moved", "vanished"),
    [
        (["* OK [COPYUID 1 7,9 1:2] x", "* 1 EXPUNGE", "* 1 EXPUNGE"], "", {"7", "9"}, {"8"}),
        (["* OK [COPYUID 1 7 1] x", "* 1 EXPUNGE"], "8", {"7"}, {"9"}),
        (["* 1 EXPUNGE"] * 3, "", {"7", "8", "9"}, set()),
        (["* 1 EXPUNGE"] * 2, "8", {"7", "9"}, set()),
        ([], "", set(), {"7", "8", "9"}),  # nothing left the inbox by this MOVE
        ([], "7:9", set(), set()),
        (["* OK [COPYUID 1 7,55 1:2] x", "* 1 EXPUNGE"], "", {"7"}, {"8", "9"}),
    ],
)
def test_what_became_of_each(answer: list[str], left: str, moved: set[str], vanished: set[str]) -> None:
    """With and without the server's word on what it moved (COPYUID)."""
    present = ["7 8 9"]

    def search(peer: Peer, command: str) -> None:
        peer.say(f"* SEARCH {present[-1]}", f"{command.split(' ')[0]} OK done")

    def move(peer: Peer, command: str) -> None:
        present.append(left.replace("7:9", "7 8 9"))
        peer.say(*answer, f"{command.split(' ')[0]} OK done")

    with against(imap({"UID MOVE": move, "UID SEARCH": search})) as (_, mailbox):
        mailbox.open()
        result = mailbox.move(["7", "8", "9"], "Archive")
    assert result == MoveResult(frozenset(moved), frozenset(vanished))


def test_trycreate_makes_the_folder_once() -> None:
    moves = iter([["{tag} NO [TRYCREATE] no such folder"], ["* OK [COPYUID 1 7 1] moved", "{tag} OK done"]])

    def move(peer: Peer, command: str) -> None:
        peer.say(*(line.replace("{tag}", command.split(" ")[0]) for line in next(moves)))

    script = imap({"UID MOVE": move, "UID SEARCH": ["* SEARCH 7", "{tag} OK done"]})
    with against(script) as (server, mailbox):
        mailbox.open()
        assert mailbox.move(["7"], "Archive").moved == {"7"}
        assert server.received.count(b'CREATE "Archive"') == 1
        assert server.received.count(b'SUBSCRIBE "Archive"') == 1


@pytest.mark.parametrize(
    ("create", "move", "failure"),
    [
        (["{tag} NO [NOPERM] no"], ["{tag} NO [TRYCREATE] missing"], FolderRefused),
        (["{tag} NO [OVERQUOTA] full"], ["{tag} NO [TRYCREATE] missing"], QuotaExceeded),
        (["{tag} OK done"], ["{tag} NO [TRYCREATE] missing"], FolderRefused),
        (["{tag} OK done"], ["{tag} NO [OVERQUOTA] full"], QuotaExceeded),
        (["{tag} OK done"], ["{tag} NO [NOPERM] no"], FolderRefused),
        (["{tag} OK done"], ["{tag} BAD no"], FolderRefused),
    ],
)
def test_moves_that_are_refused(create: list[str], move: list[str], failure: type[MailServerError]) -> None:
    script = imap({"CREATE": create, "UID MOVE": move, "UID SEARCH": ["* SEARCH 7", "{tag} OK done"]})
    with against(script) as (server, mailbox):
        mailbox.open()
        with pytest.raises(failure) as caught:
            mailbox.move(["7"], "Archive")
        assert type(caught.value) is failure
        assert server.received.count(b"CREATE") <= 2
        with pytest.raises(ConnectionFailed):
            mailbox.list_unread()


@pytest.mark.parametrize(
    ("answer", "is_fine"),
    [
        ("{tag} NO [ALREADYEXISTS] is there", True),
        ("{tag} NO is there", False),
        ("{tag} NO [CANNOT] odd name", False),
    ],
)
def test_creating_what_is_there(answer: str, is_fine: bool) -> None:
    with against(imap({"CREATE": [answer], "SUBSCRIBE": ["{tag} NO no"]})) as (_, mailbox):
        mailbox.open()
        if is_fine:
            mailbox.create_folder("Archive")
        else:
            with pytest.raises(FolderRefused):
                mailbox.create_folder("Archive")


# Folders.


@pytest.mark.parametrize(
    ("lines", "typed", "path"),
    [
        (['(\\HasNoChildren \\Archive) "/" Vault', '(\\All) "/" "[Gmail]/All Mail"'], "", "Vault"),
        (['(\\HasNoChildren) "/" Vault', '(\\All) "/" "[Gmail]/All Mail"'], "", "Archive"),
        (['(\\All) "/" "[Gmail]/All Mail"'], "[Gmail]/All Mail", None),
        (['(\\Noselect) "/" Archive'], "", None),
        (['(\\Trash) "/" Archive'], "Archive", None),
        (['(\\Flagged) "/" Starred'], "Starred", None),
    ],
)
def test_special_folders(lines: list[str], typed: str, path: str | None) -> None:
    def list_folders(peer: Peer, command: str) -> None:
        pattern = command.split('"')[3]
        matching = [line for line in lines if pattern == "*" or pattern in line]
        peer.say(*(f"* LIST {line}" for line in matching), f"{command.split(' ')[0]} OK done")

    with against(imap({"LIST": list_folders}), archive_folder=typed) as (_, mailbox):
        mailbox.open()
        if path is None:
            with pytest.raises(FolderRefused):
                mailbox.find_archive()
        else:
            assert mailbox.find_archive().path == path


@pytest.mark.parametrize(
    ("root", "archive", "below"),
    [
        ('(\\Noselect) "." ""', '(\\HasNoChildren) "." Archive', "Archive.Ignored"),
        ('(\\Noselect) "/" ""', '(\\Noinferiors) "/" Archive', "Archive"),
        ('(\\Noselect) NIL ""', "() NIL Archive", "Archive"),
    ],
)
def test_children_without_namespace(root: str, archive: str, below: str) -> None:
    """pymap has no NAMESPACE; other servers allow no folders within folders."""

    def list_folders(peer: Peer, command: str) -> None:
        pattern = command.split('"')[3]
        found = {"": [root], "*": [archive], "Archive": [archive]}.get(pattern, [])
        peer.say(*(f"* LIST {line}" for line in found), f"{command.split(' ')[0]} OK done")

    script = imap({"LIST": list_folders}, capabilities="IMAP4rev1 AUTH=PLAIN MOVE")
    with against(script) as (_, mailbox):
        mailbox.open()
        assert mailbox.find_archive().path == "Archive"
        assert mailbox.find_subfolder("Archive", "Ignored").path == below


def test_special_uses_are_asked_for_where_that_is_needed() -> None:
    script = imap(capabilities="IMAP4rev1 AUTH=PLAIN MOVE NAMESPACE SPECIAL-USE LIST-EXTENDED")
    with against(script) as (server, mailbox):
        mailbox.open()
        mailbox.find_archive()
        assert b'LIST "" "*" RETURN (SPECIAL-USE)\r\n' in server.received
