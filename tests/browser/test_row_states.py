"""What a row says while nobody edits it: one test a state."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.browser.held import held_imap
from tests.browser.tab import MAIL, Tab
from tests.factories import MAILBOX, add_people, make_raw, set_incoming_from, set_row
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox
from webapp.desk import mail_servers
from webapp.models import Row

pytestmark = pytest.mark.browser


def remember_test(tab: Tab, row: Row, *, passed: bool, sentence: str = "") -> None:
    with tab.desk.instance.database.writing() as session:
        version = mail_servers.load(session, row).version  # type: ignore[union-attr]
        now = datetime.now(UTC)
        mail_servers.record_test(session, row, version=version, passed=passed, sentence=sentence, now=now)


def is_shown_as(tab: Tab, state: str, name: str = "incoming") -> None:
    expect(tab.row(name).locator(".row-state")).to_have_text(state)


def test_not_set_up(tab: Tab) -> None:
    tab.open(MAIL)
    tab.says("No mail server is set up yet. Start with Incoming email settings")
    tab.says("Ask your email administrator for the server details before you start.")
    for name in ("outgoing", "invoice", "incoming"):
        is_shown_as(tab, "Not set up", name)
        expect(tab.row(name).get_by_role("button", name="Test Connection")).to_have_count(0)
    tab.page.get_by_role("button", name="Set up incoming email").click()
    expect(tab.row().get_by_label("Active", exact=True)).to_be_focused()


def test_not_active_and_not_tested(tab: Tab) -> None:
    set_row(tab.desk.instance, Row.OUTGOING, host="smtp.example.com", username="help@example.com")
    tab.open(MAIL)
    row = tab.row("outgoing")
    is_shown_as(tab, "Not active", "outgoing")
    expect(row).to_contain_text("SMTP · smtp.example.com:587 · STARTTLS · From help@example.com")
    expect(row).to_contain_text("Nothing is sent to customers by email.")
    expect(row).to_contain_text("Not tested yet.")
    expect(tab.page.locator("#nothing-set-up")).to_have_count(0)


def test_active_but_never_tested(tab: Tab) -> None:
    set_row(tab.desk.instance, Row.INVOICE, host="smtp.example.com", username="a@example.com", active="true")
    tab.open(MAIL)
    is_shown_as(tab, "Active, not tested", "invoice")


def test_active_and_the_last_test_passed(tab: Tab) -> None:
    set_row(tab.desk.instance, Row.OUTGOING, host="smtp.example.com", username="a@example.com", active="true")
    remember_test(tab, Row.OUTGOING, passed=True)
    tab.open(MAIL)
    is_shown_as(tab, "Active", "outgoing")
    expect(tab.row("outgoing")).to_contain_text("Last test passed")


def test_active_though_the_last_test_failed(tab: Tab) -> None:
    set_row(tab.desk.instance, Row.OUTGOING, host="smtp.example.com", username="a@example.com", active="true")
    remember_test(
        tab, Row.OUTGOING, passed=False, sentence='The host name "smtp.example.com" does not exist.'
    )
    tab.open(MAIL)
    is_shown_as(tab, "Active, last test failed", "outgoing")
    expect(tab.row("outgoing")).to_contain_text(': The host name "smtp.example.com" does not exist.')


def test_testing(tab: Tab, authority: Authority) -> None:
    with held_imap(authority, "EXAMINE", ["{tag} NO not today"]) as server:
        set_row(
            tab.desk.instance, host="localhost", port=str(server.port), tls_mode="implicit", username="help"
        )
        tab.open(MAIL)
        tab.row().get_by_role("button", name="Test Connection").click()
        is_shown_as(tab, "Testing")
        server.go_on.set()
        is_shown_as(tab, "Not active")


@pytest.mark.dovecot
def test_failing_since_with_cause_and_cure_until_it_works_again(tab: Tab, mailbox: DovecotMailbox) -> None:
    set_incoming_from(tab.desk.instance, mailbox.settings(password="not this one"))
    tab.desk.poll()
    tab.open(MAIL)
    expect(tab.row().locator(".row-state")).to_contain_text("Failing since")
    expect(tab.row()).to_contain_text("The server rejected the user name or password.")
    expect(tab.row()).to_contain_text("What to do: Enter the password again.")
    expect(tab.page.get_by_role("region", name="Incoming mail is failing")).to_be_visible()

    set_incoming_from(tab.desk.instance, mailbox.settings())
    tab.desk.poll()
    tab.open(MAIL)
    is_shown_as(tab, "Active")
    expect(tab.page.get_by_role("region", name="Incoming mail is failing")).to_have_count(0)


def test_the_last_24_hours_are_drawn_and_counted(tab: Tab) -> None:
    tab.desk.receive_samples()
    tab.open(MAIL)
    expect(tab.row()).to_contain_text("today: 2 new tickets, 1 update, 1 ignored")
    expect(tab.row().get_by_role("img")).to_have_accessible_name(
        re.compile("last 24 hours.* 2 new tickets, 1 update, 1 ignored")
    )
    tab.row().get_by_role("link", name="Open email log").click()
    tab.page.wait_for_url("**/email-log")


def test_the_mailbox_outgoing_sends_from_is_pointed_out(tab: Tab) -> None:
    set_row(tab.desk.instance, Row.OUTGOING, host="smtp.example.com", username=MAILBOX)
    set_row(tab.desk.instance, host="imap.example.com", username=MAILBOX)
    tab.open(MAIL)
    expect(tab.row()).to_contain_text(f"{MAILBOX} is also the address Outgoing sends from. That works:")
    remember_test(tab, Row.INCOMING, passed=True)  # a passed test says more
    tab.open(MAIL)
    expect(tab.row()).not_to_contain_text("is also the address")


@pytest.mark.dovecot
def test_what_would_happen_now_is_asked_of_the_saved_row(tab: Tab, mailbox: DovecotMailbox) -> None:
    add_people(tab.desk.instance)
    mailbox.deliver(make_raw(subject="Printer offline"))
    mailbox.deliver(make_raw(sender="no-reply@shop.test", subject="Your order"))
    set_incoming_from(tab.desk.instance, mailbox.settings(), active="false")
    tab.open(MAIL)
    tab.row().get_by_role("button", name="What would happen now").click()
    expect(tab.row()).to_contain_text("What would happen to the 2 unread messages")
    expect(tab.row()).to_contain_text("1 new ticket, 1 ignored. Nothing was changed:")
    expect(tab.row().get_by_role("row", name="Printer offline")).to_contain_text("New ticket")
    expect(tab.row().get_by_role("row", name="Your order")).to_contain_text("no-reply")
    assert not any(message.seen for message in mailbox.contents())
