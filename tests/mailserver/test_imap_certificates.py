"""Certificates that must be refused, on a real Dovecot: named in words, and nothing of a password sent."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotServer
from webapp.mailserver.base import TlsMode
from webapp.mailserver.diagnosis import StageState, diagnose
from webapp.mailserver.errors import CertificateRefused, Stage

SENTENCES = {
    "self_signed": "The server's certificate is self-signed",
    "expired": "The certificate expired on",
    "other_name": "The certificate belongs to",
}


@pytest.mark.dovecot
@pytest.mark.parametrize("tls_mode", [TlsMode.IMPLICIT, TlsMode.STARTTLS])
@pytest.mark.parametrize("kind", SENTENCES)
def test_a_certificate_that_proves_nothing_is_refused(
    authority: Authority, kind: str, tls_mode: TlsMode
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    server = DovecotServer.start(folder, getattr(authority, kind), authority.ca_file)
    try:
        settings = dataclasses.replace(server.mailbox().settings(tls_mode), host="localhost")
        results = list(diagnose(settings))
        failed = next(result for result in results if result.state is StageState.FAILED)
        assert failed.stage is Stage.TLS
        assert isinstance(failed.error, CertificateRefused)
        assert failed.remedy is not None
        assert failed.remedy.sentence.startswith(SENTENCES[kind])
        assert "Login: user=" not in server.log()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.dovecot
def test_a_sign_in_would_be_in_the_log(authority: Authority) -> None:
    """What the tests above do not find there is there when somebody signs in."""
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    server = DovecotServer.start(folder, authority.good, authority.ca_file)
    try:
        results = list(diagnose(server.mailbox().settings(TlsMode.IMPLICIT)))
        assert all(result.state is StageState.OK for result in results)
        assert "Login: user=" in server.log()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
