"""Test Connection on real servers: what it finds, and that it changes nothing."""

from __future__ import annotations

import dataclasses
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.mailserver.contract import message
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox, DovecotServer
from tests.rig.proxy import Plan, Proxy
from tests.rig.scripted import Peer, ScriptedServer, imap, smtp
from tests.rig.smtp import SmtpServer
from webapp.mailserver import diagnosis
from webapp.mailserver.base import Mailbox, MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.diagnosis import Foreseen, StageState, diagnose
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
            r"TLS 1\.3 \(\w+\), certificate for localhost \(also 127\.0\.0\.1, ::1\) from .+, "
            r"valid until \d+ \w{3} \d{4} \(\d+ days\)",
            facts[Stage.TLS],
        )
    assert facts[Stage.GREETING].startswith("Dovecot (Debian) ready. · ")
    assert facts[Stage.SIGN_IN] == "signed in (PLAIN)"
    assert facts[Stage.INBOX] == "3 messages, 2 unread"
    assert facts[Stage.MOVE] == "the server can move messages (MOVE) and tells when mail comes (IDLE)"
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
    assert "messages up to 2 MB (SIZE), AUTH " in facts[Stage.GREETING]
    assert "PLAIN" in facts[Stage.GREETING]
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


def test_cancelling_ends_the_second_look_at_a_certificate(authority: Authority) -> None:
    """The refused certificate is read over a connection of its own, and there the server keeps silent."""
    cancelled = threading.Event()
    context = authority.self_signed.server_context()

    def once(peer: Peer) -> None:
        if peer.server.connections == 1:
            peer.start_tls()
        peer.hang()

    with ScriptedServer(once, tls=context) as server:
        settings = settings_for(server.port, tls_mode=TlsMode.IMPLICIT, timeout=30.0)
        timer = threading.Timer(0.6, cancelled.set)
        started = time.monotonic()
        timer.start()
        results = list(diagnose(settings, cancelled=cancelled.is_set))
        timer.join()
    assert 0.5 < time.monotonic() - started < 1.5
    assert server.connections == 2
    assert results[-1].state is StageState.SKIPPED


@pytest.mark.parametrize("silent", ["dns", "connect", "tls", "greeting", "sign_in", "inbox", "probe"])
def test_cancelling_ends_every_phase_at_once(
    monkeypatch: pytest.MonkeyPatch, black_hole: int, silent: str
) -> None:
    """A name server, a port, a handshake, a greeting or a command that never answers."""
    answers: dict[str, Any] = {"sign_in": {"AUTHENTICATE": None}, "inbox": {"EXAMINE": None}}
    script = Peer.hang if silent in ("tls", "greeting", "probe") else imap(answers.get(silent))
    if silent == "dns":
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **how: time.sleep(5))
    cancelled = threading.Event()
    tls_mode = TlsMode.IMPLICIT if silent == "tls" else TlsMode.NONE
    timeout = 0.2 if silent == "probe" else 30.0
    with ScriptedServer(script) as server:
        if silent == "probe":  # the greeting timed out, and whether the port speaks TLS is being asked
            monkeypatch.setattr(diagnosis, "_probe", _slow_probe(diagnosis._probe))
        port = black_hole if silent == "connect" else server.port
        settings = settings_for(port, host="127.0.0.1", tls_mode=tls_mode, timeout=timeout)
        timer = threading.Timer(0.6, cancelled.set)
        started = time.monotonic()
        timer.start()
        results = list(diagnose(settings, cancelled=cancelled.is_set))
        took = time.monotonic() - started
        timer.join()
    assert 0.5 < took < 1.5
    assert StageState.FAILED not in [r.state for r in results]
    assert results[-1].state is StageState.SKIPPED


def _slow_probe(probe: Callable[..., bool]) -> Callable[..., bool]:
    def ask(port: int, checks: Any, canceller: Any, *, verify: bool) -> bool:
        object.__setattr__(checks, "settings", dataclasses.replace(checks.settings, timeout=30.0))
        return probe(port, checks, canceller, verify=verify)

    return ask


# What will happen.

