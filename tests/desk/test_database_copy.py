"""From SQLite to PostgreSQL: everything or nothing, and the copy goes on where the original was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import NOW, add_people, make_instance, set_row
from tests.rig.postgres import PostgresServer
from webapp.config import load_settings
from webapp.database import Database
from webapp.desk import database_copy, options
from webapp.desk.database_copy import CopyRefused, copy_to_postgres
from webapp.instance import Instance
from webapp.models import Base, Company, Row, Ticket

pytestmark = [pytest.mark.postgres, pytest.mark.sqlite]
TIMES = {"status": "open", "created_at": NOW, "updated_at": NOW}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Instance]:
    instance = make_instance(tmp_path)
    add_people(instance)
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test")
    with instance.database.writing() as session:
        first, second, third = (
            Ticket(subject=f"No {number}\0", requester_name="Ünï", **TIMES) for number in range(3)
        )
        session.add_all([first, second, third])
        session.flush()
        first.merged_into_id = second.id  # refers to a row that comes later
        session.delete(third)  # its number is never given again
        options.make_loop_key(session, instance.vault)
    yield instance
    instance.close()


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.url(postgres.create_database())


def copied_to(source: Instance, url: str) -> Database:
    copy_to_postgres(source.database, source.settings, url, lambda done, total: None)
    return Database(load_settings({}, instance=source.settings.instance, database_url=url))


def test_every_row_arrives_and_numbers_go_on(source: Instance, url: str) -> None:
    told: list[tuple[int, int]] = []
    copied = copy_to_postgres(source.database, source.settings, url, lambda *step: told.append(step))
    rows = {one.table: one.rows for one in copied}
    assert (rows["ticket"], rows["company"], rows["mail_server"]) == (2, 2, 1)
    assert sorted(rows) == sorted(Base.metadata.tables)
    assert told[-1] == (2 * sum(rows.values()), 2 * sum(rows.values()))
    target = Database(load_settings({}, instance=source.settings.instance, database_url=url))
    with target.writing() as session:
        tickets = session.scalars(sa.select(Ticket).order_by(Ticket.id)).all()
        assert [(t.id, t.subject, t.merged_into_id) for t in tickets] == [
            (1, "No 0\ufffd", 2),
            (2, "No 1\ufffd", None),
        ]
        new = Ticket(subject="new", requester_name="", **TIMES)
        session.add(new)
        session.flush()
        assert new.id == 4
    target.dispose()


def test_what_is_sealed_opens_with_the_keys_that_stayed(source: Instance, url: str) -> None:
    target = copied_to(source, url)
    with target.reading() as session:
        assert options.loop_key(session, source.vault)
    target.dispose()


def test_a_target_that_is_not_empty_is_refused(source: Instance, url: str) -> None:
    target = copied_to(source, url)
    with pytest.raises(CopyRefused, match="not empty"):
        copied_to(source, url)
    target.dispose()


def test_a_target_that_is_no_postgresql_is_refused(source: Instance, tmp_path: Path) -> None:
    with pytest.raises(CopyRefused, match="has to be PostgreSQL"):
        copied_to(source, f"sqlite:///{tmp_path}/other.db")


def test_a_copy_that_differs_is_not_kept(source: Instance, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = database_copy._verify

    def meddle(target: sa.Connection, table: sa.Table, *rest: object) -> object:
        if table.name == "company":
            target.execute(sa.update(Company).values(name="meddled"))
        return verify(target, table, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(database_copy, "_verify", meddle)
    with pytest.raises(CopyRefused, match="table company differs"):
        copied_to(source, url)
    target = Database(load_settings({}, instance=source.settings.instance, database_url=url))
    with target.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Company)) == 0
    target.dispose()
