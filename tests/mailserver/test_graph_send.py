"""Sending over Microsoft Graph: as whom, to whom, how large, and what is known when it fails."""

from __future__ import annotations

import time
import traceback
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from tests.mailserver.contract import DESK, outgoing
from tests.rig.graph_server import GraphServer, Tokens
from tests.rig.graph_store import GraphMailboxStore
from tests.rig.graph_wire import Fault, Reply, error
from webapp.mailserver.errors import (
    AccessDenied,
    ConnectionFailed,
    MailServerError,
    MessageRefused,
    SenderRefused,
    ServerBusy,
    ServerTimeout,
    SignInNeeded,
    Stage,
    UnexpectedServer,
)
from webapp.mailserver.graph_errors import NO_PERMISSION, TOO_LARGE
from webapp.mailserver.graph_large import PIECE, take_files_out
from webapp.mailserver.graph_requests import Upload
from webapp.mailserver.graph_send import LARGEST_AT_ONCE, GraphTransport
from webapp.mailserver.https import Wire

ANNA = "anna@example.net"


@pytest.fixture
def store(graph_server: GraphServer) -> GraphMailboxStore:
    return graph_server.mailbox_of(DESK)


class Dots:
    """What `before_final_dot` was told, and what had arrived by then."""

    def __init__(self, store: GraphMailboxStore) -> None:
        self.told: list[frozenset[str]] = []
        self.sent_before: list[int] = []
        self._store = store

    def __call__(self, recipients: frozenset[str]) -> None:
        self.told.append(recipients)
        self.sent_before.append(len(self._store.sent))


def opened(server: GraphServer, **changes: object) -> GraphTransport:
    transport = GraphTransport(server.settings(DESK, receives=False, **changes))
    transport.open()
    return transport


