"""Backups are sound and of one moment; what is restored neither sends nor counts anything twice."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import NOW, add_people, make_instance, set_row
from webapp.desk.backup import BackupRefused, Verified, make_backup, verify
from webapp.desk.restore import restore
from webapp.instance import Instance, open_instance
from webapp.models import Company, Delivery, DeliveryState, OutgoingKind, Row, Ticket
from webapp.outbound import outbox

TIMES = {"status": "open", "created_at": NOW, "updated_at": NOW}


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "instance")
    add_people(instance)
    set_row(
        instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test",
        from_address="help@desk.test", active="true",
    )  # fmt: skip
    with instance.database.writing() as session:
        session.add(Ticket(subject="First", requester_name="Ann", **TIMES))
    yield instance
    instance.close()


@pytest.fixture
def made(instance: Instance, tmp_path: Path) -> Verified:
    return make_backup(instance.database, instance.settings, tmp_path / "desk.backup", quiet)


def reopened(instance: Instance) -> Instance:
    return open_instance(instance.settings, environ={})


def queue(instance: Instance, to: str) -> None:
    message = outbox.Outgoing(
        raw=os.urandom(300), message_id="m1@desk.test", from_addr="help@desk.test", subject="Re: First"
    )
    with instance.database.writing() as session:
        outbox.enqueue(
            session, message, [to], row=Row.OUTGOING, kind=OutgoingKind.REPLY, created_by="bob", now=NOW
        )


def test_it_is_one_private_file_that_reads_back(made: Verified) -> None:
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert [path.name for path in made.path.parent.iterdir() if "backup" in path.name] == ["desk.backup"]
    assert (made.rows["ticket"], made.rows["company"]) == (1, 2)
    assert abs(made.made_at - datetime.now(UTC)) < timedelta(minutes=2)
    assert verify(made.path) == made


def test_the_keys_are_not_in_it(instance: Instance, made: Verified) -> None:
    content = made.path.read_bytes()
    for key in (instance.settings.instance / "secret.keys").read_bytes().split():
        assert key not in content
    assert b"secret-canary" not in content


def test_a_file_that_is_there_is_never_replaced(instance: Instance, made: Verified) -> None:
    before = made.path.read_bytes()
    with pytest.raises(BackupRefused, match="there already"):
        make_backup(instance.database, instance.settings, made.path, quiet)
    assert made.path.read_bytes() == before


def test_a_folder_that_is_missing_is_named(instance: Instance, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="no folder"):
        make_backup(instance.database, instance.settings, tmp_path / "none" / "desk.backup", quiet)


def test_what_is_written_meanwhile_is_in_it_whole_or_not_at_all(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []

    def write(done: int, total: int) -> None:
        if not written:
            written.append(True)
            with instance.database.writing() as session:
                session.add(Company(name="Late", name_key="late", created_at=NOW))

    found = make_backup(instance.database, instance.settings, tmp_path / "b", write)
    assert written
    assert found.rows["company"] == 2


@pytest.mark.parametrize("damage", ["bytes", "message", "cut", "other", "newer"])
def test_damage_is_found_before_anything_is_changed(instance: Instance, tmp_path: Path, damage: str) -> None:
    queue(instance, "ann@acme.test")
    path = make_backup(instance.database, instance.settings, tmp_path / "b", quiet).path
    with contextlib.closing(sqlite3.connect(path)) as connection:
        if damage == "message":
            connection.execute("UPDATE outgoing_message SET compressed = substr(compressed, 1, 40)")
        elif damage == "other":
            connection.execute("DROP TABLE alembic_version")
        elif damage == "newer":
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    if damage == "bytes":
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 3000] = os.urandom(3000)
        path.write_bytes(content)
    elif damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(BackupRefused):
        restore(instance.settings, path, quiet, now=NOW)
    with instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == 1


def test_what_was_there_comes_back_and_what_is_there_is_kept_aside(
    instance: Instance, made: Verified, tmp_path: Path
) -> None:
    with instance.database.writing() as session:
        session.add(Ticket(subject="Second", requester_name="Bob", **TIMES))
    instance.close()
    done = restore(instance.settings, made.path, quiet, now=NOW)
    with contextlib.closing(reopened(instance)) as again, again.database.reading() as session:
        assert session.scalars(sa.select(Ticket.subject)).all() == ["First"]
    assert done.aside is not None
    assert verify(done.aside).rows["ticket"] == 2


def test_no_number_is_given_twice(instance: Instance, made: Verified) -> None:
    instance.close()
    done = restore(instance.settings, made.path, quiet, now=NOW, ticket_gap=1000)
    with contextlib.closing(reopened(instance)) as again, again.database.writing() as session:
        new = Ticket(subject="New", requester_name="", **TIMES)
        session.add(new)
        session.flush()
        assert new.id == done.next_ticket == 1002


def test_what_waited_is_not_sent_by_itself(instance: Instance, tmp_path: Path) -> None:
    queue(instance, "ann@acme.test")
    path = make_backup(instance.database, instance.settings, tmp_path / "b", quiet).path
    instance.close()
    assert restore(instance.settings, path, quiet, now=NOW).held == 1
    with contextlib.closing(reopened(instance)) as again, again.database.reading() as session:
        delivery = session.scalars(sa.select(Delivery)).one()
        assert (delivery.state, delivery.next_try_at, delivery.attention) == (
            DeliveryState.NOT_SENT,
            None,
            True,
        )
        assert "may have been sent since" in delivery.error


@pytest.mark.sqlite
@pytest.mark.parametrize("step", ["link", "replace"])
def test_ended_in_the_middle_there_is_a_whole_database(
    instance: Instance, made: Verified, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with instance.database.writing() as session:
        session.add(Ticket(subject="Second", requester_name="Bob", **TIMES))
    instance.close()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, die)
    with pytest.raises(KeyboardInterrupt):
        restore(instance.settings, made.path, quiet, now=NOW)
    monkeypatch.undo()
    with contextlib.closing(reopened(instance)) as again, again.database.reading() as session:
        assert session.scalars(sa.select(Ticket.subject).order_by(Ticket.id)).all() == ["First", "Second"]
    assert not list(instance.settings.instance.glob("restoring-*"))
