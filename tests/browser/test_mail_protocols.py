"""The protocols of a row in Chromium: which fields there are; Exchange and Office365 from form to reply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Locator, expect

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.factories import add_people, make_raw, set_incoming, set_row
from tests.rig.ews_server import PASSWORD, EwsServer
from tests.rig.graph_server import GraphServer
from tests.rig.microsoft_account import environment_of, set_office365
from webapp.desk import mail_servers
from webapp.desk.sending import make_deliverer
from webapp.models import MailServer, Row

pytestmark = pytest.mark.browser

APP = "11111111-2222-3333-4444-555555555555"
CLASSIC = ("Host name", "Port", "User name", "Password")
REGISTRATION = ("Tenant ID", "Application (client) ID", "Client secret", "Secret expires on")


def choose(form: Locator, protocol: str) -> None:
    form.get_by_role("radio", name=protocol).check()


def shown(form: Locator) -> set[str]:
    """The labels of the controls that can be seen."""
    labels = form.locator("label:visible, legend:visible").all_inner_texts()
    return {" ".join(label.split()) for label in labels}


def stored(desk: Desk, row: Row = Row.INCOMING) -> MailServer:
    with desk.instance.database.reading() as session:
        found = mail_servers.load(session, row)
    assert found is not None
    return found


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("row", ["incoming", "outgoing"])
def test_each_protocol_shows_its_own_fields(desk: Desk, open_tab: OpenTab, row: str, script: bool) -> None:
    """Also without a script: the style sheet does it."""
    tab = open_tab(desk, java_script_enabled=script)
    tab.sign_in("alice", f"{MAIL}/{row}/edit")
    form = tab.page.locator(f"#form-{row}")
    own = {"Archive folder"} if row == "incoming" else {"From"}
    choose(form, "IMAP" if row == "incoming" else "SMTP")
    assert {*CLASSIC, *own, "Enable SSL", "Encryption", "Quick fill"} <= shown(form)
    assert not {*REGISTRATION, "Mailbox", "EWS address"} & shown(form)
    choose(form, "Exchange")
    assert {*CLASSIC, *own, "Enable SSL", "EWS address", "Mailbox", "Timeout (ms)"} <= shown(form)
    assert not {*REGISTRATION, "Encryption", "Quick fill", "Requires Authentication"} & shown(form)
    ssl = form.get_by_role("checkbox", name="Enable SSL")
    expect(ssl).to_be_checked()
    expect(ssl).to_be_disabled()
    expect(ssl).to_have_accessible_description("Always on: Exchange is reached over HTTPS only.")
    choose(form, "Office365")
    assert {*REGISTRATION, *own, "Mailbox", "Timeout (ms)"} <= shown(form)
    assert not {*CLASSIC, "Enable SSL", "Encryption", "Quick fill", "EWS address"} & shown(form)
    assert not tab.scrolls_sideways()


def test_what_was_typed_is_there_when_the_protocol_comes_back(tab: Tab) -> None:
    form = tab.edit_at(MAIL)
    tab.fill(form, host_name="imap.example.com", user_name="help@example.com", password="typed-once")
    choose(form, "Office365")
    form.get_by_label("Tenant ID").fill("example.com")
    form.get_by_label("Client secret").fill("typed-too")
    choose(form, "Exchange")
    expect(form.get_by_label("Host name")).to_have_value("imap.example.com")
    expect(form.get_by_label("Port", exact=True)).to_have_attribute("placeholder", "443")
    choose(form, "IMAP")
    expect(form.get_by_label("Password", exact=True)).to_have_value("typed-once")
    expect(form.get_by_label("Port", exact=True)).to_have_attribute("placeholder", "993")
    choose(form, "Office365")
    expect(form.get_by_label("Tenant ID")).to_have_value("example.com")
    expect(form.get_by_label("Client secret")).to_have_value("typed-too")


def test_the_usual_port_of_another_protocol_goes(tab: Tab) -> None:
    set_incoming(tab.desk.instance, active="false")
    form = tab.edit_at(MAIL)
    expect(form.get_by_label("Port", exact=True)).to_have_value("993")
    choose(form, "Exchange")
    expect(form.get_by_label("Port", exact=True)).to_have_value("")
    form.get_by_label("Port", exact=True).fill("8443")
    choose(form, "IMAP")
    expect(form.get_by_label("Port", exact=True)).to_have_value("8443")


def test_exchange_at_microsoft_is_refused_with_the_reason(tab: Tab) -> None:
    form = tab.edit_at(MAIL)
    choose(form, "Exchange")
    tab.fill(form, host_name="outlook.office365.com", user_name="help@example.com", password="x")
    tab.expect_refusal(422)
    form.get_by_role("button", name="Save").click()
    host = form.get_by_label("Host name")
    expect(host).to_be_focused()
    expect(host).to_have_accessible_description(
        re.compile("Exchange is for your own Exchange server.*Choose Office365")
    )


def test_smtp_at_microsoft_warns(tab: Tab) -> None:
    form = tab.edit_at(MAIL, "outgoing")
    tab.fill(form, host_name="smtp.office365.com", user_name="help@example.com")
    form.get_by_label("User name").blur()
    tab.says("off by default at the end of December 2026")


@pytest.fixture
def exchange(
    tmp_path: Path,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
    ews_server: EwsServer,
) -> Iterator[Desk]:
    with running_desk(tmp_path, empty_desk_database, desk_templates, ews_server.ca_file) as desk:
        desk.add_accounts()
        add_people(desk.instance)
        yield desk


def test_exchange_from_the_form_to_the_reply(
    exchange: Desk, ews_server: EwsServer, open_tab: OpenTab
) -> None:
    box = ews_server.mailboxes["help@example.com"]
    box.deliver(make_raw())
    tab = open_tab(exchange)
    tab.sign_in("alice", MAIL)
    form = tab.edit_at(MAIL)
    choose(form, "Exchange")
    tab.fill(form, host_name="localhost", port=str(ews_server.port), user_name="EXAMPLE\\help",
             password=PASSWORD, mailbox="help@example.com")  # fmt: skip
    form.get_by_role("button", name="Test Connection").click()
    test = tab.page.locator("#test-incoming")
    expect(test).to_contain_text("Test passed", timeout=30_000)
    expect(test).to_contain_text("When you turn this on now: 1 new ticket")
    assert [item.seen for item in box.contents()] == [False]
    form.get_by_role("switch", name="Active").check()
    form.get_by_role("button", name="Save").click()
    step = tab.row()
    expect(step.get_by_role("heading", name="Turn on incoming email?")).to_be_visible()
    expect(step).to_contain_text("1 unread message is in the inbox of help@example.com", timeout=30_000)
    step.get_by_label(re.compile("The 1 unread message")).check()
    step.get_by_role("button", name="Turn on").click()
    expect(step.locator(".row-state")).to_contain_text("Active")
    expect(step.locator(".summary")).to_have_text(
        f"Exchange · localhost:{ews_server.port} · SSL/TLS · help@example.com"
    )
    set_row(exchange.instance, Row.OUTGOING, PASSWORD, protocol="exchange", host="localhost",
            port=str(ews_server.port), username="EXAMPLE\\help", from_address="help@example.com",
            active="true")  # fmt: skip
    answer(tab, exchange)
    (sent,) = box.sent
    assert b"It is on its way." in sent.raw
    assert b"To: Ann Lee <ann@acme.test>" in sent.raw


@pytest.fixture
def office(
    tmp_path: Path,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
    graph_server: GraphServer,
) -> Iterator[Desk]:
    """Connected, and on: the sign-in itself is driven in `test_office365`."""
    told = {
        name.removeprefix("SERVICEDESK_").lower(): value
        for name, value in environment_of(graph_server).items()
    }
    with running_desk(tmp_path, empty_desk_database, desk_templates, None, **told) as desk:
        desk.add_accounts()
        add_people(desk.instance)
        for row in (Row.INCOMING, Row.OUTGOING):
            set_office365(desk.instance, graph_server, "desk@example.com", row)
        yield desk


def test_office365_from_the_form_to_the_reply(
    office: Desk, graph_server: GraphServer, open_tab: OpenTab
) -> None:
    box = graph_server.mailbox_of("desk@example.com")
    box.deliver(make_raw())
    tab = open_tab(office)
    tab.sign_in("alice", MAIL)
    expect(tab.row().locator(".summary")).to_have_text("Office365 · desk@example.com")
    form = tab.edit_at(MAIL)
    assert form.get_by_label("Client secret").input_value() == ""
    expect(form.get_by_label("Client secret")).to_have_accessible_description(
        "Saved. Leave empty to keep it."
    )
    form.get_by_role("button", name="Test Connection").click()
    test = tab.page.locator("#test-incoming")
    expect(test).to_contain_text("Test passed", timeout=30_000)
    expect(test).to_contain_text("When you turn this on now: 1 new ticket")
    form.get_by_role("link", name="Cancel").click()
    answer(tab, office)
    (sent,) = box.sent
    assert b"It is on its way." in sent.raw
    form = tab.edit_at(MAIL, "outgoing")
    own = form.get_by_label("From").filter(visible=True)
    assert own.locator("option").all_inner_texts() == ["desk@example.com", "help@example.com"]
    own.select_option("help@example.com")
    form.get_by_role("button", name="Save").click()
    expect(tab.row("outgoing").locator(".summary")).to_have_text("Office365 · From help@example.com")
    assert stored(office, Row.OUTGOING).from_address == "help@example.com"


def test_an_office365_row_is_not_on_before_somebody_is_connected(tab: Tab) -> None:
    form = tab.edit_at(MAIL)
    choose(form, "Office365")
    form.get_by_label("Tenant ID").fill("example.onmicrosoft.com")
    form.get_by_label("Application (client) ID").fill(APP)
    form.get_by_label("Client secret").fill("canary~secret.value")
    form.get_by_role("switch", name="Active").check()
    tab.expect_refusal(422)
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert").first).to_contain_text("Not saved")
    tab.says("Connect a Microsoft account before you turn this on.")
    expect(form.get_by_label("Tenant ID")).to_have_value("example.onmicrosoft.com")
    assert "canary~secret.value" not in tab.page.content()
    form.get_by_role("switch", name="Active").uncheck()
    form.get_by_label("Client secret").fill("canary~secret.value")
    form.get_by_role("button", name="Save").click()
    expect(tab.row().locator(".summary")).to_have_text("Office365 · no mailbox yet")
    row = stored(tab.desk)
    assert (row.active, row.tenant_id, row.client_id) == (False, "example.onmicrosoft.com", APP)
    assert row.client_secret_sealed
    expect(tab.row().locator("#connect-incoming")).to_be_visible()


def answer(tab: Tab, desk: Desk) -> None:
    """The mail is polled, becomes T-1, is answered, and the answer leaves."""
    desk.poll()
    tab.open("/tickets/1")
    tab.says("Printer offline")
    tab.page.get_by_label("Your reply").fill("It is on its way.")
    tab.page.get_by_role("button", name="Send reply").click()
    tab.says("It is on its way.")
    assert make_deliverer(desk.instance).run() == 1