def large(sizes: dict[str, int], *, text: str = "See attached.\n") -> bytes:
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"] = f"Help Desk <{DESK}>", ANNA
    message["Subject"], message["Message-ID"] = "Lärge", "<large@example.com>"
    message["References"], message["Auto-Submitted"] = "<1@example.net> <2@example.net>", "auto-replied"
    message.set_content(text)
    message.add_alternative("<p>See attached.</p>", subtype="html")
    for name, size in sizes.items():
        message.add_attachment(
            bytes(range(256)) * (size // 256) + b"x" * (size % 256),
            maintype="application",
            subtype="pdf",
            filename=name,
        )
    return message.as_bytes()


# As whom.


def test_an_alias_is_an_address_of_its_own(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    raw = outgoing().replace(DESK.encode(), b"Help@Example.com")
    with opened(graph_server) as transport:
        transport.check_sender("HELP@example.com")
        transport.send(raw, sender="help@example.com", recipients=[ANNA])
    assert [one.sender for one in store.sent] == ["Help@Example.com"]


@pytest.mark.parametrize(
    ("sender", "written"),
    [("boss@example.com", DESK), (DESK, "boss@example.com"), (DESK, f"{DESK}, Boss <boss@example.com>")],
)
def test_nobody_is_spoofed(
    graph_server: GraphServer, store: GraphMailboxStore, sender: str, written: str
) -> None:
    """Neither as the row says nor as the message says; Graph is not even asked."""
    raw = outgoing().replace(f"<{DESK}>".encode(), f"<{written}>".encode().replace(b", Boss <", b">, Boss <"))
    raw = raw.replace(b">>", b">")
    dots = Dots(store)
    with opened(graph_server) as transport:
        before = len(graph_server.requests)
        with pytest.raises(SenderRefused) as caught:
            transport.send(raw, sender=sender, recipients=[ANNA], before_final_dot=dots)
    assert not caught.value.uncertain
    assert len(graph_server.requests) == before
    assert (dots.told, store.sent) == ([], [])


def test_microsoft_refuses_the_sender(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    graph_server.faults.append(Fault("POST", "sendMail$", reply=error(403, "ErrorSendAsDenied", "no right")))
    with opened(graph_server) as transport, pytest.raises(SenderRefused) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA])
    assert "no right" in caught.value.server_said
    assert not caught.value.uncertain


def test_sending_was_not_permitted(graph_server: GraphServer) -> None:
    tokens = Tokens(graph_server, DESK, "User.Read Mail.ReadWrite")
    with opened(graph_server, tokens=tokens) as transport, pytest.raises(AccessDenied):
        transport.send(outgoing(), sender=DESK, recipients=[ANNA])


def test_who_it_is_is_asked_once(graph_server: GraphServer) -> None:
    with opened(graph_server) as transport:
        for number in range(3):
            transport.check_sender(DESK)
            transport.send(outgoing(str(number)), sender=DESK, recipients=[ANNA])
    assert [seen.path for seen in graph_server.requests].count("/v1.0/me") == 1
    assert len(graph_server.requests) == 4


# To whom.


def test_a_part_of_those_named(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """Sent again to one: the other must not get it twice."""
    raw = outgoing(to=[ANNA, "bob@example.net"])
    dots = Dots(store)
    with opened(graph_server) as transport:
        result = transport.send(raw, sender=DESK, recipients=["bob@example.net"], before_final_dot=dots)
    assert result.accepted == {"bob@example.net"}
    assert [one.recipients for one in store.sent] == [["bob@example.net"]]
    assert message_from_bytes(store.sent[0].raw)["Message-ID"] == message_from_bytes(raw)["Message-ID"]
    assert dots.told == [frozenset({"bob@example.net"})]


def test_hidden_recipients(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    dots = Dots(store)
    everybody = [ANNA, "x@example.org", "y@example.org"]
    with opened(graph_server) as transport:
        result = transport.send(outgoing(), sender=DESK, recipients=everybody, before_final_dot=dots)
    assert result.accepted == set(everybody)
    assert [one.recipients for one in store.sent] == [[ANNA], ["x@example.org"], ["y@example.org"]]
    assert b"y@example.org" not in store.sent[1].raw
    assert dots.told == [frozenset({one}) for one in everybody]
    assert dots.sent_before == [0, 1, 2]


@pytest.mark.parametrize("lost", [False, True])
def test_what_was_accepted_is_told_though_a_later_one_fails(
    graph_server: GraphServer, store: GraphMailboxStore, lost: bool
) -> None:
    reply = error(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
    fault = Fault("POST", "sendMail$", reply=None if lost else reply, lose_answer=lost, skip=1)
    graph_server.faults.append(fault)
    with opened(graph_server) as transport, pytest.raises(MailServerError) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA, "x@example.org", "y@example.org"])
    assert caught.value.delivered == {ANNA}
    assert caught.value.uncertain is lost
    assert len(store.sent) == 1 + lost


def test_nobody_at_all(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    with opened(graph_server) as transport:
        assert transport.send(outgoing(), sender=DESK, recipients=[]).accepted == frozenset()
    assert store.sent == []


# What is known when it fails.


def test_200_is_not_202(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """Graph was seen to answer so to messages that it then threw away."""
    graph_server.faults.append(Fault("POST", "sendMail$", reply=Reply(200)))
    with opened(graph_server) as transport, pytest.raises(MessageRefused) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA])
    assert "200" in caught.value.server_said
    assert not caught.value.uncertain


@pytest.mark.parametrize(
    "fault", [Fault("POST", "sendMail$", lose_answer=True), Fault("POST", "sendMail$", cut=True)]
)
def test_the_answer_is_lost(graph_server: GraphServer, store: GraphMailboxStore, fault: Fault) -> None:
    """It may have been sent or not: nobody knows, and it is not sent again by itself."""
    graph_server.faults.append(fault)
    dots = Dots(store)
    with opened(graph_server) as transport, pytest.raises(ConnectionFailed) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA], before_final_dot=dots)
    assert caught.value.uncertain
    assert dots.told == [frozenset({ANNA})]
    assert len(store.sent) == fault.lose_answer
    assert len([seen for seen in graph_server.requests if "sendMail" in seen.path]) == 1


