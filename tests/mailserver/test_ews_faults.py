"""An Exchange that fails: what is told, how soon, and what is certain of a message that was handed over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.mailserver.contract import message, outgoing
from tests.rig.certificates import Authority
from tests.rig.ews_server import EwsServer, Fault
from tests.rig.ews_store import Mailbox as Store
from tests.rig.proxy import Plan, Proxy
from webapp.mailserver.base import Mailbox, MoveResult
from webapp.mailserver.errors import (
    AccessDenied,
    AuthenticationFailed,
    AuthenticationNotOffered,
    CertificateRefused,
    ConnectionFailed,
    InvalidSettings,
    MailServerError,
    MessageRefused,
    QuotaExceeded,
    SenderRefused,
    ServerBusy,
    ServerTimeout,
    Stage,
    UnexpectedServer,
)
from webapp.mailserver.ews import EwsMailbox
from webapp.mailserver.ews_transport import EwsTransport

HELP = "help@example.com"
RAW = outgoing().replace(b"desk@", b"help@")
START = Callable[..., EwsServer]


@pytest.fixture
def store(ews_server: EwsServer) -> Store:
    return ews_server.mailboxes[HELP]


def failure(work: Callable[[], object]) -> MailServerError:
    with pytest.raises(MailServerError) as caught:
        work()
    return caught.value


# Time.

CALLS: dict[str, Callable[[Mailbox, list[str]], object]] = {
    "FindItem": lambda mailbox, keys: mailbox.list_unread(),
    "GetItem": lambda mailbox, keys: list(mailbox.fetch(keys)),
    "FindFolder": lambda mailbox, keys: mailbox.find_archive(),
    "CreateFolder": lambda mailbox, keys: mailbox.create_folder("Archive"),
    "UpdateItem": lambda mailbox, keys: mailbox.mark_read(keys),
    "MoveItem": lambda mailbox, keys: mailbox.move(keys, "Archive"),
}


@pytest.mark.parametrize("spoiled", [{"hang": 120.0}, {"drip": 0.1}], ids=["hangs", "drips"])
@pytest.mark.parametrize("operation", ["GetFolder", *CALLS])
def test_every_call_ends_in_time(
    ews_server: EwsServer, store: Store, operation: str, spoiled: dict[str, float]
) -> None:
    keys = [store.deliver(message())]
    ews_server.faults.append(Fault(operation, done=True, **spoiled))  # type: ignore[arg-type]
    mailbox = EwsMailbox(ews_server.settings(timeout=1.0))
    started = time.monotonic()
    if operation == "GetFolder":
        error = failure(mailbox.open)
    else:
        mailbox.open()
        mailbox.list_unread() if operation != "FindItem" else None
        started = time.monotonic()
        error = failure(lambda: CALLS[operation](mailbox, keys))
    assert isinstance(error, ServerTimeout)
    assert 0.5 < time.monotonic() - started < 5
    assert isinstance(failure(mailbox.list_unread), ConnectionFailed)


def test_the_end_of_everything_comes_first(ews_server: EwsServer) -> None:
    ews_server.faults.append(Fault("FindItem", hang=120.0))
    mailbox = EwsMailbox(ews_server.settings(timeout=60.0), ends_at=time.monotonic() + 1.5)
    mailbox.open()
    started = time.monotonic()
    assert isinstance(failure(mailbox.list_unread), ServerTimeout)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("operation", ["GetFolder", "FindItem"])
def test_abort_ends_a_call_at_once(ews_server: EwsServer, operation: str) -> None:
    ews_server.faults.append(Fault(operation, hang=120.0))
    mailbox = EwsMailbox(ews_server.settings(timeout=60.0))
    timer = threading.Timer(0.7, mailbox.abort)

    def work() -> None:
        mailbox.open()
        mailbox.list_unread()

    timer.start()
    started = time.monotonic()
    assert isinstance(failure(work), ConnectionFailed)
    assert time.monotonic() - started < 3
    timer.join()
    assert isinstance(failure(mailbox.open), ConnectionFailed)  # also what begins only now


def test_a_large_message_on_a_slow_line_is_let_be(ews_server: EwsServer, store: Store) -> None:
    """Every octet moves the deadline on a little: only a server that stops, or drips, is given up."""
    body = "0123456789abcdef" * 64 * 8192 + "\r\n"  # 8 MB, and 11 MB in base64
    key = store.deliver(message("large", body))
    with Proxy(ews_server.port, Plan(delay=0.02)) as proxy:  # some 3 MB a second
        slow = ews_server.settings(timeout=2.0, port=proxy.port)
        started = time.monotonic()
        with EwsMailbox(slow) as mailbox:
            mailbox.open()
            assert [len(m.raw) for m in mailbox.fetch([key])] == [len(message("large", body))]
        assert time.monotonic() - started > 2.0
        started = time.monotonic()
        with EwsTransport(slow) as transport:
            transport.open()
            transport.send(RAW + body.encode(), sender=HELP, recipients=["anna@example.net"])
        assert time.monotonic() - started > 2.0
    assert [len(sent.raw) for sent in store.sent] == [len(RAW) + len(body)]


# Connections that end.


@pytest.mark.parametrize("spoiled", [{"cut": True}, {"half": True}], ids=["cut", "half"])
@pytest.mark.parametrize("operation", ["GetFolder", *CALLS])
def test_a_connection_that_ends(
    ews_server: EwsServer, store: Store, operation: str, spoiled: dict[str, bool]
) -> None:
    """Half a message is none, and a move whose answer is lost is found out about in the next session."""
    keys = [store.deliver(message(str(n))) for n in range(2)]
    ews_server.faults.append(Fault(operation, done=True, **spoiled))  # type: ignore[arg-type]
    mailbox = EwsMailbox(ews_server.settings())

    def work() -> None:
        mailbox.open()
        CALLS[operation](mailbox, keys)

    if operation == "GetItem":
        ews_server.faults.clear()
        mailbox.open()
        mailbox.list_unread()
        ews_server.faults.append(Fault(operation, done=True, **spoiled))  # type: ignore[arg-type]
        error = failure(lambda: list(mailbox.fetch(keys)))
    else:
        error = failure(work)
    assert isinstance(error, ConnectionFailed)
    with EwsMailbox(ews_server.settings()) as again:
        again.open()
        moved = operation == "MoveItem"
        assert again.still_in_inbox(keys) == (frozenset() if moved else set(keys))
    assert len(store.contents()) + sum(len(store.contents(f)) for f in store.folders() - {"INBOX"}) == 2


@pytest.mark.parametrize("operation", ["FindItem", "GetItem"])
def test_half_an_answer_of_unknown_length_is_none(
    ews_server: EwsServer, store: Store, operation: str
) -> None:
    """XML that is mended by the parser would make half a message of it, or an inbox of half the messages."""
    keys = [store.deliver(message(str(n), "long " * 5000)) for n in range(3)]
    mailbox = EwsMailbox(ews_server.settings())
    mailbox.open()
    mailbox.list_unread()
    ews_server.faults.append(Fault(operation, half=True, unmeasured=True))
    error = failure(lambda: CALLS[operation](mailbox, keys))
    assert isinstance(error, (UnexpectedServer, ConnectionFailed))


def test_a_kept_connection_that_the_server_has_closed(ews_server: EwsServer, store: Store) -> None:
    """Servers close idle connections; a new one is made, and signed in again."""
    key = store.deliver(message())
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        ews_server.drop_connections()
        time.sleep(0.2)
        assert mailbox.list_unread() == [key]
    assert ews_server.connections == 2
    assert {asked.mechanism for asked in ews_server.requests} == {"NTLM"}


# Answers that are none.


@pytest.mark.parametrize(
    ("spoiled", "error"),
    [
        ({"status": 401}, AuthenticationFailed),
        ({"status": 403}, AccessDenied),
        ({"status": 404, "body": b"<html>not here</html>"}, UnexpectedServer),
        ({"status": 200, "body": b"<!DOCTYPE html><html>Outlook</html>"}, UnexpectedServer),
        ({"status": 200, "body": b""}, UnexpectedServer),
        ({"status": 200, "body": b'<?xml version="1.0"?><other/>'}, UnexpectedServer),
        (
            {"status": 200, "body": b'<?xml version="1.0"?><s:Envelope xmlns:s="x"></s:Envelope>'},
            UnexpectedServer,
        ),
        ({"status": 302, "headers": {"Location": "https://evil.example/EWS"}}, UnexpectedServer),
        ({"status": 307, "headers": {"Location": "/owa"}}, UnexpectedServer),
        ({"status": 456}, UnexpectedServer),
        ({"status": 500, "body": b"<html>broken</html>"}, ServerBusy),
        ({"status": 502}, ServerBusy),
        ({"soap_fault": "ErrorSchemaValidation"}, UnexpectedServer),
        ({"soap_fault": "ErrorNobodyKnows"}, UnexpectedServer),
        ({"soap_fault": "ErrorAccountDisabled"}, AuthenticationFailed),
    ],
    ids=str,
)
def test_answers_that_are_no_ews(
    ews_server: EwsServer, spoiled: dict[str, Any], error: type[MailServerError]
) -> None:
    ews_server.faults.append(Fault(**spoiled))
    caught = failure(EwsMailbox(ews_server.settings()).open)
    assert (type(caught), caught.stage) == (error, Stage.SIGN_IN)
    assert ews_server.connections == 1  # a redirect leads nowhere


@pytest.mark.parametrize(
    ("spoiled", "seconds"),
    [
        ({"status": 429, "headers": {"Retry-After": "30"}}, 30.0),
        ({"status": 503, "headers": {"Retry-After": "90000"}}, 3600.0),
        ({"status": 503, "headers": {"Retry-After": "soon"}}, 0.0),
        ({"soap_fault": "ErrorServerBusy", "back_off_ms": 45_500}, 45.5),
        ({"soap_fault": "ErrorServerBusy"}, 0.0),
        ({"soap_fault": "ErrorMailboxStoreUnavailable"}, 0.0),
        ({"soap_fault": "ErrorInternalServerTransientError"}, 0.0),
    ],
    ids=str,
)
def test_a_busy_server_says_when(ews_server: EwsServer, spoiled: dict[str, Any], seconds: float) -> None:
    """It is asked once: whoever polls keeps to the pause."""
    ews_server.faults.append(Fault("FindItem", times=None, **spoiled))
    mailbox = EwsMailbox(ews_server.settings())
    mailbox.open()
    started = time.monotonic()
    error = failure(mailbox.list_unread)
    assert time.monotonic() - started < 2
    assert isinstance(error, ServerBusy)
    assert error.retry_after == seconds
    assert not error.permanent


@pytest.mark.parametrize(
    ("operation", "code", "error"),
    [
        ("GetItem", "ErrorServerBusy", ServerBusy),
        ("FindItem", "ErrorAccessDenied", AccessDenied),
        ("MoveItem", "ErrorQuotaExceeded", QuotaExceeded),
        ("MoveItem", "ErrorAccessDenied", AccessDenied),
        ("UpdateItem", "ErrorAccessDenied", AccessDenied),
        ("FindFolder", "ErrorMailboxMoveInProgress", ServerBusy),
    ],
)
def test_refusals_of_one_element(
    ews_server: EwsServer, store: Store, operation: str, code: str, error: type[MailServerError]
) -> None:
    keys = [store.deliver(message())]
    mailbox = EwsMailbox(ews_server.settings())
    mailbox.open()
    mailbox.list_unread()
    ews_server.behaviour.codes[operation] = code
    caught = failure(lambda: CALLS[operation](mailbox, keys))
    assert type(caught) is error
    assert len(store.contents()) == 1


@pytest.mark.parametrize("operation", ["UpdateItem", "MoveItem", "GetItem"])
def test_a_refusal_nobody_knows_keeps_the_run_going(
    ews_server: EwsServer, store: Store, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of one item among others: it is passed over, it stays where it is, and the log names the code."""
    key = store.deliver(message())
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        mailbox.list_unread()
        ews_server.behaviour.codes[operation] = "ErrorInvalidPropertySet"
        told = CALLS[operation](mailbox, [key])
        if isinstance(told, MoveResult):
            assert not told.moved | told.vanished
        del ews_server.behaviour.codes[operation]
        assert mailbox.still_in_inbox([key]) == {key}
    assert "ErrorInvalidPropertySet" in caplog.text


