"""Turning incoming email on: a step of its own, so that nobody is surprised by a flood of old mail."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.desk import Desk
from tests.browser.held import held_imap
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.factories import add_people, make_raw, set_incoming_from, set_row
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox
from tests.rig.ports import free_ports
from webapp.desk import mail_servers
from webapp.models import MailServer, Row

pytestmark = [pytest.mark.browser, pytest.mark.dovecot]


@pytest.fixture
def off(desk: Desk, mailbox: DovecotMailbox) -> Desk:
    """The row is saved and off; two customers' messages and an automatic one wait in the inbox."""
    add_people(desk.instance)
    mailbox.deliver(make_raw(subject="Printer offline"))
    mailbox.deliver(make_raw(subject="VPN", sender="Bob Ray <bob@binder.test>"))
    mailbox.deliver(make_raw(sender="no-reply@shop.test", subject="Your order"))
    set_incoming_from(desk.instance, mailbox.settings(), active="false", process_unknown="false")
    return desk


@pytest.fixture
def step(off: Desk, tab: Tab) -> Locator:
    """Alice has pressed Turn on."""
    tab.open(MAIL)
    tab.row().get_by_role("link", name="Turn on").click()
    expect(tab.row().get_by_role("heading", name="Turn on incoming email?")).to_be_visible()
    expect(tab.row().get_by_role("radio").first).to_be_visible()
    return tab.row()


def stored(desk: Desk) -> MailServer:
    with desk.instance.database.reading() as session:
        found = mail_servers.load(session, Row.INCOMING)
    assert found is not None
    return found


def turn_on(step: Locator) -> None:
    step.get_by_role("button", name="Turn on").click()
    expect(step.locator(".row-state")).to_contain_text("Active")


def test_the_step_counts_the_messages_and_preselects_nothing(
    tab: Tab, step: Locator, mailbox: DovecotMailbox
) -> None:
    expect(step).to_contain_text(
        f"3 unread messages are in the inbox of {mailbox.user}; processed messages move to “Archive”, "
        "which will be created."
    )
    expect(step).to_contain_text(re.compile(r"All 3 unread messages, the oldest from .+: 2 new tickets"))
    expect(step.get_by_role("radio", checked=True)).to_have_count(0)
    expect(step.get_by_label("Only messages from now on")).to_be_focused()
    assert mailbox.folders() == {"INBOX"}
    assert not stored(tab.desk).active


def test_without_a_choice_nothing_is_turned_on(tab: Tab, step: Locator) -> None:
    tab.expect_refusal(422)
    step.get_by_role("button", name="Turn on").click()
    expect(step.get_by_role("alert")).to_contain_text("Not turned on. 1 field needs attention:")
    expect(step).to_contain_text("Choose which messages become tickets.")
    tab.keeps_focus()
    assert not stored(tab.desk).active


def test_only_messages_from_now_on(tab: Tab, step: Locator, mailbox: DovecotMailbox) -> None:
    step.get_by_label("Only messages from now on").check()
    turn_on(step)
    tab.toasts("Incoming email is on.")
    expect(step.get_by_role("link", name="Edit")).to_be_focused()
    assert stored(tab.desk).cutoff_enabled
    mailbox.deliver(make_raw(subject="A new one"))
    tab.desk.poll()
    tab.open("/tickets")
    expect(tab.page.locator("#ticket-list")).to_contain_text("A new one")
    expect(tab.page.locator("#ticket-list")).not_to_contain_text("Printer offline")


def test_all_unread_messages(tab: Tab, step: Locator) -> None:
    step.get_by_label("All 3 unread messages").check()
    turn_on(step)
    assert not stored(tab.desk).cutoff_enabled
    tab.desk.poll()
    tab.open("/tickets")
    expect(tab.page.locator("#ticket-list tbody tr")).to_have_count(2)


def test_messages_from_a_date(tab: Tab, step: Locator) -> None:
    tab.expect_refusal(422)
    expect(step.get_by_label("Date", exact=True)).not_to_be_visible()
    step.get_by_label("From a date").check()
    step.get_by_role("button", name="Turn on").click()
    expect(step).to_contain_text("Enter a date and a time.")
    expect(step.get_by_label("Date", exact=True)).to_be_focused()
    step.get_by_label("Date", exact=True).fill("2026-11-01")
    step.get_by_label("Time").fill("08:30")
    turn_on(step)
    cutoff = stored(tab.desk).cutoff_at
    assert cutoff is not None
    assert f"{cutoff:%Y-%m-%d %H:%M}" == "2026-11-01 08:30"


def test_a_date_that_is_set_already_is_preselected(off: Desk, tab: Tab) -> None:
    set_row(off.instance, password=None, cutoff_enabled="true", cutoff_at="2026-11-01T08:30")
    tab.open(MAIL)
    tab.row().get_by_role("link", name="Turn on").click()
    expect(tab.row().get_by_label("From a date")).to_be_checked()
    expect(tab.row().get_by_label("From a date")).to_be_focused()
    expect(tab.row().get_by_label("Date", exact=True)).to_have_value("2026-11-01")


def test_cancel_leaves_the_row_off(tab: Tab, step: Locator) -> None:
    step.get_by_role("link", name="Cancel").click()
    expect(step.locator(".row-state")).to_have_text("Not active")
    expect(step.get_by_role("link", name="Edit")).to_be_focused()
    assert not stored(tab.desk).active


