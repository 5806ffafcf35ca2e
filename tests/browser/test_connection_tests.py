"""Test Connection in the page, against a real Dovecot, on the values in the form."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Dialog, Locator, expect

from tests.browser.tab import MAIL, Tab
from tests.factories import make_raw
from tests.rig.dovecot import DovecotMailbox, free_ports
from webapp.desk import mail_servers
from webapp.mailserver.base import ServerSettings
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
    expect(test).to_contain_text("1 messages, 1 unread")
    assert not mailbox.contents()[0].seen
    assert mailbox.folders() == {"INBOX"}
    with tab.desk.instance.database.reading() as session:
        assert mail_servers.load(session, Row.INCOMING) is None
    assert mailbox.password not in tab.page.content()

    form.get_by_label("Active", exact=True).check()
    form.get_by_role("button", name="Save").last.click()
    expect(tab.row()).to_contain_text("Active")
    tab.toasts("Incoming email settings saved.")

    tab.edit().get_by_role("button", name="Test Connection").click()  # with the stored password
    expect(test).to_contain_text("Test passed in")
    form.get_by_role("link", name="Cancel").click()
    expect(tab.row()).to_contain_text("Last test passed")


def test_a_closed_port_is_named_and_the_way_to_its_field_shown(tab: Tab, form: Locator) -> None:
    closed = str(free_ports(1)[0])
    tab.fill(form, host_name="localhost", port=closed, user_name="help@example.com", password="canary-secret")
    form.get_by_role("button", name="Test Connection").click()
    verdict = tab.page.locator("#test-incoming").get_by_role("alert")
    expect(verdict).to_contain_text("Test failed at Connection.")
    expect(verdict).to_contain_text("What to do:")
    verdict.get_by_role("link", name="Go to this field").click()
    expect(form.get_by_label("Port")).to_be_focused()
    expect(form.get_by_label("Password")).to_have_value("canary-secret")  # as typed: the form stands


def test_a_wrong_password_is_named_and_the_way_to_its_field_shown(
    tab: Tab, form: Locator, mailbox: DovecotMailbox
) -> None:
    enter(tab, form, mailbox.settings(password="not this one"))
    form.get_by_role("button", name="Test Connection").click()
    verdict = tab.page.locator("#test-incoming").get_by_role("alert")
    expect(verdict).to_contain_text("Test failed at Sign-in.")
    verdict.get_by_role("link", name="Go to this field").focus()
    tab.page.keyboard.press("Enter")
    expect(form.get_by_label("Password")).to_be_focused()
    expect(tab.page.locator("#test-incoming")).not_to_contain_text("not this one")


def test_values_that_cannot_be_tested_are_shown_at_their_fields(tab: Tab, form: Locator) -> None:
    tab.expect_refusal(422)
    tab.fill(form, host_name="imap.example.com", port="70000", user_name="help@example.com")
    form.get_by_role("button", name="Test Connection").click()
    expect(tab.row().get_by_role("alert")).to_contain_text("attention:")
    expect(form.get_by_label("Port")).to_be_focused()


def test_a_test_saves_nothing_so_leaving_still_asks(tab: Tab, form: Locator) -> None:
    tab.fill(form, host_name="localhost", port=str(free_ports(1)[0]), user_name="help", password="secret")
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
