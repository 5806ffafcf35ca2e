"""A backup: one SQLite file with everything but the keys, made while the service desk works, and verified.

The same file comes from SQLite and from PostgreSQL, and goes back into either (`webapp.desk.restore`).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from webapp.config import Settings
from webapp.database import HEAD_REVISION, Database
from webapp.desk.database_copy import copy_all
from webapp.models import Base, OutgoingMessage, RawMessage

_PAGES_AT_ONCE = 1000

Tell = Callable[[int, int], None]


class BackupRefused(Exception):
    """Nothing was changed, and no file was left; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a backup was found to hold. `made_at` is UTC, to the minute."""

    path: Path
    octets: int
    made_at: datetime
    revision: str
    rows: dict[str, int]  # table -> rows
    messages: int  # raw messages that were unpacked, received and sent


def make_backup(database: Database, settings: Settings, path: Path, tell: Tell) -> Verified:
    """Write a backup to `path`, which must not be there yet, and verify it by reading all of it again.

    Others read and write meanwhile; the backup is of one moment. Raises BackupRefused, DatabaseError or
    OSError.
    """
    path = path.resolve()
    if path.exists():
        raise BackupRefused(f"{path} is there already. Name a new file.")
    with _temporary(path) as temporary:
        if settings.is_sqlite:
            copy_pages(str(database.engine.url.database), temporary, tell)
        else:
            _copy_rows_out(database, settings, temporary, tell)
        _date(temporary, datetime.now(UTC))
        found = verify(temporary, tell)
        on_disk(temporary)
        os.link(temporary, path)  # never replaces a file that appeared meanwhile
        on_disk(path.parent)
    return replace(found, path=path)


def verify(path: Path, tell: Tell = lambda done, total: None) -> Verified:
    """Read a backup from end to end: sound, of a version we know, every message whole.

    Raises BackupRefused.
    """
    try:
        with contextlib.closing(_open_read_only(path)) as connection:
            return _look_through(path, connection, tell)
    except sqlite3.DatabaseError as error:
        raise BackupRefused(f"{path} is not a sound backup: {error}. Use another one.") from error


def _copy_rows_out(database: Database, settings: Settings, temporary: Path, tell: Tell) -> None:
    target = Database(replace(settings, database_url=f"sqlite:///{temporary}"))
    try:
        target.upgrade()
        with database.reading() as reading, target.writing() as writing:
            copy_all(reading.connection(), writing.connection(), tell)
    finally:
        target.dispose()
    make_one_file(temporary)


def copy_pages(source: str, target: Path, tell: Tell) -> None:
    """SQLite's own online backup: of one moment, begun again by itself where somebody writes meanwhile."""
    with (
        contextlib.closing(sqlite3.connect(f"{Path(source).as_uri()}?mode=ro", uri=True)) as reading,
        contextlib.closing(sqlite3.connect(target)) as writing,
    ):
        reading.execute("BEGIN")  # one moment: else each write of others begins the whole copy anew
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=_PAGES_AT_ONCE, progress=lambda _, left, all_: tell(all_ - left, all_))
        writing.execute("PRAGMA journal_mode=DELETE")  # one file, whatever the original has beside it


def _date(path: Path, now: datetime) -> None:
    """When it was made stands in the file itself, in a number that SQLite keeps for its users: minutes."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={int(now.timestamp()) // 60}")


def make_one_file(path: Path) -> None:
    """Put what SQLite has beside the file into it. Raises sqlite3.Error where somebody else is using it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    if mode != "delete":
        raise sqlite3.OperationalError(f"{path} is in use")


def _look_through(path: Path, connection: sqlite3.Connection, tell: Tell) -> Verified:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "alembic_version" not in names or "ticket" not in names:
        raise BackupRefused(f"{path} is no backup of a service desk.")
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if revision > HEAD_REVISION:
        raise BackupRefused(
            f"{path} was made by a newer version ({revision}) than this program ({HEAD_REVISION}). "
            "Update first."
        )
    (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        raise BackupRefused(f"{path} is damaged: {verdict}. Use another backup.")
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        raise BackupRefused(f"{path} is damaged: some of its rows refer to rows that are missing.")
    tables = sorted(names & set(Base.metadata.tables))
    rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}  # noqa: S608
    messages = _unpack_all(path, connection, names, tell)
    (minutes,) = connection.execute("PRAGMA user_version").fetchone()
    facts = path.stat()
    made_at = datetime.fromtimestamp(minutes * 60 if minutes else facts.st_mtime, UTC)
    return Verified(path, facts.st_size, made_at, revision, rows, messages)


def _unpack_all(path: Path, connection: sqlite3.Connection, names: set[str], tell: Tell) -> int:
    """Each stored message in whole: zlib's own checksum says whether it is what was put in."""
    kept = [table.__tablename__ for table in (RawMessage, OutgoingMessage) if table.__tablename__ in names]
    total = sum(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in kept)  # noqa: S608
    done = 0
    for name in kept:
        for (compressed,) in connection.execute(f"SELECT compressed FROM {name}"):  # noqa: S608
            unpacking = zlib.decompressobj()
            try:
                while compressed:
                    unpacking.decompress(compressed, 1 << 20)
                    compressed = unpacking.unconsumed_tail
            except zlib.error as error:
                raise BackupRefused(f"{path} is damaged: a message in {name} does not open.") from error
            if not unpacking.eof:
                raise BackupRefused(f"{path} is damaged: a message in {name} is cut short.")
            done += 1
            tell(done, total)
    return done


def _open_read_only(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise BackupRefused(f"There is no file {path}.")
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A private file beside `path`, gone at the end with all that SQLite puts beside it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with private_file(temporary):
            yield temporary
    finally:
        for leftover in path.parent.glob(f"{temporary.name}*"):
            leftover.unlink()


@contextlib.contextmanager
def private_file(path: Path) -> Iterator[None]:
    """Made by us, for its owner alone, before SQLite opens it: a backup is all mail there is."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileNotFoundError:
        raise BackupRefused(f"There is no folder {path.parent}.") from None
    yield


def on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
