"""Test Connection for Exchange: what it finds, what it says when it fails, and that it changes nothing."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.mailserver.contract import message
from tests.rig.certificates import Authority
from tests.rig.ews_server import PASSWORD, EwsServer, Fault
from webapp.mailserver import diagnosis
from webapp.mailserver.base import Mailbox, MailProtocol, ServerSettings, TlsMode, Transport
from webapp.mailserver.checks import Delivered, Foreseen
from webapp.mailserver.checks_exchange import product
from webapp.mailserver.details import technical_details
from webapp.mailserver.diagnosis import StageResult, StageState, diagnose, stages
from webapp.mailserver.errors import (
    AccessDenied,
    AuthenticationFailed,
    MailServerError,
    MessageRefused,
    SenderRefused,
    ServerBusy,
    Stage,
)
from webapp.mailserver.remedies import explain
from webapp.mailserver.remedy import Remedy

START = Callable[..., EwsServer]
RECEIVING = [Stage.SETTINGS, Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.SIGN_IN, Stage.INBOX, Stage.ARCHIVE]


def failed(settings: ServerSettings) -> tuple[Stage, Remedy]:
    """The stage that failed and what is said; each stage before passed, each after was not reached."""
    results = list(diagnose(settings))
    assert [r.stage for r in results] == list(stages(settings))
    states = [r.state for r in results]
    at = states.index(StageState.FAILED)
    assert set(states[:at]) <= {StageState.OK, StageState.WARNING}
    assert set(states[at + 1 :]) <= {StageState.SKIPPED}
    remedy = results[at].remedy
    assert remedy is not None
    return results[at].stage, remedy


def test_receiving_passes_and_changes_nothing(ews_server: EwsServer) -> None:
    store = ews_server.mailboxes["help@example.com"]
    for n in range(3):
        store.deliver(message(str(n)), seen=n == 0)
    before = [(item.id, item.change_key, item.seen) for item in store.contents()]
    results = list(diagnose(ews_server.settings()))
    assert [r.stage for r in results] == RECEIVING
    assert {r.state for r in results} == {StageState.OK}
    facts = {r.stage: r.fact for r in results}
    where = f"https://localhost:{ews_server.port}/EWS/Exchange.asmx"
    assert facts[Stage.SETTINGS] == f"Exchange, {where}, the account's own mailbox"
    assert "127.0.0.1" in facts[Stage.DNS]
    assert facts[Stage.CONNECT] == f"127.0.0.1 port {ews_server.port}"
    assert facts[Stage.TLS].startswith("TLS 1.3 (")
    assert "certificate for localhost" in facts[Stage.TLS]
    assert facts[Stage.SIGN_IN] == "signed in (NTLM) to Exchange 2019 (15.2.1544.9)"
    assert facts[Stage.INBOX] == "the account's own mailbox: 3 messages, 2 unread"
    assert facts[Stage.ARCHIVE] == 'folder "Archive" will be created'
    assert [(item.id, item.change_key, item.seen) for item in store.contents()] == before
    assert store.folders() == {"INBOX"}
    assert set(ews_server.operations()) == {"GetFolder", "FindFolder"}


def test_sending_passes_and_sends_nothing(ews_server: EwsServer) -> None:
    settings = ews_server.settings(receives=False, from_address="support@example.com")
    results = list(diagnose(settings))
    assert [r.stage for r in results] == [*RECEIVING[:5], Stage.FROM]
    assert {r.state for r in results} == {StageState.OK}
    assert results[-1].fact == "support@example.com is an address of this mailbox"
    assert ews_server.mailboxes["help@example.com"].sent == []


def test_a_test_message(ews_server: EwsServer) -> None:
    raw = b"From: help@example.com\r\nTo: anna@example.net\r\n\r\ntest\r\n"

    def send(transport: Transport) -> Delivered:
        transport.send(raw, sender="help@example.com", recipients=["anna@example.net"])
        return Delivered("anna@example.net", "<1@example.com>")

    settings = ews_server.settings(receives=False, from_address="help@example.com")
    *_, last = diagnose(settings, send=send)
    assert (last.stage, last.state) == (Stage.SEND, StageState.OK)
    assert last.fact == "the server accepted a test message for anna@example.net"
    assert [sent.raw for sent in ews_server.mailboxes["help@example.com"].sent] == [raw]


def test_what_will_happen(ews_server: EwsServer) -> None:
    store = ews_server.mailboxes["help@example.com"]
    store.deliver(message())

    def foresee(mailbox: Mailbox) -> Foreseen:
        headers = list(mailbox.fetch_headers(mailbox.list_unread()))
        return Foreseen(f"{len(headers)} would become tickets", {"ticket": 1}, 1, 1)

    *_, last = diagnose(ews_server.settings(), foresee=foresee)
    assert (last.stage, last.fact) == (Stage.FORESEE, "1 would become tickets")
    assert [item.seen for item in store.contents()] == [False]


def test_an_archive_that_is_there(ews_server: EwsServer) -> None:
    ews_server.mailboxes["help@example.com"].create("Support/Done")
    *_, last = diagnose(ews_server.settings(archive_folder="support/done"))
    assert last.fact == 'folder "Support/Done" exists'


def test_a_certificate_that_expires_soon(start_ews: START, authority: Authority) -> None:
    server = start_ews(certificate=authority.soon)
    server.add_mailbox("help@example.com")
    results = {r.stage: r for r in diagnose(server.settings())}
    assert results[Stage.TLS].state is StageState.WARNING
    assert results[Stage.ARCHIVE].state is StageState.OK


# What is said, by what goes wrong.


@pytest.mark.parametrize(
    ("changes", "stage", "sentence", "cure", "field"),
    [
        (
            {"host": "outlook.office365.com"},
            Stage.SETTINGS,
            "Exchange is for your own Exchange server. Microsoft is switching off EWS in Exchange Online "
            "(blocked by default since October 2026, gone on 1 April 2027).",
            "Choose Office365.",
            "protocol",
        ),
        (
            {"ews_url": "http://mail.example.com"},
            Stage.SETTINGS,
            "The EWS address cannot be used: the EWS address has to start with https:// and a host name.",
            "Enter a web address that starts with https://, for example "
            "https://mail.example.com/EWS/Exchange.asmx.",
            "ews_url",
        ),
        (
            {"tls_mode": TlsMode.NONE},
            Stage.SETTINGS,
            "Exchange is only connected to with SSL/TLS.",
            "Tick Enable SSL.",
            "use_ssl",
        ),
        ({"username": ""}, Stage.SETTINGS, "The user name is missing.", "Enter the user name", "username"),
        ({"password": ""}, Stage.SETTINGS, "The password is missing.", "Enter the password.", "password"),
        ({"host": ""}, Stage.SETTINGS, "The host name is missing.", "Enter the name", "host"),
        (
            {"receives": False, "from_address": ""},
            Stage.SETTINGS,
            "The From address is missing.",
            "Enter one email address",
            "from_address",
        ),
        (
            {"password": "wrong"},
            Stage.SIGN_IN,
            "The Exchange server rejected the user name or password.",
            "Enter the password again, and check that the account is not locked.",
            "password",
        ),
        (
            {"username": "help", "password": "wrong"},
            Stage.SIGN_IN,
            "The Exchange server rejected the user name or password.",
            "Enter the user name as DOMAIN\\user or as the full address.",
            "username",
        ),
        (
            {"mailbox": "boss@example.com"},
            Stage.INBOX,
            "The account EXAMPLE\\help has no right to open the mailbox boss@example.com.",
            "Give it Full Access to that mailbox in the Exchange admin center",
            "mailbox",
        ),
        (
            {"mailbox": "nobody@example.com"},
            Stage.INBOX,
            "The Exchange server knows no mailbox nobody@example.com.",
            "Check the mailbox address.",
            "mailbox",
        ),
        (
            {"username": "EXAMPLE\\service"},
            Stage.INBOX,
            "This account has no mailbox of its own.",
            "Enter the address of the mailbox it works for as Mailbox address.",
            "mailbox",
        ),
        (
            {"archive_folder": "Deleted Items"},
            Stage.ARCHIVE,
            'The archive folder cannot be used: "Deleted Items" is the folder of deleted messages.',
            "Enter another folder.",
            "archive_folder",
        ),
        (
            {"receives": False, "from_address": "boss@example.com"},
            Stage.FROM,
            "The account may not send as boss@example.com.",
            "Use an address of its own mailbox as From.",
            "from_address",
        ),
    ],
    ids=str,
)
def test_what_is_said(
    ews_server: EwsServer, changes: dict[str, Any], stage: Stage, sentence: str, cure: str, field: str
) -> None:
    ews_server.add_mailbox("boss@example.com")
    ews_server.add_user("service")
    where, remedy = failed(ews_server.settings(**changes))
    # The account without a mailbox signed in: what it lacks shows when the inbox is opened.
    assert (where, remedy.sentence, remedy.field) == (stage, sentence, field)
    assert remedy.cure.startswith(cure)


@pytest.mark.parametrize(
    ("spoiled", "stage", "sentence", "field"),
    [
        (
            {"status": 404, "body": b"<html>"},
            Stage.SIGN_IN,
            "What answers at {url} is not Exchange Web Services: HTTP 404 instead of EWS.",
            "ews_url",
        ),
        (
            {"status": 302, "headers": {"Location": "https://elsewhere.example/"}},
            Stage.SIGN_IN,
            "What answers at {url} is not Exchange Web Services: localhost sends us elsewhere.",
            "ews_url",
        ),
        (
            {"status": 403},
            Stage.SIGN_IN,
            "The Exchange server does not let this account use its web services (EWS).",
            "username",
        ),
        (
            {"status": 503, "headers": {"Retry-After": "90"}},
            Stage.SIGN_IN,
            'The Exchange server is busy and asked to be tried again later. It said: "HTTP 503 Service '
            'Unavailable"',
            "",
        ),
        ({"hang": 120.0}, Stage.SIGN_IN, "Sign-in: the server did not answer within 1 s.", "timeout_ms"),
        ({"cut": True}, Stage.SIGN_IN, "Sign-in: the server ended the connection.", ""),
        (
            {"soap_fault": "ErrorPasswordExpired"},
            Stage.SIGN_IN,
            "The password of this account has expired.",
            "password",
        ),
        ({"soap_fault": "ErrorAccountDisabled"}, Stage.SIGN_IN, "This account is disabled.", "username"),
    ],
    ids=str,
)
def test_what_is_said_of_a_server_that_fails(
    ews_server: EwsServer, spoiled: dict[str, Any], stage: Stage, sentence: str, field: str
) -> None:
    ews_server.faults.append(Fault("GetFolder", **spoiled))
    where, remedy = failed(ews_server.settings(timeout=1.0))
    assert (where, remedy.sentence, remedy.field) == (stage, sentence.format(url=ews_server.url), field)
    assert remedy.cure


@pytest.mark.parametrize(
    ("offers", "said"), [(("Bearer",), "bearer"), ((), "the server offers no way to sign in")], ids=str
)
def test_no_way_to_sign_in(start_ews: START, offers: tuple[str, ...], said: str) -> None:
    server = start_ews(offers=offers)
    server.add_mailbox("help@example.com")
    where, remedy = failed(server.settings())
    assert where is Stage.SIGN_IN
    assert remedy.sentence.startswith("This Exchange takes neither NTLM nor Basic sign-in (")
    assert said in remedy.sentence
    assert "choose Office365" in remedy.cure


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("expired", "The certificate expired on 31 Jan 2026."),
        ("other_name", "The certificate belongs to mail.example.net, imap.example.net, not to localhost."),
        ("self_signed", "The server's certificate is self-signed, so its identity cannot be checked."),
    ],
)
def test_certificates(start_ews: START, authority: Authority, kind: str, sentence: str) -> None:
    server = start_ews(certificate=getattr(authority, kind))
    where, remedy = failed(server.settings())
    assert (where, remedy.sentence) == (Stage.TLS, sentence)
    _, of_url = failed(server.settings(ews_url=server.url))
    assert (of_url.sentence, of_url.quick_fix) == (sentence, None)
    assert of_url.field == ("ews_url" if kind == "other_name" else "")
    assert server.requests == []


def test_an_authority_nobody_told_us_of(ews_server: EwsServer) -> None:
    where, remedy = failed(ews_server.settings(ca_file=None))
    assert (where, remedy.sentence) == (Stage.TLS, "The certificate's issuer is not known here.")


def test_nothing_listens(ews_server: EwsServer) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        where, remedy = failed(ews_server.settings(host="127.0.0.1", port=port))
        _, of_url = failed(ews_server.settings(ews_url=f"https://127.0.0.1:{port}"))
    assert (where, remedy.field) == (Stage.CONNECT, "port")
    assert remedy.sentence == f"127.0.0.1 is there, but nothing answers on port {port}."
    assert (of_url.sentence, of_url.field) == (remedy.sentence, "ews_url")


def test_a_port_in_clear(ews_server: EwsServer) -> None:
    from tests.rig.scripted import ScriptedServer, smtp

    with ScriptedServer(smtp()) as server:
        where, remedy = failed(ews_server.settings(port=server.port))
    assert (where, remedy.sentence) == (Stage.TLS, f"Port {server.port} does not start with SSL/TLS.")


def test_metadata_services_are_never_asked(ews_server: EwsServer) -> None:
    where, remedy = failed(ews_server.settings(host="169.254.169.254"))
    assert (where, remedy.field) == (Stage.CONNECT, "host")
    where, remedy = failed(ews_server.settings(ews_url="https://[fd00:ec2::254]/EWS/Exchange.asmx"))
    assert where is Stage.CONNECT


@pytest.mark.parametrize("stage", list(Stage))
def test_every_error_has_words(stage: Stage) -> None:
    settings = ServerSettings(
        protocol=MailProtocol.EXCHANGE,
        host="mail.example.com",
        port=443,
        tls_mode=TlsMode.IMPLICIT,
        timeout=5,
    )
    kinds = [MailServerError]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        error = kind.__new__(kind)
        MailServerError.__init__(error, "why", stage=stage, server_said="words")
        told = {
            "verify_code": 62,
            "facts": None,
            "speaks": "SSH",
            "errno": errno.ECONNREFUSED,
            "field": "host",
        }
        error.__dict__.update(told | {"refused": {}, "retry_after": 0.0})
        remedy = explain(error, settings)
        assert remedy.sentence
        assert remedy.cure


def test_words_for_sending() -> None:
    settings = ServerSettings(
        protocol=MailProtocol.EXCHANGE,
        host="mail.example.com",
        port=443,
        tls_mode=TlsMode.IMPLICIT,
        timeout=5,
        receives=False,
        from_address="desk@example.com",
    )

    def sentence(error: MailServerError) -> str:
        return explain(error, settings).sentence

    send = Stage.SEND
    assert sentence(MessageRefused("ErrorMessageSizeExceeded", stage=send)) == (
        "The message is larger than the Exchange server takes."
    )
    assert sentence(MessageRefused("ErrorInvalidRecipients", stage=send, server_said="No.")) == (
        'The Exchange server did not take the message. It said: "No."'
    )
    assert "may not send as desk@example.com" in sentence(SenderRefused("ErrorSendAsDenied", stage=send))
    assert "Full Access" in explain(AccessDenied("ErrorAccessDenied", stage=send), settings).cure
    lost = ServerBusy("HTTP 502", stage=send)
    lost.uncertain = True
    assert "did not confirm it" in sentence(lost)
    busy = ServerBusy("ErrorServerBusy", stage=send, retry_after=95)
    assert explain(busy, settings).cure.startswith("Try again in 2 minutes.")


# Time, and being stopped.


@pytest.mark.parametrize("operation", ["GetFolder", "FindFolder"])
def test_a_test_is_cancelled_at_once(ews_server: EwsServer, operation: str) -> None:
    ews_server.faults.append(Fault(operation, hang=120.0))
    cancelled = threading.Event()
    threading.Timer(0.7, cancelled.set).start()
    started = time.monotonic()
    results = list(diagnose(ews_server.settings(timeout=60.0), cancelled=cancelled.is_set))
    assert time.monotonic() - started < 4
    assert results[-1].state is StageState.SKIPPED
    assert StageState.FAILED not in {r.state for r in results}


def test_the_whole_test_ends_in_time(ews_server: EwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "LONGEST_SECONDS", 1.5)
    ews_server.faults.append(Fault("FindFolder", drip=0.1))
    started = time.monotonic()
    results = list(diagnose(ews_server.settings(timeout=60.0)))
    assert time.monotonic() - started < 4
    assert (results[-1].stage, results[-1].state) == (Stage.ARCHIVE, StageState.FAILED)


def test_nothing_secret_stands_in_the_details(ews_server: EwsServer) -> None:
    ews_server.faults.append(Fault("GetFolder", status=400, body=PASSWORD.encode()))
    settings = ews_server.settings()
    results: list[StageResult] = list(diagnose(settings))
    text = technical_details(settings, results)
    assert PASSWORD not in text
    assert "EXAMPLE\\help" not in text
    assert "UnexpectedServer at sign_in" in text


@pytest.mark.parametrize(
    ("build", "told"),
    [
        ("15.0.1497.2", " to Exchange 2013 (15.0.1497.2)"),
        ("15.1.2507.6", " to Exchange 2016 (15.1.2507.6)"),
        ("15.2.2562.17", " to Exchange Server SE (15.2.2562.17)"),
        ("16.0.1.1", " to Exchange (16.0.1.1)"),
        ("", ""),
    ],
)
def test_products(build: str, told: str) -> None:
    assert product(build) == told


def test_a_refused_password_is_permanent(ews_server: EwsServer) -> None:
    *_, last = (r for r in diagnose(ews_server.settings(password="wrong")) if r.error)
    assert isinstance(last.error, AuthenticationFailed)
    assert last.error.permanent
    assert ews_server.refused_sign_ins == 1