def test_the_answer_does_not_come_in_time(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault("POST", "sendMail$", hang=30.0))
    with opened(graph_server, timeout=1.0) as transport, pytest.raises(ServerTimeout) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA])
    assert caught.value.uncertain


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_gateway_gives_up(graph_server: GraphServer, store: GraphMailboxStore, status: int) -> None:
    """What stands behind it may have sent the message."""
    graph_server.faults.append(
        Fault("POST", "sendMail$", reply=error(status, "x", Retry_After="99"), times=9)
    )
    with opened(graph_server) as transport, pytest.raises(ServerBusy) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA])
    assert caught.value.uncertain
    assert len([seen for seen in graph_server.requests if "sendMail" in seen.path]) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_busy_without_a_time_is_not_repeated(graph_server: GraphServer, status: int) -> None:
    graph_server.faults.append(Fault("POST", "sendMail$", reply=error(status, "ErrorServerBusy"), times=9))
    with opened(graph_server) as transport, pytest.raises(ServerBusy) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA])
    assert not caught.value.uncertain
    assert len([seen for seen in graph_server.requests if "sendMail" in seen.path]) == 1


def test_busy_with_a_time_is_repeated(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    graph_server.faults.append(
        Fault("POST", "sendMail$", reply=error(503, "ErrorServerBusy", Retry_After="1"))
    )
    dots = Dots(store)
    started = time.monotonic()
    with opened(graph_server) as transport:
        result = transport.send(outgoing(), sender=DESK, recipients=[ANNA], before_final_dot=dots)
    assert time.monotonic() - started >= 1
    assert result.accepted == {ANNA}
    assert len(store.sent) == 1
    assert dots.told == [frozenset({ANNA})] * 2  # each request that might be the one


def test_the_token_expires_between_two_messages(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    tokens = graph_server.tokens_of(DESK)
    with opened(graph_server, tokens=tokens) as transport:
        transport.send(outgoing("1"), sender=DESK, recipients=[ANNA])
        graph_server.revoke(tokens.token)
        transport.send(outgoing("2"), sender=DESK, recipients=[ANNA])
        assert len(store.sent) == 2
        graph_server.revoke(tokens.token)
        tokens.withdrawn = True
        with pytest.raises(SignInNeeded) as caught:
            transport.send(outgoing("3"), sender=DESK, recipients=[ANNA])
    assert not caught.value.uncertain
    assert len(store.sent) == 2


def test_a_connection_that_never_got_through_is_certain(
    graph_server: GraphServer, store: GraphMailboxStore
) -> None:
    transport = opened(graph_server)
    graph_server.stop()
    time.sleep(0.1)
    dots = Dots(store)
    with pytest.raises(ConnectionFailed) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA], before_final_dot=dots)
    assert caught.value.stage is Stage.CONNECT
    assert not caught.value.uncertain
    assert dots.told == []


