"""The error dictionary of the UI, row by row: what a server does, and what a person reads.

Each row meets a loopback server through `diagnose`, which is what Test Connection shows.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.mailserver.error_rows import IMAP, IMPLICIT, ROWS, SMTP, Row
from tests.rig.certificates import Authority
from tests.rig.scripted import ScriptedServer
from webapp.mailserver.base import MailProtocol, ServerSettings
from webapp.mailserver.diagnosis import StageResult, StageState, diagnose, stages
from webapp.mailserver.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    HostNotFound,
    MailServerError,
    NameLookupFailed,
    PlainTextPort,
    Stage,
)
from webapp.mailserver.remedies import explain


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


def check(results: list[StageResult], row: Row, port: int) -> None:
    (failed,) = (result for result in results if result.state is StageState.FAILED)
    assert (failed.stage, type(failed.error)) == (row.stage, row.error)
    assert failed.remedy is not None
    assert failed.remedy.sentence == row.sentence.replace("{port}", str(port))
    assert failed.remedy.cure == row.cure.replace("{port}", str(port))
    assert failed.remedy.field == row.field
    assert (failed.remedy.quick_fix and failed.remedy.quick_fix.label) == row.quick_fix


@pytest.mark.usefixtures("every_name_is_here")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(authority: Authority, row: Row) -> None:
    context = row.certificate(authority).server_context()
    with ScriptedServer(row.server, tls=context, implicit=row.server_tls) as server:
        settings = settings_for(server.port, **{"ca_file": str(authority.ca_file), **row.settings})
        results = list(diagnose(settings))
    check(results, row, server.port)
    assert tuple(result.stage for result in results) == stages(settings.protocol)
    after = results[[result.stage for result in results].index(row.stage) + 1 :]
    assert all((result.state, result.fact) == (StageState.SKIPPED, "not reached") for result in after)


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


def test_no_answer_to_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    settings = settings_for(993, protocol=IMAP, tls_mode=IMPLICIT, host="127.0.0.1", timeout=1.5)
    result = list(diagnose(settings))[2]
    assert result.remedy is not None
    assert result.remedy.sentence == "127.0.0.1 did not answer on port 993 within 1.5 s."
    assert result.remedy.cure == (
        "A firewall probably blocks the port. Ask whether outgoing port 993 is open on this server."
    )


def test_quick_fixes_change_settings() -> None:
    settings = settings_for(993, protocol=IMAP, tls_mode=IMPLICIT)
    remedy = explain(PlainTextPort("no", stage=Stage.TLS), settings)
    assert remedy.quick_fix is not None
    assert remedy.quick_fix.changes == {"tls_mode": "starttls", "port": 143}


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
