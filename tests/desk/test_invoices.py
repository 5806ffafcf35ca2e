"""Invoices: what is checked, what is written in one transaction, and what arrives through which server."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pypdf
import pytest
import sqlalchemy as sa

from tests.factories import NOW, add_people, make_instance, set_incoming, set_row
from tests.outbound.conftest import Outbox, aim
from tests.rig.certificates import Authority
from tests.rig.postgres import copy_database
from tests.rig.smtp import SmtpServer
from webapp.desk import invoice_form, invoice_lines, invoice_mail, invoice_settings, invoices, options
from webapp.desk.invoice_amounts import rounded
from webapp.desk.invoice_form import Entries, InvoiceRefused
from webapp.desk.invoice_settings import InvoiceSettings
from webapp.desk.invoices import SentAlready
from webapp.instance import Instance
from webapp.mail.loop_token import LOOP_HEADER
from webapp.models import (
    Delivery,
    Invoice,
    InvoiceFile,
    InvoiceSource,
    MailServer,
    OutgoingMessage,
    Row,
    UndeliverableAddress,
)
from webapp.outbound import by_hand, outbox
from webapp.outbound.by_hand import CannotResend

ENTRIES = Entries(
    number="2026-0042",
    to="ann@acme.test, amy@acme.test",
    company="acme ltd",
    address="Road 5\n1000 Sofia",
    issued_on="2026-11-24",
    due_on="2026-12-24",
    currency="EUR",
    lines=[
        {"text": "Work on the printer", "quantity": "1.5", "price": "80", "tax": "20"},
        {"text": "Toner", "quantity": "2", "price": "39,90", "tax": "20"},
        {"text": "", "quantity": "1", "price": "", "tax": "20"},
    ],
    subject="Invoice {number}",
    text="Hello,\n\nour invoice {number} for {company}.\nTotal: {total}\nDue: {due}\n\n{desk}",
)
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
BILLING = "billing@desk.test"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated, with the people in it: copied, as that takes a while."""
    folder = tmp_path_factory.mktemp("people")
    instance = make_instance(folder)
    add_people(instance)
    instance.close()
    return folder


@pytest.fixture
def instance(tmp_path: Path, authority: Authority, database: Path) -> Iterator[Instance]:
    copy_database(database, tmp_path)
    instance = make_instance(tmp_path, mail_ca_file=str(authority.ca_file))
    yield instance
    instance.close()


@pytest.fixture
def on(instance: Instance) -> Instance:
    set_row(instance, Row.INVOICE, host="smtp.desk.test", username=BILLING, active="true")
    return instance


def send(
    instance: Instance, entries: Entries = ENTRIES, *, form_key: str | None = None, **changes: object
) -> Invoice:
    wanted = replace(entries, **changes)  # type: ignore[arg-type]
    return invoices.send(
        instance.database, instance.vault, wanted, now=NOW, by="bob@desk.example", form_key=form_key
    )


def refused(instance: Instance, **changes: object) -> dict[str, str]:
    with pytest.raises(InvoiceRefused) as info:
        send(instance, replace(ENTRIES, **changes))  # type: ignore[arg-type]
    assert count(instance) == 0
    return info.value.errors


def count(instance: Instance) -> int:
    with instance.database.reading() as session:
        invoiced = session.scalar(sa.select(sa.func.count()).select_from(Invoice)) or 0
        files = session.scalar(sa.select(sa.func.count()).select_from(InvoiceFile))
        assert files == invoiced
        return invoiced


def words_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


def parts_of(raw: bytes) -> tuple[EmailMessage, dict[str, EmailMessage]]:
    message = message_from_bytes(raw, policy=default)
    found = [part for part in message.walk() if isinstance(part, EmailMessage)]
    return found[0], {part.get_content_type(): part for part in found}


def text_of(part: EmailMessage) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