def test_ids_that_changed_in_the_middle_of_a_run(
    ews_server: EwsServer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Listed, and then a person moves them all: nothing to mark, to fetch or to move, and no failure."""
    keys = [store.deliver(message(str(n))) for n in range(3)]
    store.create("Elsewhere")
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()
        mailbox.list_unread()
        for key in keys:
            store.take_away(key, "Elsewhere")
        assert list(mailbox.fetch(keys)) == []
        mailbox.mark_read(keys)
        result = mailbox.move(keys, "Archive")
    assert not result.moved
    assert result.vanished == set(keys)
    assert [item.seen for item in store.contents("Elsewhere")] == [False] * 3
    assert caplog.text == ""  # nothing is wrong with that


# Signing in.


@pytest.mark.parametrize("offers", [("NTLM",), ("Negotiate",), ("Basic",)], ids=str)
def test_a_wrong_password_is_tried_once(start_ews: START, offers: tuple[str, ...]) -> None:
    server = start_ews(offers=offers)
    server.add_mailbox(HELP)
    error = failure(EwsMailbox(server.settings(password="wrong")).open)
    assert (type(error), error.stage) == (AuthenticationFailed, Stage.SIGN_IN)
    assert error.permanent
    assert server.refused_sign_ins == 1
    assert server.requests == []


@pytest.mark.parametrize("name", ["EXAMPLE\\help", "help", "help@example.com"])
@pytest.mark.parametrize("offers", [("NTLM", "Basic"), ("Negotiate", "NTLM"), ("Basic",)], ids=str)
def test_user_names(start_ews: START, offers: tuple[str, ...], name: str) -> None:
    server = start_ews(offers=offers)
    server.add_mailbox(HELP)
    with EwsMailbox(server.settings(username=name)) as mailbox:
        assert mailbox.open().total == 0


@pytest.mark.parametrize("offers", [("Bearer",), (), ("Digest", "Kerberos")], ids=str)
def test_no_way_to_sign_in(start_ews: START, offers: tuple[str, ...]) -> None:
    server = start_ews(offers=offers)
    server.add_mailbox(HELP)
    error = failure(EwsMailbox(server.settings()).open)
    assert isinstance(error, AuthenticationNotOffered)
    assert all(name.lower() in str(error) for name in offers)


@pytest.mark.parametrize(
    ("challenge", "error"),
    [
        ("", AuthenticationFailed),
        ("!!!", MailServerError),
        ("TlRMTVNTUAACAAAA", MailServerError),  # cut short
        ("Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy", MailServerError),  # no NTLM at all
    ],
)
def test_a_challenge_that_is_none(
    ews_server: EwsServer, challenge: str, error: type[MailServerError]
) -> None:
    ews_server.ntlm_challenge = challenge
    caught = failure(EwsMailbox(ews_server.settings()).open)
    assert isinstance(caught, error)
    assert caught.stage is Stage.SIGN_IN


def test_a_server_that_fails_in_the_middle_of_the_handshake(ews_server: EwsServer) -> None:
    ews_server.breaks_handshake = True
    error = failure(EwsMailbox(ews_server.settings()).open)
    assert (type(error), error.stage) == (ServerBusy, Stage.SIGN_IN)


def test_ntlm_is_bound_to_the_certificate(start_ews: START, authority: Authority) -> None:
    """Extended protection: the acceptor refuses who signs in through another certificate than its own."""
    server = start_ews()
    server.add_mailbox(HELP)
    with EwsMailbox(server.settings()) as mailbox:
        mailbox.open()
    server.expect_certificate(authority.soon)
    assert isinstance(failure(EwsMailbox(server.settings()).open), AuthenticationFailed)


# Encryption, and where the connection goes.


def test_a_certificate_nobody_knows(start_ews: START, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting decides: variables of the environment do not make a certificate known, or unknown."""
    server = start_ews()
    server.add_mailbox(HELP)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca_file))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(server.ca_file))
    error = failure(EwsMailbox(server.settings(ca_file=None)).open)
    assert isinstance(error, CertificateRefused)
    assert server.requests == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with EwsMailbox(server.settings()) as mailbox:
        mailbox.open()


