"""Encryption of stored passwords and tokens.

Keys live in `instance/secret.keys` (0600), one Fernet key a line, newest first, or in
SERVICEDESK_SECRET_KEYS (comma-separated), never in the database: a stolen database file alone tells no
password. A new key is put on top; old ones go on decrypting (MultiFernet).
"""

from __future__ import annotations

import binascii
import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

VARIABLE = "SERVICEDESK_SECRET_KEYS"


class VaultError(Exception):
    """The keys are missing or wrong; the message names the file and the way on."""


class Vault:
    """Turns secrets into tokens for the database and back. `source` says where the keys are from."""

    def __init__(self, keys: list[bytes], source: str = "secret.keys") -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self.source = source

    def seal(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode("ascii")

    def unseal(self, token: str) -> str:
        """Raises VaultError when none of the keys made this token."""
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except InvalidToken:
            raise VaultError(
                f"A stored password cannot be decrypted: the keys in {self.source} are not those it was "
                "saved with. Put the right keys back, or enter the password again."
            ) from None


def open_vault(instance: Path, environ: Mapping[str, str] | None = None) -> Vault:
    """The vault of this instance; makes a first key if there has never been one. Raises VaultError."""
    environ = os.environ if environ is None else environ
    if told := environ.get(VARIABLE, "").strip():
        return _vault_of(told.split(","), f"the environment ({VARIABLE})")
    path = instance / "secret.keys"
    return _vault_of(_read_or_create(path, Fernet.generate_key()).split(), str(path))


def load_session_key(instance: Path) -> bytes:
    """The key that signs session cookies; apart from the vault's, so that either can be replaced alone.

    Raises VaultError.
    """
    path = instance / "session.key"
    text = _read_or_create(path, os.urandom(32).hex().encode())
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < 32:
        raise VaultError(f"{path} holds no session key. Delete it: a new one is made, and all sign in again.")
    return key


def _vault_of(keys: list[str], source: str) -> Vault:
    try:
        return Vault([key.strip().encode("ascii") for key in keys if key.strip()], source)
    except (ValueError, binascii.Error):  # their text may hold a part of a key
        raise VaultError(
            f"The keys in {source} cannot be used: each must be 44 characters as `servicedesk` made them. "
            "Put the right keys back."
        ) from None


def _read_or_create(path: Path, content: bytes) -> str:
    try:
        if not path.exists():
            _create_once(path, content + b"\n")
        return path.read_bytes().decode("ascii", errors="replace").strip()
    except OSError as error:
        raise VaultError(f"The key file {path} cannot be read or made: {error.strerror}.") from error


def _create_once(path: Path, content: bytes) -> None:
    """Write a new 0600 file so that two processes starting at once, or a crash, leave one whole file."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # fails if another process was quicker, and never replaces
    finally:
        os.unlink(temporary)
    _keep_name(path.parent)


def _keep_name(folder: Path) -> None:
    """What is sealed with a key is on disk soon after it: the key's name must be there first."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
