"""Quick fill, Suggest settings and Copy from Outgoing: what need not be typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.desk import Desk
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.factories import set_row
from tests.rig.names import NameServer
from webapp.desk import mail_servers
from webapp.mailserver import dns
from webapp.models import Row

pytestmark = pytest.mark.browser
ZONE = {
    ("hosted.test", "MX"): ["20 b.hosted.test.", "10 in1-smtp.messagingengine.com."],
    ("moved.test", "MX"): ["10 moved-test.mail.protection.outlook.com."],
}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """The name server of the machine, as far as the desk knows: it knows two domains."""
    ask = dns.Names
    with NameServer(ZONE) as server:
        monkeypatch.setattr(dns, "Names", lambda: ask(server.address))
        yield server


@pytest.fixture(params=[True, False], ids=["with-script", "without-script"])
def form(desk: Desk, names: NameServer, open_tab: OpenTab, request: pytest.FixtureRequest) -> Locator:
    """The incoming row, opened."""
    tab = open_tab(desk, java_script_enabled=request.param)
    tab.sign_in("alice", MAIL)
    return tab.edit()


def suggest(form: Locator, address: str) -> Locator:
    form.get_by_label("User name").fill(address)
    form.get_by_role("button", name="Suggest settings").click()
    return form.locator(".suggest")


def test_settings_are_found_in_the_domains_dns_and_taken_over(form: Locator, names: NameServer) -> None:
    found = suggest(form, "help@hosted.test")
    expect(found).to_contain_text("Found: imap.fastmail.com, port 993, SSL/TLS: hosted.test's mail goes to")
    expect(found).to_contain_text("Not checked: whether the user name and password are accepted.")
    found.get_by_role("button", name="Use these").click()
    expect(form.get_by_label("Host name")).to_have_value("imap.fastmail.com")
    expect(form.get_by_label("Port", exact=True)).to_have_value("993")
    expect(form.get_by_label("User name")).to_have_value("help@hosted.test")
    assert ("hosted.test", "MX") in names.asked


def test_nothing_is_found(form: Locator) -> None:
    expect(suggest(form, "help@nowhere.test")).to_contain_text(
        "Nothing found for help@nowhere.test. Ask your email administrator or your provider for host name, "
        "port and encryption."
    )


def test_a_provider_that_takes_no_passwords_is_told_plainly(form: Locator) -> None:
    told = suggest(form, "help@moved.test")
    expect(told).to_contain_text("choose Office365, which signs in at Microsoft and needs no password")
    told.get_by_role("button", name="Use these").click()
    expect(form.get_by_role("radio", name="Office365")).to_be_checked()
    expect(form.get_by_label("Mailbox")).to_have_value("help@moved.test")
    expect(form.get_by_label("Host name")).to_be_hidden()


def test_without_an_address_it_asks_for_one(form: Locator) -> None:
    expect(suggest(form, "help")).to_contain_text("Enter one email address")


def test_a_search_ends_where_the_keyboard_is(desk: Desk, names: NameServer, tab: Tab) -> None:
    form = tab.edit_at(MAIL)
    form.get_by_label("User name").fill("help@nowhere.test")
    form.get_by_role("button", name="Suggest settings").press("Enter")
    expect(form.locator(".suggest")).to_contain_text("Nothing found")
    tab.keeps_focus("#suggest-incoming")


def test_invoice_copies_outgoing_with_its_password(tab: Tab) -> None:
    instance = tab.desk.instance
    set_row(instance, Row.OUTGOING, host="smtp.example.com", username="help@example.com", active="true")
    form = tab.edit_at(MAIL, "invoice")
    form.get_by_role("button", name="Copy from Outgoing").click()
    tab.toasts("Copied from Outgoing. Invoices are not sent by email until you turn this on.")
    expect(tab.row("invoice").locator(".summary")).to_contain_text("smtp.example.com:587")
    expect(tab.row("invoice").locator(".row-state")).to_have_text("Not active")
    with instance.database.reading() as session:
        copied, source = (mail_servers.load(session, row) for row in (Row.INVOICE, Row.OUTGOING))
    assert copied is not None
    assert source is not None
    assert copied.password_sealed
    assert "secret-canary" not in tab.page.content()


def test_copying_over_settings_asks_first(tab: Tab) -> None:
    instance = tab.desk.instance
    set_row(instance, Row.OUTGOING, host="smtp.example.com", username="help@example.com")
    set_row(instance, Row.INVOICE, host="smtp.invoices.example", username="bills@example.com")
    form = tab.edit_at(MAIL, "invoice")
    form.get_by_role("button", name="Copy from Outgoing").click()
    question = form.get_by_role("alert")
    expect(question).to_contain_text("Invoice has settings already. Replace them with those of Outgoing?")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_have_count(0)
    expect(form.get_by_label("Host name")).to_have_value("smtp.invoices.example")
    form.get_by_role("button", name="Copy from Outgoing").click()
    question.get_by_role("button", name="Replace them").click()
    expect(tab.row("invoice").locator(".summary")).to_contain_text("smtp.example.com:587")
