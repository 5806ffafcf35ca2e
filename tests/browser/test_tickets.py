"""Mail that came in: the tickets it became, its files, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.desk import Desk
from tests.browser.tab import OpenTab, Tab

pytestmark = pytest.mark.browser


@pytest.fixture
def samples(busy_desk: Desk, open_tab: OpenTab) -> Tab:
    """Alice looks at the tickets after some mail has come in."""
    tab = open_tab(busy_desk)
    tab.sign_in("alice", "/tickets")
    return tab


def test_before_any_mail_the_page_says_where_to_begin(tab: Tab) -> None:
    tab.open("/tickets")
    expect(tab.page.locator("#no-tickets")).to_contain_text("Incoming email is not set up.")


def test_a_ticket_with_its_conversation(samples: Tab) -> None:
    page = samples.page
    page.get_by_role("link", name="Printer offline").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Printer offline")
    messages = page.locator("#conversation").get_by_role("article")
    expect(messages).to_have_count(2)
    expect(messages.nth(0)).to_contain_text("Our printer is offline since this morning.")
    answer = messages.nth(1)
    expect(answer).to_contain_text("It prints again.")
    quoted = answer.get_by_text("Our printer is offline since this morning.")
    expect(quoted).not_to_be_visible()
    answer.locator("summary", has_text="Show earlier messages").click()
    expect(quoted).to_be_visible()


def test_an_attachment_is_downloaded_as_it_was_sent(samples: Tab, tmp_path: Path) -> None:
    samples.page.get_by_role("link", name="Printer offline").click()
    with samples.page.expect_download() as waiting:
        samples.page.get_by_role("link", name="photo.bin").click()
    file = tmp_path / "downloaded"
    waiting.value.save_as(file)
    assert waiting.value.suggested_filename == "photo.bin"
    assert file.read_bytes() == b"the octets of a photo"


def test_tickets_are_found_by_words(samples: Tab) -> None:
    page = samples.page
    page.get_by_label("Search").fill("question")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**q=question**")
    expect(page.locator("#ticket-list").get_by_role("link", name="A question")).to_be_visible()
    expect(page.get_by_role("link", name="Printer offline")).to_have_count(0)
    page.get_by_role("link", name="Clear filter").first.click()
    expect(page.get_by_role("link", name="Printer offline")).to_be_visible()


def test_an_unknown_sender_is_marked(samples: Tab) -> None:
    samples.page.get_by_role("link", name="A question").click()
    expect(samples.page.get_by_text("Unknown sender").first).to_be_visible()


def test_an_unknown_sender_is_linked_to_a_user_with_the_keyboard(samples: Tab) -> None:
    page = samples.page
    samples.open("/tickets/2")
    samples.walk_to(page.get_by_role("link", name="Link to a user"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Search users")).to_be_focused()
    page.keyboard.type("bob")  # found while it is typed
    choices = page.locator("#link-choices tbody tr")
    expect(choices).to_have_count(1)
    expect(page.get_by_label("Search users")).to_be_focused()
    samples.walk_to(page.get_by_role("link", name="Choose Bob Ray"))
    page.keyboard.press("Enter")
    samples.says("1 earlier ticket becomes theirs too, with Binder Inc as company.")
    samples.walk_to(page.get_by_role("button", name="Link to Bob Ray"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/tickets/2")
    samples.says("carl@nowhere.test is an address of Bob Ray now. 1 earlier ticket is theirs now.")
    expect(page.get_by_text("Unknown sender")).to_have_count(0)
    page.locator("#ticket-facts").get_by_role("link", name="Bob Ray").click()
    expect(page.locator("#user-tickets tbody tr")).to_have_count(1)
    expect(page.locator("#user-details")).to_contain_text("carl@nowhere.test")


def test_the_email_log_has_every_message_and_its_decision(samples: Tab) -> None:
    page = samples.page
    page.get_by_role("link", name="Email log").first.click()
    expect(page.locator("#log-list tbody tr")).to_have_count(4)
    page.get_by_label("Outcome").select_option(label="Ignored")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#log-list tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Out of office").click()
    trace = page.locator("#trace")
    expect(trace.get_by_role("heading", name="How it was decided")).to_be_visible()
    expect(trace.locator("tr.fired")).to_have_count(1)
    expect(trace.locator("tr.fired")).to_contain_text("Yes")


def test_the_way_from_a_message_to_its_ticket(samples: Tab) -> None:
    page = samples.page
    page.get_by_role("link", name="Email log").first.click()
    page.locator("#log-list").get_by_role("link", name="T-1").first.click()
    page.wait_for_url("**/tickets/1")
