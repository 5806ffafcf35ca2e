"""A thread claim's three buttons, participants, and the lists of senders, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.desk import Desk
from tests.browser.tab import OpenTab, Tab
from tests.factories import make_raw

pytestmark = pytest.mark.browser


@pytest.fixture
def claims(desk: Desk, open_tab: OpenTab) -> Tab:
    """T-1 of Ann, and T-2 to T-4 of three strangers who name it."""
    first = make_raw(message_id="first@acme.test")
    named = [
        make_raw(
            sender=f"{name} <{name.lower()}@new.test>", subject=f"Re: from {name}", text=f"It is {name}.\n",
            headers={"In-Reply-To": "<first@acme.test>"},
        )
        for name in ("Carl", "Dora", "Emil")
    ]  # fmt: skip
    desk.receive(first, *named)
    tab = open_tab(desk)
    tab.sign_in("bob", "/tickets/2")
    return tab


def test_join_with_the_sender_and_undo(claims: Tab) -> None:
    page = claims.page
    expect(page.locator("#claim")).to_contain_text("In-Reply-To <first@acme.test>")
    page.get_by_label("carl@new.test may write to T-1").check()
    page.get_by_role("button", name="Join to T-1").click()
    page.wait_for_url("**/tickets/1")
    expect(page.locator("#conversation")).to_contain_text("It is Carl.")
    expect(page.locator("#participants")).to_contain_text("carl@new.test")
    page.get_by_role("button", name="Remove carl@new.test").click()
    expect(page.locator("#participants")).not_to_contain_text("carl@new.test")
    claims.open("/tickets/2")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#conversation")).to_contain_text("It is Carl.")
    expect(page.get_by_role("button", name="Join to T-1")).to_be_visible()


def test_refuse(claims: Tab) -> None:
    page = claims.page
    claims.open("/tickets/3")
    page.get_by_role("button", name="Refuse").click()
    expect(page.locator("#claim")).to_contain_text("it is a ticket of its own")
    expect(page.get_by_role("button", name="Block sender")).to_have_count(0)


def test_block_and_what_the_administrator_sees_of_it(desk: Desk, claims: Tab, open_tab: OpenTab) -> None:
    claims.open("/tickets/4")
    claims.page.get_by_role("button", name="Block sender").click()
    expect(claims.page.get_by_text("emil@new.test is blocked").first).to_be_visible()
    tab = open_tab(desk)
    tab.sign_in("alice", "/settings/service-desk/senders")
    page = tab.page
    expect(page.locator("#sender-list")).to_contain_text("emil@new.test")
    page.get_by_role("button", name="Remove emil@new.test").click()
    expect(page.locator("#sender-list")).not_to_contain_text("emil@new.test")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#sender-list")).to_contain_text("Blocked from T-4")
    tab.expect_refusal(422)
    page.get_by_label("Address or domain").fill("gmail.com")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Yes, everybody there").check()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#sender-list")).to_contain_text("gmail.com")
