"""Turning rows on: the step that asks which messages, the dry run, the question after a failed test."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.factories import add_people, make_raw, set_incoming_from, set_row
from tests.rig.dovecot import DovecotMailbox
from tests.rig.ports import free_ports
from tests.views.browser import Browser
from webapp.desk import mail_servers
from webapp.instance import Instance
from webapp.models import MailServer, Row

PAGE = "/settings/service-desk/mail"
STEP = f"{PAGE}/incoming/activate"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def inbox(instance: Instance, mailbox: DovecotMailbox) -> DovecotMailbox:
    """Three unread messages, and the row saved and off."""
    object.__setattr__(instance.settings, "mail_ca_file", str(mailbox.server.ca_file))
    add_people(instance)
    for number in range(2):
        mailbox.deliver(make_raw(subject=f"Printer {number}", message_id=f"p{number}@acme.test"))
    mailbox.deliver(make_raw(sender="no-reply@shop.test", subject="Your order"))
    set_incoming_from(instance, mailbox.settings(), active="false", process_unknown="false")
    return mailbox


def row(instance: Instance, name: Row = Row.INCOMING) -> MailServer:
    with instance.database.reading() as session:
        found = mail_servers.load(session, name)
    assert found is not None
    return found


def post(browser: Browser, path: str, data: dict[str, str], *, htmx: bool = False) -> Any:
    token = browser.csrf_token(f"{PAGE}/incoming/edit")
    return browser.post(path, data=data | {"csrf_token": token}, headers=HTMX if htmx else {})


def form_of(instance: Instance, name: Row = Row.INCOMING, **changes: str) -> dict[str, str]:
    """The row's form as a browser would send it, unchanged but for `changes`."""
    saved = row(instance, name)
    fields = {
        "version": str(saved.version), "protocol": saved.protocol, "use_ssl": "true",
        "tls_mode": saved.tls_mode,
        "host": saved.host, "port": str(saved.port), "username": saved.username, "timeout_ms": "10000",
        "from_address": saved.from_address, "requires_auth": "true",
    }  # fmt: skip
    return fields | changes


def look(browser: Browser, path: str) -> tuple[str, str]:
    """Where the step leads to once the inbox was looked into, and what stands there."""
    answer = browser.get(path)
    while answer.status_code == 303:
        path = answer.location
        answer = browser.get(path)
    while 'http-equiv="refresh"' in answer.text:
        answer = browser.get(path)
    return path, answer.text


def version_in(text: str) -> dict[str, str]:
    found = re.search(r'name="version" value="(\d+)"', text)
    assert found
    return {"version": found[1]}


