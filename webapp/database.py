"""The database: one engine a process, and two ways in.

`reading()` gives a session that cannot write (a deferred transaction: pages stay quick while the parser
writes; the database itself refuses). `writing()` gives a session whose transaction takes the write lock
at once and commits at the end. SQLite refuses a transaction that read first and then writes ("database is
locked", at once, whatever busy_timeout says), so a writer begins with BEGIN IMMEDIATE.

On PostgreSQL both keep the same promises: a reader sees one moment (REPEATABLE READ, READ ONLY), and writers
come one after the other, on all machines, by an advisory lock. What was looked at and then changed in one
`writing()` was changed by nobody else in between; every check before an insert in this program rests on that.
`writing_beside()` is for steps that need no such promise, as each is one conditional UPDATE: delivering.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

from webapp.config import Settings

BUSY_TIMEOUT_MS = 30_000
# Advisory locks of PostgreSQL count per database; the first number says what the second is about.
WRITER_LOCK = (0x5D00, 0)
MAILBOX_LOCK = 0x5D01  # second: the mailbox's id
# A lock that is not had in this time is a failure as on SQLite, and no transaction of a program that hangs
# keeps the others waiting for ever.
POSTGRES_OPTIONS = (
    f"-c lock_timeout={BUSY_TIMEOUT_MS} -c idle_in_transaction_session_timeout={10 * BUSY_TIMEOUT_MS}"
)
HEAD_REVISION = "0004"


class DatabaseError(Exception):
    """The database cannot be used; the message says why and what to do."""


@compiles(sa.String, "postgresql")
def _text_of_any_length(_type: sa.String, _compiler: Any, **_: Any) -> str:
    """A limit that SQLite does not keep either, and that a message must not be refused for."""
    return "TEXT"


class ReadOnlySession(Session):
    """A session for pages: anything that would write is a mistake in our code."""

    def _refuse(self, *_: Any) -> None:
        if self.new or self.dirty or self.deleted:
            raise AssertionError("a reading session was asked to write")


event.listen(ReadOnlySession, "before_flush", ReadOnlySession._refuse)


class Database:
    """Engine and sessions of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.engine = _make_engine(settings)
        snapshot = {} if settings.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._read_engine = self.engine.execution_options(
            servicedesk_reader=True, postgresql_readonly=True, **snapshot
        )
        self._write_engine = self.engine.execution_options(servicedesk_writer=True)
        self._beside_engine = self.engine.execution_options(servicedesk_writer=settings.is_sqlite)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with ReadOnlySession(self._read_engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Commits when the block ends, rolls back when it raises."""
        with Session(self._write_engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def writing_beside(self) -> Iterator[Session]:
        """As `writing`, but on PostgreSQL others write at the same time: every step has to be conditional."""
        with Session(self._beside_engine, expire_on_commit=False) as session, session.begin():
            yield session

    def current_revision(self) -> str | None:
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return revision

    def upgrade(self) -> None:
        """Bring the schema up to date; two processes starting at once do it once.

        Alembic is imported only when there is work: it is slow to load and stays in memory.
        Raises DatabaseError.
        """
        try:
            with (self._settings.instance / "upgrade.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._upgrade_alone()
        except sa.exc.DBAPIError as error:
            raise DatabaseError(f"{self._place()} cannot be used: {_first_line(error.orig)}.") from error
        except OSError as error:
            raise DatabaseError(f"{self._place()} cannot be used: {error.strerror or error}.") from error

    def _upgrade_alone(self) -> None:
        self._create_private_file()
        current = self.current_revision()
        if current == HEAD_REVISION:
            return
        if current is not None and current > HEAD_REVISION:
            raise DatabaseError(
                f"The database is of a newer version ({current}) than this program ({HEAD_REVISION}). "
                "Start the newer program again, or restore the backup made before its first start."
            )
        from webapp.migrations.run import UnknownRevision, upgrade

        try:
            upgrade(self.engine)
        except UnknownRevision as error:
            raise DatabaseError(
                f"The database is of a version this program does not know ({current}). "
                "Is it another program's? Restore a backup, or name the right database."
            ) from error

    def _create_private_file(self) -> None:
        """SQLite would make a file that others may read; its WAL takes the mode over from it."""
        path = self.engine.url.database
        if self._settings.is_sqlite and path and not os.path.exists(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))

    def _place(self) -> str:
        """The database for people, without its password."""
        url = self.engine.url
        return f"The database {url.database if self._settings.is_sqlite else url.render_as_string()}"

    def dispose(self) -> None:
        self.engine.dispose()


def _make_engine(settings: Settings) -> sa.Engine:
    """What is stored is people's mail: no error says with which values a statement failed."""
    url = make_url(settings.database_url)
    if not settings.is_sqlite:
        try:
            engine = sa.create_engine(
                url,
                pool_pre_ping=True,
                pool_size=settings.threads + 4,
                hide_parameters=True,
                connect_args={"application_name": "servicedesk", "options": POSTGRES_OPTIONS},
            )
        except ModuleNotFoundError as error:
            raise DatabaseError(
                f"PostgreSQL needs the module {error.name}: pip install 'servicedesk-mail[postgres]'."
            ) from error
        event.listen(engine, "connect", _prepare_postgres)
        event.listen(engine, "begin", _begin_postgres)
        return engine
    engine = sa.create_engine(
        url,
        pool_size=settings.threads + 4,
        max_overflow=8,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is not ours; see _begin_sqlite
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    reader, writer = options.get("servicedesk_reader"), options.get("servicedesk_writer")
    driver: Any = connection.connection.driver_connection  # a tenth of what SQLAlchemy's way costs
    driver.execute(f"PRAGMA query_only={'ON' if reader else 'OFF'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


def _prepare_postgres(connection: Any, _record: Any) -> None:
    """Mail has NUL characters in it at times, which PostgreSQL's text has not: they are shown as U+FFFD."""
    from psycopg.types.string import StrDumper

    class WithoutNul(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    connection.adapters.register_dumper(str, WithoutNul)


def _begin_postgres(connection: sa.Connection) -> None:
    """A writer waits for its turn; the lock ends with the transaction, however that ends."""
    if connection.get_execution_options().get("servicedesk_writer"):
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, %s)", WRITER_LOCK)


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")
