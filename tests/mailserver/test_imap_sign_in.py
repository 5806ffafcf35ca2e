"""ImapMailbox up to the signed-in session, against servers that refuse, lie or attack."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest

from tests.mailserver.imap_settings import PASSWORD, USER, against
from tests.mailserver.secrets import remembered
from tests.rig.certificates import Authority
from tests.rig.scripted import Answer, Peer, imap
from webapp.mailserver.base import TlsMode
from webapp.mailserver.errors import (
    AuthenticationFailed,
    AuthenticationNotOffered,
    ConnectionFailed,
    FolderRefused,
    InvalidSettings,
    MailServerError,
    PasswordsNotAccepted,
    ServerBusy,
    Stage,
    StartTlsNotOffered,
    TlsFailed,
    UnexpectedServer,
    WrongProtocol,
)

PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
OFFERED = "IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR MOVE"


def saw_password(received: bytes | bytearray) -> bool:
    """Whether anything that signs in was sent."""
    return any(word in received for word in (b"LOGIN", b"AUTHENTICATE", PASSWORD.encode(), PLAIN))


# STARTTLS.


def _inject(peer: Peer, command: str) -> None:
    tag = command.split(" ")[0]
    peer.sock.sendall(f"{tag} OK begin\r\n* 666 EXISTS\r\n* CAPABILITY IMAP4rev1 MOVE\r\n".encode())
    peer.start_tls()
    peer.hang()


@pytest.mark.parametrize(
    ("answers", "capabilities", "greeting", "failure", "stage"),
    [
        ({}, "IMAP4rev1 AUTH=PLAIN", "* OK hi", StartTlsNotOffered, Stage.TLS),
        ({"STARTTLS": ["{tag} BAD what?"]}, OFFERED, "* OK hi", StartTlsNotOffered, Stage.TLS),
        ({"STARTTLS": ["{tag} NO not today"]}, OFFERED, "* OK hi", StartTlsNotOffered, Stage.TLS),
        ({}, OFFERED, "* PREAUTH welcome back", StartTlsNotOffered, Stage.GREETING),
        ({"STARTTLS": _inject}, OFFERED, "* OK hi", TlsFailed, Stage.TLS),
        ({"STARTTLS": ["{tag} OK go", "* OK in clear"]}, OFFERED, "* OK hi", TlsFailed, Stage.TLS),
    ],
)
def test_no_starttls_no_password(
    authority: Authority,
    answers: dict[str, Answer],
    capabilities: str,
    greeting: str,
    failure: type[MailServerError],
    stage: Stage,
) -> None:
    script = imap(answers, greeting=greeting, capabilities=capabilities)
    tls = authority.good.server_context()
    with (
        against(script, tls=tls, tls_mode=TlsMode.STARTTLS, ca_file=str(authority.ca_file)) as (
            server,
            mailbox,
        ),
        pytest.raises(failure) as caught,
    ):
        mailbox.open()
    assert caught.value.stage is stage
    assert caught.value.permanent
    assert not saw_password(server.received)


def test_what_was_said_before_tls_is_forgotten(authority: Authority) -> None:
    """MOVE and AUTH=PLAIN were offered in clear only; 666 messages were announced in clear."""

    def starttls(peer: Peer, command: str) -> None:
        peer.say("* 666 EXISTS", f"{command.split(' ')[0]} OK begin")
        peer.start_tls()
        tag = peer.line().split(" ")[0]
        peer.say("* CAPABILITY IMAP4rev1 LOGINDISABLED", f"{tag} OK done")

    script = imap({"STARTTLS": starttls}, capabilities=OFFERED)
    tls = authority.good.server_context()
    with (
        against(script, tls=tls, tls_mode=TlsMode.STARTTLS, ca_file=str(authority.ca_file)) as (
            server,
            mailbox,
        ),
        pytest.raises(AuthenticationNotOffered),
    ):
        mailbox.open()
    assert server.secured
    assert not saw_password(server.received)


@pytest.mark.parametrize("tls_mode", [TlsMode.NONE, TlsMode.IMPLICIT])
def test_preauth_is_nobodys_mailbox(authority: Authority, tls_mode: TlsMode) -> None:
    def script(peer: Peer) -> None:
        if tls_mode is TlsMode.IMPLICIT:
            peer.start_tls()
        imap(greeting="* PREAUTH welcome back")(peer)

    tls = authority.good.server_context()
    with (
        against(script, tls=tls, tls_mode=tls_mode, ca_file=str(authority.ca_file)) as (server, mailbox),
        pytest.raises(UnexpectedServer),
    ):
        mailbox.open()
    assert not saw_password(server.received)


# What is never sent.


@pytest.mark.parametrize("field", ["host", "username", "password", "archive_folder"])
@pytest.mark.parametrize("character", ["\r\n", "\n", "\0", "\x7f", "\x85", "\u2028"])
def test_control_characters_never_reach_the_wire(field: str, character: str) -> None:
    changes: dict[str, Any] = {field: f"a{character}A9 DELETE INBOX"}
    with (
        against(imap(), **changes) as (server, mailbox),
        pytest.raises(InvalidSettings) as caught,
    ):
        mailbox.open()
    assert caught.value.field == field
    assert server.connections == 0


@pytest.mark.parametrize("folder", ["a\r\nA9 DELETE INBOX", "a\0", "", " "])
def test_folder_names_cannot_carry_commands(folder: str) -> None:
    with against(imap()) as (server, mailbox):
        mailbox.open()
        for call in (
            lambda: mailbox.create_folder(folder),
            lambda: mailbox.move(["1"], folder),
            lambda: mailbox.find_subfolder("Archive", folder),
        ):
            with pytest.raises(FolderRefused):
                call()
        assert b"DELETE" not in server.received


@pytest.mark.parametrize("host", ["outlook.office365.com", "Outlook.Office365.com."])
def test_microsoft_is_not_even_asked(host: str) -> None:
    with against(imap(), host=host) as (server, mailbox), pytest.raises(PasswordsNotAccepted) as caught:
        mailbox.open()
    assert caught.value.stage is Stage.SIGN_IN
    assert server.connections == 0


# Signing in.


def test_authenticate_plain_with_and_without_initial_response() -> None:
    def challenge(peer: Peer, command: str) -> None:
        tag = command.split(" ")[0]
        peer.say("+ ")
        assert peer.line().encode() == PLAIN
        peer.say(f"{tag} OK signed in")

    with against(imap()) as (server, mailbox):
        mailbox.open()
        assert b"AUTHENTICATE PLAIN " + PLAIN in server.received
    script = imap({"AUTHENTICATE": challenge}, capabilities="IMAP4rev1 AUTH=PLAIN MOVE")
    with against(script) as (_, mailbox):
        assert mailbox.open().total == 0


@pytest.mark.parametrize(
    ("username", "password", "expected"),
    [
        ("help", 'a b"c\\d', b'LOGIN "help" "a b\\"c\\\\d"\r\n'),
        ("help", "päß", b"LOGIN {4}\r\nhelp {5}\r\np\xc3\xa4\xc3\x9f\r\n"),
        ("hülp", "secret", b"LOGIN {5}\r\nh\xc3\xbclp {6}\r\nsecret\r\n"),
    ],
)
def test_login(username: str, password: str, expected: bytes) -> None:
    def login(peer: Peer, command: str) -> None:
        tag = command.split(" ")[0]
        while command.endswith("}"):
            peer.say("+ go on")
            command = peer.line()
        peer.say(f"{tag} OK signed in")

    script = imap({"LOGIN": login}, capabilities="IMAP4rev1 MOVE")
    with against(script, username=username, password=password) as (server, mailbox):
        mailbox.open()
        assert expected in server.received


def test_a_literal_may_be_refused() -> None:
    script = imap({"LOGIN": ["{tag} BAD no literals here"]}, capabilities="IMAP4rev1 MOVE")
    with against(script) as (server, mailbox), pytest.raises(AuthenticationFailed):
        mailbox.open()
    assert PASSWORD.encode() not in server.received


def test_logindisabled_is_honoured() -> None:
    with (
        against(imap(capabilities="IMAP4rev1 LOGINDISABLED MOVE")) as (server, mailbox),
        pytest.raises(AuthenticationNotOffered),
    ):
        mailbox.open()
    assert not saw_password(server.received)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("{tag} NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", AuthenticationFailed),
        ("{tag} NO nope", AuthenticationFailed),
        ("{tag} BAD nope", AuthenticationFailed),
        ("{tag} NO [UNAVAILABLE] try again", ServerBusy),
        ("{tag} NO [LIMIT] too many", ServerBusy),
    ],
)
def test_sign_in_refused(answer: str, failure: type[MailServerError]) -> None:
    with (
        against(imap({"AUTHENTICATE": [answer]})) as (_, mailbox),
        pytest.raises(failure) as caught,
    ):
        mailbox.open()
    assert type(caught.value) is failure
    assert caught.value.stage is Stage.SIGN_IN
    assert caught.value.server_said == answer.split(" ", 2)[2]


def test_the_password_is_in_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    """Not even where the server repeats it: neither in texts, nor in logs, nor in the frames' variables."""
    caplog.set_level(logging.DEBUG)
    echo = f"{{tag}} NO [AUTHENTICATIONFAILED] {PASSWORD} {PLAIN.decode()} " + "x" * 600
    for capabilities in ("IMAP4rev1 AUTH=PLAIN SASL-IR", "IMAP4rev1 AUTH=PLAIN", "IMAP4rev1"):
        script = imap({"AUTHENTICATE": [echo], "LOGIN": [echo]}, capabilities=capabilities)
        with against(script) as (_, mailbox), pytest.raises(AuthenticationFailed) as caught:
            mailbox.open()
        assert len(caught.value.server_said) <= 500
        assert "***" in caught.value.server_said
        for text in remembered(caught.value):
            assert PASSWORD not in text
            assert PLAIN.decode() not in text
    for secret in (PASSWORD, PLAIN.decode()):
        assert secret not in caplog.text
        assert secret not in repr(mailbox) + repr(mailbox.session) + repr(mailbox.session.settings)


# Greetings.


@pytest.mark.parametrize(
    ("greeting", "failure"),
    [
        ("220 mx.example.com ESMTP", WrongProtocol),
        ("+OK POP3 ready", WrongProtocol),
        ("HTTP/1.1 400 Bad Request", WrongProtocol),
        ("hello there", UnexpectedServer),
        ("* BYE [UNAVAILABLE] too busy", ServerBusy),
        ("* BYE go away", ConnectionFailed),
        ("* NO what", UnexpectedServer),
    ],
)
def test_greetings(greeting: str, failure: type[MailServerError]) -> None:
    with against(imap(greeting=greeting)) as (_, mailbox), pytest.raises(failure) as caught:
        mailbox.open()
    assert type(caught.value) is failure
    assert caught.value.stage is Stage.GREETING


def test_a_bye_in_the_middle_is_told() -> None:
    script = imap({"UID SEARCH": ["* BYE [UNAVAILABLE] shutting down"]})
    with against(script) as (_, mailbox):
        mailbox.open()
        with pytest.raises(ServerBusy) as caught:
            mailbox.list_unread()
    assert caught.value.server_said == "[UNAVAILABLE] shutting down"
