"""Settings > Notifications in a browser: switches by keyboard, a wording and its preview in a frame."""

from __future__ import annotations

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.desk import Desk
from tests.browser.tab import OpenTab, Tab
from tests.factories import make_raw

pytestmark = pytest.mark.browser
PAGE = "/settings/service-desk/notifications"
FRAME = "iframe[name='notification-preview']"


@pytest.fixture
def tab(desk: Desk, open_tab: OpenTab) -> Tab:
    desk.receive(make_raw(subject="Printer <b>offline</b>"))
    tab = open_tab(desk)
    tab.sign_in("alice", PAGE)
    return tab


def preview_says(page: Page, text: str) -> None:
    expect(page.frame_locator(FRAME).locator("body")).to_contain_text(text)


def test_a_switch_by_keyboard(tab: Tab) -> None:
    page = tab.page
    switch = page.get_by_role("checkbox", name="Acknowledgement to the requester")
    expect(switch).not_to_be_checked()
    tab.walk_to(switch)
    page.keyboard.press("Space")
    tab.walk_to(page.get_by_role("button", name="Save"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Notifications are sent by these settings")).to_be_visible()
    expect(switch).to_be_checked()
    expect(page.get_by_role("checkbox", name="Ticket opened, to all technicians")).not_to_be_checked()


def test_a_wording_is_tried_saved_and_reset(tab: Tab) -> None:
    page = tab.page
    page.get_by_role("link", name="Wording of “Ticket opened, to all technicians”").click()
    preview_says(page, "New: Printer <b>offline</b> [T-1]")
    page.get_by_label("Subject").fill("Look: {subject}")
    page.get_by_label("HTML").fill('<p style="color:#0a5aa6"><b>{ticket}</b></p>')
    page.get_by_role("button", name="Preview").click()
    preview_says(page, "Look: Printer <b>offline</b> [T-1]")
    bold = page.frame_locator(FRAME).locator("p > b")
    expect(bold).to_have_text("T-1")
    expect(bold).to_have_css("color", "rgb(10, 90, 166)")
    expect(page.get_by_label("Subject")).to_have_value("Look: {subject}")  # the page stays as it is
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.once("dialog", stay)
    page.get_by_role("link", name="Replies").click()
    page.wait_for_timeout(200)
    assert asked == ["beforeunload"]  # a preview saves nothing
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The next mail is worded like this.")).to_be_visible()
    preview_says(page, "Look: Printer")
    page.get_by_role("button", name="Use the default wording").click()
    expect(page.get_by_label("Subject")).to_have_value("New: {subject}")


def test_what_is_refused_is_shown_at_its_field_and_in_the_preview(tab: Tab) -> None:
    tab.open(f"{PAGE}/closed")
    page = tab.page
    tab.expect_refusal(422)
    page.get_by_label("Text", exact=True).fill("Hello\n{link}")
    page.get_by_role("button", name="Preview").click()
    preview_says(page, "Text: Line 2, character 1: there is no {link} here.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#text-error")).to_contain_text("Line 2, character 1")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()


def test_without_a_script(desk: Desk, open_tab: OpenTab) -> None:
    desk.receive(make_raw())
    tab = open_tab(desk, java_script_enabled=False)
    tab.sign_in("alice", f"{PAGE}/assigned")
    page = tab.page
    page.get_by_label("Subject").fill("Yours: {ticket}")
    page.get_by_role("button", name="Preview").click()
    preview_says(page, "Yours: T-1 [T-1]")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Subject")).to_have_value("Yours: {ticket}")
