"""The text to copy for support: everything that helps, and no secret."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.mailserver.imap_settings import settings as imap_settings
from tests.mailserver.smtp_settings import scripted
from tests.rig.scripted import Peer, ScriptedServer, imap, smtp
from webapp.mailserver.base import TlsMode
from webapp.mailserver.details import mask, technical_details
from webapp.mailserver.diagnosis import diagnose
from webapp.mailserver.words import said

CANARY = 'Canary "pass\\word" 7'
USER = "anna.petrova@example.com"
NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


PLAIN = encoded(f"\0{USER}\0{CANARY}".encode())
ECHOES = [
    CANARY,
    CANARY.replace("\\", "\\\\").replace('"', '\\"'),
    "Canary%20%22pass%5Cword%22%207",
    encoded(CANARY.encode()),
    encoded(CANARY.encode()).rstrip("="),
    encoded(CANARY.encode())[:16],  # cut short by the server
    PLAIN,
    PLAIN[:-9],
    encoded(f"user={USER}\1auth={CANARY}".encode()),
]


def test_everything_that_helps() -> None:
    with ScriptedServer(smtp({"AUTH": ["535 5.7.8 no such account"]})) as server:
        settings = scripted(server, username=USER, password=CANARY, from_address=USER)
        text = technical_details(settings, list(diagnose(settings)), now=NOW)
    lines = text.splitlines()
    assert lines[0].startswith("Test Connection, 2026-11-24 07:00:00 UTC, servicedesk-mail ")
    assert lines[1:9] == [
        "Protocol: SMTP",
        "Host: localhost",
        f"Port: {server.port}",
        "Encryption: no encryption",
        "Own CA file: no",
        "Timeout: 5000 ms",
        "Requires authentication: yes",
        "User name: a***@example.com",
    ]
    stages = [line.split("  ")[0] for line in lines[10:17]]
    assert stages == ["ok", "ok", "ok", "warning", "ok", "failed", "skipped"]
    assert lines[17:] == [
        "",
        "Error: AuthenticationFailed at sign_in: the server answered 535 5.7.8 no such account",
        "SMTP code: 535",
        "The server said: 535 5.7.8 no such account",
    ]


def test_numbers_of_the_system_and_of_openssl(authority: Any) -> None:
    with ScriptedServer(imap(), tls=authority.self_signed.server_context(), implicit=True) as server:
        settings = imap_settings(server.port, tls_mode=TlsMode.IMPLICIT, ca_file=str(authority.ca_file))
        refused = technical_details(settings, list(diagnose(settings)))
    closed = technical_details(settings, list(diagnose(settings)))
    assert "OpenSSL verify code: 18\n" in refused
    assert "Own CA file: yes\n" in refused
    assert "errno: 111\n" in closed


@pytest.mark.parametrize("echo", ECHOES)
def test_a_server_that_repeats_the_password(echo: str) -> None:
    def answer(peer: Peer, command: str) -> None:
        peer.say(f"535 5.7.8 refused: {echo} of {USER}".encode())

    with ScriptedServer(smtp({"AUTH": answer})) as server:
        settings = scripted(server, username=USER, password=CANARY, from_address=USER)
        results = list(diagnose(settings))
        text = technical_details(settings, results)
    shown = text + "".join(f"{r.fact} {r.remedy}" for r in results)
    for secret in (CANARY, PLAIN[:-9], echo, encoded(CANARY.encode())[:16]):
        assert secret not in shown
    assert "535 5.7.8 refused: ***" in text
    assert USER not in text
    assert "a***@example.com" in text


def test_long_words_are_cut() -> None:
    answer = "535 " + "x y " * 500
    with ScriptedServer(smtp({"AUTH": [answer]})) as server:
        settings = scripted(server)
        text = technical_details(settings, list(diagnose(settings)))
    assert max(map(len, text.splitlines())) < 620


def test_ordinary_words_stay() -> None:
    words = "NO [AUTHENTICATIONFAILED] Invalid credentials, SmtpClientAuthentication is disabled (Failure)"
    assert said(words, CANARY, "abc") == words


@pytest.mark.parametrize(
    ("username", "masked"), [("help@example.com", "h***@example.com"), ("help", "h***"), ("", "***")]
)
def test_mask(username: str, masked: str) -> None:
    assert mask(username) == masked