@pytest.mark.parametrize("kind", ["expired", "other_name", "self_signed"])
def test_certificates_that_are_refused(start_ews: START, authority: Authority, kind: str) -> None:
    server = start_ews(certificate=getattr(authority, kind))
    server.add_mailbox(HELP)
    error = failure(EwsMailbox(server.settings()).open)
    assert isinstance(error, CertificateRefused)
    assert error.facts is not None
    assert server.requests == []


def test_no_proxy_is_asked(ews_server: EwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with EwsMailbox(ews_server.settings()) as mailbox:
        mailbox.open()


def test_a_whole_address_goes_before_host_and_port(ews_server: EwsServer) -> None:
    with EwsMailbox(ews_server.settings(host="nowhere.invalid", port=1, ews_url=ews_server.url)) as mailbox:
        mailbox.open()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ews_url": "http://mail.example.com/EWS/Exchange.asmx"}, "ews_url"),
        ({"ews_url": "https://user:secret@mail.example.com/"}, "ews_url"),
        ({"ews_url": "https://mail.example.com/?to=evil"}, "ews_url"),
        ({"ews_url": "https://"}, "ews_url"),
        ({"ews_url": "https://mail.example.com:99999/"}, "ews_url"),
        ({"ews_url": "https://mail.example.com/a\r\nHost: evil"}, "ews_url"),
        ({"host": " "}, "host"),
        ({"port": 0}, "port"),
        ({"username": ""}, "username"),
        ({"password": ""}, "password"),
        ({"password": "a\r\nb"}, "password"),
        ({"mailbox": "a\x01@example.com"}, "mailbox"),
        ({"mailbox": "a\ufffe@example.com"}, "mailbox"),
        ({"host": "outlook.office365.com"}, "protocol"),
        ({"host": "Outlook.Office.com."}, "protocol"),
        ({"ews_url": "https://outlook.office365.com/EWS/Exchange.asmx"}, "protocol"),
    ],
    ids=str,
)
def test_settings_that_are_refused(ews_server: EwsServer, changes: dict[str, Any], field: str) -> None:
    error = failure(EwsMailbox(ews_server.settings(**changes)).open)
    assert isinstance(error, InvalidSettings)
    assert (error.stage, error.field) == (Stage.SETTINGS, field)
    assert "secret" not in str(error)
    assert ews_server.connections == 0


