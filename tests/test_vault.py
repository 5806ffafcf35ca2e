"""The vault: what is sealed comes back only with the right keys, and the keys are made once."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from webapp.vault import VARIABLE, VaultError, load_session_key, open_vault

RACER = """
import sys, time
from pathlib import Path
from webapp.vault import load_session_key, open_vault
folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(open_vault(folder, {}).seal("secret"), load_session_key(folder).hex(), flush=True)
"""


def key() -> str:
    return Fernet.generate_key().decode()


@pytest.mark.parametrize("secret", ["", "secret", "пароль äöü 🔑", "x" * 5000, " spaces \t"])
def test_a_secret_comes_back_and_is_not_in_its_token(tmp_path: Path, secret: str) -> None:
    vault = open_vault(tmp_path, {})
    token = vault.seal(secret)
    assert vault.unseal(token) == secret
    assert not secret or secret not in token
    assert vault.seal(secret) != token


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    token = open_vault(tmp_path, {}).seal("secret")
    assert stat.S_IMODE((tmp_path / "secret.keys").stat().st_mode) == 0o600
    assert open_vault(tmp_path, {}).unseal(token) == "secret"
    assert load_session_key(tmp_path) == load_session_key(tmp_path)
    assert len(load_session_key(tmp_path)) == 32
    assert stat.S_IMODE((tmp_path / "session.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.keys", "session.key"]


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=30)[0].split() for racer in racers]
    vault = open_vault(tmp_path, {})
    assert [vault.unseal(token) for token, _ in answers] == ["secret"] * 4
    assert len({session_key for _, session_key in answers}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.keys", "session.key"]


def test_a_key_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.keys").write_text(key())
    before = (tmp_path / "secret.keys").read_bytes()
    open_vault(tmp_path, {})
    assert (tmp_path / "secret.keys").read_bytes() == before


@pytest.mark.parametrize("damage", ["lost", "another"])
def test_a_lost_or_wrong_key_is_said_with_the_files_name(tmp_path: Path, damage: str) -> None:
    token = open_vault(tmp_path, {}).seal("secret")
    (tmp_path / "secret.keys").unlink()
    if damage == "another":
        (tmp_path / "secret.keys").write_text(key())
    with pytest.raises(VaultError) as caught:
        open_vault(tmp_path, {}).unseal(token)
    assert str(tmp_path / "secret.keys") in str(caught.value)
    assert "enter the password again" in str(caught.value)


@pytest.mark.parametrize("token", ["", "gAAAAA", "not a token", "пароль"])
def test_what_is_no_token_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(VaultError):
        open_vault(tmp_path, {}).unseal(token)


def test_the_newest_key_seals_and_older_ones_still_unseal(tmp_path: Path) -> None:
    old, new = key(), key()
    (tmp_path / "secret.keys").write_text(f"{old}\n")
    token_of_old = open_vault(tmp_path, {}).seal("secret")
    (tmp_path / "secret.keys").write_text(f"{new}\n{old}\n")
    rotated = open_vault(tmp_path, {})
    assert rotated.unseal(token_of_old) == "secret"
    token_of_new = rotated.seal("secret")
    assert open_vault(tmp_path, {VARIABLE: new}).unseal(token_of_new) == "secret"
    with pytest.raises(VaultError):
        open_vault(tmp_path, {VARIABLE: new}).unseal(token_of_old)


def test_keys_of_the_environment_leave_no_file(tmp_path: Path) -> None:
    first, second = key(), key()
    vault = open_vault(tmp_path, {VARIABLE: f" {first} , {second},"})
    assert open_vault(tmp_path, {VARIABLE: first}).unseal(vault.seal("secret")) == "secret"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["short", "", "\n\n", "ключ", "a" * 44, "\udcff"])
def test_keys_that_are_none_are_refused_without_being_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret.keys").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(VaultError) as caught:
        open_vault(tmp_path, {})
    assert str(tmp_path / "secret.keys") in str(caught.value)
    assert not content.strip() or content not in str(caught.value)


def test_bad_keys_of_the_environment_name_the_variable(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match=VARIABLE):
        open_vault(tmp_path, {VARIABLE: "short"})


@pytest.mark.parametrize("name", ["secret.keys", "session.key"])
def test_a_key_file_that_cannot_be_read_or_made_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(VaultError, match=name):
        open_vault(tmp_path, {}) if name == "secret.keys" else load_session_key(tmp_path)
    with pytest.raises(VaultError, match=r"secret\.keys"):
        open_vault(tmp_path / "missing", {})


@pytest.mark.parametrize("content", ["", "nonsense", "ab" * 8])
def test_a_session_key_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "session.key").write_text(content)
    with pytest.raises(VaultError, match="holds no session key"):
        load_session_key(tmp_path)


def test_key_files_are_made_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        open_vault(tmp_path, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret.keys").stat().st_mode) == 0o600
