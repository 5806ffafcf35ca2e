"""`servicedesk` itself, `db` and `doctor`; and how every command fails."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.conftest import Command
from webapp.database import HEAD_REVISION
from webapp.instance import Instance

EVERY_COMMAND = [
    ("db", "upgrade"),
    ("db", "current"),
    ("doctor",),
    ("user", "list"),
    ("mail", "show"),
    ("mail", "test", "incoming"),
    ("mail", "poll"),
    ("mail", "log"),
    ("directory", "export"),
    ("ticket", "list"),
    ("ticket", "show", "1"),
]


def test_the_help_names_every_command(servicedesk: Command) -> None:
    shown = servicedesk.ok("--help")
    for name in ("run", "db", "doctor", "user", "mail", "directory", "ticket"):
        assert f"\n  {name} " in shown
    assert servicedesk.ok("--version").startswith("servicedesk, version ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense",), "No such command 'nonsense'. See: servicedesk --help"),
        (("mail", "nonsense"), "No such command 'nonsense'. See: servicedesk mail --help"),
        (("mail", "show", "middle"), "'middle' is not one of 'outgoing', 'invoice', 'incoming'."),
        (("mail", "show", "--loud"), "No such option"),
        (("user", "add", "a@b.test"), "Missing option '--role'."),
        (("ticket", "show"), "Missing argument"),
        (("mail", "parse", "/no/such/file"), "'/no/such/file': No such file or directory."),
    ],
)
def test_wrong_usage_is_one_line(servicedesk: Command, arguments: tuple[str, ...], words: str) -> None:
    assert words in servicedesk.refused(*arguments, code=2)


def test_a_group_alone_shows_its_help(servicedesk: Command) -> None:
    result = servicedesk("mail")
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


@pytest.mark.parametrize("arguments", EVERY_COMMAND)
def test_every_command_tells_a_wrong_setting_in_one_line(
    servicedesk: Command, arguments: tuple[str, ...]
) -> None:
    servicedesk.environ["SERVICEDESK_PORT"] = "eighty"
    assert servicedesk.refused(*arguments).startswith(
        "Setting port from the environment (SERVICEDESK_PORT): "
    )


@pytest.mark.parametrize("arguments", EVERY_COMMAND)
@pytest.mark.sqlite
def test_every_command_tells_a_broken_database_in_one_line(
    servicedesk: Command, arguments: tuple[str, ...]
) -> None:
    (servicedesk.instance / "servicedesk.db").write_bytes(b"no database " * 100)
    assert servicedesk.refused(*arguments).endswith("cannot be used: file is not a database.")


def test_a_newer_database_and_bad_keys_are_one_line(servicedesk: Command, instance: Instance) -> None:
    (servicedesk.instance / "secret.keys").write_text("nonsense")
    assert str(servicedesk.instance / "secret.keys") in servicedesk.refused("doctor")
    (servicedesk.instance / "secret.keys").unlink()
    with instance.database.writing() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert "newer version (9999)" in servicedesk.refused("db", "current")


@pytest.mark.sqlite
def test_a_database_somebody_else_holds_is_one_line(
    servicedesk: Command, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.database.BUSY_TIMEOUT_MS", 50)
    with instance.database.writing() as session:
        session.connection()
        said = servicedesk.refused("mail", "set", "incoming", "host=imap.example.com")
    assert said == "The database cannot be used: database is locked. Nothing was changed."


@pytest.mark.sqlite
def test_a_full_database_is_one_line_and_changes_nothing(
    servicedesk: Command, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    servicedesk.ok("mail", "set", "incoming", "host=imap.example.com")
    pages = "PRAGMA page_count"
    with instance.database.engine.connect() as connection:
        count = connection.exec_driver_sql(pages).scalar()

    def limit(connection: object, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={count}")  # type: ignore[attr-defined]

    lines = "\n".join(f"u{n}@example.com,User {n},Company {n}" for n in range(3000))
    users = f"email,name,company\n{lines}\n".encode()
    sa.event.listen(sa.engine.Engine, "connect", limit)
    try:
        said = servicedesk.refused("directory", "import", "-", stdin=users)
    finally:
        sa.event.remove(sa.engine.Engine, "connect", limit)
    assert said == "The database cannot be used: database or disk is full. Nothing was changed."
    assert servicedesk.ok("directory", "export").count("\n") == 1


def test_db_upgrade_and_current_name_the_revision(servicedesk: Command) -> None:
    assert servicedesk.ok("db", "upgrade") == f"The database is at revision {HEAD_REVISION}.\n"
    assert servicedesk.ok("db", "current") == f"{HEAD_REVISION}\n"


def test_doctor_of_a_new_instance(servicedesk: Command) -> None:
    shown = servicedesk.ok("doctor")
    assert "ok    settings   SERVICEDESK_PORT = 8080 (the default) – port the web pages listen on\n" in shown
    assert (
        "warn  mail       incoming: not set up.\n                 servicedesk mail set incoming ...\n"
        in shown
    )
    findings = servicedesk.json("doctor")
    assert {tuple(finding) for finding in findings} == {("area", "state", "text", "cure")}
    assert {finding["state"] for finding in findings} == {"ok", "warning"}


def test_doctor_fails_when_something_is_wrong(servicedesk: Command, instance: Instance) -> None:
    servicedesk.ok(
        "mail", "set", "incoming", "host=h.test", "username=u", "--password-stdin", stdin="canary\n"
    )
    (servicedesk.instance / "secret.keys").unlink()  # the next command makes another key
    result = servicedesk("doctor")
    assert result.exit_code == 1
    assert "FAIL  mail       incoming: password needed." in result.stdout
    assert "servicedesk mail set incoming --password-stdin" in result.stdout
    (servicedesk.instance / "secret.keys").chmod(0o644)
    assert f"chmod 600 {servicedesk.instance}/secret.keys" in servicedesk("doctor", "--json").stdout


def test_the_console_script_makes_the_instance_and_ends_well(tmp_path: Path) -> None:
    servicedesk = Command(tmp_path / "new")
    done = servicedesk.script("db", "current")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{HEAD_REVISION}\n".encode(), b"")
    assert stat.S_IMODE(servicedesk.instance.stat().st_mode) == 0o700


def test_the_console_script_fails_with_one_line(servicedesk: Command) -> None:
    done = servicedesk.script("ticket", "show", "T-7")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"Error: There is no ticket T-7.\n")
    servicedesk.environ["SERVICEDESK_LOG_LEVEL"] = "LOUD"
    done = servicedesk.script("run")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