COUNTED: dict[str, Any] = {"STATUS": ["* STATUS INBOX (UNSEEN 1)", "{tag} OK done"]}


def _foreseen(mailbox: Mailbox) -> Foreseen:
    unread = mailbox.list_unread()
    return Foreseen(f"{len(unread)} unread", {"ticket": len(unread)}, len(unread), len(unread))


@pytest.mark.dovecot
def test_what_will_happen_is_the_last_stage(mailbox: DovecotMailbox) -> None:
    mailbox.deliver(message())
    before = mailbox.contents()
    *others, last = diagnose(mailbox.settings(), foresee=_foreseen)
    assert [last.stage, last.label, last.state] == [Stage.FORESEE, "What will happen", StageState.OK]
    assert last.detail == Foreseen("1 unread", {"ticket": 1}, 1, 1)
    assert [r.fact for r in others if r.stage is Stage.INBOX] == ["1 message, 1 unread"]
    assert mailbox.contents() == before


def test_a_look_that_breaks_spoils_only_its_own_stage(caplog: pytest.LogCaptureFixture) -> None:
    def broken(mailbox: Mailbox) -> Foreseen:
        raise RuntimeError("database is locked")

    with ScriptedServer(imap()) as server:
        *others, last = diagnose(settings_for(server.port), foresee=broken)
    assert (last.stage, last.state) == (Stage.FORESEE, StageState.WARNING)
    assert last.fact == "could not be worked out; the log has the details"
    assert StageState.FAILED not in {r.state for r in others}
    assert "database is locked" in caplog.text


def test_a_server_that_hangs_up_while_it_is_looked_at() -> None:
    with ScriptedServer(imap(COUNTED | {"UID SEARCH": lambda peer, command: peer.reset()})) as server:
        *others, last = diagnose(settings_for(server.port), foresee=_foreseen)
    assert (last.stage, last.state) == (Stage.FORESEE, StageState.FAILED)
    assert last.remedy is not None
    assert last.remedy.sentence.startswith("Inbox: the server ended the connection.")
    assert StageState.FAILED not in {r.state for r in others}


def test_a_look_that_takes_the_whole_time_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "LONGEST_SECONDS", 1.0)
    with ScriptedServer(imap(COUNTED | {"UID SEARCH": None})) as server:
        *_, last = diagnose(settings_for(server.port), foresee=_foreseen)
    assert (last.stage, last.state) == (Stage.FORESEE, StageState.WARNING)
    assert last.fact == "not looked at: the time for this test is over"


@pytest.mark.dovecot
def test_the_archive_by_its_real_name(start_dovecot: Callable[..., DovecotServer]) -> None:
    mailbox = start_dovecot(prefix="INBOX.", separator=".").mailbox()
    facts = {r.stage: r.fact for r in diagnose(mailbox.settings(archive_folder="Done"))}
    assert facts[Stage.ARCHIVE] == 'folder "Done" will be created as "INBOX.Done"'


def test_microsoft_takes_passwords_to_send_for_a_month_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **how: here)
    with ScriptedServer(smtp()) as server:
        settings = settings_for(server.port, protocol=MailProtocol.SMTP, host="smtp.office365.com")
        results = {r.stage: r for r in diagnose(settings)}
    assert results[Stage.SIGN_IN].state is StageState.WARNING
    assert "off by default at the end of December 2026" in results[Stage.SIGN_IN].fact
    assert results[Stage.FROM].state is StageState.OK


def test_leaving_early_closes_the_connection() -> None:
    with ScriptedServer(imap()) as server:
        running = diagnose(settings_for(server.port))
        for result in running:
            if result.stage is Stage.SIGN_IN:
                break
        running.close()  # type: ignore[attr-defined]
        time.sleep(0.1)
    assert b"LOGOUT" in server.received


def test_a_connection_opened_too_late_is_aborted_at_once() -> None:
    aborted = threading.Event()

    class Late:
        def abort(self) -> None:
            aborted.set()

    canceller = diagnosis._Canceller(lambda: True)
    canceller._thread.join(2)
    canceller.watch(Late())
    canceller.end()
    assert aborted.is_set()