# What is certain about a message that was handed over.


def _send(server: EwsServer, *, told: list[frozenset[str]] | None = None, **changes: Any) -> MailServerError:
    transport = EwsTransport(server.settings(**changes))
    transport.open()
    transport.check_sender(HELP)
    hook = None if told is None else told.append
    return failure(
        lambda: transport.send(RAW, sender=HELP, recipients=["anna@example.net"], before_final_dot=hook)
    )


@pytest.mark.parametrize(
    ("spoiled", "error"),
    [
        ({"cut": True, "done": True}, ConnectionFailed),
        ({"half": True, "done": True}, ConnectionFailed),
        ({"hang": 120.0, "done": True}, ServerTimeout),
        ({"drip": 0.2, "done": True}, ServerTimeout),
        ({"cut": True}, ConnectionFailed),  # nobody knows that it was not done
        ({"status": 500, "done": True, "body": b"<html>"}, ServerBusy),
        ({"status": 502, "done": True}, ServerBusy),
        ({"status": 504, "done": True}, ServerBusy),
        ({"status": 200, "done": True, "body": b"<html>login</html>"}, UnexpectedServer),
        ({"soap_fault": "ErrorInternalServerError", "done": True}, ServerBusy),
        ({"soap_fault": "ErrorTimeoutExpired", "done": True}, ServerBusy),
        ({"soap_fault": "ErrorInternalServerTransientError", "done": True}, ServerBusy),
    ],
    ids=str,
)
def test_an_answer_that_is_lost_is_uncertain(
    ews_server: EwsServer, spoiled: dict[str, Any], error: type[MailServerError]
) -> None:
    ews_server.faults.append(Fault("CreateItem", **spoiled))
    told: list[frozenset[str]] = []
    caught = _send(ews_server, told=told, timeout=1.5)
    assert (type(caught), caught.uncertain, caught.stage) == (error, True, Stage.SEND)
    assert told == [frozenset({"anna@example.net"})]


