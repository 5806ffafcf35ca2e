"""SmtpTransport on a real SMTP server, and on one that does what it should not."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Sequence

import pytest

from tests.mailserver.contract import DESK, EnvelopeContract, Sent, TransportBackend, message
from tests.mailserver.secrets import remembered
from tests.mailserver.smtp_settings import against
from tests.rig.certificates import Authority
from tests.rig.dovecot import PASSWORD
from tests.rig.scripted import Answer, Peer, smtp
from tests.rig.smtp import SmtpServer
from webapp.mailserver.base import TlsMode, Transport
from webapp.mailserver.connect import open_transport
from webapp.mailserver.errors import (
    AuthenticationFailed,
    AuthenticationNotOffered,
    MailServerError,
    SenderRefused,
    ServerBusy,
    SignInRequired,
    Stage,
    StartTlsNotOffered,
    TlsFailed,
    UnexpectedServer,
    WrongProtocol,
)
from webapp.mailserver.smtp import SmtpTransport

ANNA = "anna@example.net"
StartSmtp = Callable[..., SmtpServer]


class SmtpBackend:
    def __init__(self, server: SmtpServer) -> None:
        self.server = server

    def open_transport(self) -> Transport:
        return open_transport(self.server.settings())

    def refuse_recipient(self, address: str, reply: str) -> None:
        self.server.refuse[address] = reply

    def refuse_sender(self, address: str) -> None:
        self.server.refuse_senders[address] = "550 5.7.60 not allowed to send as this sender"

    def refuse_message(self) -> None:
        self.server.refuse_data = "554 5.7.1 refused"

    def sent(self) -> Sequence[Sent]:
        return self.server.messages


@pytest.mark.parametrize("tls_mode", list(TlsMode))
class TestSmtpTransport(EnvelopeContract):
    @pytest.fixture
    def transport_backend(self, start_smtp: StartSmtp, tls_mode: TlsMode) -> TransportBackend:
        return SmtpBackend(start_smtp(tls_mode=tls_mode))


# Signing in.


def test_no_sign_in(start_smtp: StartSmtp) -> None:
    server = start_smtp(tls_mode=TlsMode.NONE, requires_auth=False)
    with SmtpTransport(server.settings(username="", password="")) as transport:
        transport.open()
        transport.send(message(), sender=DESK, recipients=[ANNA])
    assert len(server.messages) == 1


def test_wrong_password(smtp_server: SmtpServer) -> None:
    transport = SmtpTransport(smtp_server.settings(password="wrong"))
    with pytest.raises(AuthenticationFailed) as caught:
        transport.open()
    assert (caught.value.stage, caught.value.reply_code) == (Stage.SIGN_IN, 535)


def test_auth_login(authority: Authority) -> None:
    """Where PLAIN is not offered; also for passwords that are not ASCII."""
    asked: list[str] = []

    def login(peer: Peer, command: str) -> None:
        peer.say("334 VXNlcm5hbWU6")
        asked.append(base64.b64decode(peer.line()).decode())
        peer.say("334 UGFzc3dvcmQ6")
        asked.append(base64.b64decode(peer.line()).decode())
        peer.say("235 signed in")

    with against(smtp({"AUTH": login}, extensions=["AUTH LOGIN"])) as (_server, transport):
        transport.open()
    assert asked == [DESK, PASSWORD]


@pytest.mark.parametrize(
    ("answers", "extensions", "failure"),
    [
        ({}, ["SIZE"], AuthenticationNotOffered),
        ({}, ["AUTH XOAUTH2"], AuthenticationFailed),
        ({"AUTH": ["535 5.7.8 no"]}, ["AUTH PLAIN"], AuthenticationFailed),
        ({"AUTH": ["550 5.7.30 no"]}, ["AUTH PLAIN"], AuthenticationFailed),
        ({"AUTH": ["454 4.7.0 later"]}, ["AUTH PLAIN"], ServerBusy),
        ({"AUTH": ["503 not now"]}, ["AUTH PLAIN"], AuthenticationFailed),
    ],
)
def test_sign_in_refused(
    answers: dict[str, Answer], extensions: list[str], failure: type[MailServerError]
) -> None:
    with (
        against(smtp(answers, extensions=extensions)) as (_server, transport),
        pytest.raises(failure) as caught,
    ):
        transport.open()
    assert caught.value.stage is Stage.SIGN_IN
    assert type(caught.value) is failure


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ("530 5.7.57 Client not authenticated", SignInRequired),
        ("550 5.7.60 not yours", SenderRefused),
        ("553 5.7.1 not yours", SenderRefused),
        ("451 4.7.1 later", ServerBusy),
    ],
)
def test_sender_refused(reply: str, failure: type[MailServerError]) -> None:
    with against(smtp({"MAIL": [reply]})) as (server, transport):
        transport.open()
        with pytest.raises(failure) as caught:
            transport.check_sender(DESK)
    assert type(caught.value) is failure
    assert (caught.value.stage, caught.value.reply_code) == (Stage.FROM, int(reply[:3]))
    assert caught.value.server_said == reply
    assert b"DATA" not in server.received


def test_the_password_is_in_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    """Not even where the server repeats it: neither in texts, nor in logs, nor in the frames' variables."""
    caplog.set_level(logging.DEBUG)
    plain = base64.b64encode(f"\0{DESK}\0{PASSWORD}".encode()).decode()
    secrets = [PASSWORD, plain, base64.b64encode(PASSWORD.encode()).decode()]
    for extensions in (["AUTH PLAIN"], ["AUTH LOGIN"]):
        answers: dict[str, Answer] = {"AUTH": ["535 5.7.8 " + " ".join(secrets) + "x" * 600]}
        with (
            against(smtp(answers, extensions=extensions)) as (_, transport),
            pytest.raises(AuthenticationFailed) as caught,
        ):
            transport.open()
        assert len(caught.value.server_said) <= 500
        for secret in secrets:
            assert not any(secret in text for text in remembered(caught.value))
            assert secret not in caplog.text + repr(transport) + repr(transport.session)


