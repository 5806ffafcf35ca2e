"""The first minutes: code, administrator, and on to the mailbox that becomes tickets."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.desk import Desk
from tests.browser.tab import OpenTab, Tab

pytestmark = pytest.mark.browser
PASSWORD = "a few words do well"


def set_up(tab: Tab, code: str, password: str = PASSWORD) -> None:
    page = tab.page
    page.get_by_label("One-time code").fill(code)
    page.get_by_label("Your email address").fill("anna@desk.example")
    page.get_by_label("Your name").fill("Anna Able")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Create administrator").click()


@pytest.mark.parametrize("javascript", [True, False], ids=["with-script", "without-script"])
def test_from_the_one_time_code_to_the_incoming_row(
    new_desk: Desk, open_tab: OpenTab, javascript: bool
) -> None:
    code = new_desk.setup_code()
    tab = open_tab(new_desk, java_script_enabled=javascript)
    tab.open("/")
    tab.page.wait_for_url("**/setup")
    tab.says("servicedesk run --demo")
    set_up(tab, code)
    tab.page.wait_for_url("**/settings/service-desk/mail/incoming/edit")
    tab.says("Welcome, Anna Able. You are the first administrator.")
    expect(tab.row("incoming").get_by_label("Host name")).to_be_visible()
    expect(tab.page.get_by_role("link", name="Edit outgoing email settings")).to_be_visible()


def test_the_browsers_time_zone_is_proposed(new_desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(new_desk, timezone_id="Europe/Sofia")
    tab.open("/setup")
    expect(tab.page.get_by_label("Time zone")).to_have_value("Europe/Sofia")


def test_a_wrong_code_is_said_at_its_field_and_the_password_is_not_sent_back(
    new_desk: Desk, open_tab: OpenTab
) -> None:
    new_desk.setup_code()
    tab = open_tab(new_desk)
    tab.expect_refusal(422)
    tab.open("/setup")
    set_up(tab, "AAAA-AAAA-AAAA-AAAA")
    tab.says("Not created.")
    expect(tab.page.get_by_label("One-time code")).to_be_focused()
    expect(tab.page.get_by_label("Your name")).to_have_value("Anna Able")
    assert PASSWORD not in tab.page.content()
