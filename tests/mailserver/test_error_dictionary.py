"""The error dictionary of the UI, row by row: what a server does, and what a person reads.

Each row meets a loopback server through `diagnose`, which is what Test Connection shows.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.mailserver.error_rows import IMAP, IMPLICIT, ROWS, SMTP, STARTTLS, Row
from tests.rig.certificates import Authority
from tests.rig.scripted import Peer, ScriptedServer, imap
from webapp.mailserver.base import MailProtocol, ServerSettings
from webapp.mailserver.diagnosis import StageResult, StageState, diagnose, stages
from webapp.mailserver.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    HostNotFound,
    MailServerError,
    NameLookupFailed,
    PlainTextPort,
    ServerTimeout,
    Stage,
)
from webapp.mailserver.remedies import explain
from webapp.mailserver.remedy import IMPLICIT_PORT


def _refuse_names(number: int, text: str) -> Callable[..., Any]:
    def getaddrinfo(*args: Any, **how: Any) -> Any:
        raise socket.gaierror(number, text)

    return getaddrinfo


@pytest.fixture
def every_name_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(host: str, port: int, *args: Any, **how: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def settings_for(port: int, **changes: Any) -> ServerSettings:
    values: dict[str, Any] = {
        "host": "localhost",
        "port": port,
        "timeout": 0.6,
        "username": "desk@example.com",
        "password": "secret",
        "from_address": "desk@example.com",
        **changes,
    }
    return ServerSettings(**values)


def check(results: list[StageResult], row: Row, port: int, usual: int) -> None:
    def filled(words: str) -> str:
        return words.replace("{port}", str(port)).replace("{usual}", str(usual))

    (failed,) = (result for result in results if result.state is StageState.FAILED)
    assert (failed.stage, type(failed.error)) == (row.stage, row.error)
    assert failed.remedy is not None
    assert failed.remedy.sentence == filled(row.sentence)
    assert failed.remedy.cure == filled(row.cure)
    assert failed.remedy.field == row.field
    fix = failed.remedy.quick_fix
    assert (fix and fix.label) == (row.quick_fix and filled(row.quick_fix))
    wanted = {name: filled(value) for name, value in row.changes.items()} if row.changes else None
    assert (fix and fix.changes) == wanted


@pytest.mark.usefixtures("every_name_is_here")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(authority: Authority, monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    context = row.certificate(authority).server_context()
    protocol: MailProtocol = row.settings["protocol"]
    ca_file = str(authority.ca_file)
    with (
        ScriptedServer(Peer.hang, tls=authority.good.server_context(), implicit=True) as usual,
        ScriptedServer(row.server, tls=context, implicit=row.server_tls) as server,
    ):
        if row.verified_port:
            monkeypatch.setitem(IMPLICIT_PORT, protocol, usual.port)
        settings = settings_for(server.port, **{"ca_file": ca_file, **row.settings})
        results = list(diagnose(settings))
    check(results, row, server.port, usual.port)
    assert usual.received == b""  # a probe sends no command
    assert tuple(result.stage for result in results) == stages(settings)
    after = results[[result.stage for result in results].index(row.stage) + 1 :]
    assert all((result.state, result.fact) == (StageState.SKIPPED, "not reached") for result in after)


def test_a_usual_port_with_a_bad_certificate_is_not_offered(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        ScriptedServer(Peer.hang, tls=authority.self_signed.server_context(), implicit=True) as usual,
        ScriptedServer(imap()) as server,
    ):
        monkeypatch.setitem(IMPLICIT_PORT, IMAP, usual.port)
        changes = {"protocol": IMAP, "tls_mode": STARTTLS, "ca_file": str(authority.ca_file)}
        results = list(diagnose(settings_for(server.port, **changes)))
    (failed,) = (result for result in results if result.state is StageState.FAILED)
    assert usual.connections == 1
    assert failed.remedy is not None
    assert failed.remedy.quick_fix is None


def test_a_closed_port_beside_a_good_one(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        socket.socket() as closed,
        ScriptedServer(Peer.hang, tls=authority.good.server_context(), implicit=True) as usual,
    ):
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setitem(IMPLICIT_PORT, SMTP, usual.port)
        changes = {"protocol": SMTP, "tls_mode": STARTTLS, "ca_file": str(authority.ca_file)}
        result = list(diagnose(settings_for(closed.getsockname()[1], host="127.0.0.1", **changes)))[2]
    assert result.remedy is not None
    assert result.remedy.quick_fix is not None
    assert result.remedy.quick_fix.changes["port"] == str(usual.port)


@pytest.mark.parametrize(
    ("number", "error", "sentence", "cure"),
    [
        (
            -2,
            HostNotFound,
            'The host name "imap.example.com" does not exist.',
            'Check the spelling. Enter only the name, without "https://" or a port.',
        ),
        (
            -3,
            NameLookupFailed,
            "This server cannot look up names right now.",
            "Check the server's DNS and internet connection.",
        ),
    ],
)
def test_names(
    monkeypatch: pytest.MonkeyPatch, number: int, error: type[MailServerError], sentence: str, cure: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _refuse_names(number, "no"))
    settings = settings_for(993, protocol=IMAP, tls_mode=IMPLICIT, host="imap.example.com")
    result = list(diagnose(settings))[1]
    assert (result.stage, type(result.error), result.fact) == (Stage.DNS, error, sentence)
    assert result.remedy is not None
    assert result.remedy.cure == cure


@pytest.mark.parametrize(
    ("protocol", "defaults"),
    [
        (IMAP, "IMAP normally uses 993 (SSL/TLS) or 143 (STARTTLS)."),
        (SMTP, "SMTP normally uses 465 (SSL/TLS) or 587 (STARTTLS)."),
    ],
)
def test_closed_port(protocol: MailProtocol, defaults: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        settings = settings_for(port, protocol=protocol, tls_mode=IMPLICIT, host="127.0.0.1")
        result = list(diagnose(settings))[2]
    assert (result.stage, type(result.error)) == (Stage.CONNECT, ConnectionFailed)
    assert result.remedy is not None
    assert result.remedy.sentence == f"127.0.0.1 is there, but nothing answers on port {port}."
    assert result.remedy.cure == f"{defaults} Check that the service is on."


def test_no_answer_to_the_connection(black_hole: int) -> None:
    settings = settings_for(black_hole, protocol=IMAP, tls_mode=IMPLICIT, host="127.0.0.1", timeout=0.5)
    result = list(diagnose(settings))[2]
    assert (result.stage, type(result.error)) == (Stage.CONNECT, ServerTimeout)
    assert result.remedy is not None
    assert result.remedy.sentence == f"127.0.0.1 did not answer on port {black_hole} within 0.5 s."
    assert result.remedy.cure == (
        f"A firewall probably blocks the port. Ask whether outgoing port {black_hole} is open on this server."
    )


def test_quick_fixes_change_settings() -> None:
    settings = settings_for(993, protocol=IMAP, tls_mode=IMPLICIT)
    remedy = explain(PlainTextPort("no", stage=Stage.TLS), settings)
    assert remedy.quick_fix is not None
    assert remedy.quick_fix.label == "Switch to STARTTLS (port 143) and test again"
    assert remedy.quick_fix.changes == {"use_ssl": "true", "tls_mode": "starttls", "port": "143"}
    assert remedy.quick_fix.needs_password


def test_words_alone_decide_nothing() -> None:
    """A server elsewhere that speaks of app passwords is not Google."""
    settings = settings_for(993, protocol=IMAP, tls_mode=IMPLICIT, host="imap.example.com")
    said = "[ALERT] Application-specific password required"
    remedy = explain(AuthenticationFailed("no", stage=Stage.SIGN_IN, server_said=said), settings)
    assert remedy.sentence.startswith("The server rejected the user name or password.")


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("protocol", list(MailProtocol))
def test_every_error_has_words(stage: Stage, protocol: MailProtocol) -> None:
    settings = settings_for(993, protocol=protocol, tls_mode=IMPLICIT)
    kinds = [MailServerError]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        error = kind.__new__(kind)
        MailServerError.__init__(error, "why", stage=stage, server_said="words")
        error.__dict__.update(verify_code=1, facts=None, speaks="SSH", errno=104, field="host", refused={})
        remedy = explain(error, settings)
        assert remedy.sentence
        assert remedy.cure
