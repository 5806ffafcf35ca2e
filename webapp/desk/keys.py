"""New keys for what is stored encrypted, without a moment in which something cannot be read.

The new key goes on top of the file first, the old ones stay: from then on both old and new tokens open, in
every process (the vault reads the file again when a token does not open). Then everything is encrypted anew
in one transaction. Old keys are taken away in a step of their own, when nobody runs who could still use them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy.orm import Session

from webapp.desk import options
from webapp.instance import Instance
from webapp.models import Base, Setting
from webapp.vault import VARIABLE, VaultError, open_vault, read_keys, write_keys

ENVIRONMENT_SENTENCE = (
    f"The keys are in the environment ({VARIABLE}). Put a new key in front of the others there, restart "
    "everything, and run this again: it encrypts what is stored with the key in front."
)


class KeysRefused(Exception):
    """Nothing was changed; the message is for people."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was encrypted anew, and what no key opens (a password that has to be entered again)."""

    resealed: int
    unreadable: tuple[str, ...]  # table.column, or the setting's name


def rotate(instance: Instance) -> Rotated:
    """Put a new key on top of the key file and encrypt everything with it. Raises VaultError, OSError.

    Ended in the middle it is simply run again. Keys from the environment are not changed here: everything is
    encrypted with the first of them.
    """
    path = instance.vault.path
    if path is not None:
        write_keys(path, [Fernet.generate_key(), *read_keys(path)])
    vault = open_vault(instance.settings.instance) if path is not None else instance.vault
    with instance.database.writing() as session:
        return _walk(session, vault.reseal)


def drop_old_keys(instance: Instance) -> int:
    """Keep the newest key only, if it opens everything there is; how many were dropped.

    The caller makes sure that nobody else runs. Raises KeysRefused, VaultError, OSError.
    """
    path = instance.vault.path
    if path is None:
        raise KeysRefused(ENVIRONMENT_SENTENCE)
    keys = read_keys(path)
    newest = instance.vault.alone_with_newest()
    with instance.database.writing() as session:
        found = _walk(session, lambda token: (newest.unseal(token), token)[1])
    if found.unreadable:
        raise KeysRefused(
            f"The newest key does not open {', '.join(found.unreadable)}. Run `servicedesk keys rotate` "
            "first, or enter those passwords again; no key was dropped."
        )
    write_keys(path, keys[:1])
    return len(keys) - 1


def _walk(session: Session, treat: Callable[[str], str]) -> Rotated:
    """Every token in the database through `treat`; one that no key opens stays as it is."""
    done, unreadable = 0, []
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if not column.name.endswith("_sealed"):
                continue
            keys = list(table.primary_key.columns)
            for row in session.execute(
                sa.select(*keys, column).where(column.is_not(None), column != "")
            ).all():
                token = row[-1]
                try:
                    made = treat(token)
                except VaultError:
                    unreadable.append(f"{table.name}.{column.name}")
                    continue
                here = [key == value for key, value in zip(keys, row, strict=False)]
                session.execute(sa.update(table).where(*here).values({column.name: made}))
                done += 1
    for setting in session.scalars(sa.select(Setting).where(Setting.name.in_(options.SEALED))):
        try:
            setting.value = treat(setting.value)
            done += 1
        except VaultError:
            unreadable.append(setting.name)
    return Rotated(done, tuple(sorted(set(unreadable))))