def test_the_very_octets_arrive_once_through_the_invoice_row(
    instance: Instance, start_smtp: Callable[..., SmtpServer]
) -> None:
    """Two servers: what the Outgoing row's would take must never see an invoice."""
    replies, billing = start_smtp(), start_smtp()
    aim(instance, replies.settings())
    aim(instance, billing.settings(from_address=BILLING), Row.INVOICE)
    with instance.database.writing() as session:
        invoice_settings.save(
            session, InvoiceSettings(name="Żółć Desk", address="Main St 1", payment="IBAN 1")
        )
    invoice = send(instance)
    Outbox(instance).deliver()

    assert replies.messages == []
    (received,) = billing.messages
    with instance.database.reading() as session:
        (written,) = invoices.messages_of(session, [invoice.id])[invoice.id]
        pdf = invoices.load_pdf(session, invoice.id)
    assert received.sender == BILLING
    assert sorted(received.recipients) == ["amy@acme.test", "ann@acme.test"]
    message, parts = parts_of(received.raw)
    assert message["Message-ID"] == f"<{written.message_id}>"
    assert written.message_id.endswith("@desk.test")
    assert str(message["From"]) == f"Żółć Desk <{BILLING}>"
    assert message["Subject"] == "Invoice 2026-0042"
    assert message["Auto-Submitted"] is None
    assert message[LOOP_HEADER]
    assert text_of(parts["text/plain"]) == (
        "Hello,\n\nour invoice 2026-0042 for acme ltd.\nTotal: 239.76 EUR\nDue: 24 Dec 2026\n\nŻółć Desk\n"
    )
    assert "our invoice 2026-0042 for acme ltd." in parts["text/html"].get_content()
    assert parts["application/pdf"].get_filename() == "invoice-2026-0042.pdf"
    assert parts["application/pdf"].get_content() == pdf
    words = words_of(pdf)
    for told in ("Żółć Desk", "IBAN 1", "Road 5", "2026-0042", "24 Dec 2026", "239.76 EUR", "Page 1 of 1"):
        assert told in words
    Outbox(instance).deliver()
    assert len(billing.messages) == 1


def test_what_is_kept(on: Instance) -> None:
    invoice = send(on)
    assert (invoice.number, invoice.source, invoice.total) == ("2026-0042", InvoiceSource.MADE, "239.76")
    assert invoice.company_id is not None  # the directory's Acme Ltd
    assert invoice.lines[1] == {"text": "Toner", "quantity": "2", "price": "39.90", "tax": "20"}
    assert [line.text for line in invoices.lines_of(invoice)] == ["Work on the printer", "Toner"]


def test_an_uploaded_pdf_is_sent_as_it_is(instance: Instance, start_smtp: Callable[..., SmtpServer]) -> None:
    billing = start_smtp()
    aim(instance, billing.settings(), Row.INVOICE)
    content = PDF.replace(b"<<>>", bytes(range(256)) * 100)
    invoice = send(instance, number="A/7 б", lines=[], pdf=content, due_on="", total="")
    assert (invoice.source, invoice.total) == (InvoiceSource.UPLOADED, "")
    Outbox(instance).deliver()
    _, parts = parts_of(billing.messages[0].raw)
    assert parts["application/pdf"].get_content() == content
    assert parts["application/pdf"].get_filename() == "invoice-A_7_б.pdf"
    assert "Total" not in parts["text/plain"].get_content()
    assert "Due" not in parts["text/plain"].get_content()


def test_off_is_recorded_and_never_leaves_through_outgoing(
    instance: Instance, start_smtp: Callable[..., SmtpServer]
) -> None:
    replies = start_smtp()
    aim(instance, replies.settings())
    set_row(instance, Row.INVOICE, host="smtp.desk.test", username=BILLING)
    send(instance)
    box = Outbox(instance)
    box.deliver()
    assert set(box.states().values()) == {"not-sent"}
    assert all(one.error.startswith("Not sent: Invoice is off.") for one in box.all())
    assert replies.messages == []


def test_not_set_up_is_recorded_and_sent_anew_later(
    instance: Instance, start_smtp: Callable[..., SmtpServer]
) -> None:
    """The message names no sender, so it must not be resent as it is."""
    invoice = send(instance)
    box = Outbox(instance)
    assert set(box.states().values()) == {"not-sent"}
    billing = start_smtp()
    aim(instance, billing.settings(from_address=BILLING), Row.INVOICE)
    with instance.database.writing() as session, pytest.raises(CannotResend, match="names no sender"):
        by_hand.resend(session, box.all()[0].id, now=NOW, by="bob")
    send_again(instance, invoice.id, "ann@acme.test", seen=newest(instance, invoice.id))
    box.deliver()
    (received,) = billing.messages
    assert received.recipients == ["ann@acme.test"]
    assert outbox.NOBODY.encode() not in received.raw


def newest(instance: Instance, invoice_id: int) -> int:
    with instance.database.reading() as session:
        return invoices.newest_message(session, invoice_id)


def send_again(instance: Instance, invoice_id: int, to: str, *, seen: int) -> OutgoingMessage:
    return invoices.send_again(
        instance.database, instance.vault, invoice_id, to, seen=seen, now=NOW, by="bob"
    )


