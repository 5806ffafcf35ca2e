"""The rig as pytest fixtures: `pytest_plugins = ["tests.rig.fixtures"]`.

A test that takes a Dovecot fixture carries `pytest.mark.dovecot`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox, DovecotServer
from tests.rig.ews_server import EwsServer
from tests.rig.graph_server import GraphServer
from tests.rig.microsoft_sign_in import IdentityProvider
from tests.rig.postgres import PostgresServer, give_databases
from tests.rig.smtp import SmtpServer

ON_POSTGRES = os.environ.get("SERVICEDESK_TEST_DATABASE") == "postgresql"
DovecotStarter = Callable[..., DovecotServer]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; a test that takes it carries `pytest.mark.postgres`."""
    server = PostgresServer.start()
    yield server
    server.stop()


def pytest_configure(config: pytest.Config) -> None:
    """A thread that a test left behind gives its connection back after the pool was closed."""
    if ON_POSTGRES:
        forgotten = "Exception ignored in. <function BaseConnection.__del__"
        config.addinivalue_line(
            "filterwarnings", f"ignore:{forgotten}:pytest.PytestUnraisableExceptionWarning"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """SQLite's own file is no matter of PostgreSQL; schemas are needed to check against them."""
    unwanted = {"sqlite"} if ON_POSTGRES else set()
    if not os.environ.get("SERVICEDESK_TEST_SCHEMAS"):
        unwanted.add("schemas")
    left_out = [item for item in items if any(map(item.get_closest_marker, unwanted))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session", autouse=True)
def database_of_every_instance(request: pytest.FixtureRequest) -> Iterator[None]:
    """SQLite, or PostgreSQL for the whole run where SERVICEDESK_TEST_DATABASE says so."""
    if not ON_POSTGRES:
        yield
        return
    with give_databases(request.getfixturevalue("postgres")):
        yield


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


@pytest.fixture
def start_ews(authority: Authority) -> Iterator[Callable[..., EwsServer]]:
    """Start a stand-in for an Exchange: `start_ews(offers=("Basic",), certificate=authority.expired)`."""
    running: list[EwsServer] = []

    def start(**options: Any) -> EwsServer:
        certificate = options.pop("certificate", authority.good)
        server = EwsServer(certificate, authority.ca_file, **options)
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.stop()
    assert [violation for server in running for violation in server.violations] == []


@pytest.fixture
def ews_server(start_ews: Callable[..., EwsServer]) -> EwsServer:
    """A stand-in for an Exchange with the mailbox help@example.com of EXAMPLE\\help."""
    server = start_ews()
    server.add_mailbox("help@example.com", aliases=("support@example.com",))
    return server


@pytest.fixture
def graph_server(authority: Authority) -> Iterator[GraphServer]:
    """A stand-in for Microsoft Graph with the account desk@example.com."""
    server = GraphServer(authority.good.server_context(), str(authority.ca_file))
    server.add_user("desk@example.com", aliases=("help@example.com",))
    server.start()
    yield server
    server.stop()
    assert server.schema_errors == []


@pytest.fixture(scope="session")
def running_identity_provider(authority: Authority) -> Iterator[IdentityProvider]:
    provider = IdentityProvider.start(authority.good, authority.ca_file)
    yield provider
    provider.stop()


@pytest.fixture
def identity_provider(running_identity_provider: IdentityProvider) -> IdentityProvider:
    """A stand-in for Microsoft's sign-in, with nothing wrong. Such a test is marked `identity_provider`."""
    running_identity_provider.restore()
    return running_identity_provider
