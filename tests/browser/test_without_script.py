"""The main ways again, with JavaScript turned off: every change is a form and every answer a page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.desk import Desk
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.factories import set_row
from tests.rig.dovecot import DovecotMailbox, free_ports
from tests.views.browser import PASSWORD

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
    expect(form.get_by_label("Port")).to_be_focused()
    assert SECRET not in plain.page.content()
    plain.fill(form, port="", password=SECRET)
    form.get_by_label("Password").press("Enter")
    plain.page.wait_for_url(f"**{MAIL}#row-incoming")
    plain.says("Incoming email settings saved. Not tested yet.")
    expect(plain.row().locator(".summary")).to_contain_text("imap.example.com:993")


def test_cancel(plain: Tab) -> None:
    plain.edit("outgoing").get_by_role("link", name="Cancel").click()
    expect(plain.row("outgoing")).to_contain_text("Not set up")


def test_a_failed_test_comes_with_the_form_as_it_was_filled_in(plain: Tab) -> None:
    form = plain.edit()
    closed = str(free_ports(1)[0])
    plain.fill(form, host_name="localhost", port=closed, user_name="help@example.com", password=SECRET)
    form.get_by_role("button", name="Test Connection").click()
    plain.says("Test failed at Connection.")
    expect(form.get_by_label("Host name")).to_have_value("localhost")
    assert SECRET not in plain.page.content()


@pytest.mark.dovecot
def test_a_passed_test(plain: Tab, mailbox: DovecotMailbox) -> None:
    form, server = plain.edit(), mailbox.settings()
    plain.fill(form, host_name=server.host, port=str(server.port), user_name=server.username)
    plain.fill(form, password=server.password)
    form.get_by_role("button", name="Test Connection").click()
    plain.says("Test passed in")


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


def test_tickets_and_email_log(busy_desk: Desk, open_tab: OpenTab) -> None:
    plain = open_tab(busy_desk, java_script_enabled=False)
    plain.sign_in("alice", "/tickets")
    plain.page.get_by_role("link", name="Printer offline").click()
    plain.says("Our printer is offline since this morning.")
    plain.page.get_by_role("link", name="How it came in").first.click()
    expect(plain.page.get_by_role("heading", name="How it was decided")).to_be_visible()
