"""The three rows: saving, what a stored password goes along with, and whose addresses are whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.desk.rows import CANARY, INCOMING, OUTGOING, draft, refused, saved_password, stored
from tests.factories import NOW, add_people, set_row
from webapp.desk import accounts, mail_hints, mail_servers, options
from webapp.desk.accounts import AccountError
from webapp.desk.directory import CsvError, import_users, read_csv
from webapp.desk.mail_form import FormErrors
from webapp.desk.mail_servers import ChangedMeanwhile, NothingToCopy
from webapp.instance import Instance
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.models import Audit, MailboxIdentity, MailServer, Role, Row


def test_what_is_not_named_stays(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING, archive_folder="Done")
    set_row(instance, password=None, process_unknown="true")
    row = stored(instance)
    assert (row.host, row.archive_folder, row.process_unknown, row.version) == (
        "imap.example.com",
        "Done",
        True,
        2,
    )
    assert saved_password(instance) == CANARY


@pytest.mark.parametrize(
    ("changes", "port", "mode"),
    [
        ({"port": "143"}, 143, "starttls"),
        ({"port": "465"}, 465, "implicit"),
        ({"tls_mode": "starttls"}, 143, "starttls"),
        ({"tls_mode": "implicit"}, 993, "implicit"),
        ({"use_ssl": "false", "plaintext_accepted": "true"}, 143, "none"),
        ({"use_ssl": "false", "plaintext_accepted": "true", "port": "4143"}, 4143, "none"),
        ({"use_ssl": "true"}, 993, "implicit"),
    ],
)
def test_port_and_mode_of_a_saved_row_follow_each_other(
    instance: Instance, changes: dict[str, Any], port: int, mode: str
) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    values = draft(instance, password=CANARY, **changes).values
    assert (values.port, values.security) == (port, mode)


def test_an_unusual_port_stays_when_the_mode_changes(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING, port="1993", tls_mode="implicit")
    values = draft(instance, password=CANARY, tls_mode="starttls").values
    assert (values.port, values.security) == (1993, "starttls")


def test_ssl_turned_off_and_on_again_is_as_before(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    set_row(instance, password=CANARY, use_ssl="false", plaintext_accepted="true")
    assert stored(instance).port == 143
    set_row(instance, password=CANARY, use_ssl="true")
    row = stored(instance)
    assert (row.port, row.tls_mode, row.plaintext_accepted) == (993, "implicit", False)


def test_turning_on_needs_everything(instance: Instance) -> None:
    assert set(refused(instance, active="true")) == {"active", "host", "username", "password"}
    set_row(instance, password=CANARY, **INCOMING)
    set_row(instance, password=None, active="true")
    assert stored(instance).active


@pytest.mark.parametrize("row", [Row.OUTGOING, Row.INVOICE])
def test_a_setting_of_another_row_is_refused(instance: Instance, row: Row) -> None:
    found = refused(instance, row, archive_folder="Done", host="smtp.example.com")
    assert set(found) == {"archive_folder"}
    assert found["archive_folder"].startswith(f"{row.value.capitalize()} has no setting archive_folder.")
    assert set(refused(instance, Row.INCOMING, from_address="a@b.example")) == {"from_address"}
    assert set(refused(instance, row, nonsense="1")) == {"nonsense"}


def test_a_save_is_audited_with_the_names_of_what_changed(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    set_row(instance, password=None, archive_folder="Done")
    set_row(instance, password="another", archive_folder="Done")
    with instance.database.reading() as session:
        rows = list(session.scalars(sa.select(Audit).order_by(Audit.id)))
    assert [(row.action, row.subject, row.actor) for row in rows] == [
        ("mail_server.save", "incoming", "test")
    ] * 3
    assert {"host", "username", "password"} <= set(rows[0].detail["changed"])
    assert [row.detail for row in rows[1:]] == [{"changed": ["archive_folder"]}, {"changed": ["password"]}]


def test_a_refused_save_leaves_no_trace(instance: Instance) -> None:
    with pytest.raises(FormErrors):
        set_row(instance, password=CANARY, host="a:b")
    with instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(MailServer)) == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(Audit)) == 0


def test_a_row_changed_meanwhile_is_not_overwritten(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    wanted = draft(instance, archive_folder="Mine")
    set_row(instance, password=None, archive_folder="Theirs")
    with pytest.raises(ChangedMeanwhile) as caught, instance.database.writing() as session:
        mail_servers.save(session, instance.vault, wanted, now=NOW, actor="me", expected_version=1)
    assert caught.value.stored.archive_folder == "Theirs"
    assert "test changed these settings" in str(caught.value)
    with instance.database.writing() as session:
        mail_servers.save(session, instance.vault, wanted, now=NOW, actor="me", expected_version=2)
    assert (stored(instance).archive_folder, stored(instance).version) == ("Mine", 3)


def make_failing_mailbox(instance: Instance, **values: Any) -> None:
    identity = {"protocol": "imap", "host": "imap.example.com", "port": 993, "account": "help@example.com"}
    with instance.database.writing() as session:
        later = NOW + timedelta(minutes=30)
        session.add(MailboxIdentity(**(identity | values), next_poll_at=later, failures=5, last_error="x"))


def test_a_save_forgets_the_back_off(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    make_failing_mailbox(instance)
    make_failing_mailbox(instance, account="other@example.com")
    set_row(instance, password="right this time")
    with instance.database.reading() as session:
        mailboxes = session.scalars(sa.select(MailboxIdentity).order_by(MailboxIdentity.id))
        assert [mailbox.next_poll_at is None for mailbox in mailboxes] == [True, False]


def test_a_save_voids_the_last_test_and_a_late_test_does_not_come_back(instance: Instance) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    with instance.database.writing() as session:
        mail_servers.record_test(session, Row.INCOMING, version=1, passed=True, sentence="", now=NOW)
    assert (stored(instance).last_test_passed, stored(instance).last_test_at) == (True, NOW)
    set_row(instance, password=None, timeout_ms="5000")
    assert (stored(instance).last_test_passed, stored(instance).last_test_at) == (None, None)
    with instance.database.writing() as session:
        mail_servers.record_test(session, Row.INCOMING, version=1, passed=False, sentence="x", now=NOW)
    assert stored(instance).last_test_passed is None


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"active": "true"}, True),
        ({"process_unknown": "true"}, True),
        ({"cutoff_enabled": "true", "cutoff_at": "2026-11-23T12:00"}, True),
        ({"archive_folder": "Done"}, False),
        ({"timeout_ms": "5000"}, False),
    ],
)
def test_a_tests_result_outlives_what_it_says_nothing_about(
    instance: Instance, changes: dict[str, Any], stays: bool
) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    with instance.database.writing() as session:
        mail_servers.record_test(session, Row.INCOMING, version=1, passed=True, sentence="", now=NOW)
    set_row(instance, password=None, **changes)
    assert stored(instance).last_test_passed is (True if stays else None)


def test_a_save_sent_twice_is_one_save(instance: Instance) -> None:
    wanted = draft(instance, password=CANARY, **INCOMING)
    for _ in range(2):
        with instance.database.writing() as session:
            mail_servers.save(session, instance.vault, wanted, now=NOW, actor="me", expected_version=0)
    assert stored(instance).version == 1
    another = draft(instance, password="another", **INCOMING)
    with pytest.raises(ChangedMeanwhile), instance.database.writing() as session:
        mail_servers.save(session, instance.vault, another, now=NOW, actor="me", expected_version=0)


def copy(instance: Instance, version: int | None = None) -> MailServer:
    with instance.database.writing() as session:
        return mail_servers.copy_outgoing(session, now=NOW, actor="me", expected_version=version)


def test_invoice_takes_over_what_outgoing_has_and_stays_off(instance: Instance) -> None:
    with pytest.raises(NothingToCopy):
        copy(instance)
    set_row(instance, Row.OUTGOING, CANARY, **OUTGOING, active="true", timeout_ms="5000")
    copy(instance, 0)
    row = stored(instance, Row.INVOICE)
    assert (row.host, row.from_address, row.timeout_ms, row.active) == (
        "smtp.example.com",
        "help@example.com",
        5000,
        False,
    )
    assert saved_password(instance, Row.INVOICE) == CANARY
    with instance.database.reading() as session:
        [told] = session.scalars(sa.select(Audit).where(Audit.action == "mail_server.copy"))
    assert (told.subject, told.actor, told.detail["source"]) == ("invoice", "me", "outgoing")
    assert CANARY not in str(told.detail)


def test_a_copy_over_what_somebody_saved_meanwhile_is_refused(instance: Instance) -> None:
    set_row(instance, Row.OUTGOING, CANARY, **OUTGOING)
    set_row(instance, Row.INVOICE, CANARY, host="smtp.other.example", username="x")
    with pytest.raises(ChangedMeanwhile):
        copy(instance, 0)
    assert stored(instance, Row.INVOICE).host == "smtp.other.example"
    copy(instance, 1)
    assert stored(instance, Row.INVOICE).host == "smtp.example.com"


def test_an_address_that_is_polled_and_sent_from_is_worth_a_look_on_either_side(instance: Instance) -> None:
    def hints(row: Row, **texts: str) -> dict[str, str]:
        wanted = draft(instance, row, CANARY, **texts).values
        with instance.database.reading() as session:
            return mail_hints.hints_of(session, wanted)

    assert hints(Row.INCOMING, **INCOMING) == {}
    set_row(instance, Row.OUTGOING, CANARY, **OUTGOING)
    assert set(hints(Row.INCOMING, **INCOMING)) == {"username"}
    set_row(instance, Row.INCOMING, CANARY, **INCOMING)
    found = hints(Row.OUTGOING, host="smtp.example.com", username="HELP@Example.com")
    assert set(found) == {"from_address"}
    assert "ignores what this service desk sent" in found["from_address"]
    assert hints(Row.OUTGOING, from_address="other@example.com") == {}
    assert "app password" in hints(Row.INCOMING, host="imap.gmail.com", username="a@gmail.com")["host"]


@pytest.mark.parametrize("address", ["ann@acme.test", "Ann@ACME.test", "ann.lee@private.test"])
def test_a_users_address_is_no_incoming_mailbox(instance: Instance, address: str) -> None:
    add_people(instance)
    assert refused(instance, host="imap.acme.test", username=address) == {
        "username": f"{address} is also a portal user's address. Use a dedicated mailbox."
    }
    draft(instance, Row.OUTGOING, host="smtp.acme.test", username=address)  # sending is no conflict


def test_an_accounts_address_is_no_incoming_mailbox(instance: Instance) -> None:
    make_account(instance, "tech@desk.example")
    found = refused(instance, host="imap.desk.example", username="TECH@desk.example")
    assert set(found) == {"username"}


@pytest.mark.parametrize("address", ["help@example.com", "HELP@Example.com"])
def test_the_incoming_mailbox_is_no_persons_address(instance: Instance, address: str) -> None:
    set_row(instance, password=CANARY, **INCOMING)
    with pytest.raises(AccountError, match="is the incoming mailbox"):
        make_account(instance, address)
    users = read_csv(f"email,name,company\n{address},Help,\n".encode())
    with pytest.raises(CsvError, match="is the incoming mailbox"), instance.database.writing() as session:
        import_users(session, users, now=NOW, actor="test")


def make_account(instance: Instance, email: str) -> None:
    with instance.database.writing() as session:
        accounts.create_account(
            session,
            email=email,
            name="",
            password="correct horse battery",
            role=Role.TECHNICIAN,
            now=NOW,
            actor="test",
        )


def test_a_stored_row_becomes_server_settings(instance: Instance, tmp_path: Any) -> None:
    set_row(instance, password=CANARY, **INCOMING, timeout_ms="1500", archive_folder="Done")
    settings = mail_servers.server_settings(
        mail_servers.stored_draft(instance.vault, stored(instance)), instance
    )
    assert settings == ServerSettings(
        protocol=MailProtocol.IMAP,
        host="imap.example.com",
        port=993,
        tls_mode=TlsMode.IMPLICIT,
        timeout=1.5,
        username="help@example.com",
        password=CANARY,
        requires_auth=True,
        from_address="",
        archive_folder="Done",
        ca_file=None,
    )


def test_without_ssl_the_mode_is_none_whatever_is_stored(instance: Instance) -> None:
    set_row(instance, password=CANARY, host="localhost", username="u", use_ssl="false")
    wanted = mail_servers.stored_draft(instance.vault, stored(instance))
    assert wanted.values.tls_mode is TlsMode.IMPLICIT
    assert mail_servers.server_settings(wanted, instance).tls_mode is TlsMode.NONE


def test_the_cutoff_is_typed_in_the_desks_zone_and_kept_in_utc(instance: Instance) -> None:
    with instance.database.writing() as session:
        options.set_time_zone(session, "Europe/Sofia")
    set_row(instance, password=CANARY, **INCOMING, cutoff_enabled="true", cutoff_at="2026-11-23T12:00")
    assert stored(instance).cutoff_at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    set_row(instance, password=None, timeout_ms="5000")
    assert stored(instance).cutoff_at == datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_a_new_host_must_be_confirmed_again_for_clear_text(instance: Instance) -> None:
    in_clear: dict[str, Any] = {"use_ssl": "false", "plaintext_accepted": "true"}
    set_row(instance, password=CANARY, **INCOMING, **in_clear)
    assert draft(instance).values.plaintext_accepted
    assert set(refused(instance, password=CANARY, host="10.0.0.9")) == {"plaintext_accepted"}


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "europe/sofia "])
def test_a_time_zone_that_does_not_exist_is_refused(instance: Instance, name: str) -> None:
    with pytest.raises(ValueError, match="There is no time zone"), instance.database.writing() as session:
        options.set_time_zone(session, name)
    with instance.database.reading() as session:
        assert options.time_zone(session).key == "UTC"
