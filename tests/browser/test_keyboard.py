"""The mail server page with the keyboard alone: the focus is never lost, and Tab leads to everything."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.held import held_imap
from tests.browser.tab import MAIL, Tab
from tests.factories import make_raw, set_incoming_from, set_row
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox

pytestmark = [pytest.mark.browser, pytest.mark.dovecot]


@pytest.fixture
def keys(tab: Tab, mailbox: DovecotMailbox) -> Tab:
    """Alice at the rows; Incoming is saved and off, with one message in its inbox."""
    mailbox.deliver(make_raw(subject="Printer offline"))
    set_incoming_from(tab.desk.instance, mailbox.settings(), active="false")
    tab.open(MAIL)
    return tab


def press(tab: Tab, control: Locator, key: str = "Enter") -> None:
    tab.walk_to(control)
    tab.page.keyboard.press(key)


def test_edit_change_test_and_save(keys: Tab) -> None:
    row, page = keys.row(), keys.page
    press(keys, row.get_by_role("link", name="Edit"))
    expect(row.get_by_label("Active", exact=True)).to_be_focused()
    keys.walk_to(row.get_by_label("Timeout (ms)"))
    page.keyboard.type("20000")  # Tab selects what stands there
    press(keys, row.get_by_role("button", name="Test Connection"))
    expect(row.locator(".test")).to_contain_text("Test passed in")
    expect(row.get_by_role("button", name="Test Connection")).to_be_focused()
    press(keys, row.get_by_role("button", name="Show the 1 message"))
    expect(row.get_by_role("row", name="Printer offline")).to_be_visible()
    keys.keeps_focus()
    keys.walk_to(row.get_by_role("button", name="Save").last, "Shift+Tab")
    page.keyboard.press("Enter")
    keys.toasts("Incoming email settings saved.")
    expect(row.get_by_role("link", name="Edit")).to_be_focused()


def test_enter_in_a_field_saves_and_cancel_leaves(keys: Tab) -> None:
    row, page = keys.row(), keys.page
    press(keys, row.get_by_role("link", name="Edit"))
    keys.walk_to(row.get_by_label("Archive folder"))
    page.keyboard.type("Done")
    page.keyboard.press("Enter")
    keys.toasts("Incoming email settings saved.")
    press(keys, row.get_by_role("link", name="Edit"))
    press(keys, row.get_by_role("link", name="Cancel"))
    expect(row.get_by_role("link", name="Edit")).to_be_focused()


def test_a_refused_form_is_corrected(keys: Tab) -> None:
    keys.expect_refusal(422)
    row, page = keys.row(), keys.page
    press(keys, row.get_by_role("link", name="Edit"))
    keys.walk_to(row.get_by_label("Timeout (ms)"))
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    expect(row.get_by_label("Timeout (ms)")).to_be_focused()
    press(keys, row.get_by_role("alert").get_by_role("link", name="Timeout (ms)"), "Enter")
    expect(row.get_by_label("Timeout (ms)")).to_be_focused()


def test_the_dry_run_from_the_row(keys: Tab) -> None:
    press(keys, keys.row().get_by_role("button", name="What would happen now"))
    expect(keys.row().get_by_role("row", name="Printer offline")).to_be_visible()
    expect(keys.row().get_by_role("button", name="What would happen now")).to_be_focused()


def test_turning_on(keys: Tab) -> None:
    row = keys.row()
    press(keys, row.get_by_role("link", name="Turn on"))
    expect(row.get_by_label("Only messages from now on")).to_be_focused()
    keys.page.keyboard.press("Space")
    press(keys, row.get_by_role("button", name="Turn on"))
    expect(row.locator(".row-state")).to_contain_text("Active")
    expect(row.get_by_role("link", name="Edit")).to_be_focused()


def test_turning_on_is_left(keys: Tab) -> None:
    row = keys.row()
    press(keys, row.get_by_role("link", name="Turn on"))
    expect(row.get_by_label("Only messages from now on")).to_be_focused()
    press(keys, row.get_by_role("link", name="Cancel"))
    expect(row.get_by_role("link", name="Edit")).to_be_focused()


def test_a_running_test_of_the_saved_row_is_stopped(tab: Tab, authority: Authority) -> None:
    with held_imap(authority, "EXAMINE", ["{tag} NO not today"]) as server:
        set_row(
            tab.desk.instance, host="localhost", port=str(server.port), tls_mode="implicit", username="help"
        )
        tab.open(MAIL)
        press(tab, tab.row().get_by_role("button", name="Test Connection"))
        press(tab, tab.row().get_by_role("button", name="Stop"))
        expect(tab.row()).to_contain_text("The test was stopped.")
        tab.keeps_focus()


def test_a_toast_is_closed_and_the_focus_goes_back(keys: Tab) -> None:
    row = keys.row()
    press(keys, row.get_by_role("link", name="Edit"))
    press(keys, row.get_by_role("button", name="Save").last)
    keys.toasts("Incoming email settings saved.")
    expect(row.get_by_role("link", name="Edit")).to_be_focused()
    press(keys, keys.page.locator("#toasts").get_by_role("button", name="Close"))
    expect(keys.page.locator("#toasts .notice")).to_have_count(0)
    assert keys.page.evaluate("document.activeElement !== document.body")
