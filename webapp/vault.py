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
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

VARIABLE = "SERVICEDESK_SECRET_KEYS"


class VaultError(Exception):
    """The keys are missing or wrong; the message names the file and the way on."""


class Vault:
    """Turns secrets into tokens for the database and back. `source` says where the keys are from.

    `path` is their file, where they are in one: it is read again when a token does not open, as another
    process may have put a new key there since.
    """

    def __init__(self, keys: list[bytes], source: str = "secret.keys", path: Path | None = None) -> None:
        self._keys = keys
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self.source, self.path = source, path

    def seal(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode("ascii")

    def unseal(self, token: str) -> str:
        """Raises VaultError when none of the keys made this token."""
        return self._opened(token, lambda fernet: fernet.decrypt(token.encode())).decode()

    def reseal(self, token: str) -> str:
        """The same secret under the newest key. Raises VaultError as `unseal` does."""
        return self._opened(token, lambda fernet: fernet.rotate(token.encode())).decode("ascii")

    def _opened(self, token: str, open_with: Callable[[MultiFernet], bytes]) -> bytes:
        try:
            return open_with(self._fernet)
        except InvalidToken:
            if self._read_again():
                return self._opened(token, open_with)
            raise VaultError(
                f"A stored password cannot be decrypted: the keys in {self.source} are not those it was "
                "saved with. Put the right keys back, or enter the password again."
            ) from None

    def alone_with_newest(self) -> Vault:
        """What is left when the old keys are taken away."""
        return Vault(self._keys[:1], self.source)

    def _read_again(self) -> bool:
        """Whether there are other keys now than those in use."""
        if self.path is None:
            return False
        fresh = read_keys(self.path)
        if fresh == self._keys:
            return False
        self._keys, self._fernet = fresh, MultiFernet([Fernet(key) for key in fresh])
        return True


def open_vault(instance: Path, environ: Mapping[str, str] | None = None) -> Vault:
    """The vault of this instance; makes a first key if there has never been one. Raises VaultError."""
    environ = os.environ if environ is None else environ
    if told := environ.get(VARIABLE, "").strip():
        source = f"the environment ({VARIABLE})"
        return Vault(_keys_of(told.split(","), source), source)
    path = instance / "secret.keys"
    _read_or_create(path, Fernet.generate_key())
    return Vault(read_keys(path), str(path), path)


def read_keys(path: Path) -> list[bytes]:
    """The keys in a file, newest first. Raises VaultError."""
    return _keys_of(_read(path).split(), str(path))


def write_keys(path: Path, keys: list[bytes]) -> None:
    """Put these keys in the file's place, whole or not at all. Raises OSError."""
    temporary = _write_temporary(path, b"\n".join(keys) + b"\n")
    os.replace(temporary, path)
    _keep_name(path.parent)


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


def _keys_of(texts: list[str], source: str) -> list[bytes]:
    try:
        keys = [text.strip().encode("ascii") for text in texts if text.strip()]
        MultiFernet([Fernet(key) for key in keys])
        return keys
    except (ValueError, binascii.Error):  # their text may hold a part of a key
        raise VaultError(
            f"The keys in {source} cannot be used: each must be 44 characters as `servicedesk` made them. "
            "Put the right keys back."
        ) from None


def _read_or_create(path: Path, content: bytes) -> str:
    try:
        if not path.exists():
            _create_once(path, content + b"\n")
    except OSError as error:
        raise VaultError(f"The key file {path} cannot be made: {error.strerror}.") from error
    return _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii", errors="replace").strip()
    except OSError as error:
        raise VaultError(f"The key file {path} cannot be read: {error.strerror}.") from error


def _create_once(path: Path, content: bytes) -> None:
    """Write a new 0600 file so that two processes starting at once, or a crash, leave one whole file."""
    temporary = _write_temporary(path, content)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # fails if another process was quicker, and never replaces
    finally:
        os.unlink(temporary)
    _keep_name(path.parent)


def _write_temporary(path: Path, content: bytes) -> str:
    """A 0600 file beside `path`, on disk; its name."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def _keep_name(folder: Path) -> None:
    """What is sealed with a key is on disk soon after it: the key's name must be there first."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
