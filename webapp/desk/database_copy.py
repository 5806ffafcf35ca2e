"""The whole database into another one, of either kind: all or nothing, and read back before it counts.

The target gets everything in one transaction; each table's rows are then read back from it, and count and
hash must be those of the source. Only then it is committed: whatever ends this before leaves the target as it
was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from webapp.config import Settings
from webapp.database import Database
from webapp.models import Base

BATCH_ROWS = 500
# A message is up to 150 MB: those tables go row by row.
_LARGE = frozenset({"raw_message", "outgoing_message", "invoice_file"})


class CopyRefused(Exception):
    """Nothing was copied; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Copied:
    """One table, as it was found on both sides."""

    table: str
    rows: int
    digest: str


def copy_to_postgres(
    source: Database, settings: Settings, url: str, tell: Callable[[int, int], None]
) -> list[Copied]:
    """Copy all that `source` holds to the empty PostgreSQL database at `url`, whose schema is made.

    While it runs nobody else writes to the source: its write lock is held. `tell(done, total)` counts rows,
    each once written and once read back. Raises CopyRefused, DatabaseError, or what the databases raise; the
    target is unchanged then, except that its schema may have been made.
    """
    if make_url(url).get_backend_name() != "postgresql":
        raise CopyRefused(
            "The target has to be PostgreSQL: postgresql+psycopg://USER:PASSWORD@HOST/DATABASE."
        )
    target = Database(replace(settings, database_url=url))
    try:
        target.upgrade()
        with source.writing() as reading, target.writing() as writing:
            return copy_all(reading.connection(), writing.connection(), tell)
    finally:
        target.dispose()


def copy_all(source: sa.Connection, target: sa.Connection, tell: Callable[[int, int], None]) -> list[Copied]:
    """All rows of all tables, in the callers' transactions, to a target with the same schema and no row.

    Raises CopyRefused, whereupon the caller rolls the target back.
    """
    tables = Base.metadata.sorted_tables
    for table in tables:
        if target.scalar(sa.select(sa.exists().select_from(table))):
            raise CopyRefused(
                f"The target is not empty: its table {table.name} has rows. Name a new database."
            )
    counts = {
        table.name: source.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables
    }
    total, done = 2 * sum(counts.values()), 0

    def step(rows: int) -> None:
        nonlocal done
        done += rows
        tell(done, total)

    late = {table.name: _late_columns(table, tables[:position]) for position, table in enumerate(tables)}
    digests = {table.name: _copy_table(source, target, table, late[table.name], step) for table in tables}
    for table in tables:
        if late[table.name]:
            _write_late(source, target, table, late[table.name])
    copied = [_verify(target, table, counts[table.name], digests[table.name], step) for table in tables]
    for table in tables:
        _go_on_counting(source, target, table)
    return copied


def _late_columns(table: sa.Table, earlier: Sequence[sa.Table]) -> list[sa.Column[Any]]:
    """What refers to a row that may not be there yet: to the table itself, or to one that comes later."""
    return [
        column
        for column in table.columns
        if any(key.column.table not in earlier for key in column.foreign_keys)
    ]


def _copy_table(
    source: sa.Connection,
    target: sa.Connection,
    table: sa.Table,
    late: Sequence[sa.Column[Any]],
    step: Callable[[int], None],
) -> int:
    digest = 0
    for batch in _batches(source, table):
        digest = _add_all(digest, table, batch)
        blank = {column.name: None for column in late}
        target.execute(sa.insert(table), [{**row, **blank} for row in batch])
        step(len(batch))
    return digest


def _write_late(
    source: sa.Connection, target: sa.Connection, table: sa.Table, late: Sequence[sa.Column[Any]]
) -> None:
    keys = list(table.primary_key.columns)
    wanted = sa.or_(*(column.is_not(None) for column in late))
    statement = (
        sa.update(table)
        .where(*(column == sa.bindparam(f"key_{column.name}") for column in keys))
        .values({column.name: sa.bindparam(f"new_{column.name}") for column in late})
    )
    for row in source.execute(sa.select(*keys, *late).where(wanted)).mappings():
        values = {f"key_{column.name}": row[column] for column in keys}
        target.execute(statement, values | {f"new_{column.name}": row[column] for column in late})


def _verify(
    target: sa.Connection, table: sa.Table, rows: int, digest: int, step: Callable[[int], None]
) -> Copied:
    found_rows = found = 0
    for batch in _batches(target, table):
        found = _add_all(found, table, batch)
        found_rows += len(batch)
        step(len(batch))
    if (found_rows, found) != (rows, digest):
        raise CopyRefused(
            f"The copy of table {table.name} differs from the original ({found_rows} of {rows} rows). "
            "Nothing was kept of it; please report this."
        )
    return Copied(table.name, rows, f"{digest:064x}")


def _batches(connection: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    size = 1 if table.name in _LARGE else BATCH_ROWS
    query = sa.select(table).order_by(*table.primary_key.columns).execution_options(yield_per=size)
    rows = (row._asdict() for row in connection.execute(query))
    while batch := list(islice(rows, size)):
        yield batch


def _add_all(digest: int, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """A sum over the rows, so that the order in which a database sorts text does not matter."""
    for row in rows:
        made = hashlib.sha256()
        for column in table.columns:
            made.update(_octets(row[column.name]) + b"\x1f")
        digest = (digest + int.from_bytes(made.digest(), "big")) % (1 << 256)
    return digest


def _octets(value: Any) -> bytes:
    if isinstance(value, bytes):
        return hashlib.sha256(value).digest()
    if isinstance(value, str):  # a NUL is what PostgreSQL's text cannot hold (webapp.database)
        return b"s" + value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "surrogatepass")
    if isinstance(value, dict | list):
        return b"j" + json.dumps(value, sort_keys=True).encode()
    return f"{type(value).__name__} {value}".encode()


def _go_on_counting(source: sa.Connection, target: sa.Connection, table: sa.Table) -> None:
    """The next number is one that was never given, not even to a row that was deleted since."""
    column = table.autoincrement_column
    if column is not None and (highest := highest_given(source, table, column)):
        count_from(target, table, column, highest)


def highest_given(connection: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> int:
    """The highest number this column was ever given, as far as the database remembers."""
    highest = connection.scalar(sa.select(sa.func.max(column))) or 0
    if connection.dialect.name == "postgresql":
        if name := connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, column.name))):
            given = sa.text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}")  # noqa: S608
            highest = max(highest, connection.scalar(given) or 0)
    elif table.dialect_options["sqlite"]["autoincrement"]:
        highest = max(highest, connection.scalar(_SQLITE_GIVEN, {"name": table.name}) or 0)
    return highest


def count_from(connection: sa.Connection, table: sa.Table, column: sa.Column[Any], highest: int) -> None:
    """The next number given is higher than this. Without effect where SQLite counts from the rows."""
    if connection.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(sa.select(sa.func.setval(sequence, highest)))
    elif table.dialect_options["sqlite"]["autoincrement"]:
        values = {"name": table.name, "seq": highest}
        if not connection.execute(
            sa.text("UPDATE sqlite_sequence SET seq = :seq WHERE name = :name"), values
        ).rowcount:
            connection.execute(
                sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), values
            )


_SQLITE_GIVEN = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