def test_sent_again_once_a_look(on: Instance) -> None:
    invoice = send(on)
    seen = newest(on, invoice.id)
    again = send_again(on, invoice.id, "new@acme.test", seen=seen)
    with pytest.raises(SentAlready):
        send_again(on, invoice.id, "new@acme.test", seen=seen)
    with pytest.raises(InvoiceRefused):
        send_again(on, invoice.id, "nobody", seen=again.id)
    with on.database.reading() as session:
        first, second = invoices.messages_of(session, [invoice.id])[invoice.id]
    assert first.message_id != second.message_id
    assert [one.recipient for one in Outbox(on).all(second.id)] == ["new@acme.test"]


def test_a_form_sends_once(on: Instance) -> None:
    invoice = send(on, form_key="k" * 32)
    with pytest.raises(SentAlready) as info:
        send(on, form_key="k" * 32)
    assert info.value.invoice_id == invoice.id
    assert count(on) == 1
    assert len(Outbox(on).all()) == 2


@pytest.mark.parametrize("number", ["2026-0042", " 2026-0042 ", "RE 1", "re  1"])
def test_a_number_is_given_once(on: Instance, number: str) -> None:
    taken = {send(on).number_key: 1, send(on, number="Re 1").number_key: 2}
    with pytest.raises(InvoiceRefused) as info:
        send(on, number=number)
    assert "already" in info.value.errors["number"]
    assert info.value.taken_by == taken[invoice_form.number_key(number)]
    assert count(on) == 2