def test_what_the_hook_raises_stops_it(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    class ClaimLost(Exception):
        pass

    def lost(recipients: frozenset[str]) -> None:
        raise ClaimLost("taken over")

    transport = opened(graph_server)
    with pytest.raises(ClaimLost):
        transport.send(outgoing(), sender=DESK, recipients=[ANNA], before_final_dot=lost)
    time.sleep(0.2)
    assert store.sent == []
    with pytest.raises(ConnectionFailed):
        transport.send(outgoing(), sender=DESK, recipients=[ANNA])


def test_cut_before_a_draft_is_sent(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    transport = opened(graph_server)
    raw = large({"a.pdf": 2_500_000})
    with pytest.raises(ConnectionFailed) as caught:
        transport.send(raw, sender=DESK, recipients=[ANNA], before_final_dot=lambda taken: transport.abort())
    assert store.sent == []
    assert not caught.value.uncertain


def test_a_draft_whose_claim_is_lost(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    def lost(recipients: frozenset[str]) -> None:
        raise ZeroDivisionError

    transport = opened(graph_server)
    with pytest.raises(ZeroDivisionError):
        transport.send(large({"a.pdf": 2_500_000}), sender=DESK, recipients=[ANNA], before_final_dot=lost)
    assert store.sent == []
    with pytest.raises(ConnectionFailed):
        transport.check_sender(DESK)


@pytest.mark.parametrize("kind", [ValueError, OSError, MailServerError])
def test_whatever_the_hook_raises(graph_server: GraphServer, kind: type[Exception]) -> None:
    """Not taken for the network's, though it looks like it."""
    error_ = kind("ours", stage=Stage.SEND) if kind is MailServerError else kind("ours")

    def raises(recipients: frozenset[str]) -> None:
        raise error_

    with opened(graph_server) as transport, pytest.raises(kind) as caught:
        transport.send(outgoing(), sender=DESK, recipients=[ANNA], before_final_dot=raises)
    assert caught.value is error_


def test_the_hook_may_take_its_time(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    with opened(graph_server, timeout=1.0) as transport:
        transport.send(
            outgoing(), sender=DESK, recipients=[ANNA], before_final_dot=lambda taken: time.sleep(1.5)
        )
    assert len(store.sent) == 1


def test_cut_during_the_hook(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    transport = opened(graph_server)
    with pytest.raises(MailServerError) as caught:
        transport.send(
            outgoing(), sender=DESK, recipients=[ANNA], before_final_dot=lambda taken: transport.abort()
        )
    time.sleep(0.2)
    assert store.sent == []
    assert not caught.value.uncertain


# How large.


def test_just_small_enough(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    raw = outgoing(body="x" * (LARGEST_AT_ONCE - len(outgoing(body=""))))
    assert len(raw) == LARGEST_AT_ONCE
    with opened(graph_server) as transport:
        transport.send(raw, sender=DESK, recipients=[ANNA])
    assert [seen.path for seen in graph_server.requests][1:] == ["/v1.0/me/sendMail"]
    assert [one.raw for one in store.sent] == [raw]


def test_the_hook_comes_before_the_last_octets() -> None:
    """Until then the request is not complete, so that nothing can have been sent."""
    told: list[str] = []
    wire = Wire(10.0)
    upload = Upload(b"x" * 40_000, wire, lambda: told.append("now"))
    with wire.step(Stage.SEND):
        assert [len(upload.read(16_384)), len(upload.read(16_384))] == [16_384] * 2
        assert told == []
        assert len(upload.read(16_384)) == 40_000 - 2 * 16_384
        assert told == ["now"]
        assert upload.read(16_384) == b""
    assert told == ["now"]


def test_a_large_message_goes_in_parts(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    raw = large({"small.pdf": 100_000, "big.pdf": 9_000_000, "middle ö.pdf": 2_500_000})
    dots = Dots(store)
    with opened(graph_server) as transport:
        result = transport.send(raw, sender=DESK, recipients=[ANNA], before_final_dot=dots)
    assert result.accepted == {ANNA}
    assert dots.told == [frozenset({ANNA})]
    assert dots.sent_before == [0]
    (sent,) = store.sent
    draft = message_from_bytes(sent.raw, policy=policy.SMTP)
    assert (draft["Message-ID"], draft["Auto-Submitted"]) == ("<large@example.com>", "auto-replied")
    assert draft["References"] == "<1@example.net> <2@example.net>"
    assert draft["Subject"] == "Lärge"
    assert [part.get_filename() for part in draft.iter_attachments()] == ["small.pdf"]
    body = draft.get_body()
    assert body is not None
    assert body.get_content_type() == "text/html"
    found = {one.name: (one.content_type, one.octets) for one in sent.files}
    original = message_from_bytes(raw, policy=policy.SMTP)
    for part in original.iter_attachments():
        if part.get_filename() != "small.pdf":
            assert found.pop(str(part.get_filename())) == ("application/pdf", part.get_content())
    assert found == {}
    assert len(store.contents("Drafts")) == 0
    uploads = [seen for seen in graph_server.requests if seen.path.startswith("/upload/")]
    assert [len(seen.body) for seen in uploads] == [PIECE, PIECE, 9_000_000 - 2 * PIECE]
    assert all("authorization" not in seen.headers for seen in uploads)


def test_drafts_were_not_permitted(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    tokens = Tokens(graph_server, DESK, "User.Read Mail.Send")
    dots = Dots(store)
    with opened(graph_server, tokens=tokens) as transport, pytest.raises(MessageRefused) as caught:
        transport.send(large({"a.pdf": 3_000_000}), sender=DESK, recipients=[ANNA], before_final_dot=dots)
    assert str(caught.value) == NO_PERMISSION
    assert (dots.told, store.sent) == ([], [])


@pytest.mark.parametrize("with_a_file", [False, True])
def test_a_text_that_is_too_large(
    graph_server: GraphServer, store: GraphMailboxStore, with_a_file: bool
) -> None:
    raw = large({"a.pdf": 999}) if with_a_file else outgoing()
    raw = raw.replace(b"See attached.", b"x" * 2_300_000) + b"x" * 2_300_000 * (not with_a_file)
    with opened(graph_server) as transport, pytest.raises(MessageRefused) as caught:
        transport.send(raw, sender=DESK, recipients=[ANNA])
    assert str(caught.value) == TOO_LARGE
    assert caught.value.permanent
    assert store.contents("Drafts") == []


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "attachments$", MessageRefused),
        ("POST", "createUploadSession$", MessageRefused),
        ("PUT", "/upload/", MessageRefused),
        ("POST", "/send$", MessageRefused),
    ],
)
def test_a_draft_that_was_refused_does_not_stay(
    graph_server: GraphServer, store: GraphMailboxStore, method: str, path: str, kind: type[MailServerError]
) -> None:
    graph_server.faults.append(Fault(method, path, reply=error(413, "ErrorMessageSizeExceeded", "35 MB")))
    raw = large({"big.pdf": 4_000_000, "middle.pdf": 2_500_000})
    with opened(graph_server) as transport, pytest.raises(kind) as caught:
        transport.send(raw, sender=DESK, recipients=[ANNA])
    assert not caught.value.uncertain
    assert "35 MB" in caught.value.server_said
    assert store.contents("Drafts") == []
    assert len(store.contents("Deleted Items")) == 1
    assert store.sent == []
    with pytest.raises(ConnectionFailed):
        transport.check_sender(DESK)


def test_the_answer_to_sending_a_draft_is_lost(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    graph_server.faults.append(Fault("POST", "/send$", lose_answer=True))
    dots = Dots(store)
    with opened(graph_server) as transport, pytest.raises(ConnectionFailed) as caught:
        transport.send(large({"a.pdf": 2_500_000}), sender=DESK, recipients=[ANNA], before_final_dot=dots)
    assert caught.value.uncertain
    assert dots.told == [frozenset({ANNA})]
    assert len(store.sent) == 1


def test_an_upload_that_breaks_off_is_certain(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    graph_server.faults.append(Fault("PUT", "/upload/", skip=1, cut=True))
    dots = Dots(store)
    with opened(graph_server) as transport, pytest.raises(ConnectionFailed) as caught:
        transport.send(large({"a.pdf": 9_000_000}), sender=DESK, recipients=[ANNA], before_final_dot=dots)
    assert not caught.value.uncertain
    assert (dots.told, store.sent) == ([], [])


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/upload/x", "http://localhost/upload/x", "", "https://office.com.evil.example/"],
)
def test_an_upload_somewhere_else(graph_server: GraphServer, store: GraphMailboxStore, url: str) -> None:
    session = {"uploadUrl": url, "nextExpectedRanges": ["0-"]}
    graph_server.faults.append(Fault("POST", "createUploadSession$", reply=Reply(201, session)))
    with opened(graph_server) as transport, pytest.raises(UnexpectedServer):
        transport.send(large({"a.pdf": 4_000_000}), sender=DESK, recipients=[ANNA])
    assert store.sent == []


def test_as_few_files_as_needed_are_taken_out() -> None:
    raw = large({"a.pdf": 1_000_000, "b.pdf": 2_000_000, "c.pdf": 500_000})
    small, files = take_files_out(raw, 2_200_000)
    assert [one.name for one in files] == ["b.pdf"]
    assert len(small) <= 2_200_000
    assert take_files_out(small, 2_200_000) == (small, [])


def test_a_secret_address_is_not_logged(graph_server: GraphServer, caplog: pytest.LogCaptureFixture) -> None:
    """The address of an upload is all that is needed to write there."""
    with caplog.at_level("DEBUG"), opened(graph_server) as transport:
        transport.send(large({"a.pdf": 4_000_000}), sender=DESK, recipients=[ANNA])
    (upload,) = {seen.query["authtoken"] for seen in graph_server.requests if "/upload/" in seen.path}
    assert upload not in caplog.text


def test_a_secret_address_is_in_no_trace(graph_server: GraphServer) -> None:
    """What urllib3 raises names the whole address."""
    graph_server.faults.append(Fault("PUT", "/upload/", cut=True))
    with opened(graph_server) as transport, pytest.raises(ConnectionFailed) as caught:
        transport.send(large({"a.pdf": 4_000_000}), sender=DESK, recipients=[ANNA])
    (upload,) = {seen.query["authtoken"] for seen in graph_server.requests if "/upload/" in seen.path}
    assert upload not in "".join(traceback.format_exception(caught.value))
