"""Invoices in a browser: the form with and without a script, a real mail server, double clicks, axe."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pypdf
import pytest
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, expect

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import OpenTab, Tab, looking_around
from tests.browser.test_accessibility import look_closely
from tests.factories import add_people, set_row
from tests.outbound.conftest import aim
from tests.rig.smtp import SmtpServer
from webapp.desk import invoice_settings, invoices
from webapp.desk.invoice_form import Entries
from webapp.desk.invoice_settings import InvoiceSettings
from webapp.desk.sending import make_deliverer
from webapp.models import Delivery, DeliveryState, Invoice, Row

pytestmark = pytest.mark.browser
BILLING = "billing@desk.test"
PAGES = [
    "/invoices",
    "/invoices?q=nothing",
    "/invoices?page=9",
    "/invoices/new",
    "/invoices/new?copy=1",
    "/invoices/upload",
    "/invoices/1",
    "/invoices/2",
    "/invoices/1/send-again",
    "/settings/service-desk/invoices",
]


def fill(desk: Desk) -> None:
    """One that was sent and refused, one that was not sent at all."""
    add_people(desk.instance)

    def send(number: str, to: str, company: str, count: int) -> Invoice:
        entries = Entries(
            number=number,
            to=to,
            company=company,
            address="Road 5\n1000 Sofia",
            issued_on="2026-11-24",
            due_on="2026-12-24",
            currency="EUR",
            lines=[{"text": "Work on the printer", "quantity": "1.5", "price": "80", "tax": "20"}] * count,
            subject="Invoice {number}",
            text="Hello,\n\nthis is {number}.",
        )
        return invoices.send(
            desk.instance.database, desk.instance.vault, entries, now=datetime.now(UTC), by="bob@desk.example"
        )

    send("2026-0041", "off@binder.test", "Binder Inc", 1)
    set_row(desk.instance, Row.INVOICE, host="smtp.desk.test", username=BILLING, active="true")
    many = ",".join(f"accounts-payable-{number}@a-long-name-of-a-company.test" for number in range(5))
    send("2026-0042-with-a-rather-long-number", many, "Acme " + "and Partners " * 8, 3)
    with desk.instance.database.writing() as session:
        refused = session.get_one(Delivery, 3)
        refused.state, refused.attempts, refused.next_try_at = DeliveryState.FAILED, 1, None
        refused.server_words = "550 5.1.1 Recipient address rejected: User unknown"
        refused.error = "The mail server refused this address. Check it, then send this again."
        session.get_one(Delivery, 2).state = DeliveryState.SENT


@pytest.fixture(scope="module")
def invoice_desk(
    tmp_path_factory: pytest.TempPathFactory,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
) -> Iterator[Desk]:
    with running_desk(tmp_path_factory.mktemp("invoice-desk"), empty_desk_database, desk_templates) as desk:
        desk.add_accounts()
        fill(desk)
        yield desk


@pytest.fixture(scope="module")
def looking(invoice_desk: Desk, chromium: Browser) -> Iterator[Tab]:
    with looking_around(chromium, invoice_desk) as tab:
        yield tab


@pytest.mark.parametrize("path", PAGES)
def test_axe(looking: Tab, path: str) -> None:
    looking.open(path)
    expect(looking.page.get_by_role("heading", level=1)).to_have_count(1)
    look_closely(looking)


@pytest.mark.parametrize("script", [True, False])
def test_an_invoice_through_the_form(
    desk: Desk, open_tab: OpenTab, smtp_server: SmtpServer, script: bool
) -> None:
    """Typed, summed up by the server, clicked twice: one mail with the PDF that says the same."""
    add_people(desk.instance)
    aim(desk.instance, smtp_server.settings(from_address=BILLING), Row.INVOICE)
    with desk.instance.database.writing() as session:
        invoice_settings.save(session, InvoiceSettings(name="Example Desk", payment="IBAN BG00"))
    tab = open_tab(desk, java_script_enabled=script)
    page = tab.page
    tab.sign_in("bob", "/invoices")
    page.get_by_role("link", name="New invoice").first.click()
    page.get_by_label("Number").fill("2026-0042")
    page.get_by_label("Due").fill("2099-12-24")
    page.get_by_label("Company", exact=True).fill("Acme Ltd")
    page.get_by_label("Description of line 1").fill("Работа по принтера")
    page.get_by_label("Quantity of line 1").fill("1,5")
    page.get_by_label("Unit price of line 1").fill("80")
    page.get_by_label("Tax % of line 1").fill("20")
    if not script:
        page.get_by_role("button", name="Show sums and addresses").click()
    expect(page.locator("#invoice-sums")).to_contain_text("144.00 EUR")
    page.get_by_role("button", name="Remove line 3").click()
    expect(page.locator(".invoice-line")).to_have_count(2)
    page.get_by_role("button", name="Add line").click()
    expect(page.locator(".invoice-line")).to_have_count(3)
    if script:
        expect(page.get_by_label("Description of line 3")).to_be_focused()
    page.get_by_label("Description of line 3").fill("Toner")
    page.get_by_label("Unit price of line 3").fill("10")
    page.get_by_label("Ann Lee").check()
    button = page.get_by_role("button", name="Send invoice").last
    button.dblclick() if script else button.click()
    page.wait_for_url("**/invoices/1", timeout=30_000)  # the first PDF loads its library
    tab.says("154.00 EUR")
    make_deliverer(desk.instance).run()
    tab.open("/invoices/1")
    expect(page.locator("#deliveries")).to_contain_text("Sent")
    (received,) = smtp_server.messages
    assert received.recipients == ["ann@acme.test"]
    message = message_from_bytes(received.raw, policy=default)
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "invoice-2026-0042.pdf"
    words = pypdf.PdfReader(io.BytesIO(attached.get_content())).pages[0].extract_text()
    for told in ("Работа по принтера", "Example Desk", "IBAN BG00", "154.00 EUR", "24 Dec 2099"):
        assert told in words
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PDF").click()
    assert download.value.path().read_bytes() == attached.get_content()


def test_what_is_wrong_stays_in_the_form(desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(desk, reduced_motion="reduce")
    tab.expect_refusal(422)
    page = tab.page
    tab.sign_in("bob", "/invoices/new")
    tab.says("Invoice email is off or not set up.")
    page.get_by_label("Number").fill("2026-0042")
    page.get_by_label("Unit price of line 1").fill("1,234")
    with page.expect_response(lambda response: response.status == 422):
        page.get_by_label("Number").press("Enter")
    tab.says("may mean two numbers")
    expect(page.get_by_label("Number")).to_have_value("2026-0042")
    expect(page.get_by_label("Unit price of line 1")).to_have_value("1,234")
    look_closely(tab)
    page.get_by_label("Unit price of line 1").fill("1234")
    page.get_by_label("Description of line 1").fill("Work")
    page.get_by_label("To", exact=True).fill("ann@acme.test")
    page.get_by_role("button", name="Keep without sending").last.click()
    page.wait_for_url("**/invoices/1", timeout=30_000)  # the first PDF loads its library
    tab.says("Not sent: Invoice is off.")


def test_sent_again_with_the_keyboard(desk: Desk, open_tab: OpenTab, smtp_server: SmtpServer) -> None:
    fill(desk)
    aim(desk.instance, smtp_server.settings(from_address=BILLING), Row.INVOICE)
    tab = open_tab(desk)
    tab.sign_in("bob", "/invoices/1")
    tab.page.get_by_role("link", name="Send again…").press("Enter")
    tab.page.get_by_label("To", exact=True).fill("new@binder.test")
    tab.page.get_by_role("button", name="Send again").press("Enter")
    tab.says("Invoice 2026-0041 is being sent.")
    make_deliverer(desk.instance).run()
    assert ["new@binder.test"] in [message.recipients for message in smtp_server.messages]


def test_the_list_refreshes_itself(desk: Desk, open_tab: OpenTab) -> None:
    fill(desk)
    tab = open_tab(desk)
    tab.sign_in("vera", "/invoices")
    expect(tab.page.locator("#invoice-rows tbody tr").last).to_contain_text("Not sent")
    with desk.instance.database.writing() as session:
        first = session.get_one(Delivery, 1)
        first.state, first.error = DeliveryState.SENT, ""
    tab.page.evaluate("document.body.dispatchEvent(new Event('app:tick'))")
    expect(tab.page.locator("#invoice-rows tbody tr").last).not_to_contain_text("Not sent")