def test_the_messages_are_shown_one_by_one(step: Locator, mailbox: DovecotMailbox) -> None:
    step.get_by_role("button", name="Show the 3 messages").click()
    expect(step.get_by_role("row", name="Printer offline")).to_contain_text("New ticket")
    expect(step.get_by_role("row", name="Your order")).to_contain_text(
        "Ignored – sender is a no-reply address"
    )
    assert not any(message.seen for message in mailbox.contents())


def test_somebody_else_changed_the_settings_meanwhile(tab: Tab, step: Locator) -> None:
    set_row(tab.desk.instance, password=None, timeout_ms="20000")
    step.get_by_label("Only messages from now on").check()
    step.get_by_role("button", name="Turn on").click()
    tab.toasts("test changed these settings in the meantime.")
    expect(step.get_by_role("radio", checked=True)).to_have_count(0)  # the inbox was looked into anew
    assert not stored(tab.desk).active
    step.get_by_label("Only messages from now on").check()
    turn_on(step)


def test_a_mailbox_that_cannot_be_reached_may_be_turned_on_anyway(tab: Tab) -> None:
    closed = str(free_ports(1)[0])
    set_row(tab.desk.instance, host="localhost", port=closed, tls_mode="implicit", username="help")
    tab.open(MAIL)
    tab.row().get_by_role("link", name="Turn on").click()
    expect(tab.row().get_by_role("alert")).to_contain_text(
        f"nothing answers on port {closed}. So nobody knows how many unread messages are there."
    )
    expect(tab.row().get_by_role("button", name="Look again")).to_be_visible()
    tab.row().get_by_label("Only messages from now on").check()
    tab.row().get_by_role("button", name="Turn on anyway").click()
    expect(tab.row().locator(".row-state")).to_contain_text("Active")


def test_the_look_into_the_inbox_is_watched_and_stopped(tab: Tab, authority: Authority) -> None:
    with held_imap(authority, "UID SEARCH", ["* SEARCH", "{tag} OK done"]) as server:
        set_row(
            tab.desk.instance, host="localhost", port=str(server.port), tls_mode="implicit", username="help"
        )
        tab.open(MAIL)
        tab.row().get_by_role("link", name="Turn on").click()
        expect(tab.row()).to_contain_text("Looking into the inbox of help, to say what would happen.")
        expect(tab.row().get_by_role("progressbar", name="Messages looked at")).to_be_visible()
        stop = tab.row().get_by_role("button", name="Stop")
        stop.focus()
        server.go_on.set()
        tab.page.keyboard.press("Enter")
        expect(tab.row().get_by_role("radio").first).to_be_visible()
        tab.keeps_focus()


def test_where_nobody_is_known_it_is_said_that_all_mail_will_be_ignored(
    tab: Tab, mailbox: DovecotMailbox
) -> None:
    told = "There are no users yet, so every sender is unknown and all mail will be ignored."
    set_incoming_from(tab.desk.instance, mailbox.settings(), active="false", process_unknown="false")
    tab.open(f"{MAIL}/incoming/activate")
    expect(tab.row()).to_contain_text(told)
    tab.row().get_by_role("link", name="Process messages from unknown users").click()
    box = tab.row().get_by_label("Process messages from unknown users")
    expect(box).to_be_focused()
    box.check()
    tab.row().get_by_role("button", name="Save").last.click()
    tab.row().get_by_role("link", name="Turn on").click()
    expect(tab.row().get_by_role("radio").first).to_be_visible()
    expect(tab.row()).not_to_contain_text(told)


def test_an_empty_inbox_is_said(tab: Tab, mailbox: DovecotMailbox) -> None:
    set_incoming_from(tab.desk.instance, mailbox.settings(), active="false")
    tab.open(MAIL)
    tab.row().get_by_role("button", name="What would happen now").click()
    expect(tab.row()).to_contain_text("There are no unread messages in the inbox.")
    tab.row().get_by_role("link", name="Turn on").click()
    expect(tab.row()).to_contain_text(f"There are no unread messages in the inbox of {mailbox.user}.")


def test_after_a_failed_test_a_sending_row_asks_before_it_is_on(tab: Tab) -> None:
    form = tab.edit_at(MAIL, "outgoing")
    tab.fill(form, host_name="localhost", port=str(free_ports(1)[0]), user_name="help@example.com")
    form.get_by_label("SSL/TLS").check()
    tab.fill(form, password="secret")
    form.get_by_role("button", name="Test Connection").click()
    expect(tab.page.locator("#test-outgoing")).to_contain_text("Test failed at Connection.")
    form.get_by_label("Active", exact=True).check()
    form.get_by_role("button", name="Save").last.click()
    expect(form.get_by_role("alert")).to_contain_text("The last test failed. Turn on anyway?")
    form.get_by_role("alert").get_by_role("button", name="Cancel").click()
    expect(form.get_by_role("alert")).to_have_count(0)
    tab.keeps_focus("#row-outgoing")
    form.get_by_role("button", name="Save").last.click()
    form.get_by_role("button", name="Turn on anyway").click()
    expect(tab.row("outgoing").locator(".row-state")).to_have_text("Active, last test failed")


def test_two_tabs_one_turns_it_on_and_the_other_is_told(step: Locator, tab: Tab, open_tab: OpenTab) -> None:
    other = open_tab(tab.desk)
    other.sign_in("alice", MAIL)
    other.row().get_by_role("link", name="Turn on").click()
    other.row().get_by_label("All 3 unread messages").check()
    turn_on(other.row())
    step.get_by_label("Only messages from now on").check()
    turn_on(step)
    tab.toasts("Incoming email is on already.")
    assert not stored(tab.desk).cutoff_enabled
