"""The main ways again, with JavaScript turned off: every change is a form and every answer a page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.desk import Desk
from tests.browser.held import held_imap
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.factories import make_raw, set_incoming_from, set_row
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox
from tests.rig.ports import free_ports
from tests.views.browser import PASSWORD
from webapp.desk import mail_servers
from webapp.mailserver.base import TlsMode
from webapp.models import Row

pytestmark = pytest.mark.browser
SECRET = "canary-secret"


@pytest.fixture
def plain(desk: Desk, open_tab: OpenTab) -> Tab:
    """Alice, at the three rows, without JavaScript."""
    tab = open_tab(desk, java_script_enabled=False)
    tab.sign_in("alice", MAIL)
    return tab


def test_sign_in_and_out(desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(desk, java_script_enabled=False)
    tab.open("/login")
    tab.page.get_by_label("Email address").fill("alice@desk.example")
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Sign in").click()
    tab.page.wait_for_url("**/tickets")
    tab.page.get_by_role("button", name="Sign out").first.click()
    tab.page.wait_for_url("**/login")


def test_a_row_is_refused_corrected_and_saved(plain: Tab) -> None:
    plain.expect_refusal(422)
    form = plain.edit()
    plain.page.wait_for_url("**/incoming/edit")
    plain.fill(form, host_name="imap.example.com", port="70000", user_name="help@example.com")
    plain.fill(form, password=SECRET)
    form.get_by_role("button", name="Save").last.click()
    expect(plain.row().get_by_role("alert")).to_contain_text("Not saved. 2 fields need attention:")
    expect(form.get_by_label("Port", exact=True)).to_be_focused()
    assert SECRET not in plain.page.content()
    plain.fill(form, port="", password=SECRET)
    form.get_by_label("Password").press("Enter")
    plain.page.wait_for_url(f"**{MAIL}#row-incoming")
    plain.says("Incoming email settings saved. Not tested yet.")
    expect(plain.row().locator(".summary")).to_contain_text("imap.example.com:993")


def choose(plain: Tab, form: Locator, port: str, password: str) -> None:
    """An unusual port says nothing about the encryption: it is asked for, once."""
    plain.expect_refusal(422)
    form.get_by_role("button", name="Test Connection").click()
    expect(form).to_contain_text(f"Choose SSL/TLS or STARTTLS: port {port} says nothing about it.")
    expect(form.get_by_role("radio", name=re.compile("port"), checked=True)).to_have_count(0)
    expect(form.get_by_label("SSL/TLS")).to_be_focused()
    form.get_by_label("SSL/TLS").check()
    plain.fill(form, password=password)


@pytest.mark.parametrize(("port", "shown"), [("143", "143 · STARTTLS"), ("465", "465 · SSL/TLS")])
def test_a_usual_port_says_which_encryption_is_meant(plain: Tab, port: str, shown: str) -> None:
    form = plain.edit()
    plain.fill(form, host_name="imap.example.com", port=port, user_name="help", password=SECRET)
    form.get_by_role("button", name="Save").last.click()
    expect(plain.row().locator(".summary")).to_contain_text(f"imap.example.com:{shown}")


def test_a_chosen_encryption_is_kept_on_an_unusual_port(plain: Tab) -> None:
    form = plain.edit("outgoing")
    plain.fill(form, host_name="smtp.example.com", port="2525", user_name="help@example.com")
    form.get_by_label("SSL/TLS").check()  # STARTTLS was preselected: this is a choice
    plain.fill(form, password=SECRET)
    form.get_by_role("button", name="Save").last.click()
    expect(plain.row("outgoing").locator(".summary")).to_contain_text("smtp.example.com:2525 · SSL/TLS")


def test_enter_at_the_address_of_a_test_message_saves_nothing(plain: Tab) -> None:
    form = plain.edit("outgoing")
    plain.fill(form, host_name="smtp.example.com", user_name="help@example.com", password=SECRET)
    form.get_by_label("Send a test message to").press("Enter")
    form.get_by_role("link", name="Cancel").click()
    expect(plain.row("outgoing")).to_contain_text("Not set up")
    with plain.desk.instance.database.reading() as session:
        assert mail_servers.load(session, Row.OUTGOING) is None


def test_cancel(plain: Tab) -> None:
    plain.edit("outgoing").get_by_role("link", name="Cancel").click()
    expect(plain.row("outgoing")).to_contain_text("Not set up")


def test_a_failed_test_comes_with_the_form_as_it_was_filled_in(plain: Tab) -> None:
    form = plain.edit()
    closed = str(free_ports(1)[0])
    plain.fill(form, host_name="localhost", port=closed, user_name="help@example.com", password=SECRET)
    choose(plain, form, closed, SECRET)
    form.get_by_role("button", name="Test Connection").click()
    plain.says("Test failed at Connection.")
    expect(form.get_by_label("Host name")).to_have_value("localhost")
    assert SECRET not in plain.page.content()


@pytest.mark.dovecot
def test_a_passed_test(plain: Tab, mailbox: DovecotMailbox) -> None:
    form, server = plain.edit(), mailbox.settings()
    plain.fill(form, host_name=server.host, port=str(server.port), user_name=server.username)
    choose(plain, form, str(server.port), server.password)
    form.get_by_role("button", name="Test Connection").click()
    plain.says("Test passed in")
    expect(form.get_by_label("SSL/TLS")).to_be_checked()
    plain.says("Enter the password again before you save: it is never sent back to the browser.")


def test_of_two_editors_the_second_sees_what_the_first_saved(plain: Tab, desk: Desk) -> None:
    set_row(desk.instance, host="imap.example.com", username="help@example.com")
    form = plain.edit()
    set_row(desk.instance, host="imap.first.example", username="help@example.com")
    plain.expect_refusal(409)
    plain.fill(form, host_name="imap.second.example", password=SECRET)
    form.get_by_role("button", name="Save").last.click()
    plain.says("changed these settings at")
    plain.fill(form, password=SECRET)
    form.get_by_role("button", name="Save mine").click()
    expect(plain.row().locator(".summary")).to_contain_text("imap.second.example")


def test_a_sign_in_that_ended_in_the_middle_of_an_edit(plain: Tab) -> None:
    form = plain.edit()
    plain.desk.end_sessions()
    form.get_by_role("button", name="Save").last.click()
    plain.page.wait_for_url("**/login")
    plain.says("Your session ended. Sign in again, your entries were not saved.")


@pytest.mark.dovecot
def test_incoming_mail_is_turned_on_in_a_step_of_its_own(plain: Tab, mailbox: DovecotMailbox) -> None:
    mailbox.deliver(make_raw())
    form, server = plain.edit(), mailbox.settings()
    plain.fill(form, host_name=server.host, port=str(server.port), user_name=server.username)
    choose(plain, form, str(server.port), server.password)
    form.get_by_label("Active", exact=True).check()
    form.get_by_role("button", name="Save").last.click()
    plain.page.wait_for_url("**/incoming/activate/*")
    expect(plain.row()).to_contain_text("1 unread message is in the inbox of")
    plain.row().get_by_role("button", name="Show the 1 message").click()
    plain.page.wait_for_url("**/incoming/preview/*")
    expect(plain.page.get_by_role("row", name="Printer offline")).to_be_visible()
    plain.page.go_back()
    plain.row().get_by_label("Only messages from now on").check()
    plain.row().get_by_role("button", name="Turn on").click()
    plain.page.wait_for_url(f"**{MAIL}#row-incoming")
    plain.says("Incoming email is on.")
    expect(plain.row().locator(".row-state")).to_contain_text("Active")


def test_a_running_test_is_watched_and_stopped(plain: Tab, authority: Authority) -> None:
    with held_imap(authority, "EXAMINE", ["{tag} NO not today"]) as server:
        set_row(
            plain.desk.instance, host="localhost", port=str(server.port), tls_mode="implicit", username="help"
        )
        plain.open(MAIL)
        plain.row().get_by_role("button", name="Test Connection").click()
        plain.says("step 7 of 10")
        plain.row().get_by_role("button", name="Stop").click()
        plain.says("The test was stopped.")


def test_a_failed_test_leads_to_its_field_and_offers_the_cure(plain: Tab, mailbox: DovecotMailbox) -> None:
    server = mailbox.settings(TlsMode.STARTTLS)
    set_incoming_from(plain.desk.instance, server, active="false", tls_mode="implicit")
    form = plain.edit_at(MAIL)
    plain.fill(form, password=server.password)
    form.get_by_role("button", name="Test Connection").click()
    plain.says("does not start with SSL/TLS")
    plain.row().get_by_role("link", name="Go to").click()
    expect(plain.page).to_have_url(re.compile("#incoming-"))
    plain.page.go_back()
    plain.fill(form, password=server.password)
    plain.row().get_by_role("button", name="Switch to STARTTLS").click()
    plain.says("Test passed in")
    expect(form.get_by_label("STARTTLS")).to_be_checked()


def test_after_a_failed_test_a_sending_row_asks_before_it_is_on(plain: Tab) -> None:
    closed = str(free_ports(1)[0])
    set_row(plain.desk.instance, Row.OUTGOING, host="localhost", port=closed, tls_mode="implicit",
            username="help@example.com")  # fmt: skip
    plain.open(MAIL)
    plain.row("outgoing").get_by_role("button", name="Test Connection").click()
    plain.says("Test failed at Connection.")
    form = plain.edit_at(MAIL, "outgoing")
    form.get_by_label("Active", exact=True).check()
    form.get_by_role("button", name="Save").last.click()
    plain.says("The last test failed. Turn on anyway?")
    form.get_by_role("button", name="Turn on anyway").click()
    expect(plain.row("outgoing").locator(".row-state")).to_have_text("Active, last test failed")


def test_a_provider_is_filled_in_by_a_button(plain: Tab) -> None:
    form = plain.edit()
    expect(form.get_by_role("button", name="Show the password")).not_to_be_visible()
    form.get_by_label("Quick fill").select_option(label="Gmail and Google Workspace")
    form.get_by_role("button", name="Fill in").click()
    expect(plain.page.get_by_label("Host name")).to_have_value("imap.gmail.com")
    plain.says("Google needs an app password")


def test_tickets_and_email_log(busy_desk: Desk, open_tab: OpenTab) -> None:
    plain = open_tab(busy_desk, java_script_enabled=False)
    plain.sign_in("alice", "/tickets")
    plain.page.get_by_role("link", name="Printer offline").click()
    plain.says("Our printer is offline since this morning.")
    plain.page.get_by_role("link", name="How it came in").first.click()
    expect(plain.page.get_by_role("heading", name="How it was decided")).to_be_visible()
