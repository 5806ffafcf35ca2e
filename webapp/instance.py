"""One instance of the product: its settings, its database, its vault, opened together.

The command line, the web pages and the scheduler all start here, so each finds the database up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from webapp.config import Settings, load_settings
from webapp.database import Database
from webapp.vault import Vault, open_vault


@dataclass(slots=True)
class Uptime:
    """Since when this process has been there to poll: opened, the clock set, or the machine woken."""

    since: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Instance:
    settings: Settings
    database: Database
    vault: Vault
    uptime: Uptime = field(default_factory=Uptime)
    at_close: list[Callable[[], None]] = field(default_factory=list)  # what else ends with it

    def close(self) -> None:
        for end in self.at_close:
            end()
        self.database.dispose()


def open_instance(
    settings: Settings | None = None, *, environ: Mapping[str, str] | None = None, **overrides: Any
) -> Instance:
    """Open the instance these settings name and bring its database up to date.

    Raises ConfigError, VaultError or DatabaseError, each with one line for people.
    """
    settings = settings or load_settings(environ, **overrides)
    vault = open_vault(settings.instance, environ)
    database = Database(settings)
    try:
        database.upgrade()
    except BaseException:
        database.dispose()
        raise
    return Instance(settings, database, vault)
