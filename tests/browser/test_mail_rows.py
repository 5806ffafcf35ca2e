"""Settings > Mail server configuration: a row is edited in place and saved, refused, or left."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Dialog, expect

from tests.browser.desk import Desk
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.factories import MAILBOX, add_people, set_row
from webapp.desk import mail_servers
from webapp.models import MailServer, Row

pytestmark = pytest.mark.browser
SECRET = "canary-secret"
LABELS = {
    "incoming": "Incoming email settings",
    "outgoing": "Outgoing email settings",
    "invoice": "Invoice email settings",
}


@pytest.fixture
def rows(tab: Tab) -> Tab:
    """Alice looks at the three rows."""
    tab.page.get_by_role("link", name="Settings").first.click()
    tab.page.wait_for_url(f"**{MAIL}")
    return tab


def stored(desk: Desk, row: Row = Row.INCOMING) -> MailServer | None:
    with desk.instance.database.reading() as session:
        return mail_servers.load(session, row)


@pytest.mark.parametrize("name", ["incoming", "outgoing", "invoice"])
def test_a_row_is_edited_and_saved_in_place(rows: Tab, name: str) -> None:
    row, form = rows.row(name), rows.edit(name)
    expect(form.get_by_label("Active", exact=True)).to_be_focused()
    rows.fill(form, host_name="mail.example.com", user_name="help@example.com", password=SECRET)
    if name != "incoming":
        rows.fill(form, **{"from": "help@example.com"})
    form.get_by_role("button", name="Save").last.click()
    expect(row.locator(".summary")).to_contain_text("mail.example.com")
    expect(row.get_by_role("link", name="Edit")).to_be_focused()
    rows.toasts(f"{LABELS[name]} saved. Not tested yet.")
    saved = stored(rows.desk, Row(name))
    assert saved is not None
    assert (saved.host, saved.username, saved.active) == ("mail.example.com", "help@example.com", False)
    assert saved.port == (993 if name == "incoming" else 587)
    assert rows.page.url.endswith(MAIL)
    assert SECRET not in rows.page.content()


def test_a_toast_is_closed_by_hand(rows: Tab) -> None:
    form = rows.edit()
    rows.fill(form, host_name="imap.example.com", user_name="help@example.com", password=SECRET)
    form.get_by_label("Host name").press("Enter")
    rows.toasts("Incoming email settings saved.")
    rows.page.locator("#toasts").get_by_role("button", name="Close").click()
    expect(rows.page.locator("#toasts .notice")).to_have_count(0)


def test_what_is_wrong_is_said_at_the_first_field_and_nothing_is_saved(rows: Tab) -> None:
    rows.expect_refusal(422)
    form = rows.edit()
    rows.fill(form, host_name="https://imap.example.com", port="70000", user_name="help", password=SECRET)
    form.get_by_role("button", name="Save").last.click()
    problems = rows.row().get_by_role("alert")
    expect(problems).to_contain_text("Not saved. 3 fields need attention:")
    host = form.get_by_label("Host name")
    expect(host).to_be_focused()
    expect(host).to_have_attribute("aria-invalid", "true")
    expect(host).to_have_value("https://imap.example.com")
    expect(form.get_by_label("Password")).to_have_value("")
    rows.says("Enter the password again.")
    expect(problems.get_by_role("link")).to_have_text(["Host name", "Port", "Password"])
    problems.get_by_role("link", name="Port").click()
    expect(form.get_by_label("Port", exact=True)).to_be_focused()
    assert SECRET not in rows.page.content()
    assert stored(rows.desk) is None


def test_cancel_brings_the_row_back(rows: Tab) -> None:
    form = rows.edit()
    rows.fill(form, host_name="imap.example.com")
    rows.page.once("dialog", lambda dialog: dialog.accept())
    form.get_by_role("link", name="Cancel").click()
    expect(rows.row()).to_contain_text("Not set up")
    expect(rows.row().get_by_role("link", name="Edit")).to_be_focused()


def test_escape_cancels_and_asks_only_where_something_was_entered(rows: Tab) -> None:
    questions: list[str] = []
    agree = False

    def answer(dialog: Dialog) -> None:
        questions.append(dialog.message)
        dialog.accept() if agree else dialog.dismiss()

    rows.page.on("dialog", answer)
    rows.edit().get_by_label("Host name").press("Escape")
    expect(rows.row().get_by_role("link", name="Edit")).to_be_focused()
    assert questions == []

    host = rows.edit().get_by_label("Host name")
    host.fill("imap.example.com")
    host.press("Escape")
    expect(host).to_have_value("imap.example.com")
    assert questions == ["Discard your unsaved changes?"]
    agree = True
    host.press("Escape")
    expect(rows.row().get_by_role("link", name="Edit")).to_be_focused()
    assert len(questions) == 2


def test_leaving_with_unsaved_entries_asks_first(rows: Tab) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    rows.page.once("dialog", stay)
    host = rows.edit().get_by_label("Host name")
    host.press_sequentially("imap")
    rows.page.get_by_role("link", name="Tickets").first.click(no_wait_after=True)
    expect(host).to_have_value("imap")
    assert asked == ["beforeunload"]
    rows.page.once("dialog", lambda dialog: dialog.accept())
    host.locator("xpath=ancestor::form").get_by_role("link", name="Cancel").click()
    expect(rows.row()).to_contain_text("Not set up")
    rows.page.get_by_role("link", name="Tickets").first.click()
    rows.page.wait_for_url("**/tickets")  # nothing is unsaved any more, nothing is asked
    assert asked == ["beforeunload"]


def test_two_rows_are_open_at_once(rows: Tab) -> None:
    incoming, outgoing = rows.edit("incoming"), rows.edit("outgoing")
    rows.fill(incoming, host_name="imap.example.com")
    rows.fill(outgoing, host_name="smtp.example.com")
    rows.page.once("dialog", lambda dialog: dialog.accept())
    outgoing.get_by_role("link", name="Cancel").click()
    expect(rows.row("outgoing")).to_contain_text("Not set up")
    expect(incoming.get_by_label("Host name")).to_have_value("imap.example.com")


def test_of_two_editors_the_second_sees_what_the_first_saved(
    rows: Tab, desk: Desk, open_tab: OpenTab
) -> None:
    set_row(desk.instance, host="imap.example.com", username="help@example.com")
    rows.open(MAIL)
    other = open_tab(desk)
    other.sign_in("alice", MAIL)
    mine, theirs = rows.edit(), other.edit()
    other.fill(theirs, host_name="imap.first.example", password=SECRET)
    theirs.get_by_role("button", name="Save").last.click()
    other.toasts("saved")

    rows.expect_refusal(409)
    rows.fill(mine, host_name="imap.second.example", password=SECRET)
    mine.get_by_role("button", name="Save").last.click()
    alert = rows.row().get_by_role("alert").first
    expect(alert).to_contain_text("alice@desk.example changed these settings at")
    expect(alert.get_by_role("row", name="Host name")).to_contain_text("imap.first.example")
    expect(mine.get_by_label("Host name")).to_have_value("imap.second.example")
    rows.fill(mine, password=SECRET)
    mine.get_by_role("button", name="Save mine").click()
    expect(rows.row().locator(".summary")).to_contain_text("imap.second.example")


def test_discard_mine_takes_what_somebody_else_saved(rows: Tab) -> None:
    """They changed the host, I did not: I am shown that, not blamed for it."""
    instance = rows.desk.instance
    set_row(instance, host="imap.example.com", username="help@example.com")
    rows.open(MAIL)
    mine = rows.edit()
    set_row(instance, host="imap.first.example", username="help@example.com")
    rows.expect_refusal(409)
    rows.fill(mine, timeout_ms="20000")
    mine.get_by_role("button", name="Save").last.click()
    alert = rows.row().get_by_role("alert")
    expect(alert).to_have_count(1)
    expect(alert).to_contain_text("test changed these settings at")
    expect(alert.get_by_role("row", name="Host name")).to_contain_text("imap.first.example")
    expect(alert.get_by_role("row", name="Timeout (ms)")).to_contain_text("20000")
    rows.page.once("dialog", lambda dialog: dialog.accept())
    mine.get_by_role("link", name="Discard mine").click()
    expect(rows.row().locator(".summary")).to_contain_text("imap.first.example")
    expect(rows.row().get_by_role("link", name="Edit")).to_be_focused()


def test_a_portal_users_address_is_no_incoming_mailbox(rows: Tab) -> None:
    add_people(rows.desk.instance)
    rows.expect_refusal(422)
    form = rows.edit()
    rows.fill(form, host_name="imap.example.com", user_name="ann@acme.test", password=SECRET)
    form.get_by_role("button", name="Save").last.click()
    expect(form.get_by_label("User name")).to_have_accessible_description(
        re.compile("ann@acme.test is also a portal user's address. Use a dedicated mailbox.")
    )
    assert stored(rows.desk) is None


def test_an_incoming_mailbox_is_no_portal_users_address(rows: Tab) -> None:
    set_row(rows.desk.instance, host="imap.example.com", username=MAILBOX)
    rows.expect_refusal(422)
    rows.open("/people/new")
    rows.page.get_by_label("Name", exact=True).fill("Helen Help")
    rows.page.get_by_label("Email", exact=True).fill(MAILBOX)
    rows.page.get_by_role("button", name="Save").click()
    expect(rows.page.get_by_label("Email", exact=True)).to_have_accessible_description(
        re.compile(f"{MAILBOX} is the incoming mailbox. A person needs an address of their own.")
    )


def test_a_password_typed_into_a_refused_form_is_asked_for_beside_what_is_wrong(rows: Tab) -> None:
    rows.expect_refusal(422)
    form = rows.edit()
    rows.fill(form, host_name="imap.example.com", user_name="help@example.com", timeout_ms="1")
    rows.fill(form, password=SECRET)
    form.get_by_role("button", name="Save").last.click()
    problems = rows.row().get_by_role("alert")
    expect(problems).to_contain_text("2 fields need attention: Password, Timeout (ms)")
    expect(form.get_by_label("Password")).to_be_focused()
    expect(form.get_by_label("Password")).to_have_accessible_description(
        re.compile("^Enter the password again.")
    )
    expect(form.get_by_label("Timeout (ms)")).to_have_accessible_description(
        re.compile("^Enter a timeout from 1000")
    )


def test_a_sign_in_that_ended_in_the_middle_of_an_edit_leads_to_the_sign_in_page(rows: Tab) -> None:
    form = rows.edit()
    # The hints that a change asks for must not be the first to meet the ended session.
    with rows.page.expect_response(re.compile("/hints")):
        rows.fill(form, host_name="imap.example.com")
        rows.page.keyboard.press("Tab")
    rows.desk.end_sessions()
    form.get_by_role("button", name="Save").last.click()
    rows.page.wait_for_url("**/login")
    rows.says("Your session ended. Sign in again, your entries were not saved.")
    assert stored(rows.desk) is None


def test_a_pencil_pressed_after_the_sign_in_ended_leads_to_the_sign_in_page_and_back(rows: Tab) -> None:
    rows.desk.end_sessions()
    rows.page.get_by_role("link", name="Edit incoming email settings").click()
    rows.page.wait_for_url("**/login?next=**")
    assert rows.page.get_by_role("heading", name="Sign in").count() == 1
