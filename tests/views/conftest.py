"""An instance, its application, and three people: Alice (administrator), Bob (technician), Vera (viewer)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import argon2
import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache

from tests.rig.postgres import copy_database
from tests.views.browser import PASSWORD, PEOPLE, Browser
from webapp.app import create_app
from webapp.config import Settings, load_settings
from webapp.desk import accounts
from webapp.instance import Instance, open_instance
from webapp.models import Account


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an instance with nothing in it: copied, as migrating takes a while."""
    folder = tmp_path_factory.mktemp("empty")
    open_instance(load_settings({}, instance=folder)).close()
    return folder


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path) -> Settings:
    copy_database(empty_database, tmp_path)
    return load_settings({}, instance=tmp_path)


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_hasher", argon2.PasswordHasher(1, 8, 1))


@pytest.fixture
def app(settings: Settings, compiled_templates: FileSystemBytecodeCache) -> Iterator[Flask]:
    app = create_app(settings)
    app.jinja_env.bytecode_cache = compiled_templates
    app.test_client_class = Browser
    yield app
    app.extensions["instance"].close()


@pytest.fixture
def instance(app: Flask) -> Instance:
    found: Instance = app.extensions["instance"]
    return found


@pytest.fixture
def people(instance: Instance) -> dict[str, Account]:
    now = datetime.now(UTC)
    with instance.database.writing() as session:
        return {
            key: accounts.create_account(
                session, email=email, name=name, password=PASSWORD, role=role, now=now, actor="test"
            )
            for key, (email, name, role) in PEOPLE.items()
        }


@pytest.fixture
def anonymous(app: Flask) -> Browser:
    """Nobody signed in; no account exists unless the test asks for `people`."""
    client = app.test_client()
    assert isinstance(client, Browser)
    return client


@pytest.fixture
def signed_in(app: Flask, people: dict[str, Account]) -> Callable[[str], Browser]:
    """A browser of its own for one of the people."""

    def sign_in(person: str) -> Browser:
        client = app.test_client()
        assert isinstance(client, Browser)
        assert client.sign_in(person).status_code == 303
        return client

    return sign_in


@pytest.fixture
def alice(signed_in: Callable[[str], Browser]) -> Browser:
    return signed_in("alice")


@pytest.fixture
def bob(signed_in: Callable[[str], Browser]) -> Browser:
    return signed_in("bob")


@pytest.fixture
def vera(signed_in: Callable[[str], Browser]) -> Browser:
    return signed_in("vera")
