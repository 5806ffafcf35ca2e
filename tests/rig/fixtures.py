"""The rig as pytest fixtures: `pytest_plugins = ["tests.rig.fixtures"]`.

A test that takes a Dovecot fixture carries `pytest.mark.dovecot`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox, DovecotServer
from tests.rig.smtp import SmtpServer

DovecotStarter = Callable[..., DovecotServer]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The private certificate authority of this run."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def start_dovecot(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DovecotStarter]:
    """Start a Dovecot of one's own: `start_dovecot(prefix="INBOX.", separator=".", extra="...")`.

    The same arguments give the same server again.
    """
    running: dict[tuple[tuple[str, str], ...], DovecotServer] = {}

    def start(**options: str) -> DovecotServer:
        key = tuple(sorted(options.items()))
        if key not in running:
            folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
            running[key] = DovecotServer.start(folder, authority.good, authority.ca_file, **options)
        return running[key]

    yield start
    for server in running.values():
        server.ask_to_stop()
    for server in running.values():
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def dovecot(start_dovecot: DovecotStarter) -> DovecotServer:
    """The ordinary Dovecot: no prefix, delimiter "/"."""
    return start_dovecot()


@pytest.fixture
def mailbox(dovecot: DovecotServer) -> DovecotMailbox:
    """A fresh mailbox on the ordinary Dovecot."""
    return dovecot.mailbox()


@pytest.fixture
def start_smtp(authority: Authority) -> Iterator[Callable[..., SmtpServer]]:
    """Start an SMTP server: `start_smtp(tls_mode=TlsMode.IMPLICIT, requires_auth=False)`."""
    running: list[SmtpServer] = []

    def start(**options: Any) -> SmtpServer:
        server = SmtpServer(authority.good.server_context(), str(authority.ca_file), **options)
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def smtp_server(start_smtp: Callable[..., SmtpServer]) -> SmtpServer:
    """An SMTP server with STARTTLS and sign-in."""
    return start_smtp()
