"""Keys are changed without a moment in which a stored secret cannot be read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.factories import make_instance, set_row
from webapp.config import load_settings
from webapp.desk import mail_servers, options
from webapp.desk.keys import KeysRefused, drop_old_keys, rotate
from webapp.instance import Instance, open_instance
from webapp.models import Base, MailServer, Row
from webapp.vault import VARIABLE, Vault, VaultError, read_keys


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = make_instance(tmp_path)
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test")
    with instance.database.writing() as session:
        options.make_loop_key(session, instance.vault)
    yield instance
    instance.close()


def password(instance: Instance) -> str | None:
    with instance.database.reading() as session:
        stored = mail_servers.load(session, Row.OUTGOING)
        assert stored is not None
        return mail_servers.stored_draft(instance.vault, stored).secret


def sealed(instance: Instance) -> list[str]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(MailServer.password_sealed)))


def test_everything_is_encrypted_anew_and_still_opens(instance: Instance) -> None:
    before = sealed(instance)
    with instance.database.reading() as session:
        loop_key = options.loop_key(session, instance.vault)
    done = rotate(instance)
    assert (done.resealed, done.unreadable) == (2, ())
    assert sealed(instance) != before
    assert password(instance) == "secret-canary"  # the vault that was open before
    with instance.database.reading() as session:
        assert options.loop_key(session, instance.vault) == loop_key
    path = instance.settings.instance / "secret.keys"
    assert len(read_keys(path)) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_newest_key_alone_is_enough_afterwards(instance: Instance) -> None:
    rotate(instance)
    assert drop_old_keys(make_again(instance)) == 1
    assert len(read_keys(instance.settings.instance / "secret.keys")) == 1
    assert password(make_again(instance)) == "secret-canary"


def make_again(instance: Instance) -> Instance:
    again = open_instance(instance.settings, environ={})
    instance.at_close.append(again.close)
    return again


def test_old_keys_stay_while_something_needs_them(instance: Instance) -> None:
    """As after a kill between the new key and the encrypting."""
    path = instance.settings.instance / "secret.keys"
    path.write_bytes(Fernet.generate_key() + b"\n" + path.read_bytes())
    with pytest.raises(KeysRefused, match=r"mail_server\.password_sealed"):
        drop_old_keys(make_again(instance))
    assert len(read_keys(path)) == 2
    assert password(instance) == "secret-canary"
    rotate(make_again(instance))
    assert password(make_again(instance)) == "secret-canary"


def test_what_no_key_opens_is_named_and_left(instance: Instance) -> None:
    with instance.database.writing() as session:
        lost = Vault([Fernet.generate_key()]).seal("lost")
        session.execute(sa.update(MailServer).values(password_sealed=lost))
    done = rotate(instance)
    assert done.unreadable == ("mail_server.password_sealed",)
    assert sealed(instance) == [lost]


def test_keys_from_the_environment_are_used_and_not_changed(tmp_path: Path) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    before = open_instance(load_settings({}, instance=tmp_path), environ={VARIABLE: old})
    set_row(before, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test")
    both = open_instance(before.settings, environ={VARIABLE: f"{new},{old}"})
    assert rotate(both).resealed == 1
    assert not (tmp_path / "secret.keys").exists()
    after = open_instance(before.settings, environ={VARIABLE: new})
    assert password(after) == "secret-canary"
    with pytest.raises(KeysRefused, match=VARIABLE):
        drop_old_keys(after)
    for one in (before, both, after):
        one.close()


def test_a_running_process_finds_the_new_key_by_itself(instance: Instance) -> None:
    """Also where the old one is gone already, as on another machine that was not stopped."""
    running = make_again(instance)
    rotate(instance)
    path = instance.settings.instance / "secret.keys"
    path.write_bytes(read_keys(path)[0] + b"\n")
    assert password(running) == "secret-canary"


def test_a_key_file_that_turned_to_rubbish_is_named(instance: Instance) -> None:
    vault = Vault([Fernet.generate_key()], "x", instance.settings.instance / "secret.keys")
    (instance.settings.instance / "secret.keys").write_text("rubbish")
    with pytest.raises(VaultError, match="cannot be used"):
        vault.unseal(sealed(instance)[0])


def test_every_column_with_a_secret_is_named_so() -> None:
    """`rotate` finds them by their name."""
    found = {
        f"{t.name}.{c.name}" for t in Base.metadata.sorted_tables for c in t.columns if "sealed" in c.name
    }
    assert found >= {"mail_server.password_sealed", "mail_server.client_secret_sealed"}
    assert all(name.endswith("_sealed") for name in found)
