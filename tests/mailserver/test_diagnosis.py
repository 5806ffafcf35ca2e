"""Test Connection on real servers: what it finds, and that it changes nothing."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.mailserver.contract import message
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox
from tests.rig.proxy import Plan, Proxy
from tests.rig.scripted import Peer, ScriptedServer, imap, smtp
from tests.rig.smtp import SmtpServer
from webapp.mailserver import diagnosis
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.diagnosis import StageState, diagnose
from webapp.mailserver.errors import AddressRefused, InvalidSettings, ServerTimeout, Stage


def settings_for(port: int, **changes: Any) -> ServerSettings:
    values: dict[str, Any] = {
        "protocol": MailProtocol.IMAP,
        "host": "localhost",
        "port": port,
        "tls_mode": TlsMode.NONE,
        "timeout": 5.0,
        "username": "help",
        "password": "secret",
        "from_address": "help@example.com",
        **changes,
    }
    return ServerSettings(**values)


@pytest.mark.dovecot
@pytest.mark.parametrize("tls_mode", list(TlsMode))
def test_imap_passes_and_changes_nothing(mailbox: DovecotMailbox, tls_mode: TlsMode) -> None:
    for n in range(3):
        mailbox.deliver(message(str(n)), seen=n == 0)
    before = mailbox.contents()
    results = list(diagnose(mailbox.settings(tls_mode)))
    labels = [
        "Settings complete",
        "Host name",
        "Connection",
        "Encryption",
        "Mail server",
        "Sign-in",
        "Inbox",
        "Moving messages",
        "Archive folder",
    ]
    assert [result.label for result in results] == labels
    facts = {result.stage: result.fact for result in results}
    expected = {Stage.TLS: StageState.WARNING} if tls_mode is TlsMode.NONE else {}
    assert [r.state for r in results] == [expected.get(r.stage, StageState.OK) for r in results]
    assert "127.0.0.1" in facts[Stage.DNS]
    assert facts[Stage.CONNECT] in {
        f"{a} port {mailbox.settings(tls_mode).port}" for a in ("127.0.0.1", "::1")
    }
    if tls_mode is not TlsMode.NONE:
        assert re.fullmatch(
            r"TLS 1\.3 \(\w+\), certificate for localhost from .+, valid until \d+ \w{3} \d{4} \(\d+ days\)",
            facts[Stage.TLS],
        )
    assert facts[Stage.GREETING].startswith("Dovecot (Debian) ready. · ")
    assert facts[Stage.SIGN_IN] == "signed in (PLAIN)"
    assert facts[Stage.INBOX] == "3 messages, 2 unread"
    assert facts[Stage.MOVE] == "the server can move messages"
    assert facts[Stage.ARCHIVE] == 'folder "Archive" will be created'
    assert mailbox.contents() == before
    assert mailbox.folders() == {"INBOX"}


@pytest.mark.dovecot
def test_imap_sends_only_commands_that_read(mailbox: DovecotMailbox) -> None:
    mailbox.deliver(message())
    with Proxy(mailbox.server.port) as proxy:
        list(diagnose(mailbox.settings(TlsMode.NONE, port=proxy.port)))
    lines = bytes(proxy.from_client).upper().splitlines()
    commands = {line.split()[2 if line.split()[1] == b"UID" else 1].decode() for line in lines}
    assert commands == {
        "CAPABILITY",
        "AUTHENTICATE",
        "STATUS",
        "EXAMINE",
        "NAMESPACE",
        "LIST",
        "LOGOUT",
    }


@pytest.mark.dovecot
def test_the_archive_that_is_there(mailbox: DovecotMailbox) -> None:
    mailbox.create("Ärchiv & Söhne")
    *_, last = diagnose(mailbox.settings(archive_folder="Ärchiv & Söhne"))
    assert last.fact == 'folder "Ärchiv & Söhne" exists'


@pytest.mark.dovecot
def test_a_refused_archive(mailbox: DovecotMailbox) -> None:
    *_, last = diagnose(mailbox.settings(archive_folder="INBOX"))
    assert last.state is StageState.FAILED
    assert last.remedy is not None
    assert last.remedy.field == "archive_folder"


@pytest.mark.dovecot
def test_move_is_looked_for_after_signing_in(mailbox: DovecotMailbox) -> None:
    """Dovecot names MOVE only then; a server may also stop naming it."""
    seen: list[bytes] = []

    def edit(octets: bytes) -> bytes:
        seen.append(octets)
        signed_in = b" OK [CAPABILITY" in octets or any(b"Logged in" in piece for piece in seen)
        return octets.replace(b" MOVE", b" XOVE") if signed_in else octets

    with Proxy(mailbox.server.port, Plan(edit=edit)) as proxy:
        results = {r.stage: r for r in diagnose(mailbox.settings(TlsMode.NONE, port=proxy.port))}
    assert results[Stage.MOVE].state is StageState.FAILED
    assert results[Stage.ARCHIVE].state is StageState.SKIPPED


@pytest.mark.parametrize("tls_mode", list(TlsMode))
def test_smtp_passes_and_sends_nothing(start_smtp: Callable[..., SmtpServer], tls_mode: TlsMode) -> None:
    server = start_smtp(tls_mode=tls_mode)
    results = list(diagnose(server.settings()))
    assert [r.label for r in results] == [
        "Settings complete",
        "Host name",
        "Connection",
        "Encryption",
        "Mail server",
        "Sign-in",
        "From accepted",
    ]
    expected = {Stage.TLS: StageState.WARNING} if tls_mode is TlsMode.NONE else {}
    assert [r.state for r in results] == [expected.get(r.stage, StageState.OK) for r in results]
    facts = {r.stage: r.fact for r in results}
    assert "SIZE 2000000" in facts[Stage.GREETING]
    assert facts[Stage.SIGN_IN] == "signed in (PLAIN)"
    assert facts[Stage.FROM] == "may send as desk@example.com"
    assert server.messages == []


def test_smtp_sends_mail_and_rset_only() -> None:
    with ScriptedServer(smtp()) as server:
        list(diagnose(settings_for(server.port, protocol=MailProtocol.SMTP)))
    commands = [line.split()[0] for line in bytes(server.received).decode().splitlines()]
    assert commands == ["EHLO", "AUTH", "MAIL", "RSET", "QUIT"] or [c.upper() for c in commands] == [
        "EHLO",
        "AUTH",
        "MAIL",
        "RSET",
        "QUIT",
    ]


def test_sign_in_not_required() -> None:
    with ScriptedServer(smtp()) as server:
        settings = settings_for(server.port, protocol=MailProtocol.SMTP, requires_auth=False)
        results = {r.stage: r for r in diagnose(settings)}
    assert results[Stage.SIGN_IN].fact == "not required"
    assert b"AUTH" not in server.received


def test_a_certificate_that_ends_soon(authority: Authority) -> None:
    context = authority.soon.server_context()
    with ScriptedServer(imap(), tls=context, implicit=True) as server:
        settings = settings_for(server.port, tls_mode=TlsMode.IMPLICIT, ca_file=str(authority.ca_file))
        results = {r.stage: r for r in diagnose(settings)}
    assert results[Stage.TLS].state is StageState.WARNING
    assert results[Stage.TLS].fact.endswith("(5 days)")
    assert results[Stage.ARCHIVE].state is StageState.OK


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host": " "}, "host"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"username": ""}, "username"),
        ({"password": ""}, "password"),
        ({"password": "a\r\nb"}, "password"),
        ({"protocol": MailProtocol.SMTP, "from_address": ""}, "from_address"),
    ],
)
def test_settings_that_are_not_complete(changes: dict[str, Any], field: str) -> None:
    with ScriptedServer(imap()) as server:
        first, *others = diagnose(settings_for(**{"port": server.port, **changes}))
    assert isinstance(first.error, InvalidSettings)
    assert first.remedy is not None
    assert first.remedy.field == field
    assert all(result.state is StageState.SKIPPED for result in others)
    assert server.connections == 0


def test_microsoft_is_not_even_asked() -> None:
    with ScriptedServer(imap()) as server:
        results = {r.stage: r for r in diagnose(settings_for(server.port, host="outlook.office365.com"))}
    assert results[Stage.SIGN_IN].state is StageState.FAILED
    assert {r.state for r in results.values()} == {StageState.SKIPPED, StageState.FAILED}
    assert server.connections == 0


def test_metadata_addresses_are_not_tested() -> None:
    results = {r.stage: r for r in diagnose(settings_for(80, host="169.254.169.254"))}
    assert isinstance(results[Stage.CONNECT].error, AddressRefused)


def test_all_together_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer comes within the timeout, but all of them take too long."""
    monkeypatch.setattr(diagnosis, "LONGEST_SECONDS", 1.0)

    def slowly(peer: Peer, command: str) -> None:
        time.sleep(0.7)
        peer.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR MOVE", f"{command.split(' ')[0]} OK done")

    started = time.monotonic()
    with ScriptedServer(imap({"CAPABILITY": slowly})) as server:
        results = list(diagnose(settings_for(server.port)))
    assert 1.0 <= time.monotonic() - started < 2.0
    (failed,) = (r for r in results if r.state is StageState.FAILED)
    assert isinstance(failed.error, ServerTimeout)


def test_cancelling_ends_a_silent_step_at_once() -> None:
    cancelled = threading.Event()
    timer = threading.Timer(0.3, cancelled.set)
    started = time.monotonic()
    with ScriptedServer(imap({"EXAMINE": None})) as server:
        timer.start()
        results = list(diagnose(settings_for(server.port, timeout=30.0), cancelled=cancelled.is_set))
        timer.join()
    assert time.monotonic() - started < 2
    states = [r.state for r in results]
    assert StageState.FAILED not in states
    assert states[-3:] == [StageState.SKIPPED] * 3


def test_leaving_early_closes_the_connection() -> None:
    with ScriptedServer(imap()) as server:
        running = diagnose(settings_for(server.port))
        for result in running:
            if result.stage is Stage.SIGN_IN:
                break
        running.close()  # type: ignore[attr-defined]
        time.sleep(0.1)
    assert b"LOGOUT" in server.received
