"""The database: pragmas really set, writers wait, readers cannot write, and a crash leaves nothing."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.factories import make_instance
from webapp.config import load_settings
from webapp.database import HEAD_REVISION, Database, DatabaseError
from webapp.desk import audit
from webapp.models import Audit, Company
from webapp.vault import Vault

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from datetime import UTC, datetime
from webapp.config import load_settings
from webapp.database import Database
from webapp.models import Company
database = Database(load_settings({}, instance=sys.argv[1]))
with database.writing() as session:
    for number in range(2000):
        session.add(Company(name=f"c{number}", name_key=f"c{number}", created_at=datetime.now(UTC)))
    session.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
UPGRADE = """
import sys
from webapp.config import load_settings
from webapp.database import Database
print("ready", flush=True)
sys.stdin.readline()
database = Database(load_settings({}, instance=sys.argv[1]))
database.upgrade()
print(database.current_revision())
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    instance = make_instance(tmp_path)
    yield instance.database
    instance.close()


def company(name: str) -> Company:
    return Company(name=name, name_key=name.casefold(), created_at=NOW)


def names(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(sa.select(Company.name).order_by(Company.id)))


@pytest.mark.parametrize("way", ["reading", "writing"])
@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)],
)
@pytest.mark.sqlite
def test_the_pragmas_hold_in_every_session(database: Database, way: str, pragma: str, value: Any) -> None:
    with getattr(database, way)() as session:
        assert session.scalar(sa.text(f"PRAGMA {pragma}")) == value