# STARTTLS.


def _inject(peer: Peer, command: str) -> None:
    peer.sock.sendall(b"220 begin\r\n250-rig\r\n250 AUTH PLAIN\r\n")
    peer.start_tls()


@pytest.mark.parametrize(
    ("answers", "extensions", "failure"),
    [
        ({}, ["AUTH PLAIN"], StartTlsNotOffered),
        ({"STARTTLS": ["502 unknown command"]}, ["AUTH PLAIN", "STARTTLS"], StartTlsNotOffered),
        ({"STARTTLS": ["454 TLS not available"]}, ["AUTH PLAIN", "STARTTLS"], ServerBusy),
        ({"STARTTLS": _inject}, ["AUTH PLAIN", "STARTTLS"], TlsFailed),
        ({"STARTTLS": ["220 begin", "235 signed in"]}, ["AUTH PLAIN", "STARTTLS"], TlsFailed),
    ],
)
def test_no_starttls_no_password(
    authority: Authority, answers: dict[str, Answer], extensions: list[str], failure: type[MailServerError]
) -> None:
    script = smtp(answers, extensions=extensions)
    with (
        against(
            script,
            tls=authority.good.server_context(),
            tls_mode=TlsMode.STARTTLS,
            ca_file=str(authority.ca_file),
        ) as (server, transport),
        pytest.raises(failure) as caught,
    ):
        transport.open()
    assert caught.value.stage is Stage.TLS
    assert b"AUTH" not in server.received
    assert PASSWORD.encode() not in server.received


def test_what_was_said_before_tls_is_forgotten(authority: Authority) -> None:
    """AUTH is offered in clear only: it does not count after the handshake."""

    def starttls(peer: Peer, command: str) -> None:
        peer.say("220 begin")
        peer.start_tls()
        peer.line()
        peer.say("250 rig")

    script = smtp({"STARTTLS": starttls}, extensions=["AUTH PLAIN", "STARTTLS"])
    with (
        against(
            script,
            tls=authority.good.server_context(),
            tls_mode=TlsMode.STARTTLS,
            ca_file=str(authority.ca_file),
        ) as (server, transport),
        pytest.raises(AuthenticationNotOffered),
    ):
        transport.open()
    assert b"AUTH" not in server.received


# Other servers, other moods.


@pytest.mark.parametrize(
    ("greeting", "failure"),
    [
        ("* OK IMAP4rev1 ready", WrongProtocol),
        ("+OK POP3 ready", WrongProtocol),
        ("hello", UnexpectedServer),
        ("421 4.3.2 too busy", ServerBusy),
        ("554 5.7.1 go away", UnexpectedServer),
    ],
)
def test_greetings(greeting: str, failure: type[MailServerError]) -> None:
    with against(smtp(greeting=greeting)) as (_server, transport), pytest.raises(failure) as caught:
        transport.open()
    assert type(caught.value) is failure
    assert caught.value.stage is Stage.GREETING


def test_helo_for_a_server_that_knows_no_ehlo() -> None:
    with against(smtp({"EHLO": ["502 what?"]}), requires_auth=False) as (_server, transport):
        transport.open()
        assert transport.send(message(), sender=DESK, recipients=[ANNA]).accepted == {ANNA}