def test_a_race_for_a_number_is_refused_in_words(on: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL two can look before either writes: the table itself refuses the second."""
    send(on)
    found = invoice_form.find_number
    answers = iter([None, None])
    monkeypatch.setattr(
        invoice_form, "find_number", lambda session, number: next(answers, found(session, number))
    )
    with pytest.raises(InvoiceRefused) as info:
        send(on)
    assert "already" in info.value.errors["number"]
    assert count(on) == 1


def test_nothing_is_written_where_the_mail_cannot_be(on: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "enqueue", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        send(on)
    assert count(on) == 0


ROW = {"text": "Work", "quantity": "1", "price": "10", "tax": ""}
BAD = [
    ({"number": ""}, "number", "Enter the invoice's number."),
    ({"number": "x" * 61}, "number", "At most 60 characters fit"),
    ({"number": "1\r\nBcc: eve@evil.test"}, "number", "control character"),
    ({"number": "1\u202e2"}, "number", "direction mark"),
    ({"number": "№ 名"}, "number", "cannot print 名"),
    ({"to": ""}, "to", "Enter who gets this invoice."),
    ({"to": "nobody"}, "to", "not an e-mail address"),
    ({"to": "ann@acme.test\r\nBcc: eve@evil.test"}, "to", "not an e-mail address"),
    ({"to": "Ann <ann@acme.test>"}, "to", "not an e-mail address"),
    ({"to": ",".join(f"u{n}@acme.test" for n in range(21))}, "to", "at most 20"),
    ({"to": BILLING}, "to", "of this service desk itself"),
    ({"to": "help@desk.test"}, "to", "of this service desk itself"),
    ({"to": "ünal@acme.test"}, "to", "before the @"),
    ({"company": "Acme\nBcc: eve@evil.test"}, "company", "control character"),
    ({"company": "x" * 201}, "company", "At most 200 characters fit"),
    ({"address": "x" * 501}, "address", "At most 500 characters fit"),
    ({"issued_on": ""}, "issued_on", "Enter the invoice's date."),
    ({"issued_on": "24.11.2026"}, "issued_on", "Enter a date such as"),
    ({"issued_on": "1026-11-24"}, "issued_on", "from 2000 to 2099"),
    ({"due_on": "2026-02-30"}, "due_on", "Enter a date such as"),
    ({"due_on": "2026-11-23"}, "due_on", "due before its date"),
    ({"currency": "XXX"}, "currency", "Choose a currency"),
    ({"lines": []}, "lines", "at least one line"),
    ({"lines": [ROW] * 101}, "lines", "at most 100"),
    ({"lines": [ROW | {"text": ""}]}, "line-0-text", "Describe"),
    ({"lines": [ROW | {"text": "x" * 301}]}, "line-0-text", "At most 300 characters fit"),
    ({"lines": [ROW | {"text": "\n".join("x" * 16)}]}, "line-0-text", "At most 15 lines of text"),
    ({"note": "\n".join("x" * 41)}, "note", "At most 40 lines of text"),
    ({"address": "\n".join("x" * 11)}, "address", "At most 10 lines of text"),
    ({"company": "Acme \ue000"}, "company", "cannot print"),
    ({"lines": [ROW, ROW | {"price": ""}]}, "line-1-price", "Enter a number"),
    ({"lines": [ROW | {"price": "ten"}]}, "line-0-price", "Enter a number"),
    ({"lines": [ROW | {"price": "1,500"}]}, "line-0-price", "may mean two numbers"),
    ({"lines": [ROW | {"price": "1.505"}]}, "line-0-price", "At most 2 decimals fit"),
    ({"lines": [ROW | {"price": "1e9"}]}, "line-0-price", "Enter a number"),
    ({"lines": [ROW | {"price": "NaN"}]}, "line-0-price", "Enter a number"),
    ({"lines": [ROW | {"price": "١٢"}]}, "line-0-price", "Enter a number"),
    ({"lines": [ROW | {"price": "1000000000"}]}, "line-0-price", "below 1,000,000,000"),
    ({"lines": [ROW | {"price": "999999999", "quantity": "2"}]}, "line-0-price", "too large"),
    ({"lines": [ROW | {"price": "999999999"}] * 2}, "lines", "too large"),
    ({"lines": [ROW | {"price": "-10"}]}, "lines", "below zero"),
    ({"lines": [ROW | {"quantity": "-1"}]}, "line-0-quantity", "from 0"),
    ({"lines": [ROW | {"quantity": "1.2345"}]}, "line-0-quantity", "At most 3 decimals fit"),
    ({"lines": [ROW | {"tax": "101"}]}, "line-0-tax", "per cent"),
    ({"lines": [ROW | {"price": "0.5"}], "currency": "JPY"}, "line-0-price", "No decimals fit"),
    ({"note": "x" * 2001}, "note", "At most 2,000 characters fit"),
    ({"note": "اردو"}, "note", "cannot print"),
    ({"subject": ""}, "subject", "Write something"),
    ({"subject": "Invoice\r\nBcc: eve@evil.test"}, "subject", "control character"),
    ({"subject": "{numbr}"}, "subject", "{numbr} is none of"),
    ({"text": " "}, "text", "Write something"),
    ({"text": "{total} {who}"}, "text", "{who} is none of"),
    ({"pdf": b""}, "pdf", "empty"),
    ({"pdf": b"GIF89a"}, "pdf", "no PDF"),
    ({"pdf": PDF[:-8]}, "pdf", "has no end"),
    ({"pdf": b"%PDF-" + b"x" * 15_000_000}, "pdf", "at most 15 MB"),
    ({"pdf": PDF, "total": "-1"}, "total", "below zero"),
    ({"pdf": PDF, "total": "1.005"}, "total", "At most 2 decimals"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field", "told"), BAD)
def test_bad_entries_have_a_sentence_at_their_field(
    on: Instance, changes: dict[str, object], field: str, told: str
) -> None:
    set_incoming(on)
    errors = refused(on, **changes)
    assert list(errors) == [field]
    assert told in errors[field]
    assert errors[field].endswith(".")


def test_everything_wrong_is_told_at_once(on: Instance) -> None:
    errors = refused(on, number="", to="x", due_on="y", lines=[ROW | {"price": "z"}])
    assert set(errors) == {"number", "to", "due_on", "line-0-price"}


@pytest.mark.parametrize(
    "company", ["{number}", "{nb}", "=?utf-8?q?x?=", '"Acme" <eve@evil.test>', "x" * 200]
)
def test_what_a_company_is_called_stays_text(
    on: Instance, start_smtp: Callable[..., SmtpServer], company: str
) -> None:
    billing = start_smtp()
    aim(on, billing.settings(from_address=BILLING), Row.INVOICE)
    invoice = send(on, company=company, subject="For {company}")
    Outbox(on).deliver()
    message = message_from_bytes(billing.messages[0].raw, policy=default)
    assert message["Subject"] == f"For {company}"
    assert sorted(billing.messages[0].recipients) == ["amy@acme.test", "ann@acme.test"]
    with on.database.reading() as session:
        words = words_of(invoices.load_pdf(session, invoice.id))
    assert company in words.replace("\n", "")


@pytest.mark.parametrize(
    ("last", "following"),
    [
        ("2026-0042", "2026-0043"), ("99", "100"), ("A-009", "A-010"), ("final", ""), ("7", "8"),
    ],
)  # fmt: skip
def test_the_next_number_is_proposed(on: Instance, last: str, following: str) -> None:
    send(on, number=last)
    with on.database.reading() as session:
        assert invoices.next_number(session) == following


def test_the_first_number_and_a_taken_one_are_not_proposed(on: Instance) -> None:
    with on.database.reading() as session:
        assert invoices.next_number(session) == ""
    send(on, number="8")
    send(on, number="7")
    with on.database.reading() as session:
        assert invoices.next_number(session) == ""


def test_sums_of_what_can_be_read_so_far() -> None:
    amounts, sums = invoice_lines.sums([ROW | {"tax": "20"}, ROW | {"price": "x"}, ROW], "EUR")
    assert amounts == ["10.00", "", "10.00"]
    assert sums is not None
    assert (sums.net, sums.total) == (Decimal("20.00"), Decimal("22.00"))
    assert invoice_lines.sums([], "EUR") == ([], None)
    assert invoice_lines.sums([ROW], "nothing") == ([""], None)


def test_a_deliverys_invoice_is_known(on: Instance) -> None:
    invoice = send(on)
    with on.database.reading() as session:
        query = sa.select(OutgoingMessage.invoice_id).join(Delivery)
        assert set(session.scalars(query)) == {invoice.id}
    assert invoice.created_at == NOW == datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_back_in_the_browser_another_number_is_another_invoice(on: Instance) -> None:
    """The form still has its key; to show the first invoice again would lose the second."""
    first = send(on, form_key="k" * 32)
    second = send(on, form_key="k" * 32, number="2026-0043")
    assert (first.number, second.number) == ("2026-0042", "2026-0043")
    for number, known in ((" 2026-0042", first), ("2026-0043", second)):
        with pytest.raises(SentAlready) as info:
            send(on, form_key="k" * 32, number=number)
        assert info.value.invoice_id == known.id
    assert count(on) == 2


def test_an_address_that_does_not_exist_is_refused(on: Instance) -> None:
    """Else the page says that the invoice is being sent, and it has failed at once."""
    with on.database.writing() as session:
        session.add(UndeliverableAddress(addr_key="amy@acme.test", since=NOW, why="gone"))
    assert "amy@acme.test does not exist" in refused(on)["to"]
    invoice = send(on, to="ann@acme.test")
    with pytest.raises(InvoiceRefused, match="allow it again"):
        send_again(on, invoice.id, "AMY@acme.test", seen=newest(on, invoice.id))


def test_what_the_mail_server_does_not_take_is_refused(on: Instance) -> None:
    with on.database.writing() as session:
        session.get_one(MailServer, Row.INVOICE.value).largest_octets = 1_000_000
    told = refused(on, lines=(), pdf=b"%PDF-1.7" + b"x" * 900_000 + b"%%EOF")
    assert "has 1.2 MB; the mail server of the Invoice row takes at most 1 MB" in told["pdf"]
    assert len(Outbox(on).all()) == 0


def test_a_subject_of_which_nothing_is_left_has_one_all_the_same(on: Instance) -> None:
    assert send(on, subject="{due}", due_on="").subject == "Invoice 2026-0042"


def test_nothing_is_never_below_zero(on: Instance) -> None:
    line = {"text": "Discount", "quantity": "0", "price": "-5", "tax": ""}
    amounts, sums = invoice_lines.sums([line], "EUR")
    assert amounts == ["0.00"]
    assert sums is not None
    assert str(sums.total) == "0.00"
    assert str(rounded(Decimal("-0.001"), "EUR")) == "0.00"


def test_nobody_waits_while_an_invoice_is_composed(on: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    compose, beside = invoice_mail.compose, []

    def slow(*args: Any, **values: Any) -> object:
        with ThreadPoolExecutor(1) as pool:
            beside.append(pool.submit(write_beside, on).result(timeout=5))
        return compose(*args, **values)

    monkeypatch.setattr(invoice_mail, "compose", slow)
    invoice = send(on)
    send_again(on, invoice.id, "ann@acme.test", seen=newest(on, invoice.id))
    assert beside == [True, True]


def write_beside(instance: Instance) -> bool:
    with instance.database.writing() as session:
        options.set_time_zone(session, "Europe/Sofia")
    return True


def test_sent_again_at_the_same_moment_is_sent_once(on: Instance) -> None:
    invoice = send(on)
    seen, begin = newest(on, invoice.id), threading.Barrier(6)

    def press(_: int) -> str:
        begin.wait()
        try:
            send_again(on, invoice.id, "ann@acme.test", seen=seen)
        except SentAlready:
            return "already"
        return "sent"

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(press, range(6))) == ["already"] * 5 + ["sent"]


def test_the_mails_of_many_invoices_are_one_question(on: Instance) -> None:
    """Nothing is loaded afterwards, invoice by invoice: the session is closed by then."""
    ids = [send(on, number=str(number)).id for number in range(3)]
    with on.database.reading() as session:
        found = invoices.messages_of(session, ids)
    assert [len(message.deliveries) for messages in found.values() for message in messages] == [2, 2, 2]