@pytest.mark.parametrize(
    ("spoiled", "error"),
    [
        ({"status": 413}, MessageRefused),
        ({"status": 503, "headers": {"Retry-After": "30"}}, ServerBusy),
        ({"status": 429}, ServerBusy),
        ({"status": 403}, AccessDenied),
        ({"soap_fault": "ErrorServerBusy"}, ServerBusy),
        ({"soap_fault": "ErrorQuotaExceeded"}, QuotaExceeded),
    ],
    ids=str,
)
def test_a_clear_no_is_certain(
    ews_server: EwsServer, store: Store, spoiled: dict[str, Any], error: type[MailServerError]
) -> None:
    ews_server.faults.append(Fault("CreateItem", **spoiled))
    caught = _send(ews_server)
    assert (type(caught), caught.uncertain) == (error, False)
    assert store.sent == []


@pytest.mark.parametrize(
    ("code", "error", "uncertain"),
    [
        ("ErrorMessageSizeExceeded", MessageRefused, False),
        ("ErrorInvalidRecipients", MessageRefused, False),
        ("ErrorSendAsDenied", SenderRefused, False),
        ("ErrorSubmissionQuotaExceeded", ServerBusy, False),
        ("ErrorInternalServerError", ServerBusy, True),
        ("ErrorTimeoutExpired", ServerBusy, True),
    ],
)
def test_what_the_server_says_of_a_message(
    ews_server: EwsServer, code: str, error: type[MailServerError], uncertain: bool
) -> None:
    ews_server.behaviour.refuse_send = code
    caught = _send(ews_server)
    assert (type(caught), caught.uncertain) == (error, uncertain)


