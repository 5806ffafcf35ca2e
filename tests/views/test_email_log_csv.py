"""The log as a file for a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest
from sqlalchemy.orm import Session

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk import options
from webapp.instance import Instance
from webapp.models import Disposition
from webapp.views.email_log_csv import without_formula
from webapp.views.queries import email_log as queries


def rows(browser: Browser, query: str = "") -> list[dict[str, str]]:
    answer = browser.get(f"/email-log/log.csv?{query}")
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="email-log-')
    text = answer.data.decode("utf-8")
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def test_a_row_and_its_zone(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        options.set_time_zone(session, "Europe/Sofia")
        ticket = make.make_ticket(session, company_id=make.make_company(session).id)
        make.make_inbound(
            session, make.make_mailbox(session), ticket_id=ticket.id, subject='Größe, "zwei"\nx'
        )
    [row] = rows(vera)
    assert row["Subject"] == 'Größe, "zwei"\nx'
    assert (row["Ticket"], row["Company"], row["Outcome"]) == ("T-1", "Acme Ltd", "New ticket")
    assert row["Received (Europe/Sofia)"][-6:] in ("+02:00", "+03:00")
    assert row["Size (bytes)"] == "4321"


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ('=HYPERLINK("http://evil.example")', '\'=HYPERLINK("http://evil.example")'),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\t=1", "'\t=1"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(cell: str, told: str) -> None:
    assert without_formula(cell) == told


def test_a_formula_in_a_subject_is_only_text(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_inbound(session, make.make_mailbox(session), subject="=1+1", from_name="@me")
    [row] = rows(vera)
    assert (row["Subject"], row["Name"]) == ("'=1+1", "'@me")


def test_the_filter_of_the_list_and_all_its_pages(
    vera: Browser, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "EXPORTED_AT_ONCE", 7)
    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session)
        made = [make.make_inbound(session, mailbox, recorded_at=make.NOW).id for _ in range(70)]
        make.make_inbound(session, mailbox, disposition=Disposition.IGNORED, rule="unknown-sender")
    found = [int(row["ID"]) for row in rows(vera, "outcome=ticket&page=2")]
    assert found == made[::-1]
    assert [row["Why"] for row in rows(vera, "outcome=ignored")] == ["unknown sender"]
    page = vera.get("/email-log?outcome=ticket&from=ann&page=2").text
    assert 'href="/email-log/log.csv?outcome=ticket&amp;from=ann"' in page


def test_it_is_sent_while_it_is_read(
    vera: Browser, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "EXPORTED_AT_ONCE", 2)
    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session)
        for _ in range(5):
            make.make_inbound(session, mailbox)
    read: list[int] = []
    whole = queries._with_tickets

    def counted(session: Session, found: list[object]) -> object:
        read.append(len(found))
        return whole(session, found)  # type: ignore[arg-type]

    monkeypatch.setattr(queries, "_with_tickets", counted)
    answer = vera.get("/email-log/log.csv", buffered=False)
    parts = answer.iter_encoded()
    next(parts), next(parts)
    assert read == [2]
    list(parts)
    assert read == [2, 2, 1]
    answer.close()
