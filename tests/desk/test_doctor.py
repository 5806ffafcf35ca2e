"""What `servicedesk doctor` finds, each with its cure."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.factories import NOW, make_instance, set_incoming, set_row
from webapp.config import OPTIONS
from webapp.desk import accounts
from webapp.desk.doctor import Finding, examine
from webapp.instance import Instance
from webapp.models import MailboxIdentity, Role, Row, SendingTrouble
from webapp.vault import Vault


def bad(instance: Instance, **environ: str) -> list[Finding]:
    return [finding for finding in examine(instance, environ) if finding.state != "ok"]


def make_sound(instance: Instance) -> None:
    with instance.database.writing() as session:
        accounts.create_account(
            session,
            email="admin@desk.test",
            name="",
            password="correct horse battery",
            role=Role.ADMINISTRATOR,
            now=NOW,
            actor="test",
        )
    set_incoming(instance)
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test")
    set_row(instance, Row.INVOICE, host="smtp.desk.test", username="bills@desk.test")


def test_of_a_new_instance_only_what_is_left_to_do_is_told(instance: Instance) -> None:
    assert [(finding.area, finding.state, finding.cure) for finding in bad(instance)] == [
        ("people", "warning", "servicedesk user add EMAIL --role administrator"),
        ("mail", "warning", "servicedesk mail set outgoing ..."),
        ("mail", "warning", "servicedesk mail set invoice ..."),
        ("mail", "warning", "servicedesk mail set incoming ..."),
    ]


def test_of_a_sound_instance_nothing_bad_is_told(instance: Instance) -> None:
    make_sound(instance)
    assert bad(instance) == []
    texts = [finding.text for finding in examine(instance, {})]
    assert "1 administrator can sign in." in texts
    assert "incoming: active, imap.desk.test:993." in texts


def test_every_setting_is_told_with_its_default(tmp_path_factory: pytest.TempPathFactory) -> None:
    instance = make_instance(tmp_path_factory.mktemp("other"), port=8081)
    told = "\n".join(finding.text for finding in examine(instance, {}) if finding.area == "settings")
    assert all(f"{option.variable} = " in told and option.help in told for option in OPTIONS)
    assert "SERVICEDESK_PORT = 8081 (default: 8080)" in told
    assert "SERVICEDESK_HOST = 127.0.0.1 (the default)" in told
    instance.close()


def test_a_misspelt_variable_is_told(instance: Instance) -> None:
    make_sound(instance)
    [finding] = bad(
        instance, SERVICEDESK_PROT="1", SERVICEDESK_PORT="2", SERVICEDESK_SECRET_KEYS="3", HOME="/"
    )
    assert "SERVICEDESK_PROT" in finding.text
    assert finding.cure == "Did you mean SERVICEDESK_PORT?"


@pytest.mark.parametrize(
    ("name", "mode", "state", "cure"),
    [
        (".", 0o755, "warning", "chmod 700"),
        (".", 0o750, "warning", "chmod 700"),
        ("secret.keys", 0o644, "failed", "chmod 600"),
        ("secret.keys", 0o640, "failed", "chmod 600"),
        ("servicedesk.db", 0o644, "failed", "chmod 600"),
    ],
)
@pytest.mark.sqlite
def test_open_permissions_are_told(instance: Instance, name: str, mode: int, state: str, cure: str) -> None:
    make_sound(instance)
    path = instance.settings.instance / name
    path.chmod(mode)
    [finding] = bad(instance)
    assert (finding.area, finding.state, finding.cure) == ("files", state, f"{cure} {path}")


def test_a_wrong_key_is_told_for_every_row(instance: Instance) -> None:
    make_sound(instance)
    lost = dataclasses.replace(instance, vault=Vault([Fernet.generate_key()], "/elsewhere/secret.keys"))
    found = bad(lost)
    assert [finding.cure for finding in found] == [
        f"servicedesk mail set {row.value} --password-stdin" for row in Row
    ]
    assert all("password needed" in f.text and "/elsewhere/secret.keys" in f.text for f in found)
    assert {finding.state for finding in found} == {"failed"}


def test_a_failing_mailbox_is_told_with_its_cure(instance: Instance) -> None:
    make_sound(instance)
    with instance.database.writing() as session:
        session.add(
            MailboxIdentity(
                protocol="imap",
                host="imap.desk.test",
                port=993,
                account="help@desk.test",
                failing_since=NOW,
                last_error="The server rejected the password.",
                last_cure="Enter the password again.",
            )
        )
    [finding] = bad(instance)
    assert finding.text == ("incoming: failing since 2026-11-23 12:00 UTC. The server rejected the password.")
    assert finding.cure == "Enter the password again."


def test_a_disabled_administrator_does_not_count(instance: Instance) -> None:
    make_sound(instance)
    with instance.database.writing() as session:
        session.execute(sa.text("UPDATE account SET enabled = false"))
    [finding] = bad(instance)
    assert finding.text == "Nobody can sign in as administrator."


@pytest.mark.sqlite
def test_the_doctor_changes_nothing(instance: Instance) -> None:
    make_sound(instance)
    with instance.database.reading() as session:
        before = session.scalar(
            sa.text("SELECT group_concat(sealed) FROM (SELECT password_sealed sealed FROM mail_server)")
        )
    examine(instance, {})
    with instance.database.reading() as session:
        assert before == session.scalar(
            sa.text("SELECT group_concat(sealed) FROM (SELECT password_sealed sealed FROM mail_server)")
        )


def test_what_cannot_be_sent_is_told(instance: Instance) -> None:
    make_sound(instance)
    assert bad(instance) == []
    with instance.database.writing() as session:
        session.add(
            SendingTrouble(
                row="outgoing",
                since=NOW,
                sentence="The server did not accept the password.",
                cure="Enter it again.",
                version=1,
                next_try_at=NOW,
            )
        )
    (found,) = bad(instance)
    assert (found.area, found.state, found.cure) == ("outbox", "failed", "Enter it again.")
    assert "did not accept the password" in found.text
