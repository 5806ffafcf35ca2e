"""What the mail server form does by itself while it is filled in."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.desk import Desk
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.factories import make_raw, set_row
from tests.rig.dovecot import DovecotMailbox
from webapp.desk import mail_servers
from webapp.models import Row

pytestmark = pytest.mark.browser


@pytest.fixture
def form(tab: Tab) -> Locator:
    """The incoming row, opened."""
    tab.open(MAIL)
    return tab.edit()


def port(form: Locator) -> Locator:
    return form.get_by_label("Port", exact=True)


def test_port_and_encryption_follow_each_other_while_untouched(form: Locator) -> None:
    implicit, starttls = form.get_by_label("SSL/TLS"), form.get_by_label("STARTTLS")
    port(form).fill("143")
    port(form).blur()
    expect(starttls).to_be_checked()
    port(form).fill("2993")
    port(form).blur()
    expect(implicit).not_to_be_checked()
    expect(starttls).not_to_be_checked()
    port(form).fill("")
    implicit.check()
    expect(port(form)).to_have_value("993")
    starttls.check()
    expect(port(form)).to_have_value("143")
    form.get_by_role("checkbox", name="Enable SSL").uncheck()
    expect(port(form)).to_have_value("143")
    port(form).fill("4143")
    form.get_by_role("checkbox", name="Enable SSL").check()
    expect(port(form)).to_have_value("4143")  # somebody chose it


def test_an_empty_port_shows_which_one_will_be_taken(form: Locator) -> None:
    expect(port(form)).to_have_attribute("placeholder", "993")
    form.get_by_label("STARTTLS").check()
    port(form).fill("")
    port(form).blur()
    expect(port(form)).to_have_attribute("placeholder", "143")
    form.get_by_role("checkbox", name="Enable SSL").uncheck()
    form.get_by_role("checkbox", name="Enable SSL").check()
    port(form).fill("2993")
    port(form).blur()
    expect(port(form)).to_have_attribute("placeholder", "143")  # chosen above: the port does not change it


def test_fields_that_mean_nothing_now_are_not_shown(tab: Tab, form: Locator) -> None:
    expect(form.get_by_label("I understand")).not_to_be_visible()
    form.get_by_role("checkbox", name="Enable SSL").uncheck()
    expect(form.get_by_label("I understand")).to_be_visible()
    expect(form.get_by_text("Without SSL the password travels unencrypted.")).to_be_visible()
    expect(form.get_by_label("SSL/TLS")).not_to_be_visible()
    expect(form.get_by_label("Date", exact=True)).not_to_be_visible()
    form.get_by_label("Do not process messages received before").check()
    expect(form.get_by_label("Date", exact=True)).to_be_visible()
    outgoing = tab.edit("outgoing")
    outgoing.get_by_label("Requires Authentication").uncheck()
    expect(outgoing.get_by_label("User name")).not_to_be_visible()


def test_what_is_unusual_is_said_at_once_and_the_password_goes_nowhere(tab: Tab, form: Locator) -> None:
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(f"{request.url} {request.post_data or ''}"))
    form.get_by_label("Password").fill("canary-secret")
    form.get_by_label("Quick fill").select_option(label="Gmail and Google Workspace")
    expect(form.get_by_label("Host name")).to_have_value("imap.gmail.com")
    expect(port(form)).to_have_value("993")
    expect(form).to_contain_text("Google needs an app password")
    port(form).fill("143")
    port(form).blur()
    expect(form).to_contain_text("Port 143 normally uses STARTTLS.")
    expect(form.get_by_label("Password")).to_have_value("canary-secret")
    assert not any("canary-secret" in request for request in asked)


@pytest.mark.parametrize(
    ("port_number", "hint"),
    [
        ("587", "Port 587 is usually a sending (SMTP) port."),
        ("993", "Port 993 normally uses SSL/TLS."),
        ("2993", "Port 2993 is unusual: IMAP uses 993 (SSL/TLS) or 143 (STARTTLS)."),
    ],
)
def test_a_port_worth_a_second_look_is_pointed_out_and_not_refused(
    tab: Tab, form: Locator, port_number: str, hint: str
) -> None:
    form.get_by_label("STARTTLS").check()
    tab.fill(form, host_name="imap.example.com", port=port_number, user_name="help", password="secret")
    expect(form).to_contain_text(hint)
    form.get_by_role("button", name="Save").last.click()
    expect(tab.row().locator(".summary")).to_contain_text(f"imap.example.com:{port_number} · STARTTLS")
    expect(tab.row()).to_contain_text(hint)


def test_an_unusual_port_asks_for_the_encryption(tab: Tab, form: Locator) -> None:
    tab.expect_refusal(422)
    tab.fill(form, host_name="imap.example.com", user_name="help@example.com", password="secret")
    tab.fill(form, port="2993")
    form.get_by_role("button", name="Save").last.click()
    expect(form).to_contain_text("Choose SSL/TLS or STARTTLS: port 2993 says nothing about it.")
    expect(form.get_by_label("SSL/TLS")).to_be_focused()
    expect(form.get_by_label("SSL/TLS")).not_to_be_checked()
    form.get_by_label("STARTTLS").check()
    tab.fill(form, port="2994", password="secret")  # chosen: another port does not take it away
    form.get_by_label("Password").press("Enter")
    expect(tab.row().locator(".summary")).to_contain_text("imap.example.com:2994 · STARTTLS")


def test_without_ssl_it_is_saved_only_when_somebody_says_so(tab: Tab, form: Locator) -> None:
    tab.expect_refusal(422)
    tab.fill(form, host_name="imap.example.com", user_name="help@example.com", password="secret")
    form.get_by_role("checkbox", name="Enable SSL").uncheck()
    form.get_by_role("button", name="Save").last.click()
    expect(form).to_contain_text("Turn SSL on, or confirm that you accept this.")
    expect(form.get_by_label("I understand")).to_be_focused()
    form.get_by_label("I understand").check()
    tab.fill(form, password="secret")
    form.get_by_role("button", name="Save").last.click()
    expect(tab.row().locator(".summary")).to_contain_text("imap.example.com:143 · no SSL")


def test_a_password_is_shown_and_hidden_again(form: Locator) -> None:
    password = form.get_by_label("Password")
    password.fill("secret")
    form.get_by_role("button", name="Show the password").click()
    expect(password).to_have_attribute("type", "text")
    form.get_by_role("button", name="Hide the password").click()
    expect(password).to_have_attribute("type", "password")


@pytest.mark.dovecot
def test_complaints_are_gone_once_a_test_has_passed(tab: Tab, form: Locator, mailbox: DovecotMailbox) -> None:
    tab.expect_refusal(422)
    mailbox.deliver(make_raw())
    server = mailbox.settings()
    tab.fill(form, host_name="https://wrong", user_name=server.username, password=server.password)
    form.get_by_role("button", name="Save").last.click()
    expect(form.get_by_label("Host name")).to_have_attribute("aria-invalid", "true")
    tab.fill(form, host_name=server.host, port=str(server.port), password="not this one")
    form.get_by_label("SSL/TLS").check()
    form.get_by_role("button", name="Test Connection").click()
    expect(form.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("Password")).to_have_accessible_description(re.compile("rejected the user name"))
    expect(form.get_by_label("Host name")).not_to_have_attribute("aria-invalid", "true")
    tab.fill(form, password=server.password)
    form.get_by_role("button", name="Test Connection").click()
    expect(tab.page.locator("#said")).to_have_text("Test passed.")
    expect(form.locator("[aria-invalid], .field-error, #form-problems")).to_have_count(0)
    tab.row().get_by_role("button", name="Show the 1 message").click()
    expect(tab.row()).to_contain_text("What would happen to the 1 unread message")
    expect(tab.row().get_by_role("row", name="Printer offline")).to_be_visible()


def test_the_rows_refresh_without_losing_the_focus_and_leave_an_open_form_alone(tab: Tab) -> None:
    set_row(tab.desk.instance, host="imap.example.com", username="help@example.com")
    tab.open(MAIL)
    form = tab.edit("outgoing")
    tab.fill(form, host_name="smtp.mine.example")
    pencil = tab.page.get_by_role("link", name="Edit incoming email settings")
    pencil.focus()
    set_row(tab.desk.instance, Row.OUTGOING, host="smtp.theirs.example", username="help@example.com")
    set_row(tab.desk.instance, host="imap.other.example", username="help@example.com")
    tab.page.evaluate("document.body.dispatchEvent(new CustomEvent('app:tick'))")
    expect(tab.row().locator(".summary")).to_contain_text("imap.other.example")
    expect(pencil).to_be_focused()
    expect(form.get_by_label("Host name")).to_have_value("smtp.mine.example")


@pytest.mark.parametrize("script", [True, False])
def test_save_pressed_twice_saves_once(desk: Desk, open_tab: OpenTab, script: bool) -> None:
    tab = open_tab(desk, java_script_enabled=script)
    tab.sign_in("alice", MAIL)
    form = tab.edit()
    tab.fill(form, host_name="imap.example.com", user_name="help@example.com", password="secret")
    form.get_by_role("button", name="Save").last.dblclick(no_wait_after=True)
    expect(tab.row().locator(".summary")).to_contain_text("imap.example.com")
    with desk.instance.database.reading() as session:
        stored = mail_servers.load(session, Row.INCOMING)
    assert stored is not None
    assert stored.version == 1


def test_save_question_keeps_what_was_typed(tab: Tab) -> None:
    set_row(tab.desk.instance, Row.OUTGOING, host="smtp.example.com", username="help@example.com")
    with tab.desk.instance.database.writing() as session:
        now = datetime.now(UTC)
        mail_servers.record_test(session, Row.OUTGOING, version=1, passed=False, sentence="x", now=now)
    tab.open(MAIL)
    form = tab.edit("outgoing")
    form.get_by_label("Active", exact=True).check()
    form.get_by_role("button", name="Save").last.click()
    expect(form.get_by_role("alert")).to_contain_text("The last test failed. Turn on anyway?")
    expect(form.get_by_role("button", name="Turn on anyway")).to_be_focused()
    expect(form.get_by_label("Active", exact=True)).to_be_checked()
    form.get_by_role("button", name="Turn on anyway").click()
    expect(tab.row("outgoing").locator(".row-state")).to_contain_text("Active, last test failed")
