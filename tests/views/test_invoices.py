"""The pages of invoices: list, form, preview, upload, one invoice, sending it again; and their settings."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pypdf
import pytest
import sqlalchemy as sa
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import TestResponse, encode_multipart

from tests.factories import add_people, set_row
from tests.views.browser import Browser
from webapp.desk import invoice_settings, invoices
from webapp.desk.invoice_form import Entries
from webapp.instance import Instance
from webapp.models import Audit, Delivery, DeliveryState, Invoice, OutgoingMessage, Row
from webapp.outbound import outbox

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
KEY = "0123456789abcdef" * 2
FORM = {
    "form_key": KEY,
    "number": "2026-0042",
    "company": "Acme Ltd",
    "address": "Road 5",
    "to": "ann@acme.test",
    "issued_on": "2026-11-24",
    "due_on": "2026-12-24",
    "currency": "EUR",
    "note": "",
    "subject": "Invoice {number}",
    "text": "Total {total}",
    "line_text": ["Work", "Toner", ""],
    "line_quantity": ["1.5", "2", "1"],
    "line_price": ["80", "39.90", ""],
    "line_tax": ["20", "20", ""],
}


@pytest.fixture
def on(instance: Instance) -> Instance:
    set_row(instance, Row.INVOICE, host="smtp.desk.test", username="billing@desk.test", active="true")
    return instance


def post(
    browser: Browser,
    path: str = "/invoices/new",
    changes: Mapping[str, object] | None = None,
    **more: object,
) -> TestResponse:
    data: dict[str, Any] = {
        **FORM,
        **(changes or {}),
        **more,
        "csrf_token": browser.csrf_token("/invoices/new"),
    }
    if "pdf" not in data:
        return browser.post(path, data=data)
    boundary, body = encode_multipart(
        MultiDict(data | {"pdf": FileStorage(*data["pdf"])})
    )  # in memory: a large one is a file left open else
    return browser.post(path, data=body, content_type=f"multipart/form-data; boundary={boundary}")


def part(browser: Browser, path: str, **changes: object) -> str:
    token = browser.csrf_token("/invoices/new")
    answer = browser.post(path, data={**FORM, **changes, "csrf_token": token}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    return answer.text


def sent(instance: Instance, number: str = "2026-0042", to: str = "ann@acme.test", **changes: str) -> Invoice:
    entries = {
        "company": "Acme Ltd", "issued_on": "2026-11-24", "currency": "EUR", "subject": "Invoice {number}",
        "text": "Hello <b>you</b>",
    }  # fmt: skip
    lines = [{"text": "Work <b>", "quantity": "1", "price": "1234.5", "tax": "20"}]
    return invoices.send(
        instance.database,
        instance.vault,
        Entries(number=number, to=to, lines=lines, **(entries | changes)),  # type: ignore[arg-type]
        now=datetime.now(UTC),
        by="bob@desk.example",
    )


def all_invoices(instance: Instance) -> list[Invoice]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Invoice)))


def deliveries(instance: Instance) -> list[Delivery]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Delivery).order_by(Delivery.id)))


def test_the_empty_list_says_what_it_is_for(bob: Browser, vera: Browser) -> None:
    assert "No invoices yet." in bob.get("/invoices").text
    assert 'href="/invoices/new"' in bob.get("/invoices").text
    assert 'href="/invoices/new"' not in vera.get("/invoices").text


def test_the_form_sends_one_invoice(on: Instance, bob: Browser) -> None:
    answer = post(bob)
    assert (answer.status_code, answer.location) == (303, "/invoices/1")
    page = bob.get("/invoices/1").text
    assert "Invoice 2026-0042 is being sent." in page
    again = post(bob)  # a second click
    assert (again.status_code, again.location) == (303, "/invoices/1")
    (invoice,) = all_invoices(on)
    assert (invoice.number, invoice.total, invoice.created_by) == ("2026-0042", "239.76", "bob@desk.example")
    (delivery,) = deliveries(on)
    assert (delivery.state, delivery.row) == (DeliveryState.QUEUED, "invoice")
    for told in ("ann@acme.test", "239.76 EUR", "Total 239.76 EUR", "Waiting", "24 Dec 2026"):
        assert told in page
    listed = bob.get("/invoices").text
    for told in ("2026-0042", "Acme Ltd", "239.76 EUR", "24 Dec 2026", "Waiting"):
        assert told in listed
    with on.database.reading() as session:
        assert session.scalar(sa.select(Audit.subject).where(Audit.action == "invoice.send")) == "2026-0042"


def test_off_is_said_before_and_after(instance: Instance, bob: Browser, alice: Browser) -> None:
    before = bob.get("/invoices/new").text
    assert "Invoice email is off or not set up." in before
    assert "Keep without sending" in before
    assert "/settings/service-desk/mail" not in before
    assert 'href="/settings/service-desk/mail"' in alice.get("/invoices/new").text
    assert post(bob).status_code == 303
    page = bob.get("/invoices/1").text
    assert "Not sent: Invoice email is off." in page
    assert "Not sent: Invoice is off." in page
    assert "Resend" not in page
    assert outbox.NOBODY not in page
    assert deliveries(instance)[0].state is DeliveryState.NOT_SENT


def test_on_there_is_no_warning(on: Instance, bob: Browser) -> None:
    page = bob.get("/invoices/new").text
    assert 'id="invoice-off"' not in page
    assert "Send invoice" in page


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"number": ""}, "Enter the invoice&#39;s number."),
        ({"to": "nobody"}, "is not an e-mail address"),
        ({"due_on": "2026-11-01"}, "The invoice is due before its date."),
        ({"line_price": ["80", "x", ""]}, "Enter a number such as"),
        ({"line_text": [], "line_price": []}, "Enter at least one line"),
        ({"currency": "nothing"}, "Choose a currency of the list."),
        ({"text": "{who}"}, "{who} is none of"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    on: Instance, bob: Browser, changes: dict[str, object], told: str
) -> None:
    answer = post(bob, changes=changes)
    assert answer.status_code == 422
    assert told in answer.text
    assert f'value="{KEY}"' in answer.text
    assert "Not sent" in answer.text
    assert all_invoices(on) == []


def test_a_taken_number_leads_to_the_invoice_that_has_it(on: Instance, bob: Browser) -> None:
    sent(on)
    answer = post(bob, number=" 2026-0042")
    assert answer.status_code == 422
    assert "There is an invoice 2026-0042 already." in answer.text
    assert 'href="/invoices/1"' in answer.text


def test_a_form_without_its_key_sends_nothing(on: Instance, bob: Browser) -> None:
    for key in ("", "x", "é" * 32):
        assert post(bob, form_key=key).status_code == 400
    assert all_invoices(on) == []


def test_lines_are_added_and_removed_without_a_script(on: Instance, bob: Browser) -> None:
    page = post(bob, "/invoices/new/lines", add="1")
    assert page.status_code == 200
    assert page.text.count('name="line_price"') == 4
    assert "239.76 EUR" in page.text
    page = post(bob, "/invoices/new/lines", remove="0")
    assert page.text.count('name="line_price"') == 2
    assert ">Work<" not in page.text
    assert "95.76 EUR" in page.text
    assert post(bob, "/invoices/new/lines", remove="9").text.count('name="line_price"') == 3
    assert all_invoices(on) == []


def test_sums_and_lines_as_parts(on: Instance, bob: Browser) -> None:
    assert "239.76 EUR" in part(bob, "/invoices/new/lines")
    added = part(bob, "/invoices/new/lines", add="1")
    assert re.search(r'id="line-3-text"[^>]*autofocus', added)
    assert "The total appears here." in part(bob, "/invoices/new/lines", line_price=["x", "", ""])
    many = {f"line_{name}": ["1"] * 100 for name in ("text", "quantity", "price", "tax")}
    assert "No more lines fit" in part(bob, "/invoices/new/lines", **many)


def test_a_companys_addresses_are_offered_and_picked(on: Instance, bob: Browser) -> None:
    add_people(on)
    assert bob.get("/invoices/addresses?company=Acme").status_code == 303
    offered = bob.get("/invoices/addresses?company=acme%20LTD", headers={"HX-Request": "true"}).text
    assert "Ann Lee" in offered
    assert "bob@binder.test" not in offered
    post(bob, to="", pick=["ann@acme.test", "amy@acme.test"])
    assert [one.recipient for one in deliveries(on)] == ["ann@acme.test", "amy@acme.test"]


def test_the_preview_is_a_pdf_and_keeps_nothing(on: Instance, bob: Browser) -> None:
    answer = post(bob, "/invoices/preview", to="", note="Žluť")
    assert (answer.status_code, answer.mimetype) == (200, "application/pdf")
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    words = pypdf.PdfReader(io.BytesIO(answer.data)).pages[0].extract_text()
    assert "239.76 EUR" in words
    assert "Žluť" in words
    refused = post(bob, "/invoices/preview", line_price=["x", "1", ""], number="")
    assert refused.status_code == 422
    assert "Line 1, price: Enter a number" in refused.text
    assert "Number: Enter the invoice" in refused.text
    assert all_invoices(on) == []


def test_a_pdf_is_uploaded_and_comes_back_as_it_was(on: Instance, bob: Browser, vera: Browser) -> None:
    content = PDF.replace(b"<<>>", bytes(range(256)))
    answer = post(bob, "/invoices/upload", total="12.5", pdf=(io.BytesIO(content), "any <name>.pdf"))
    assert (answer.status_code, answer.location) == (303, "/invoices/1")
    got = vera.get("/invoices/1/invoice.pdf")
    assert (got.data, got.mimetype) == (content, "application/pdf")
    assert got.headers["Content-Disposition"] == "attachment; filename=invoice-2026-0042.pdf"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    page = vera.get("/invoices/1").text
    assert "Uploaded, sent as it is" in page
    assert "12.50 EUR" in page


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"GIF89a", "This is no PDF file."),
        (b"", "This file is empty."),
        (PDF[:-8], "This PDF has no end"),
        (b"%PDF-" + b"x" * 15_000_000, "at most 15 MB can be sent."),
        (b"%PDF-" + b"x" * 26_000_000, "of a PDF at most 15 MB can be sent."),
        (None, "Choose the PDF of the invoice."),
    ],
)
def test_what_is_no_pdf_is_refused_in_place(
    on: Instance, bob: Browser, content: bytes | None, told: str
) -> None:
    chosen = {} if content is None else {"pdf": (io.BytesIO(content), "invoice.pdf")}
    answer = post(bob, "/invoices/upload", chosen)
    assert answer.status_code == (413 if content and len(content) > 25_000_000 else 422)
    assert told in answer.text
    assert all_invoices(on) == []


def test_an_upload_says_everything_at_once(on: Instance, bob: Browser) -> None:
    text = post(bob, "/invoices/upload", number="", to="x").text
    for told in ("Choose the PDF", "Enter the invoice&#39;s number.", "is not an e-mail address"):
        assert told in text
    assert "Choose the file again" in text


def test_who_may(on: Instance, vera: Browser, bob: Browser) -> None:
    sent(on)
    token = bob.csrf_token("/invoices/new")
    for path in (
        "/invoices/new",
        "/invoices/upload",
        "/invoices/preview",
        "/invoices/new/lines",
        "/invoices/1/send-again",
    ):
        assert vera.post(path, data={**FORM, "csrf_token": vera.csrf_token("/invoices")}).status_code == 403
        assert bob.post(path, data=FORM).status_code == 400  # no token
    assert bob.post("/settings/service-desk/invoices", data={"csrf_token": token}).status_code == 403
    assert "Send again" not in vera.get("/invoices/1").text
    assert len(all_invoices(on)) == 1


def test_what_people_wrote_is_escaped(on: Instance, vera: Browser) -> None:
    sent(on, company="<script>alert(1)</script>", to="ann@acme.test")
    for path in ("/invoices", "/invoices/1"):
        assert "<script>alert" not in vera.get(path).text
    assert "Hello &lt;b&gt;you&lt;/b&gt;" in vera.get("/invoices/1").text


def test_sent_again_after_a_question(on: Instance, bob: Browser) -> None:
    sent(on, to="ann@acme.test, amy@acme.test")
    page = bob.get("/invoices/1/send-again").text
    assert "Send 2026-0042 again?" in page
    assert "ann@acme.test\namy@acme.test" in page
    seen = re.search(r'name="seen" value="(\d+)"', page)
    assert seen is not None
    told = {"to": "new@acme.test", "seen": seen[1]}
    answer = bob.send("/invoices/1/send-again", "/invoices/1/send-again", **told)
    assert (answer.status_code, answer.location) == (303, "/invoices/1")
    again = bob.send("/invoices/1/send-again", "/invoices/1/send-again", **told)  # a second click
    assert again.status_code == 303
    assert "it was not sent twice" in bob.get("/invoices/1").text
    assert [one.recipient for one in deliveries(on)] == ["ann@acme.test", "amy@acme.test", "new@acme.test"]
    with on.database.reading() as session:
        assert len(set(session.scalars(sa.select(OutgoingMessage.message_id)))) == 2
    newest = re.search(r'name="seen" value="(\d+)"', bob.get("/invoices/1/send-again").text)
    assert newest is not None
    wrong = bob.send("/invoices/1/send-again", "/invoices/1/send-again", to="x", seen=newest[1])
    assert wrong.status_code == 422
    assert "is not an e-mail address" in wrong.text
    assert bob.send("/invoices/1/send-again", "/invoices/1/send-again", to="x", seen="").status_code == 400


def test_a_failed_delivery_shows_the_servers_words_and_is_resent(on: Instance, bob: Browser) -> None:
    sent(on)
    with on.database.writing() as session:
        delivery = session.get_one(Delivery, 1)
        delivery.state, delivery.error = DeliveryState.FAILED, "The mail server refused ann@acme.test."
        delivery.server_words, delivery.next_try_at = "550 5.1.1 no such user", None
    page = bob.get("/invoices/1").text
    assert "The mail server refused ann@acme.test." in page
    assert "550 5.1.1 no such user" in page
    assert "Failed" in bob.get("/invoices").text
    answer = bob.send("/outbox/1/resend", "/invoices/1", seen="0", next="/invoices/1")
    assert (answer.status_code, answer.location) == (303, "/invoices/1")
    assert deliveries(on)[0].state is DeliveryState.QUEUED


def test_copy_as_new(on: Instance, bob: Browser) -> None:
    sent(on, note="Thank you.")
    page = bob.get("/invoices/new?copy=1").text
    for told in ('value="2026-0043"', "Acme Ltd", "ann@acme.test", "Thank you.", "1234.5", "Work &lt;b&gt;"):
        assert told in page
    assert bob.get("/invoices/new?copy=99").status_code == 200
    assert bob.get("/invoices/new?copy=x").status_code == 200
    post(bob, "/invoices/upload", number="7", form_key="f" * 32, pdf=(io.BytesIO(PDF), "a.pdf"))
    assert bob.get("/invoices/new?copy=2").location == "/invoices/upload?copy=2"


def test_search_pages_and_refresh(on: Instance, vera: Browser) -> None:
    sent(on, "A-1", company="Acme Ltd")
    sent(on, "B-2", company="Binder_Inc")
    assert "B-2" not in vera.get("/invoices?q=acme").text
    assert "A-1" not in vera.get("/invoices?q=b-2").text
    assert "No invoice matches." in vera.get("/invoices?q=A_1").text
    assert "There is no page 3." in vera.get("/invoices?page=3").text
    text = vera.get("/invoices").text
    link = re.search(r'hx-get="([^"]+)"', text)
    assert link is not None
    assert vera.get(link[1].replace("&amp;", "&"), headers={"HX-Request": "true"}).status_code == 204


def test_fifty_a_page_and_few_queries(on: Instance, vera: Browser) -> None:
    with on.database.writing() as session:
        for number in range(60):
            session.add(
                Invoice(
                    number=str(number), number_key=str(number), source="made", recipients=[], lines=[],
                    issued_on=datetime(2026, 11, 24, tzinfo=UTC).date(), currency="EUR", subject="", text="",
                    created_at=datetime.now(UTC), created_by="x",
                )
            )  # fmt: skip
    asked: list[str] = []
    sa.event.listen(on.database.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    first = vera.get("/invoices").text
    assert len(asked) < 20
    assert first.count('<th scope="row"') == 50
    assert vera.get("/invoices?page=2").text.count('<th scope="row"') == 10


SETTINGS = {
    "name": "Żółć Desk",
    "address": "Main Street 1",
    "tax_number": "BG1",
    "payment": "IBAN BG00",
    "currency": "PLN",
    "subject": "Your invoice {number}",
    "text": "Dear {company},\n{total}\n{desk}",
}
SETTINGS_PATH = "/settings/service-desk/invoices"


def test_settings_are_saved_and_used(on: Instance, alice: Browser) -> None:
    answer = alice.send(SETTINGS_PATH, SETTINGS_PATH, **SETTINGS)
    assert (answer.status_code, answer.location) == (303, SETTINGS_PATH)
    with on.database.reading() as session:
        assert invoice_settings.load(session).name == "Żółć Desk"
        assert session.scalar(sa.select(Audit.action).where(Audit.action == "settings.invoices")) is not None
    page = alice.get("/invoices/new").text
    assert "Your invoice {number}" in page
    assert '<option selected value="PLN">' in page


def test_settings_are_previewed_without_saving(on: Instance, alice: Browser) -> None:
    page = alice.send(SETTINGS_PATH, SETTINGS_PATH, **SETTINGS, preview="1")
    assert "Your invoice 2026-0042" in page.text
    assert "Dear Acme Ltd,\n200.00 PLN\nŻółć Desk" in page.text
    printed = alice.send(SETTINGS_PATH, SETTINGS_PATH, **SETTINGS, pdf="1")
    assert printed.mimetype == "application/pdf"
    words = pypdf.PdfReader(io.BytesIO(printed.data)).pages[0].extract_text()
    for told in ("Żółć Desk", "Main Street 1", "BG1", "IBAN BG00", "200.00 PLN"):
        assert told in words
    reset = alice.send(SETTINGS_PATH, SETTINGS_PATH, **SETTINGS, reset="1").text
    assert 'value="Invoice {number}"' in reset
    assert "please find attached our invoice" in reset
    with on.database.reading() as session:
        assert invoice_settings.load(session).name == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "x" * 101}, "At most 100 characters fit."),
        ({"name": "Desk\u202e"}, "direction mark"),
        ({"name": "名前"}, "cannot print 名前"),
        ({"currency": "XXX"}, "Choose one of these."),
        ({"subject": ""}, "Write something"),
        ({"text": "{nobody}"}, "{nobody} is none of"),
        ({"payment": "\n".join("x" * 21)}, "At most 20 lines fit."),
        ({"payment": "x" * 1001}, "At most 1,000 characters fit."),
    ],
)
def test_wrong_settings_are_refused(on: Instance, alice: Browser, changes: dict[str, str], told: str) -> None:
    answer = alice.send(SETTINGS_PATH, SETTINGS_PATH, **(SETTINGS | changes))
    assert answer.status_code == 422
    assert told in answer.text
    with on.database.reading() as session:
        assert invoice_settings.load(session) == invoice_settings.InvoiceSettings()


def test_variables_are_filled_once_and_empty_lines_left_out() -> None:
    values = {"number": "{total}", "total": "", "due": "", "company": "A", "desk": ""}
    assert invoice_settings.fill(
        "No {number}\nTotal: {total}\nDue {due} {desk}\n\n{company} {other}", values
    ) == ("No {total}\n\nA {other}")


def test_menu_and_settings_lead_there(alice: Browser, signed_in: Callable[[str], Browser]) -> None:
    assert 'href="/invoices" aria-current="page"' in alice.get("/invoices/new").text
    assert f'href="{SETTINGS_PATH}" aria-current="page"' in alice.get(SETTINGS_PATH).text
    assert 'href="/invoices"' in signed_in("vera").get("/tickets").text
