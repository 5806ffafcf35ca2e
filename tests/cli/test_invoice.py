"""`servicedesk invoice` on real SMTP servers."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.factories import make_instance, set_row
from tests.outbound.conftest import aim
from tests.rig.certificates import Authority
from tests.rig.smtp import SmtpServer
from webapp.models import Row

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n\x00\xff\n%%EOF\n"
BILLING = "billing@desk.test"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "made elsewhere.pdf"
    path.write_bytes(PDF)
    return str(path)


@pytest.fixture
def command(servicedesk: Command, authority: Authority) -> Command:
    servicedesk.environ["SERVICEDESK_MAIL_CA_FILE"] = str(authority.ca_file)
    return servicedesk


def test_send_and_list(
    command: Command, authority: Authority, start_smtp: Callable[..., SmtpServer], tmp_path: Path, file: str
) -> None:
    replies, billing = start_smtp(), start_smtp()
    instance = make_instance(tmp_path, mail_ca_file=str(authority.ca_file))
    aim(instance, replies.settings())
    aim(instance, billing.settings(from_address=BILLING), Row.INVOICE)
    instance.close()
    (tmp_path / "text").write_text("Hello {company}, pay {total} by {due}.", encoding="utf-8")
    assert command.ok("invoice", "list") == "No invoices yet.\n"
    assert command.ok(
        "invoice", "send", file, "--to", "ann@acme.test", "--to", "amy@acme.test", "--number", "2026-0042",
        "--company", "Acme Ltd", "--date", "2026-11-24", "--due", "2026-12-24", "--total", "1234.5",
        "--subject", "Your {number}", "--text-file", str(tmp_path / "text"),
    ) == "Invoice 2026-0042 to ann@acme.test, amy@acme.test is in the outbox.\n"  # fmt: skip
    command.ok("outbox", "deliver")
    assert replies.messages == []
    (received,) = billing.messages
    assert received.recipients == ["ann@acme.test", "amy@acme.test"]
    message = message_from_bytes(received.raw, policy=default)
    assert message["Subject"] == "Your 2026-0042"
    assert message["From"] == BILLING
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content().strip() == "Hello Acme Ltd, pay 1,234.50 EUR by 24 Dec 2026."
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("invoice-2026-0042.pdf", PDF)

    (told,) = command.json("invoice", "list")
    names = ("number", "company", "date", "due", "total", "currency", "state")
    assert {name: told[name] for name in names} == {
        "number": "2026-0042", "company": "Acme Ltd", "date": "2026-11-24", "due": "2026-12-24",
        "total": "1234.50", "currency": "EUR", "state": "sent",
    }  # fmt: skip
    assert [one["to"] for one in told["deliveries"]] == ["ann@acme.test", "amy@acme.test"]
    assert f"<{told['deliveries'][0]['message_id']}>" == message["Message-ID"]
    listed = command.ok("invoice", "list")
    assert "2026-0042  Acme Ltd  1234.50 EUR  2026-12-24  sent   ann@acme.test, amy@acme.test" in listed


def test_off_is_kept_and_said(
    command: Command, tmp_path: Path, file: str, smtp_server: SmtpServer, authority: Authority
) -> None:
    instance = make_instance(tmp_path, mail_ca_file=str(authority.ca_file))
    aim(instance, smtp_server.settings())
    set_row(instance, Row.INVOICE, host="smtp.desk.test", username=BILLING)
    instance.close()
    told = command.refused("invoice", "send", file, "--to", "ann@acme.test", "--number", "1")
    assert told.startswith("Invoice 1 is kept. Not sent: Invoice is off.")
    command.ok("outbox", "deliver")
    assert smtp_server.messages == []
    (row,) = command.json("outbox", "list")
    assert (row["state"], row["to"]) == ("not-sent", "ann@acme.test")
    (shown,) = command.json("invoice", "list")
    assert (shown["state"], shown["total"], shown["due"]) == ("not-sent", None, None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["--to", "nobody"], "--to: 'nobody' is not an e-mail address"),
        (["--number", "A\nBcc: x@y.test"], "--number: There is a control character"),
        (["--due", "tomorrow"], "--due: Enter a date such as"),
        (["--date", "2026-11-24", "--due", "2026-11-23"], "--due: The invoice is due before its date."),
        (["--total", "a lot"], "--total: Enter a number such as"),
        (["--currency", "XXX"], "--currency: Choose a currency"),
        (["--subject", "a\nb"], "--subject: There is a control character"),
        (["--text-file", "/nowhere"], "/nowhere cannot be read: No such file or directory."),
    ],
)
def test_what_is_wrong_is_one_line(command: Command, file: str, changes: list[str], told: str) -> None:
    usual = ["--number", "1", "--to", "ann@acme.test"]
    assert told in command.refused("invoice", "send", file, *usual, *changes)
    assert command.json("invoice", "list") == []


def test_a_number_is_sent_once_and_a_file_is_a_pdf(command: Command, tmp_path: Path, file: str) -> None:
    arguments = ["--number", "1", "--to", "ann@acme.test"]
    assert "is kept" in command.refused("invoice", "send", file, *arguments)  # Invoice is not set up
    assert "There is an invoice 1 already." in command.refused("invoice", "send", file, *arguments)
    assert len(command.json("invoice", "list", "--limit", "1")) == 1
    (tmp_path / "page.html").write_text("<html>")
    told = command.refused(
        "invoice", "send", str(tmp_path / "page.html"), "--number", "2", "--to", "a@acme.test"
    )
    assert told == "Not sent. FILE: This is no PDF file. Choose the PDF of the invoice."
    (tmp_path / "text").write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in command.refused(
        "invoice", "send", file, *arguments, "--text-file", str(tmp_path / "text")
    )
    assert "Missing option" in command.refused("invoice", "send", file, "--number", "3", code=2)
    assert "cannot be read" in command.refused("invoice", "send", "/nowhere.pdf", *arguments)