def test_a_foreign_key_is_enforced(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.writing() as session:
        session.execute(sa.text("INSERT INTO user_address VALUES (1, 99, 0, 'a@b', 'a@b')"))


@pytest.mark.sqlite
def test_the_file_is_its_owners_alone(tmp_path: Path, database: Database) -> None:
    with database.writing() as session:
        session.add(company("Acme"))
        files = [path for path in tmp_path.iterdir() if path.name.startswith("servicedesk.db")]
        assert len(files) == 3  # with WAL and shared memory
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_writer_commits_at_the_end(database: Database) -> None:
    with database.writing() as session:
        session.add(company("Acme"))
    assert names(database) == ["Acme"]


def test_a_writer_that_fails_leaves_nothing(database: Database) -> None:
    with suppress(ZeroDivisionError), database.writing() as session:
        session.add(company("Acme"))
        session.flush()
        _ = 1 / 0
    assert names(database) == []


@pytest.mark.sqlite
def test_a_writer_takes_the_lock_before_its_first_statement(database: Database) -> None:
    with database.writing() as session:
        session.connection()
        with database.engine.connect() as other:
            other.exec_driver_sql("PRAGMA busy_timeout=0")
            with pytest.raises(sa.exc.OperationalError, match="locked"):
                other.exec_driver_sql("INSERT INTO company VALUES (1, 'a', 'a', '2026-01-01')")


def test_a_second_writer_waits_and_sees_what_the_first_wrote(database: Database) -> None:
    began = threading.Event()
    seen: list[str] = []

    def second() -> None:
        began.set()
        with database.writing() as session:
            seen.extend(session.scalars(sa.select(Company.name)))
            session.add(company("Binder"))

    with database.writing() as session:
        session.add(company("Acme"))
        session.flush()
        thread = threading.Thread(target=second)
        thread.start()
        assert began.wait(10)
        thread.join(0.2)
        assert thread.is_alive()  # it waits for us, neither fails nor goes ahead
    thread.join(20)
    assert seen == ["Acme"]
    assert names(database) == ["Acme", "Binder"]


def test_readers_go_on_while_somebody_writes(database: Database) -> None:
    with database.writing() as session:
        session.add(company("Acme"))
        session.flush()
        assert names(database) == []


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.reading() as session:
        query = sa.select(sa.func.count()).select_from(Company)
        assert session.scalar(query) == 0
        with database.writing() as other:
            other.add(company("Acme"))
        assert session.scalar(query) == 0


@pytest.mark.sqlite
def test_a_reading_session_refuses_objects_and_statements(database: Database) -> None:
    with database.reading() as session:
        session.add(company("Acme"))
        with pytest.raises(AssertionError, match="asked to write"):
            session.flush()
    for statement in (sa.insert(Company).values(name="a", name_key="a", created_at=NOW), sa.delete(Company)):
        with database.reading() as session, pytest.raises(sa.exc.OperationalError, match="readonly"):
            session.execute(statement)
    with database.writing() as session:  # the same connection again
        session.add(company("Binder"))
    assert names(database) == ["Binder"]


def test_a_process_killed_in_a_transaction_leaves_nothing(tmp_path: Path, database: Database) -> None:
    killed = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert names(database) == []
    if database.engine.dialect.name == "sqlite":
        with database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    with database.writing() as session:
        session.add(company("Acme"))
    assert names(database) == ["Acme"]


def test_processes_that_start_at_once_make_one_schema(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADE, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    answers = [process.communicate("\n", timeout=60) for process in processes]
    assert answers == [(f"{HEAD_REVISION}\n", "")] * 3


def test_a_second_upgrade_does_not_load_alembic(tmp_path: Path, database: Database) -> None:
    program = UPGRADE + "\nassert 'alembic' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], input="\n", text=True, check=False, timeout=60
    )
    assert done.returncode == 0


@pytest.mark.sqlite
def test_an_upgrade_that_is_cut_short_starts_again_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(load_settings({}, instance=tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_index", fail)
        patch.setattr("alembic.operations.base.BatchOperations.create_index", fail)
        with pytest.raises(KeyboardInterrupt):
            database.upgrade()
    assert database.current_revision() is None
    with database.engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    database.upgrade()
    assert database.current_revision() == HEAD_REVISION
    database.dispose()


@pytest.mark.parametrize(
    ("revision", "words"),
    [("9999", "newer version (9999)"), ("0000", "a version this program does not know (0000)")],
)
def test_a_database_of_another_version_is_refused(
    tmp_path: Path, database: Database, revision: str, words: str
) -> None:
    with database.writing() as session:
        session.execute(sa.text(f"UPDATE alembic_version SET version_num = '{revision}'"))
    with pytest.raises(DatabaseError) as caught:
        make_instance(tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.sqlite
def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "servicedesk.db").write_bytes(b"not a database at all " * 100)
    with pytest.raises(DatabaseError) as caught:
        make_instance(tmp_path)
    assert (
        str(caught.value) == f"The database {tmp_path}/servicedesk.db cannot be used: file is not a database."
    )


@pytest.mark.sqlite
def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as caught:
        make_instance(tmp_path, database_url=f"sqlite:///{tmp_path}/missing/desk.db")
    where = f"{tmp_path}/missing/desk.db"
    assert str(caught.value) == f"The database {where} cannot be used: No such file or directory."


@pytest.mark.sqlite
def test_a_folder_in_the_files_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "servicedesk.db").mkdir()
    with pytest.raises(DatabaseError, match="unable to open database file"):
        make_instance(tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="gives the file to somebody else, which only root may")
@pytest.mark.sqlite
def test_a_file_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "servicedesk.db").touch(0o644)
    (tmp_path / "upgrade.lock").touch(0o666)
    program = (
        "import sys, os; from webapp.database import *; from webapp.config import load_settings;"
        "import webapp.migrations.run;"
        "database = Database(load_settings({}, instance=sys.argv[1])); os.seteuid(65534);"
        "\ntry: database.upgrade()\nexcept DatabaseError as error: print(error)"
    )
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(path.stat().st_mode | 0o055)
    tmp_path.chmod(0o777)
    (tmp_path / "upgrade.lock").chmod(0o666)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert "cannot be used: attempt to write a readonly database." in done.stdout


def test_postgresql_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    url = "postgresql+psycopg://desk:canary-word@127.0.0.1:1/desk"
    with pytest.raises(DatabaseError) as caught:
        make_instance(tmp_path, database_url=url)
    assert "postgresql+psycopg://desk:***@127.0.0.1:1/desk" in str(caught.value)
    assert "canary-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_audit_rows_come_with_their_change_or_not_at_all(database: Database) -> None:
    with suppress(ZeroDivisionError), database.writing() as session:
        audit.record(session, NOW, "test", "company.create", "x" * 400)
        _ = 1 / 0
    with database.writing() as session:
        audit.record(session, NOW, "test", "company.create", "x" * 400, name="Acme")
    with database.reading() as session:
        [row] = session.scalars(sa.select(Audit))
        assert (row.at, row.subject, row.detail) == (NOW, "x" * 320, {"name": "Acme"})


def test_what_a_statement_was_about_stays_out_of_errors_and_logs(database: Database) -> None:
    """A full disk is logged with its trace; what customers wrote is none of the log's business."""
    with pytest.raises(sa.exc.DBAPIError) as caught, database.writing() as session:
        session.execute(sa.text("INSERT INTO no_such_table VALUES (:words)"), {"words": "canary-words"})
    assert "canary-words" not in str(caught.value)
    assert "no_such_table" in str(caught.value)


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="naive"), database.writing() as session:
        audit.record(session, NOW.replace(tzinfo=None), "test", "a", "b")


def test_the_vaults_keys_are_not_in_the_database(tmp_path: Path, database: Database) -> None:
    instance = make_instance(tmp_path)
    assert isinstance(instance.vault, Vault)
    key = (tmp_path / "secret.keys").read_bytes().strip()
    assert all(key not in path.read_bytes() for path in tmp_path.glob("servicedesk.db*"))
    instance.close()
