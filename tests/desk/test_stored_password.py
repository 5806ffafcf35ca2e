"""The stored password: what it goes along with, and what may be typed as one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.desk.rows import CANARY, INCOMING, OUTGOING, draft, refused, saved_password, stored
from tests.factories import NOW, set_row
from webapp.desk import mail_servers, options
from webapp.instance import Instance
from webapp.models import Audit, Row, Setting
from webapp.vault import Vault

ENTER_AGAIN = (
    "You changed the server or the account. Enter the password again – "
    "the saved one is only sent to imap.example.com."
)


def with_another_key(instance: Instance) -> Instance:
    return dataclasses.replace(instance, vault=Vault([Fernet.generate_key()], "/elsewhere/secret.keys"))


def test_a_row_is_stored_with_its_password_sealed(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING, archive_folder="Done", process_unknown="true")
    row = stored(instance)
    assert (row.host, row.port, row.tls_mode, row.archive_folder, row.process_unknown) == (
        "imap.example.com",
        993,
        "implicit",
        "Done",
        True,
    )
    assert (row.version, row.updated_by, row.updated_at) == (1, "test", NOW)
    assert CANARY not in row.password_sealed
    assert saved_password(instance) == CANARY


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "imap.evil.example"},
        {"host": "127.0.0.1"},
        {"port": "10993", "tls_mode": "implicit"},
        {"port": "143"},
        {"tls_mode": "starttls"},
        {"use_ssl": "false", "plaintext_accepted": "true"},
        {"username": "other@example.com"},
        {"username": "Help@example.com"},
    ],
)
@pytest.mark.parametrize("active", ["true", "false"])
def test_the_saved_password_goes_nowhere_else(
    instance: Instance, changes: dict[str, Any], active: str
) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    assert refused(instance, active=active, **changes) == {"password": ENTER_AGAIN}
    assert refused(instance, password="\n", active=active, **changes) == {"password": ENTER_AGAIN}
    assert draft(instance, password="new one", active=active, **changes).secret == "new one"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"host": "IMAP.example.com."},
        {"port": "993"},
        {"timeout_ms": "5000"},
        {"archive_folder": "Elsewhere"},
        {"active": "true"},
        {"process_unknown": "true"},
    ],
)
def test_the_saved_password_is_kept_while_server_and_account_stay(
    instance: Instance, changes: dict[str, Any]
) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    assert draft(instance, **changes).secret == CANARY
    set_row(instance, password=None, **changes)
    assert saved_password(instance) == CANARY


def test_a_changed_server_is_told_together_with_other_mistakes(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    assert refused(instance, host="imap.evil.example", timeout_ms="0").keys() == {"timeout_ms"}
    assert refused(instance, host="imap.evil.example", active="true", username="").keys() == {
        "active",
        "username",
        "password",
    }


def test_without_sign_in_another_server_may_be_named_but_the_password_is_forgotten(
    instance: Instance,
) -> None:
    set_row(instance, Row.OUTGOING, CANARY, **OUTGOING)
    set_row(instance, Row.OUTGOING, None, requires_auth="false")
    assert saved_password(instance, Row.OUTGOING) == CANARY  # hidden, kept
    wanted = draft(instance, Row.OUTGOING, requires_auth="false", host="smtp.evil.example")
    assert wanted.secret is None
    set_row(instance, Row.OUTGOING, None, host="smtp.evil.example")
    assert stored(instance, Row.OUTGOING).password_sealed == ""
    set_row(instance, Row.OUTGOING, None, host="smtp.example.com", requires_auth="true")
    assert saved_password(instance, Row.OUTGOING) is None


@pytest.mark.parametrize("typed", ["canary\n", "canary\r\n", "canary"])
def test_a_newline_at_the_passwords_end_is_taken_off(instance: Instance, typed: str) -> None:
    assert draft(instance, password=typed, **INCOMING).secret == "canary"


@pytest.mark.parametrize("typed", [" pass word ", "пароль", 'quo"te\\', "x" * 1000])
def test_a_password_is_otherwise_kept_as_typed(instance: Instance, typed: str) -> None:
    set_row(instance, password=typed, **INCOMING)
    assert saved_password(instance) == typed


@pytest.mark.parametrize("typed", ["a\r\nA1 LOGOUT", "a\x00b", "a\tb", "a\x7fb", "a\udcff"])
def test_control_characters_in_a_password_are_refused(instance: Instance, typed: str) -> None:
    sentence = "Remove the line break or other control character from the password."
    assert refused(instance, password=typed, **INCOMING, active="true") == {"password": sentence}


def test_a_password_of_over_a_thousand_characters_is_refused(instance: Instance) -> None:
    assert refused(instance, password="x" * 1001, **INCOMING) == {
        "password": "Enter at most 1000 characters."
    }


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("imap.gmail.com", "abcdefghijklmnop"),
        ("IMAP.GMAIL.COM.", "abcdefghijklmnop"),
        ("imap.googlemail.com", "abcdefghijklmnop"),
        ("imap.notgmail.com", "abcd efgh ijkl mnop"),
        ("gmail.com.evil.example", "abcd efgh ijkl mnop"),
    ],
)
def test_the_spaces_of_a_google_app_password_are_taken_off(instance: Instance, host: str, kept: str) -> None:
    assert draft(instance, password="abcd efgh ijkl mnop", **(INCOMING | {"host": host})).secret == kept


def test_the_password_is_in_no_repr_no_audit_row_and_not_in_the_file(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    wanted = draft(instance)
    assert wanted.secret == CANARY
    settings = mail_servers.server_settings(wanted, instance)
    assert CANARY not in repr(wanted) + repr(settings) + str(stored(instance).__dict__)
    assert CANARY not in repr(draft(instance, password=CANARY, username="x"))
    with instance.database.reading() as session:
        rows = list(session.scalars(sa.select(Audit)))
        told = json.dumps([[row.actor, row.action, row.subject, row.detail] for row in rows])
    assert CANARY not in told
    assert CANARY.encode() not in b"".join(
        path.read_bytes() for path in instance.settings.instance.iterdir() if path.is_file()
    )


def test_with_a_lost_key_a_row_can_be_turned_off_and_the_password_entered_again(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING, active="true")
    lost = with_another_key(instance)
    found = refused(lost)
    assert set(found) == {"password"}
    assert "/elsewhere/secret.keys" in found["password"]
    set_row(lost, password=None, active="false")
    assert not stored(lost).active
    assert saved_password(instance) == CANARY  # should the right key come back
    set_row(lost, password="entered again", active="true")
    assert saved_password(lost) == "entered again"


def test_with_a_lost_key_the_loop_key_is_made_anew(instance: Instance) -> None:
    with instance.database.writing() as session:
        before = options.make_loop_key(session, instance.vault)
    lost = with_another_key(instance)
    with lost.database.writing() as session:
        assert options.loop_key(session, instance.vault) == before
        assert options.loop_key(session, lost.vault) is None
        after = options.make_loop_key(session, lost.vault)
    with lost.database.reading() as session:
        assert options.loop_key(session, lost.vault) == after != before
        assert session.scalar(sa.select(sa.func.count()).select_from(Setting)) == 1
