"""Where the demonstration lives: `<instance>/demo`, with settings, keys and database of its own.

Of the environment only what says where the pages are is heard: a database address or a key meant for the
real service desk must not reach this one.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from webapp.config import CHECKOUT, ConfigError, Settings, load_settings

POLL_SECONDS = 5
SIGN_IN_FILE, CA_FILE, LOCK_FILE = "sign-in.json", "certificates.pem", "demo.lock"

_HEARD = ("HOST", "PORT", "TRUSTED_HOSTS", "LOG_LEVEL", "THREADS")
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read as another


class DemoError(Exception):
    """The demonstration cannot be started; the message is one line for people."""


def make_folder(environ: Mapping[str, str]) -> Path:
    """The demonstration's folder, made if it is missing. Raises ConfigError."""
    base = Path(environ.get("SERVICEDESK_INSTANCE") or CHECKOUT / "instance").expanduser().resolve()
    folder = base if (base / SIGN_IN_FILE).exists() else base / "demo"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One demonstration at a time: a second one would lead the first one's rows to its own servers."""
    with (folder / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DemoError(f"The demonstration in {folder} is already running.") from error
        yield


def load_demo_settings(folder: Path, environ: Mapping[str, str], told: Mapping[str, Any]) -> Settings:
    """The settings of this demonstration; `told` are the command line's. Raises ConfigError.

    They stand in `servicedesk.toml` too, so that other commands find them when SERVICEDESK_INSTANCE names
    this folder.
    """
    ca_file = folder / CA_FILE
    lines = [
        "# Written anew at each start of the demonstration.",
        f"poll_interval = {POLL_SECONDS}",
        f"mail_ca_file = {json.dumps(str(ca_file))}",  # TOML reads JSON's strings
    ]
    (folder / "servicedesk.toml").write_text("\n".join([*lines, ""]), encoding="utf-8")
    heard = {f"SERVICEDESK_{name}": environ.get(f"SERVICEDESK_{name}", "") for name in _HEARD}
    return load_settings(heard, instance=folder, **told)


def load_passwords(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """A random password for each name, made once and kept (0600): a restart prints the same."""
    path = folder / SIGN_IN_FILE
    kept: dict[str, str] = {}
    with suppress(FileNotFoundError, ValueError):
        kept = {str(name): str(word) for name, word in json.loads(path.read_text("utf-8")).items()}
    passwords = {name: kept.get(name) or _make_password() for name in names}
    if passwords != kept:
        _write_private(path, json.dumps(passwords, indent=2) + "\n")
    return passwords


def _make_password() -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def _write_private(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
