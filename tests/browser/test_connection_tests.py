"""Test Connection in the page, against a real Dovecot, on the values in the form."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Dialog, Locator, expect

from tests.browser.desk import Desk
from tests.browser.held import held_imap
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.factories import add_people, make_raw, set_incoming_from, set_row
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox
from tests.rig.ports import free_ports
from tests.rig.smtp import SmtpServer
from webapp.desk import mail_servers
from webapp.mailserver.base import ServerSettings, TlsMode
from webapp.models import Row

pytestmark = [pytest.mark.browser, pytest.mark.dovecot]
_RUNNING = f"""<div id="test-incoming" hx-get="{MAIL}/incoming/test/forgotten" hx-trigger="every 500ms"
 hx-swap="outerHTML">Testing</div>"""


@pytest.fixture
def form(tab: Tab) -> Locator:
    """The incoming row, opened."""
    tab.open(MAIL)
    return tab.edit()


def enter(tab: Tab, form: Locator, server: ServerSettings) -> None:
    tab.fill(form, host_name=server.host, port=str(server.port), user_name=server.username)
    mode = "SSL/TLS" if server.tls_mode is TlsMode.IMPLICIT else "STARTTLS"
    form.get_by_label(mode).check()  # an unusual port says nothing about it
    tab.fill(form, password=server.password)


def test_passed_on_the_values_shown_then_saved(tab: Tab, form: Locator, mailbox: DovecotMailbox) -> None:
    mailbox.deliver(make_raw())
    enter(tab, form, mailbox.settings())
    form.get_by_role("button", name="Test Connection").click()
    test = tab.page.locator("#test-incoming")
    expect(test).to_contain_text(
        re.compile(r"Test passed in \d+\.\d s\. Nothing on the server was changed\.")
    )
    expect(test.get_by_role("listitem").first).to_contain_text("Passed: Settings complete")
    expect(test).to_contain_text("1 message, 1 unread")
    assert not mailbox.contents()[0].seen
    assert mailbox.folders() == {"INBOX"}
    with tab.desk.instance.database.reading() as session:
        assert mail_servers.load(session, Row.INCOMING) is None
    assert mailbox.password not in tab.page.content()

    form.get_by_label("Active", exact=True).check()
    form.get_by_role("button", name="Save").last.click()
    tab.toasts("Incoming email settings saved.")
    expect(tab.row()).to_contain_text("1 unread message is in the inbox of")
    choices = tab.row().get_by_role("radio")
    expect(choices).to_have_count(3)
    assert not any(choice.is_checked() for choice in choices.all())
    tab.row().get_by_label("Only messages from now on").check()
    tab.row().get_by_role("button", name="Turn on").click()
    expect(tab.row().locator(".row-state")).to_contain_text("Active")
    tab.toasts("Incoming email is on.")

    tab.edit().get_by_role("button", name="Test Connection").click()  # with the stored password
    expect(test).to_contain_text("Test passed in")
    form.get_by_role("link", name="Cancel").click()
    expect(tab.row()).to_contain_text("Last test passed")


def test_a_closed_port_is_named_and_the_way_to_its_field_shown(tab: Tab, form: Locator) -> None:
    closed = str(free_ports(1)[0])
    tab.fill(form, host_name="localhost", port=closed, user_name="help@example.com", password="canary-secret")
    form.get_by_label("SSL/TLS").check()
    form.get_by_role("button", name="Test Connection").click()
    verdict = tab.page.locator("#test-incoming").get_by_role("alert")
    expect(verdict).to_contain_text("Test failed at Connection.")
    expect(verdict).to_contain_text("What to do:")
    verdict.get_by_role("link", name="Go to Port").click()
    expect(form.get_by_label("Port", exact=True)).to_be_focused()
    expect(form.get_by_label("Password")).to_have_value("canary-secret")  # as typed: the form stands


def test_a_wrong_password_is_named_and_the_way_to_its_field_shown(
    tab: Tab, form: Locator, mailbox: DovecotMailbox
) -> None:
    enter(tab, form, mailbox.settings(password="not this one"))
    form.get_by_role("button", name="Test Connection").click()
    verdict = tab.page.locator("#test-incoming").get_by_role("alert")
    expect(verdict).to_contain_text("Test failed at Sign-in.")
    verdict.get_by_role("link", name="Go to Password").focus()
    tab.page.keyboard.press("Enter")
    expect(form.get_by_label("Password")).to_be_focused()
    expect(tab.page.locator("#test-incoming")).not_to_contain_text("not this one")


def test_values_that_cannot_be_tested_are_shown_at_their_fields(tab: Tab, form: Locator) -> None:
    tab.expect_refusal(422)
    tab.fill(form, host_name="imap.example.com", port="70000", user_name="help@example.com")
    form.get_by_role("button", name="Test Connection").click()
    expect(tab.row().get_by_role("alert")).to_contain_text("attention:")
    expect(form.get_by_label("Port", exact=True)).to_be_focused()


def test_a_test_saves_nothing_so_leaving_still_asks(tab: Tab, form: Locator) -> None:
    tab.fill(form, host_name="localhost", port=str(free_ports(1)[0]), user_name="help", password="secret")
    form.get_by_label("SSL/TLS").check()
    form.get_by_role("button", name="Test Connection").click()
    expect(tab.page.locator("#test-incoming").get_by_role("alert")).to_be_visible()
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    tab.page.once("dialog", leave)
    tab.page.get_by_role("link", name="Tickets").first.click()
    tab.page.wait_for_url("**/tickets")
    assert asked == ["beforeunload"]


def test_a_test_the_desk_forgot_is_asked_for_no_more(tab: Tab, form: Locator) -> None:
    """A restart of the desk in the middle of a test."""
    tab.expect_refusal(404)
    tab.page.route("**/test", lambda route: route.fulfill(body=_RUNNING, content_type="text/html"))
    tab.fill(form, host_name="localhost", user_name="help", password="secret")
    form.get_by_role("button", name="Test Connection").click()
    expect(tab.page.locator("#test-incoming")).to_contain_text("This test is not known any more.")
    assert tab.page.locator("#test-incoming[hx-trigger]").count() == 0


def test_the_cure_of_a_failed_test_is_one_click(tab: Tab, form: Locator, mailbox: DovecotMailbox) -> None:
    """A port that does not start with SSL/TLS, but offers STARTTLS."""
    server = mailbox.settings(TlsMode.STARTTLS)
    enter(tab, form, replace(server, tls_mode=TlsMode.IMPLICIT))
    form.get_by_role("button", name="Test Connection").click()
    verdict = tab.page.locator("#test-incoming").get_by_role("alert")
    expect(verdict).to_contain_text("does not start with SSL/TLS")
    verdict.get_by_role("button", name="Switch to STARTTLS").click()
    expect(tab.page.locator("#test-incoming")).to_contain_text("Test passed in")
    expect(form.get_by_label("STARTTLS")).to_be_checked()
    expect(form.get_by_label("Port", exact=True)).to_have_value(str(server.port))


def test_the_saved_row_is_tested_from_its_view_and_leads_to_the_field(tab: Tab) -> None:
    set_row(
        tab.desk.instance, host="localhost", port=str(free_ports(1)[0]), tls_mode="implicit", username="help"
    )
    tab.open(MAIL)
    tab.row().get_by_role("button", name="Test Connection").click()
    expect(tab.row()).to_contain_text("Last test failed")
    tab.row().get_by_role("alert").get_by_role("link", name="Go to Port").click()
    tab.page.wait_for_url("**/incoming/edit#incoming-port")
    expect(tab.page.get_by_label("Port", exact=True)).to_be_focused()


def test_a_running_test_is_watched_and_stopped(tab: Tab, form: Locator, authority: Authority) -> None:
    with held_imap(authority, "EXAMINE", ["{tag} NO not today"]) as server:
        tab.fill(form, host_name="localhost", port=str(server.port), user_name="help", password="secret")
        form.get_by_label("SSL/TLS").check()
        form.get_by_role("button", name="Test Connection").click()
        test = tab.page.locator("#test-incoming")
        expect(test).to_contain_text(f"Test Connection – localhost:{server.port}")
        expect(test).to_contain_text("step 7 of 10")
        expect(test.get_by_role("progressbar", name="Stages done")).to_be_visible()
        expect(test.get_by_role("listitem").nth(5)).to_contain_text("Passed: Sign-in")
        expect(test.get_by_role("listitem").nth(6)).to_contain_text("Running: Inbox")
        expect(tab.page.locator("#said")).to_have_text(f"Testing localhost:{server.port}")
        tab.fill(form, timeout_ms="20000")  # the form can still be used
        test.get_by_role("button", name="Stop").press("Enter")
        expect(test).to_contain_text("The test was stopped.")
        expect(tab.page.locator("#said")).to_have_text("The test was stopped.")
        tab.keeps_focus()


def test_saving_ends_a_running_test(tab: Tab, form: Locator, authority: Authority) -> None:
    with held_imap(authority, "EXAMINE", ["{tag} NO not today"]) as server:
        tab.fill(form, host_name="localhost", port=str(server.port), user_name="help", password="secret")
        form.get_by_label("SSL/TLS").check()
        form.get_by_role("button", name="Test Connection").click()
        expect(tab.page.locator("#test-incoming")).to_contain_text("Running: Inbox")
        form.get_by_role("button", name="Save").last.click()
        tab.toasts("Incoming email settings saved. Not tested yet.")
        expect(tab.row().locator(".row-state")).to_have_text("Not active")


def test_a_passed_test_says_what_will_happen_and_shows_the_messages(
    tab: Tab, form: Locator, mailbox: DovecotMailbox
) -> None:
    add_people(tab.desk.instance)
    mailbox.deliver(make_raw(subject="Printer offline"))
    mailbox.deliver(make_raw(subject="Your order", sender="no-reply@shop.test"))
    mailbox.deliver(make_raw(subject="Hello", sender="carl@nowhere.test"))
    enter(tab, form, mailbox.settings())
    form.get_by_role("button", name="Test Connection").click()
    test = tab.page.locator("#test-incoming")
    expect(test).to_contain_text("3 messages, 3 unread")
    expect(test).to_contain_text("When you turn this on now: 1 new ticket · 1 automatic · 1 unknown sender.")
    test.get_by_role("button", name="Show the 3 messages").click()
    expect(tab.row().get_by_role("row", name="Printer offline")).to_contain_text("New ticket")
    expect(tab.row().get_by_role("row", name="Hello")).to_contain_text("Ignored – unknown sender")
    expect(form.get_by_label("Password")).to_have_value(mailbox.password)  # nothing was taken away
    assert not any(message.seen for message in mailbox.contents())


def test_a_failed_test_marks_the_field_and_says_the_cure(
    tab: Tab, form: Locator, mailbox: DovecotMailbox
) -> None:
    enter(tab, form, mailbox.settings(password="not this one"))
    form.get_by_role("button", name="Test Connection").click()
    verdict = tab.page.locator("#test-incoming").get_by_role("alert")
    expect(verdict).to_contain_text(
        "What to do: Enter the password again. Some providers want an app password instead"
    )
    expect(tab.page.locator("#said")).to_have_text("Test failed.")
    password = form.get_by_label("Password")
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(password).to_have_accessible_description(re.compile("The server rejected the user name"))
    stages = tab.page.locator("#test-incoming").get_by_role("listitem")
    expect(stages.nth(5)).to_contain_text("Failed: Sign-in")
    expect(stages.nth(6)).to_contain_text("Not reached: Inbox")


def test_technical_details_are_copied_and_hold_no_secret(
    desk: Desk, open_tab: OpenTab, mailbox: DovecotMailbox
) -> None:
    tab = open_tab(desk)
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=desk.address)
    tab.sign_in("alice", MAIL)
    form = tab.edit()
    enter(tab, form, mailbox.settings(password="canary-secret"))
    form.get_by_role("button", name="Test Connection").click()
    tab.page.get_by_text("Technical details").click()
    tab.row().get_by_role("button", name="Copy").click()
    expect(tab.row().get_by_role("button", name="Copied")).to_be_visible()
    copied = tab.page.evaluate("navigator.clipboard.readText()")
    assert f"Port: {mailbox.settings().port}" in copied
    assert "Error: AuthenticationFailed at sign_in" in copied
    assert "canary-secret" not in copied
    assert mailbox.user not in copied


def test_a_test_message_is_sent_and_arrives(tab: Tab, smtp_server: SmtpServer) -> None:
    form = tab.edit_at(MAIL, "outgoing")
    enter(tab, form, smtp_server.settings())
    expect(form.get_by_label("Send a test message to")).to_have_value("alice@desk.example")
    form.get_by_label("Send a test message to").fill("anna@example.com")
    form.get_by_role("button", name="Send a test message").click()
    test = tab.page.locator("#test-outgoing")
    expect(test).to_contain_text("the server accepted a test message for anna@example.com")
    [message] = smtp_server.messages
    assert message.recipients == ["anna@example.com"]
    assert b"Auto-Submitted: auto-generated" in message.raw


def test_a_test_message_without_an_address_is_asked_for(tab: Tab, smtp_server: SmtpServer) -> None:
    tab.expect_refusal(422)
    form = tab.edit_at(MAIL, "outgoing")
    enter(tab, form, smtp_server.settings())
    form.get_by_label("Send a test message to").fill("anna")
    form.get_by_role("button", name="Send a test message").click()
    expect(tab.row("outgoing")).to_contain_text("Enter one email address, for example anna@example.com.")
    expect(tab.row("outgoing")).to_contain_text("Enter the password again.")
    assert smtp_server.messages == []


def test_a_saved_password_goes_to_the_saved_server_only(tab: Tab, mailbox: DovecotMailbox) -> None:
    tab.expect_refusal(422)
    set_incoming_from(tab.desk.instance, mailbox.settings(), active="false")
    form = tab.edit_at(MAIL)
    tab.fill(form, host_name="127.0.0.1")
    form.get_by_role("button", name="Test Connection").click()
    expect(form.get_by_label("Password")).to_be_focused()
    expect(form.get_by_label("Password")).to_have_accessible_description(
        re.compile("You changed the server or the account. Enter the password again")
    )
