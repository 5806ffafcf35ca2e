"""What goes wrong with Microsoft Graph, and that it ends in time, says what it is, and loses nothing."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Iterator
from email import message_from_bytes
from urllib.parse import quote

import pytest

from tests.mailserver.contract import DESK, message
from tests.rig.certificates import Authority
from tests.rig.graph_server import GraphServer, Tokens
from tests.rig.graph_store import GraphMailboxStore
from tests.rig.graph_wire import Fault, Reply, Seen, error
from webapp.mailserver.base import UNKNOWN_TIME
from webapp.mailserver.errors import (
    AccessDenied,
    ConnectionFailed,
    FolderRefused,
    MailboxUnavailable,
    MailServerError,
    QuotaExceeded,
    ServerBusy,
    SignInNeeded,
    Stage,
    UnexpectedServer,
)
from webapp.mailserver.graph import GraphMailbox
from webapp.mailserver.graph_session import GraphSession


@pytest.fixture
def store(graph_server: GraphServer) -> GraphMailboxStore:
    return graph_server.mailbox_of(DESK)


@pytest.fixture
def other_server(authority: Authority) -> Iterator[GraphServer]:
    server = GraphServer(authority.good.server_context(), str(authority.ca_file))
    server.add_user(DESK)
    server.start()
    yield server
    server.stop()


def paths(server: GraphServer, part: str) -> list[Seen]:
    return [seen for seen in server.requests if part in seen.path]


# The token stays where it belongs.


def test_a_redirect_is_not_followed(graph_server: GraphServer, other_server: GraphServer) -> None:
    elsewhere = f"{other_server.base}/me/mailFolders/inbox"
    graph_server.faults.append(Fault("GET", "inbox$", reply=Reply(302, None, {"Location": elsewhere})))
    with pytest.raises(UnexpectedServer, match="sends us elsewhere"):
        GraphMailbox(graph_server.settings(DESK)).open()
    assert other_server.requests == []


@pytest.mark.parametrize("link", ["{other}/me/messages?$skiptoken=x", "http://localhost/v1.0/me", 7, ["x"]])
def test_a_next_page_elsewhere_is_not_asked(
    graph_server: GraphServer, other_server: GraphServer, link: object
) -> None:
    there = link.format(other=other_server.base) if isinstance(link, str) else link

    def lead_away(reply: Reply) -> Reply:
        assert isinstance(reply.body, dict)
        return Reply(200, {**reply.body, "@odata.nextLink": there})

    graph_server.faults.append(Fault("GET", "messages$", edit=lead_away))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(UnexpectedServer):
            mailbox.list_unread()
    assert other_server.requests == []


def test_pages_without_an_end(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    def again(reply: Reply) -> Reply:
        return Reply(200, {"value": [], "@odata.nextLink": f"{graph_server.base}/me/again"})

    reply = Reply(200, {"value": [], "@odata.nextLink": f"{graph_server.base}/me/again"})
    graph_server.faults.extend(
        [
            Fault("GET", "messages$", edit=again),
            Fault("GET", "again$", times=99, reply=reply),
        ]
    )
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(UnexpectedServer):
            mailbox.list_unread()
    assert len(paths(graph_server, "again")) == 1


def test_no_token_in_logs_and_traces(
    graph_server: GraphServer, store: GraphMailboxStore, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = graph_server.tokens_of(DESK)
    token = tokens.access_token()
    echo = error(403, "ErrorAccessDenied", f"Bearer {token} may not")
    graph_server.faults.extend(
        [
            Fault("GET", "messages$", reply=echo),
            Fault("GET", "mailFolders$", cut=True),
        ]
    )
    told = []
    with caplog.at_level(logging.DEBUG):
        for call in (GraphMailbox.list_unread, GraphMailbox.find_archive):
            with GraphMailbox(graph_server.settings(DESK, tokens=tokens)) as mailbox:
                mailbox.open()
                try:
                    call(mailbox)
                except MailServerError as exc:
                    told.append(exc.server_said + "".join(traceback.format_exception(exc)) + _locals(exc))
    assert len(told) == 2
    assert all(token not in text for text in told)
    assert token not in caplog.text
    assert "ErrorAccessDenied" in told[0]


# What is not Graph.


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>Sign in to the WiFi</html>"),
        Reply(200, b"[1, 2]"),
        Reply(200, b"\xff\xfe"),
        Reply(204),
        Reply(403, b"<html>Blocked by policy</html>"),
        Reply(418, b""),
    ],
)
def test_an_answer_that_is_not_graphs(graph_server: GraphServer, reply: Reply) -> None:
    graph_server.faults.append(Fault(reply=reply, times=9))
    with pytest.raises(UnexpectedServer):
        GraphMailbox(graph_server.settings(DESK)).open()


@pytest.mark.parametrize("raw", [b"* OK IMAP4 ready\r\n", b"HTTP/1.1 200\r\nX: " + b"x" * 70_000, b""])
def test_octets_that_are_no_http(graph_server: GraphServer, raw: bytes) -> None:
    graph_server.faults.append(Fault(raw=raw))
    with pytest.raises((ConnectionFailed, UnexpectedServer)):
        GraphMailbox(graph_server.settings(DESK)).open()


@pytest.mark.parametrize("value", [None, {}, [1], ["x"], "x", [{}], [{"id": 7}], [{"id": ""}]])
def test_a_collection_without_objects(graph_server: GraphServer, value: object) -> None:
    graph_server.faults.append(Fault("GET", "messages$", reply=Reply(200, {"value": value})))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(UnexpectedServer):
            mailbox.list_unread()


@pytest.mark.parametrize(
    "properties",
    [None, {}, [1], [{}], [{"id": "Integer 0xzz", "value": "5"}], [{"id": "Integer 0xe08", "value": "-5"}]],
)
def test_a_size_that_is_none(graph_server: GraphServer, properties: object) -> None:
    listed = {"id": "AA", "receivedDateTime": "soon", "singleValueExtendedProperties": properties}
    graph_server.faults.append(Fault("GET", "messages$", reply=Reply(200, {"value": [listed]})))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        (found,) = mailbox.look_up(mailbox.list_unread())
    assert (found.key, found.size, found.received_at) == ("AA", 0, UNKNOWN_TIME)


def test_an_inbox_without_an_id(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault("GET", "inbox$", reply=Reply(200, {"totalItemCount": 1})))
    with pytest.raises(UnexpectedServer):
        GraphMailbox(graph_server.settings(DESK)).open()


def test_nothing_is_asked_without_a_token(graph_server: GraphServer) -> None:
    session = GraphSession(graph_server.settings(DESK))
    with pytest.raises(ConnectionFailed):
        session.get("/me", Stage.ACCOUNT)
    assert graph_server.requests == []


def test_an_answer_without_end(graph_server: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.mailserver.graph_session._JSON_LIMIT", 1000)
    long = {"id": "AA", "totalItemCount": 0, "unreadItemCount": 0, "displayName": "x" * 2000}
    graph_server.faults.append(Fault(reply=Reply(200, long)))
    with pytest.raises(UnexpectedServer, match="more than 1000 octets"):
        GraphMailbox(graph_server.settings(DESK)).open()


@pytest.mark.parametrize(
    "responses",
    [None, [], [{"id": "7", "status": 200}], [{"id": "0"}], [{"id": "0", "status": "200"}], ["x"]],
)
def test_a_batch_that_is_none(graph_server: GraphServer, store: GraphMailboxStore, responses: object) -> None:
    key = store.deliver(message())
    graph_server.faults.append(Fault("POST", "batch", reply=Reply(200, {"responses": responses}), times=9))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(UnexpectedServer):
            mailbox.still_in_inbox([key])


# Tokens.


def test_a_token_that_expires_in_the_middle(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    graph_server.largest_page = 2
    keys = [store.deliver(message(str(n))) for n in range(6)]
    tokens = graph_server.tokens_of(DESK)

    def expire(reply: Reply) -> Reply:
        graph_server.revoke(tokens.token)
        return reply

    graph_server.claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
    graph_server.faults.append(Fault("GET", "messages$", edit=expire))
    with GraphMailbox(graph_server.settings(DESK, tokens=tokens)) as mailbox:
        mailbox.open()
        assert list(mailbox.list_unread()) == keys
    assert len(tokens.refused) == 1
    assert [json.loads(one) for one in tokens.challenges] == [json.loads(graph_server.claims)]
    assert len(paths(graph_server, "messages")) == 4  # three pages, one of them twice


def test_a_token_that_is_refused_and_refused(graph_server: GraphServer) -> None:
    """One more try with a new token, then the source is told, and that is the end: no storm."""
    tokens = graph_server.tokens_of(DESK)
    graph_server.faults.append(Fault(reply=error(401, "InvalidAuthenticationToken"), times=99))
    with pytest.raises(SignInNeeded):
        GraphMailbox(graph_server.settings(DESK, tokens=tokens)).open()
    assert len(graph_server.requests) == 2
    assert len(tokens.refused) == 2


def test_withdrawn_consent_is_told_at_the_token(graph_server: GraphServer) -> None:
    tokens = graph_server.tokens_of(DESK)
    tokens.withdrawn = True
    with pytest.raises(SignInNeeded) as caught:
        GraphMailbox(graph_server.settings(DESK, tokens=tokens)).open()
    assert caught.value.stage is Stage.TOKEN
    assert graph_server.requests == []


def test_nobody_is_connected(graph_server: GraphServer) -> None:
    with pytest.raises(SignInNeeded):
        GraphMailbox(graph_server.settings(DESK, tokens=None)).open()
    assert graph_server.requests == []


# Throttling.


def test_it_waits_as_long_as_it_was_asked_to(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault(reply=error(429, "ApplicationThrottled", Retry_After="1"), times=2))
    started = time.monotonic()
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
    assert time.monotonic() - started >= 2
    assert len(graph_server.requests) == 3


def test_too_long_a_wait_is_left_to_the_next_run(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault(reply=error(429, "ApplicationThrottled", "slow", Retry_After="30")))
    started = time.monotonic()
    with pytest.raises(ServerBusy) as caught:
        GraphMailbox(graph_server.settings(DESK, timeout=10.0)).open()
    assert time.monotonic() - started < 5
    assert caught.value.retry_after == 30
    assert caught.value.reply_code == 429
    assert not caught.value.permanent
    assert len(graph_server.requests) == 1


def test_three_tries_and_no_more(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault(reply=error(503, "ErrorServerBusy", Retry_After="0"), times=99))
    with pytest.raises(ServerBusy):
        GraphMailbox(graph_server.settings(DESK)).open()
    assert len(graph_server.requests) == 3


def test_all_waits_together_stay_within_the_timeout(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault(reply=error(503, "ErrorServerBusy", Retry_After="1"), times=99))
    with pytest.raises(ServerBusy):
        GraphMailbox(graph_server.settings(DESK, timeout=1.5)).open()
    assert len(graph_server.requests) == 2


@pytest.mark.parametrize("after", ["", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999999"])
def test_what_changes_something_is_not_repeated_by_guess(
    graph_server: GraphServer, store: GraphMailboxStore, after: str
) -> None:
    reply = error(503, "ErrorServerBusy", **({"Retry_After": after} if after else {}))
    graph_server.faults.append(Fault("POST", "mailFolders$", reply=reply))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(ServerBusy):
            mailbox.create_folder("Archive")
    assert store.folders() == {"INBOX"}


def test_a_part_of_a_batch_is_throttled(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    keys = [store.deliver(message(str(n))) for n in range(5)]
    reply = error(429, "ApplicationThrottled", Retry_After="0")
    graph_server.faults.append(Fault("GET", "^/me/messages/", reply=reply, times=2, skip=1))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert mailbox.still_in_inbox(keys) == set(keys)
    first, second = paths(graph_server, "batch")
    assert len(json.loads(first.body)["requests"]) == 5
    assert len(json.loads(second.body)["requests"]) == 2


def test_a_part_of_a_batch_stays_throttled(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    keys = [store.deliver(message(str(n))) for n in range(5)]
    reply = error(429, "ApplicationThrottled", Retry_After="70")
    graph_server.faults.append(Fault("PATCH", "^/me/messages/", reply=reply, times=99))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(ServerBusy) as caught:
            mailbox.mark_read(keys)
    assert caught.value.retry_after == 70


@pytest.mark.parametrize("after", ["", "0"])
def test_a_move_in_a_batch_is_not_repeated_by_guess(
    graph_server: GraphServer, store: GraphMailboxStore, after: str
) -> None:
    """503 may come from a gateway whose request went through; with a time Graph itself has refused."""
    store.create("Archive")
    key = store.deliver(message())
    reply = error(503, "ErrorServerBusy", **({"Retry_After": after} if after else {}))
    graph_server.faults.append(Fault("POST", "^/me/messages/.*move$", reply=reply))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        if after:
            assert mailbox.move([key], "Archive").moved == {key}
        else:
            with pytest.raises(ServerBusy):
                mailbox.move([key], "Archive")
    assert len(store.contents("Archive")) == bool(after)


# The answer of a change is lost.


def test_the_answer_of_a_move_is_lost(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """It is done. The next session sees by its presence that nothing is left to do."""
    keys = [store.deliver(message(str(n))) for n in range(3)]
    store.create("Archive")
    graph_server.faults.append(Fault("POST", "batch", skip=1, lose_answer=True))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(ConnectionFailed):
            mailbox.move(keys, "Archive")
    assert [one.immutable_id for one in store.contents("Archive")] == keys
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert mailbox.still_in_inbox(keys) == frozenset()
        assert mailbox.move(keys, "Archive").vanished == set(keys)
    assert len(store.contents("Archive")) == 3


def test_the_answer_of_creating_a_folder_is_lost(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    graph_server.faults.append(Fault("POST", "mailFolders$", lose_answer=True))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(ConnectionFailed):
            mailbox.create_folder("Archive")
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        mailbox.create_folder("Archive")
    assert store.folders() == {"INBOX", "Archive"}


def test_a_message_leaves_between_two_questions(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    keys = [store.deliver(message(str(n))) for n in range(3)]

    def leave(reply: Reply) -> Reply:
        store.expunge(keys[1])
        return reply

    graph_server.faults.append(Fault("POST", "batch", edit=leave))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert [found.key for found in mailbox.fetch(keys)] == [keys[0], keys[2]]
        graph_server.faults.append(Fault("POST", "batch", edit=lambda reply: _moved(store, keys[0], reply)))
        result = mailbox.move([keys[0], keys[2]], "Archive")
    # Somebody moved it to another folder after we had looked: it is moved on from there.
    assert result.moved == {keys[0], keys[2]}


def _moved(store: GraphMailboxStore, key: str, reply: Reply) -> Reply:
    store.create("Elsewhere")
    store.take_away(key, "Elsewhere")
    return reply


def test_ids_differ_by_case_alone(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    first, second = store.deliver(message("1")), store.deliver(message("2"))
    keys = [store.deliver(message(str(n))) for n in range(6)] + [first, second]
    assert len({key.lower() for key in keys}) < len(keys)
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert mailbox.move([first], "Archive").moved == {first}
        assert mailbox.still_in_inbox(keys) == set(keys) - {first}


# Refusals.


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(404, "MailboxNotEnabledForRESTAPI"), MailboxUnavailable),
        (error(404, "ErrorItemNotFound"), MailboxUnavailable),
        (error(404, "ErrorInvalidUser"), MailboxUnavailable),
        (error(403, "ErrorAccessDenied"), AccessDenied),
        (error(403, "Something.New"), AccessDenied),
        (error(400, "InefficientFilter"), UnexpectedServer),
        (error(400, "ErrorMailboxMoveInProgress"), ServerBusy),
        (error(500, "InternalServerError"), ServerBusy),
        (error(502, "BadGateway"), ServerBusy),
        (Reply(502, b"<html>"), ServerBusy),
    ],
)
def test_refusals_of_the_inbox(graph_server: GraphServer, reply: Reply, kind: type[MailServerError]) -> None:
    graph_server.faults.append(Fault("GET", "inbox$", reply=reply))
    with pytest.raises(kind) as caught:
        GraphMailbox(graph_server.settings(DESK)).open()
    assert type(caught.value) is kind
    assert caught.value.stage is Stage.INBOX


def test_an_account_without_a_mailbox(graph_server: GraphServer) -> None:
    graph_server.add_user("nolicence@example.com", mailbox=False)
    with pytest.raises(MailboxUnavailable):
        GraphMailbox(graph_server.settings("nolicence@example.com")).open()


def test_a_full_mailbox(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    key = store.deliver(message())
    store.full = True
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(QuotaExceeded):
            mailbox.move([key], "Archive")
    assert len(store.contents()) == 1


def test_a_folder_that_is_refused(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault("POST", "mailFolders$", reply=error(400, "ErrorInvalidRequest", "no")))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(FolderRefused):
            mailbox.create_folder("Archive")


@pytest.mark.parametrize("scopes", ["User.Read", "User.Read Mail.Send", "User.Read Mail.ReadWrite.Shared"])
def test_a_permission_that_was_not_given(graph_server: GraphServer, scopes: str) -> None:
    tokens = Tokens(graph_server, DESK, scopes)
    with pytest.raises(AccessDenied):
        GraphMailbox(graph_server.settings(DESK, tokens=tokens)).open()


# One message that cannot be handed out.

BROKEN = error(500, "ErrorInternalServerError", "An internal server error occurred.")
CONVERSION = error(500, "ErrorMimeContentConversionFailed", "The MIME content conversion failed.")


def test_a_message_that_cannot_be_converted(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """Its header comes, with a note: somebody has to look. The others are not kept from coming."""
    keys = [store.deliver(message(str(n))) for n in range(3)]
    graph_server.faults.append(Fault("GET", rf"{quote(keys[1])}/\$value$", reply=CONVERSION, times=99))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        first, second, third = mailbox.fetch(keys)
    assert (first.raw, third.raw) == (message("0"), message("2"))
    noted = message_from_bytes(second.raw)
    assert (noted["Subject"], noted["From"]) == ("1", "Anna <anna@example.net>")
    assert "ErrorMimeContentConversionFailed" in str(noted.get_payload())
    assert ("Subject", "1") in second.transport_headers


def test_a_message_with_neither_mime_nor_header(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    keys = [store.deliver(message(str(n))) for n in range(3)]
    corrupt = error(400, "ErrorItemCorrupt")
    graph_server.faults.append(Fault("GET", rf"^/me/messages/{quote(keys[1])}$", reply=corrupt))
    graph_server.faults.append(Fault("GET", rf"{quote(keys[1])}/\$value$", reply=corrupt, times=99))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert [one.key for one in mailbox.fetch(keys)] == [keys[0], keys[2]]
        assert [one.key for one in mailbox.fetch_headers(keys)] == keys
        assert mailbox.still_in_inbox(keys) == set(keys)


def test_graph_fails_over_one_message(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """It is left for the next run."""
    keys = [store.deliver(message(str(n))) for n in range(4)]
    for key in (keys[0], keys[2]):
        graph_server.faults.append(Fault("GET", rf"{quote(key)}/\$value$", reply=BROKEN, times=99))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        assert [one.key for one in mailbox.fetch(keys)] == [keys[1], keys[3]]


def test_graph_fails_over_one_after_the_other(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    keys = [store.deliver(message(str(n))) for n in range(4)]
    graph_server.faults.append(Fault("GET", r"/\$value$", reply=BROKEN, times=99))
    with GraphMailbox(graph_server.settings(DESK)) as mailbox:
        mailbox.open()
        with pytest.raises(ServerBusy):
            list(mailbox.fetch(keys))
    assert len(paths(graph_server, "value")) == 2


def _locals(exc: BaseException) -> str:
    """Everything the frames of an exception and of those behind it still hold."""
    text, seen = "", exc
    while seen is not None:
        for frame, _ in traceback.walk_tb(seen.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                text += repr({k: v for k, v in frame.f_locals.items() if k not in ("self", "tokens")})
        text += repr(vars(seen))
        seen = seen.__context__  # type: ignore[assignment]
    return text
