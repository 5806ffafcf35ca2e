"""Signing in and out, and what each role sees."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.desk import Desk
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.views.browser import PASSWORD

pytestmark = pytest.mark.browser


def test_in_and_out_again(tab: Tab) -> None:
    expect(tab.page.locator("#site-header")).to_contain_text("Alice Able (administrator)")
    tab.page.get_by_role("button", name="Sign out").first.click()
    tab.page.wait_for_url("**/login")
    tab.page.go_back()  # nothing of the desk is left in the browser
    expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_wrong_password_is_refused(desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(desk)
    tab.expect_refusal(422)
    tab.open("/login")
    tab.page.get_by_label("Email address").fill("alice@desk.example")
    tab.page.get_by_label("Password").fill("not the password")
    tab.page.get_by_role("button", name="Sign in").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("The email address or the password is not right.")
    expect(tab.page.get_by_label("Email address")).to_have_value("alice@desk.example")
    expect(tab.page.get_by_label("Password")).to_have_value("")


def test_signing_in_leads_to_the_page_that_was_wanted(desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(desk)
    tab.open(f"{MAIL}/incoming/edit")
    tab.page.wait_for_url("**/login?next=**")
    tab.page.get_by_label("Email address").fill("alice@desk.example")
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_label("Password").press("Enter")
    tab.page.wait_for_url(f"**{MAIL}/incoming/edit")
    expect(tab.row().get_by_label("Host name")).to_be_visible()


@pytest.mark.parametrize("person", ["bob", "vera"])
def test_only_administrators_see_settings(desk: Desk, open_tab: OpenTab, person: str) -> None:
    tab = open_tab(desk)
    tab.sign_in(person)
    expect(tab.page.get_by_role("link", name="Tickets").first).to_be_visible()
    expect(tab.page.get_by_role("link", name="Settings")).to_have_count(0)
    tab.expect_refusal(403)
    tab.open(MAIL)
    tab.says("Only administrators can do this.")
    expect(tab.page).to_have_title("Not allowed – Service desk")
    tab.page.get_by_role("link", name="Go to the tickets").click()
    tab.page.wait_for_url("**/tickets")


def test_a_page_that_does_not_exist_says_so(tab: Tab) -> None:
    tab.expect_refusal(404)
    tab.open("/tickets/4711")
    expect(tab.page).to_have_title("Page not found – Service desk")


@pytest.mark.parametrize("width", [1100, 320])
def test_the_menu_is_there_at_every_width(desk: Desk, open_tab: OpenTab, width: int) -> None:
    tab = open_tab(desk, width=width)
    tab.sign_in("alice")
    if width == 320:
        tab.page.get_by_text("Menu").click()
    link = tab.page.get_by_role("navigation", name="Main").get_by_role("link", name="Email log")
    expect(link).to_have_count(1)
    link.click()
    tab.page.wait_for_url("**/email-log")
