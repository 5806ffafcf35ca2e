"""The migrations make exactly what the models say, and the program knows its newest one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.factories import make_instance
from webapp import migrations
from webapp.config import load_settings
from webapp.database import HEAD_REVISION, Database
from webapp.migrations.run import alembic_config
from webapp.models import Base

SCRIPTS = Path(migrations.__file__).parent / "versions"


def test_the_head_revision_is_the_newest_migration(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    with instance.database.engine.connect() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
    instance.close()
    assert scripts.get_heads() == [HEAD_REVISION]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)  # the program compares them as text
    assert len(revisions) == len(list(SCRIPTS.glob("[0-9]*.py")))


def test_the_migrated_schema_is_the_models(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    with instance.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    instance.close()


@pytest.mark.sqlite
def test_a_migrated_database_and_one_made_from_the_models_are_alike(tmp_path: Path) -> None:
    """What Alembic does not compare: constraints, their names, AUTOINCREMENT, partial indexes."""
    instance = make_instance(tmp_path)
    plain = sa.create_engine(f"sqlite:///{tmp_path}/plain.db")
    Base.metadata.create_all(plain)
    assert _statements(instance.database.engine) == _statements(plain)
    plain.dispose()
    instance.close()


def test_a_ticket_number_is_never_given_twice(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    insert = (
        "INSERT INTO ticket (subject, status, requester_name, created_at, updated_at) "
        "VALUES ('s', 'open', '', '2026-01-01', '2026-01-01') RETURNING id"
    )
    with instance.database.writing() as session:
        first = session.scalar(sa.text(insert))
        session.execute(sa.text("DELETE FROM ticket"))
        assert session.scalar(sa.text(insert)) == first + 1
    instance.close()


def test_tickets_of_before_get_the_key_of_their_address(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/old.db")
    insert = sa.text(
        "INSERT INTO ticket (subject, status, requester_address, requester_name, created_at, updated_at) "
        "VALUES ('s', 'open', :address, '', '2026-01-01', '2026-01-01')"
    )
    addresses = ["Ann@Bücher.example", None, "", "x" * 320]
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        connection.execute(insert, [{"address": address} for address in addresses])
        command.upgrade(alembic_config(connection), "head")
        keys = connection.scalars(sa.text("SELECT requester_key FROM ticket ORDER BY id")).all()
    engine.dispose()
    assert keys == ["ann@xn--bcher-kva.example", None, None, "x" * 320]


def _statements(engine: sa.Engine) -> dict[str, list[str]]:
    """Each object's definition as its sorted parts: the order of columns and constraints is free."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT IN ('alembic_version')"
    with engine.connect() as connection:
        return {name: _parts(sql) for name, sql in connection.execute(sa.text(query))}


def _parts(statement: str) -> list[str]:
    """Columns and constraints of a CREATE, cut at the commas that are not inside inner parentheses."""
    statement = " ".join(statement.split())
    head, _, body = statement.partition("(")
    body, _, tail = body.rpartition(")")
    parts = re.split(r",\s*(?![^()]*\))", body)
    head = head.replace('"', "")  # SQLite writes the name of a table that was made anew in quotes
    return sorted([head.strip(), tail.strip(), *(part.strip() for part in parts)])


def test_an_upgrade_keeps_what_points_at_changed_tables(tmp_path: Path) -> None:
    """A table that is made anew in a batch takes along what refers to its rows."""
    settings = load_settings({}, instance=tmp_path)
    database = Database(settings)
    writer = database.engine.execution_options(servicedesk_writer=True)
    with writer.begin() as connection:
        command.upgrade(alembic_config(connection), "0003")
        for statement in (
            "INSERT INTO account (id, email, email_key, name, role, password_hash, enabled, created_at) "
            "VALUES (1, 'a@b.c', 'a@b.c', 'A', 'technician', 'x', true, '2026-01-01')",
            "INSERT INTO login_session VALUES ('t', 1, '2026-01-01', '2026-01-01')",
            "INSERT INTO mailbox (id, protocol, host, port, account, epoch_generation, failures, "
            "needs_a_person, last_error, last_cure) VALUES (1, 'imap', 'h', 1, 'a', 0, 0, false, '', '')",
            "INSERT INTO poll_run (mailbox_id, started_at, trigger, error, cure, counts) "
            "VALUES (1, '2026-01-01', 'x', '', '', '{}')",
            *_a_delivery_report(),
        ):
            connection.exec_driver_sql(statement)
    with writer.begin() as connection:
        command.upgrade(alembic_config(connection), "head")
    with database.engine.connect() as connection:
        for table in ("account", "login_session", "mailbox", "poll_run", "delivery_event"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 1
        assert connection.exec_driver_sql("SELECT event_id FROM undeliverable_address").scalar() == 7
    database.dispose()


def _a_delivery_report() -> tuple[str, ...]:
    """A message sent, the report about it, its event (7), and the address it disabled."""
    return (
        "INSERT INTO inbound (id, mailbox_id, epoch, remote_key, size, received_at, sha256, from_name, "
        "subject, disposition, rule, saw, trace, defects, placement, folder, recorded_at) "
        "VALUES (1, 1, 'e', 'k', 1, '2026-01-01', 'x', '', '', 'report', "
        "'x', '', '[]', '[]', 'left', '', '2026-01-01')",
        'INSERT INTO outgoing_message (id, "row", kind, cause_key, message_id, from_addr, subject, '
        "created_at, created_by, compressed) VALUES (1, 'outgoing', 'reply', '', 'm@desk', 'a@b.c', '', "
        "'2026-01-01', 'x', '')",
        'INSERT INTO delivery (id, outgoing_id, "row", recipient, recipient_key, state, attempts, queued_at, '
        "at_final_dot, repeated_after_doubt, server_words, error, attention) VALUES (1, 1, 'outgoing', "
        "'d@e.f', 'd@e.f', 'sent', 1, '2026-01-01', false, false, '', '', false)",
        "INSERT INTO delivery_event VALUES (7, 1, 1, '2026-01-01', 'failed', '5.1.1', '')",
        "INSERT INTO undeliverable_address (addr_key, since, why, event_id) "
        "VALUES ('d@e.f', '2026-01-01', 'x', 7)",
    )
