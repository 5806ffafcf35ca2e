"""Run Alembic without its command line and without an ini file."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError


class UnknownRevision(Exception):
    """The database names a revision none of the migrations has."""


def upgrade(engine: sa.Engine) -> None:
    """Bring the schema to the newest revision, all steps in one transaction. Raises UnknownRevision."""
    with engine.execution_options(servicedesk_writer=True).begin() as connection:
        try:
            command.upgrade(alembic_config(connection), "head")
        except CommandError as error:
            raise UnknownRevision from error


def alembic_config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
