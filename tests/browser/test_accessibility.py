"""Every page with axe-core, in light and dark, wide and narrow; and no page wider than its window."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.desk import Desk
from tests.browser.held import held_imap
from tests.browser.tab import MAIL, OpenTab, Tab, looking_around
from tests.factories import make_raw, set_incoming_from, set_row
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox
from tests.rig.names import NameServer
from tests.rig.ports import free_ports
from tests.rig.smtp import SmtpServer
from webapp.mailserver import dns
from webapp.models import Row

pytestmark = pytest.mark.browser
VENDOR = Path(__file__).parent / "vendor"
AXE = (VENDOR / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = (1100, 320)
COLOURS = ["color-contrast", "link-in-text-block"]  # what a dark page may have that a light one has not
PAGES = [
    "/account",
    "/tickets",
    "/tickets?q=nothing+is+called+this",
    "/tickets/1",
    "/tickets/2",
    "/settings/service-desk/senders",
    "/settings/service-desk/incoming-rules",
    "/settings/service-desk/answers",
    "/held-mail",
    "/settings/service-desk/notifications",
    "/settings/service-desk/notifications/opened",
    "/people",
    "/people/new",
    "/people/import",
    "/people/1",
    "/people/1/edit",
    "/people/link?email=carl@nowhere.test&q=ann&next=/tickets/2",
    "/people/1/link?email=carl@nowhere.test&next=/tickets/2",
    "/companies",
    "/companies/new",
    "/companies/1/edit",
    "/email-log",
    "/email-log/1",
    "/email-log/4",
    MAIL,
    f"{MAIL}/incoming/edit",
    f"{MAIL}/outgoing/edit",
    f"{MAIL}/invoice/edit",
]


def test_axe_is_the_published_file() -> None:
    note = (VENDOR / "VENDOR.txt").read_text(encoding="utf-8")
    assert f"{hashlib.sha256(AXE.encode()).hexdigest()}  axe-core/axe.min.js" in note


def violations(tab: Tab, rules: list[str] | None = None) -> list[str]:
    """What axe has to say; its source is evaluated, for our pages load no foreign script."""
    if not tab.page.evaluate("typeof axe === 'object'"):
        tab.page.evaluate(AXE)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = tab.page.evaluate("options => axe.run(options)", options)["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]
    ]


def look_closely(tab: Tab) -> None:
    """Light and dark, wide and narrow."""
    for width in WIDTHS:
        tab.page.set_viewport_size({"width": width, "height": 900})
        tab.page.emulate_media(color_scheme="light")
        assert violations(tab) == []
        tab.page.emulate_media(color_scheme="dark")
        assert violations(tab, COLOURS) == []
    for width in (320, 380, 550):
        tab.page.set_viewport_size({"width": width, "height": 900})
        assert not tab.scrolls_sideways(), f"wider than {width} px"


@pytest.fixture(scope="module")
def looking(busy_desk: Desk, chromium: Browser) -> Iterator[Tab]:
    """Alice, who looks at one page after the other."""
    with looking_around(chromium, busy_desk) as tab:
        yield tab


@pytest.mark.parametrize("path", PAGES)
def test_pages(looking: Tab, path: str) -> None:
    looking.open(path)
    expect(looking.page.get_by_role("heading", level=1)).to_have_count(1)
    look_closely(looking)


@pytest.mark.parametrize("row", ["incoming", "outgoing"])
@pytest.mark.parametrize("protocol", ["Exchange", "Office365"])
def test_the_fields_of_other_protocols(looking: Tab, row: str, protocol: str) -> None:
    looking.open(f"{MAIL}/{row}/edit")
    looking.page.locator(f"#form-{row}").get_by_role("radio", name=protocol).check()
    look_closely(looking)


@pytest.mark.parametrize(("path", "status"), [("/tickets/4711", 404), ("/nowhere", 404)])
def test_error_pages(looking: Tab, path: str, status: int) -> None:
    looking.expect_refusal(status)
    looking.open(path)
    look_closely(looking)


def test_a_refused_form_and_a_failed_test(looking: Tab) -> None:
    looking.expect_refusal(422)
    looking.open(MAIL)
    form = looking.edit("outgoing")
    looking.fill(form, host_name="a b", port="0")
    form.get_by_role("button", name="Save").last.click()
    expect(looking.row("outgoing").get_by_role("alert")).to_be_visible()
    look_closely(looking)
    form = looking.edit("incoming")
    looking.fill(form, host_name="localhost", port="1", user_name="help@example.com", password="secret")
    form.get_by_label("SSL/TLS").check()
    form.get_by_role("button", name="Test Connection").click()
    expect(looking.row("incoming").get_by_text("Test failed at")).to_be_visible()
    looking.page.get_by_text("Technical details").click()
    look_closely(looking)


def test_nothing_set_up(desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(desk, reduced_motion="reduce")
    tab.sign_in("alice", MAIL)
    tab.says("No mail server is set up yet.")
    look_closely(tab)


def test_changed_by_somebody_else_and_a_question_before_it_is_on(desk: Desk, open_tab: OpenTab) -> None:
    for row in (Row.OUTGOING, Row.INVOICE):
        set_row(desk.instance, row, host="smtp.example.com", username="help@example.com")
    tab = open_tab(desk, reduced_motion="reduce")
    tab.sign_in("alice", MAIL)
    outgoing, invoice = tab.edit("outgoing"), tab.edit("invoice")
    set_row(desk.instance, Row.OUTGOING, host="smtp.other.example", username="help@example.com")
    tab.expect_refusal(409)
    tab.fill(outgoing, timeout_ms="20000")
    outgoing.get_by_role("button", name="Save").last.click()
    expect(outgoing.get_by_role("alert").first).to_contain_text("changed these settings")
    invoice.get_by_role("button", name="Copy from Outgoing").click()
    expect(invoice.get_by_role("alert")).to_contain_text("Replace them with those of Outgoing?")
    look_closely(tab)


@pytest.mark.dovecot
def test_failing_since_with_mail_of_the_day(desk: Desk, open_tab: OpenTab, mailbox: DovecotMailbox) -> None:
    desk.receive_samples()
    set_incoming_from(desk.instance, mailbox.settings(password="not this one"))
    desk.poll()
    tab = open_tab(desk, reduced_motion="reduce")
    tab.sign_in("alice", MAIL)
    expect(tab.row().locator(".row-state")).to_contain_text("Failing since")
    look_closely(tab)


def test_a_running_and_a_stopped_test_and_the_look_into_the_inbox(
    desk: Desk, open_tab: OpenTab, authority: Authority
) -> None:
    with held_imap(authority, "EXAMINE", ["{tag} NO not today"]) as server:
        set_row(desk.instance, host="localhost", port=str(server.port), tls_mode="implicit", username="help")
        tab = open_tab(desk, reduced_motion="reduce")
        tab.sign_in("alice", MAIL)
        tab.row().get_by_role("button", name="Test Connection").click()
        expect(tab.row()).to_contain_text("Running: Inbox")
        look_closely(tab)
        tab.row().get_by_role("button", name="Stop").click()
        expect(tab.row()).to_contain_text("The test was stopped.")
        tab.row().get_by_role("link", name="Turn on").click()
        expect(tab.row()).to_contain_text("Looking into the inbox")
        look_closely(tab)
        server.go_on.set()
        expect(tab.row().get_by_role("alert")).to_contain_text("nobody knows how many unread messages")
        look_closely(tab)


@pytest.mark.dovecot
def test_a_passed_test_turning_on_and_the_dry_run(
    desk: Desk, open_tab: OpenTab, mailbox: DovecotMailbox
) -> None:
    mailbox.deliver(make_raw())
    set_incoming_from(desk.instance, mailbox.settings(), active="false")
    tab = open_tab(desk, reduced_motion="reduce")
    tab.sign_in("alice", MAIL)
    tab.row().get_by_role("button", name="Test Connection").click()
    expect(tab.row()).to_contain_text("When you turn this on now:")
    look_closely(tab)
    tab.row().get_by_role("link", name="Turn on").click()
    expect(tab.row().get_by_role("radio").first).to_be_visible()
    tab.row().get_by_role("button", name="Show the 1 message").click()
    expect(tab.row().locator("table")).to_be_visible()
    tab.expect_refusal(422)
    tab.row().get_by_role("button", name="Turn on").click()
    expect(tab.row().get_by_role("alert")).to_contain_text("Not turned on.")
    look_closely(tab)


def test_suggested_settings_found_and_not_found(
    desk: Desk, open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = dns.Names
    with NameServer({("hosted.test", "MX"): ["10 in1-smtp.messagingengine.com."]}) as names:
        monkeypatch.setattr(dns, "Names", lambda: ask(names.address))
        tab = open_tab(desk, reduced_motion="reduce")
        tab.sign_in("alice", MAIL)
        form = tab.edit()
        for address, told in (
            ("help@hosted.test", "Found: imap.fastmail.com"),
            ("help@nowhere.test", "Nothing found for help@nowhere.test."),
            ("help", "Enter one email address"),
        ):
            form.get_by_label("User name").fill(address)
            form.get_by_role("button", name="Suggest settings").click()
            expect(form.locator(".suggest")).to_contain_text(told)
            look_closely(tab)


def test_a_test_message_that_was_sent(desk: Desk, open_tab: OpenTab, smtp_server: SmtpServer) -> None:
    tab = open_tab(desk, reduced_motion="reduce")
    tab.sign_in("alice", MAIL)
    form, server = tab.edit("outgoing"), smtp_server.settings()
    tab.fill(form, host_name=server.host, port=str(server.port), user_name=server.username)
    form.get_by_label("STARTTLS").check()
    tab.fill(form, password=server.password)
    form.get_by_role("button", name="Send a test message").click()
    expect(tab.row("outgoing")).to_contain_text("Look whether the message arrives.")
    look_closely(tab)


@pytest.mark.parametrize("script", [True, False])
def test_a_dry_run_that_failed(desk: Desk, open_tab: OpenTab, script: bool) -> None:
    closed = str(free_ports(1)[0])
    set_row(desk.instance, host="localhost", port=closed, tls_mode="implicit", username="help")
    tab = open_tab(desk, reduced_motion="reduce")
    tab.sign_in("alice", MAIL)
    if not script:  # ours are taken away; axe is one, too, so they cannot be turned off
        tab.page.route("**/*.js*", lambda route: route.fulfill(body="", content_type="text/javascript"))
        tab.open(MAIL)
    tab.row().get_by_role("button", name="What would happen now").click()
    preview = tab.page.locator("#preview-incoming")
    expect(preview.get_by_role("alert")).to_contain_text(f"nothing answers on port {closed}")
    look_closely(tab)


def test_the_setup_page(new_desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(new_desk, reduced_motion="reduce")
    tab.open("/setup")
    look_closely(tab)


def test_sign_in_and_refused_pages(busy_desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(busy_desk, reduced_motion="reduce")
    tab.open("/login")
    look_closely(tab)
    tab.sign_in("vera")
    tab.expect_refusal(403)
    tab.open(MAIL)
    look_closely(tab)


def test_the_narrow_menu_unfolded(busy_desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(busy_desk, width=320, reduced_motion="reduce")
    tab.sign_in("alice")
    tab.page.get_by_text("Menu").click()
    assert violations(tab) == []
    assert not tab.scrolls_sideways()
