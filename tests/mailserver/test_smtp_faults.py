"""SmtpTransport and servers that fall silent, or answer one octet at a time: every phase ends in its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.mailserver.contract import DESK, message
from tests.mailserver.smtp_settings import against
from tests.rig.certificates import Authority
from tests.rig.dovecot import PASSWORD
from tests.rig.scripted import Answer, Peer, Script, smtp
from tests.rig.silence import nobody_answers
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.errors import ConnectionFailed, ServerTimeout, Stage
from webapp.mailserver.smtp import SmtpTransport

TIMEOUT = 0.6


@contextmanager
def takes(at_least: float) -> Iterator[None]:
    """Never earlier than the deadline, and not long after it."""
    started = time.monotonic()
    yield
    assert at_least <= time.monotonic() - started < at_least + 5


def silence(peer: Peer, command: str = "") -> None:
    peer.hang()
    raise EOFError


def drip(peer: Peer, command: str = "") -> None:
    peer.drip(b"220-wait a little\r\n", 0.05)


def send(transport: SmtpTransport) -> None:
    transport.open()
    transport.send(message(), sender=DESK, recipients=["anna@example.net"])


def ends(
    script: Script, stage: Stage, authority: Authority, *, tls_mode: TlsMode = TlsMode.NONE
) -> ServerTimeout:
    """Send a message to this server: it ends at that stage, in time, and the transport is used up."""
    with against(
        script,
        tls=authority.good.server_context(),
        tls_mode=tls_mode,
        timeout=TIMEOUT,
        ca_file=str(authority.ca_file),
    ) as (_, transport):
        with takes(TIMEOUT), pytest.raises(ServerTimeout) as caught:
            send(transport)
        with pytest.raises(ConnectionFailed):
            transport.check_sender(DESK)
    assert caught.value.stage is stage
    return caught.value


def test_nobody_answers_the_connection() -> None:
    with nobody_answers() as port:
        settings = ServerSettings(
            protocol=MailProtocol.SMTP,
            host="127.0.0.1",
            port=port,
            tls_mode=TlsMode.NONE,
            timeout=TIMEOUT,
            username=DESK,
            password=PASSWORD,
            from_address=DESK,
        )
        with SmtpTransport(settings) as transport, takes(TIMEOUT), pytest.raises(ServerTimeout) as caught:
            transport.open()
    assert caught.value.stage is Stage.CONNECT


@pytest.mark.parametrize("how", [silence, drip])
@pytest.mark.parametrize("tls_mode", [TlsMode.NONE, TlsMode.STARTTLS])
def test_the_greeting(authority: Authority, tls_mode: TlsMode, how: Script) -> None:
    ends(how, Stage.GREETING, authority, tls_mode=tls_mode)


@pytest.mark.parametrize(
    "how", [silence, lambda peer: peer.drip(b"\x16\x03\x03\x3e\x80" + b"\x02" * 1000, 0.02)]
)
def test_the_handshake(authority: Authority, how: Script) -> None:
    ends(how, Stage.TLS, authority, tls_mode=TlsMode.IMPLICIT)


def _no_handshake(peer: Peer, command: str) -> None:
    peer.say("220 2.0.0 begin")
    silence(peer)


@pytest.mark.parametrize("how", [silence, drip, _no_handshake])
def test_starttls(authority: Authority, how: Callable[[Peer, str], None]) -> None:
    ends(smtp({"STARTTLS": how}), Stage.TLS, authority, tls_mode=TlsMode.STARTTLS)


@pytest.mark.parametrize("how", [silence, drip])
@pytest.mark.parametrize(
    ("verb", "stage"),
    [
        ("EHLO", Stage.GREETING),
        ("AUTH", Stage.SIGN_IN),
        ("MAIL", Stage.SEND),
        ("RCPT", Stage.SEND),
        ("DATA", Stage.SEND),
    ],
)
def test_each_answer(authority: Authority, verb: str, stage: Stage, how: Answer) -> None:
    error = ends(smtp({verb: how}), stage, authority)
    assert not error.uncertain


@pytest.mark.parametrize("how", [silence, drip])
def test_after_the_final_dot(authority: Authority, how: Callable[[Peer, str], None]) -> None:
    """The message may be on its way all the same."""

    def data(peer: Peer, command: str) -> None:
        peer.say("354 go on")
        while peer.line() != ".":
            pass
        how(peer, command)

    assert ends(smtp({"DATA": data}), Stage.SEND, authority).uncertain