@pytest.mark.dovecot
class TestTheStep:
    @pytest.mark.parametrize("htmx", [True, False])
    def test_saving_with_active_turned_on_saves_and_asks_first(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox, htmx: bool
    ) -> None:
        answer = post(
            alice, f"{PAGE}/incoming", form_of(instance, active="true", archive_folder="Done"), htmx=htmx
        )
        if htmx:
            assert "Turn on incoming email?" in answer.text
            assert "Incoming email settings saved." in answer.headers["HX-Trigger"]
        else:
            assert answer.location.startswith(STEP)
        assert (row(instance).active, row(instance).archive_folder) == (False, "Done")

    def test_it_says_what_is_in_the_inbox_and_nothing_is_preselected(
        self, alice: Browser, inbox: DovecotMailbox
    ) -> None:
        _, text = look(alice, STEP)
        assert "<strong>3 unread messages</strong> are in the inbox of" in text
        assert "2 new tickets, 1 ignored" in text
        assert "will be created" in text
        assert not re.search(r'type="radio"[^>]* checked', text)

    def test_without_a_choice_it_stays_off(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        path, text = look(alice, STEP)
        answer = post(alice, path, version_in(text))
        assert answer.status_code == 422
        assert "Choose which messages become tickets." in answer.text
        assert not row(instance).active

    @pytest.mark.parametrize(
        ("choice", "cutoff"),
        [
            ({"choice": "all"}, None),
            (
                {"choice": "date", "cutoff_date": "2026-11-23", "cutoff_time": "12:00"},
                datetime(2026, 11, 23, 12, tzinfo=UTC),
            ),
        ],
    )
    def test_the_answer_becomes_the_cutoff_and_the_parser_looks_at_once(
        self,
        alice: Browser,
        instance: Instance,
        inbox: DovecotMailbox,
        choice: dict[str, str],
        cutoff: datetime | None,
    ) -> None:
        path, text = look(alice, STEP)
        answer = post(alice, path, version_in(text) | choice)
        assert answer.location == f"{PAGE}#row-incoming"
        saved = row(instance)
        assert (saved.active, saved.cutoff_at, saved.cutoff_enabled) == (True, cutoff, cutoff is not None)
        alice.application.extensions["background_poll"].wait(20)
        assert inbox.contents() == []

    def test_from_now_on_leaves_what_was_there_alone(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        path, text = look(alice, STEP)
        time.sleep(1.1)  # the line is never later than now, and INTERNALDATE counts in whole seconds
        post(alice, path, version_in(text) | {"choice": "now"})
        alice.application.extensions["background_poll"].wait(20)
        assert row(instance).active
        assert [message.seen for message in inbox.contents()] == [False] * 3

    def test_a_row_changed_meanwhile_is_not_turned_on(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        path, text = look(alice, STEP)
        set_row(instance, Row.INCOMING, None, archive_folder="Theirs")
        answer = post(alice, path, version_in(text) | {"choice": "all"})
        assert answer.location.startswith(STEP)
        assert answer.location != path
        assert "test changed these settings in the meantime." in alice.get(answer.location).text
        assert not row(instance).active

    def test_numbers_of_another_mailbox_are_neither_shown_nor_taken(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        path, _ = look(alice, STEP)
        other = inbox.server.mailbox().settings()
        set_row(instance, Row.INCOMING, other.password, username=other.username)
        asked = {"version": str(row(instance).version), "choice": "now"}
        assert post(alice, path, asked).location != f"{PAGE}#row-incoming"
        assert not row(instance).active
        moved, text = look(alice, path)
        assert moved != path
        assert "There are no unread messages" in text

    def test_opening_it_again_does_not_sign_in_again(self, alice: Browser, inbox: DovecotMailbox) -> None:
        path, _ = look(alice, STEP)
        assert {alice.get(STEP).location for _ in range(8)} == {path}
        foreign = alice.get(STEP, headers={"Sec-Fetch-Site": "cross-site"})
        assert "The inbox was not looked into." in foreign.text
        assert post(alice, STEP, {}).location not in (path, None)

    def test_a_look_that_is_forgotten_begins_anew(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        _, text = look(alice, STEP)
        answer = post(alice, f"{STEP}/forgotten", version_in(text))
        assert "Not turned on: the numbers you saw" in alice.get(answer.location).text

    def test_an_answer_sent_twice_and_a_late_one_leave_the_row_on(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        path, text = look(alice, STEP)
        post(alice, path, version_in(text) | {"choice": "now"})
        assert alice.get(path).location == f"{PAGE}#row-incoming"
        post(alice, path, {"version": str(row(instance).version), "choice": "all"})
        assert row(instance).cutoff_enabled
        assert "in the meantime" not in alice.get(PAGE).text

    def test_an_active_rows_date_that_goes_away_is_asked_about(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        set_row(
            instance, Row.INCOMING, None, active="true", cutoff_enabled="true", cutoff_at="2026-11-23T12:00"
        )
        answer = post(alice, f"{PAGE}/incoming", form_of(instance, active="true"))
        assert answer.location.startswith(STEP)
        assert not row(instance).active
        assert "Incoming email is off until you choose." in look(alice, answer.location)[1]
        alice.get(f"{PAGE}/incoming?cancelled=1")
        assert "Incoming email is off." in alice.get(PAGE).text

    def test_a_mailbox_out_of_reach_is_turned_on_by_an_explicit_choice_only(
        self, alice: Browser, instance: Instance
    ) -> None:
        set_row(instance, host="127.0.0.1", port=str(free_ports(1)[0]), tls_mode="implicit", username="help")
        path, text = look(alice, STEP)
        assert "127.0.0.1 is there, but nothing answers on port" in text
        assert "Turn on anyway" in text
        assert post(alice, path, version_in(text)).status_code == 422
        assert post(alice, path, version_in(text) | {"choice": "all"}).status_code == 303
        assert row(instance).active
        alice.application.extensions["background_poll"].wait(20)

    def test_saving_a_row_that_is_on_asks_only_for_another_mailbox(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        set_row(instance, Row.INCOMING, None, active="true")
        answer = post(alice, f"{PAGE}/incoming", form_of(instance, active="true", archive_folder="Done"))
        assert answer.location == f"{PAGE}#row-incoming"
        assert row(instance).active
        moved = form_of(instance, active="true", username="other@example.com", password="x")
        assert post(alice, f"{PAGE}/incoming", moved).location.startswith(STEP)
        assert not row(instance).active

    def test_the_dry_run_tells_each_message_and_changes_nothing(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        answer = post(alice, f"{PAGE}/incoming/preview/saved", {})
        _, text = look(alice, answer.location)
        assert "What would happen to the 3 unread messages" in text
        assert "Printer 0" in text
        assert "no-reply address" in text
        assert [message.seen for message in inbox.contents()] == [False] * 3
        assert inbox.folders() == {"INBOX"}

    def test_the_dry_run_works_on_the_form_and_leads_back_to_it(
        self, alice: Browser, instance: Instance, inbox: DovecotMailbox
    ) -> None:
        entered = form_of(instance, process_unknown="true", archive_folder="Elsewhere")
        answer = post(alice, f"{PAGE}/incoming/preview", entered)
        _, text = look(alice, answer.location)
        assert "Elsewhere" in text
        assert row(instance).archive_folder == ""
        back = re.search(r'href="([^"]+kept=[^"]+)"', text)
        assert back
        assert 'value="Elsewhere"' in alice.get(back[1]).text


class TestASendingRow:
    @pytest.fixture(autouse=True)
    def failed(self, instance: Instance) -> None:
        set_row(instance, Row.OUTGOING, host="smtp.example.com", username="help@example.com")
        with instance.database.writing() as session:
            mail_servers.record_test(
                session, Row.OUTGOING, version=1, passed=False, sentence="x", now=datetime.now(UTC)
            )

    @pytest.mark.parametrize("htmx", [True, False])
    def test_turning_on_after_a_failed_test_asks(
        self, alice: Browser, instance: Instance, htmx: bool
    ) -> None:
        entered = form_of(instance, Row.OUTGOING, active="true", timeout_ms="30000")
        answer = post(alice, f"{PAGE}/outgoing", entered, htmx=htmx)
        assert "The last test failed. Turn on anyway?" in answer.text
        assert ("<form" in answer.text) is not htmx  # with a script the form stays, with what was typed
        assert not row(instance, Row.OUTGOING).active
        again = post(alice, f"{PAGE}/outgoing", entered | {"anyway": "true", "password_typed": "true"})
        assert "Enter the password again." in again.text
        post(alice, f"{PAGE}/outgoing", entered | {"anyway": "true"}, htmx=htmx)
        assert row(instance, Row.OUTGOING).active

    def test_other_settings_were_not_tested_so_nothing_is_asked(
        self, alice: Browser, instance: Instance
    ) -> None:
        entered = form_of(instance, Row.OUTGOING, active="true", host="smtp.other.example", password="x")
        assert post(alice, f"{PAGE}/outgoing", entered).status_code == 303
        assert row(instance, Row.OUTGOING).active

    def test_turning_off_says_what_stops(self, alice: Browser, instance: Instance) -> None:
        set_row(instance, Row.OUTGOING, None, active="true")
        post(alice, f"{PAGE}/outgoing", form_of(instance, Row.OUTGOING, timeout_ms="30000"))
        assert "Nothing is sent to customers by email." in alice.get(PAGE).text.split('id="row-outgoing"')[0]
