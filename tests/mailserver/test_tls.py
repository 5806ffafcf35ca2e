"""Certificates: three refused, one accepted; versions; what is told about them. IMAP and SMTP alike."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.rig.certificates import Authority, ServerCertificate
from tests.rig.scripted import Peer, ScriptedServer, imap, smtp
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.errors import (
    CertificateRefused,
    ConnectionFailed,
    InvalidSettings,
    MailServerError,
    PlainTextPort,
    Stage,
    TlsFailed,
)
from webapp.mailserver.imap_session import ImapSession
from webapp.mailserver.session import Session
from webapp.mailserver.smtp_session import SmtpSession

SESSIONS: dict[MailProtocol, type[Session]] = {
    MailProtocol.IMAP: ImapSession,
    MailProtocol.SMTP: SmtpSession,
}
SCRIPTS = {
    MailProtocol.IMAP: imap(capabilities="IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR MOVE"),
    MailProtocol.SMTP: smtp(),
}
EVERY_WAY = [
    (protocol, tls_mode) for protocol in SESSIONS for tls_mode in (TlsMode.IMPLICIT, TlsMode.STARTTLS)
]


@contextmanager
def meet(
    protocol: MailProtocol, tls_mode: TlsMode, context: ssl.SSLContext, **changes: Any
) -> Iterator[tuple[ScriptedServer, Session]]:
    def script(peer: Peer) -> None:
        if tls_mode is TlsMode.IMPLICIT:
            peer.start_tls()
        SCRIPTS[protocol](peer)

    with ScriptedServer(script, tls=context) as server:
        values: dict[str, Any] = {
            "protocol": protocol,
            "host": "localhost",
            "port": server.port,
            "tls_mode": tls_mode,
            "timeout": 5.0,
            "username": "help",
            "password": "canary",
            **changes,
        }
        with closing(SESSIONS[protocol](ServerSettings(**values))) as session:
            yield server, session


@pytest.mark.parametrize(("protocol", "tls_mode"), EVERY_WAY)
@pytest.mark.parametrize(
    ("pick", "verify_code", "names"),
    [
        (lambda authority: authority.self_signed, 18, ("localhost",)),
        (lambda authority: authority.expired, 10, ("localhost", "127.0.0.1", "::1")),
        (lambda authority: authority.other_name, 62, ("mail.example.net", "imap.example.net")),
    ],
)
def test_certificates_that_prove_nothing(
    authority: Authority,
    protocol: MailProtocol,
    tls_mode: TlsMode,
    pick: Callable[[Authority], ServerCertificate],
    verify_code: int,
    names: tuple[str, ...],
) -> None:
    context = pick(authority).server_context()
    with (
        meet(protocol, tls_mode, context, ca_file=str(authority.ca_file)) as (server, session),
        pytest.raises(CertificateRefused) as caught,
    ):
        session.begin()
    assert caught.value.verify_code == verify_code
    assert caught.value.stage is Stage.TLS
    assert caught.value.facts is not None
    assert caught.value.facts.names == names
    assert b"AUTH" not in server.received
    assert b"canary" not in server.received


@pytest.mark.parametrize(("protocol", "tls_mode"), EVERY_WAY)
def test_a_private_authority_is_unknown_until_it_is_named(
    authority: Authority, protocol: MailProtocol, tls_mode: TlsMode
) -> None:
    context = authority.good.server_context()
    with meet(protocol, tls_mode, context) as (_, session):
        with pytest.raises(CertificateRefused) as caught:
            session.begin()
        assert caught.value.verify_code in (19, 20, 21)
    with meet(protocol, tls_mode, context, ca_file=str(authority.ca_file)) as (_, session):
        session.begin()
        facts = session.tls_facts()
    assert facts is not None
    assert facts.version == "TLSv1.3"
    assert facts.certificate.names == ("localhost", "127.0.0.1", "::1")


@pytest.mark.parametrize("protocol", list(SESSIONS))
@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", "localhost."])
def test_forms_of_a_host(authority: Authority, protocol: MailProtocol, host: str) -> None:
    context = authority.good.server_context()
    with meet(protocol, TlsMode.IMPLICIT, context, ca_file=str(authority.ca_file), host=host) as (_, session):
        session.begin()


def test_an_address_is_checked_like_a_name(authority: Authority) -> None:
    context = authority.other_name.server_context()
    with (
        meet(
            MailProtocol.IMAP, TlsMode.IMPLICIT, context, ca_file=str(authority.ca_file), host="127.0.0.1"
        ) as (_, session),
        pytest.raises(CertificateRefused) as caught,
    ):
        session.begin()
    assert caught.value.verify_code == 64


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(authority: Authority) -> None:
    context = authority.good.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        meet(MailProtocol.IMAP, TlsMode.IMPLICIT, context, ca_file=str(authority.ca_file)) as (_, session),
        pytest.raises(TlsFailed) as caught,
    ):
        session.begin()
    assert type(caught.value) is TlsFailed


@pytest.mark.parametrize("protocol", list(SESSIONS))
def test_a_port_that_speaks_in_clear(authority: Authority, protocol: MailProtocol) -> None:
    with ScriptedServer(SCRIPTS[protocol]) as server:
        settings = ServerSettings(
            protocol=protocol,
            host="localhost",
            port=server.port,
            tls_mode=TlsMode.IMPLICIT,
            timeout=5,
            username="help",
            password="canary",
        )
        with closing(SESSIONS[protocol](settings)) as session, pytest.raises(PlainTextPort):
            session.begin()
    assert b"canary" not in server.received


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_server_that_hangs_up_in_the_handshake(how: str) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(100)
        if how == "reset":
            peer.reset()

    with ScriptedServer(script) as server:
        settings = ServerSettings(
            protocol=MailProtocol.IMAP,
            host="localhost",
            port=server.port,
            tls_mode=TlsMode.IMPLICIT,
            timeout=5,
            username="help",
            password="canary",
        )
        with closing(ImapSession(settings)) as session, pytest.raises(ConnectionFailed) as caught:
            session.begin()
    assert caught.value.stage is Stage.TLS
    assert not caught.value.permanent


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_is_none(authority: Authority, tmp_path: Any, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    context = authority.good.server_context()
    with (
        meet(MailProtocol.IMAP, TlsMode.IMPLICIT, context, ca_file=str(path)) as (_, session),
        pytest.raises(MailServerError) as caught,
    ):
        session.begin()
    assert isinstance(caught.value, (InvalidSettings, CertificateRefused))