def test_a_message_that_never_got_through_is_not_sent(ews_server: EwsServer, store: Store) -> None:
    """The kept connection is gone and no new one can be made."""
    transport = EwsTransport(ews_server.settings())
    transport.open()
    transport.check_sender(HELP)
    ews_server.stop_listening()
    ews_server.drop_connections()
    time.sleep(0.2)
    error = failure(lambda: transport.send(RAW, sender=HELP, recipients=["anna@example.net"]))
    assert isinstance(error, ConnectionFailed)
    assert not error.uncertain
    assert store.sent == []


def test_a_password_changed_before_the_message_is_no_doubt(ews_server: EwsServer, store: Store) -> None:
    transport = EwsTransport(ews_server.settings())
    transport.open()
    transport.check_sender(HELP)
    ews_server.add_user("help", "another")
    ews_server.drop_connections()
    time.sleep(0.2)
    error = failure(lambda: transport.send(RAW, sender=HELP, recipients=["anna@example.net"]))
    assert isinstance(error, AuthenticationFailed)
    assert not error.uncertain
    assert store.sent == []


def test_whoever_is_asked_before_the_dot_may_say_no(ews_server: EwsServer, store: Store) -> None:
    class Lost(Exception):
        pass

    def hook(taken: frozenset[str]) -> None:
        raise Lost

    transport = EwsTransport(ews_server.settings())
    transport.open()
    with pytest.raises(Lost):
        transport.send(RAW, sender=HELP, recipients=["anna@example.net"], before_final_dot=hook)
    assert store.sent == []
    assert isinstance(failure(lambda: transport.check_sender(HELP)), ConnectionFailed)


@pytest.mark.parametrize(("spoiled", "uncertain"), [({"status": 413}, False), ({"cut": True}, True)])
def test_the_second_mail_fails_and_the_first_stays_sent(
    ews_server: EwsServer, store: Store, spoiled: dict[str, Any], uncertain: bool
) -> None:
    ews_server.faults.append(Fault("CreateItem", after_skipping=1, **spoiled))
    with EwsTransport(ews_server.settings()) as transport:
        transport.open()
        recipients = ["anna@example.net", "hidden@example.net"]
        error = failure(lambda: transport.send(RAW, sender=HELP, recipients=recipients))
    assert error.delivered == {"anna@example.net"}
    assert error.uncertain is uncertain
    assert len(store.sent) == 1
