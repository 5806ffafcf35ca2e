"""`servicedesk ticket`: reading tickets."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.cli.conftest import Command
from tests.factories import NOW, add_people
from webapp.desk import accounts
from webapp.instance import Instance
from webapp.models import Attachment, Company, Entry, EntryKind, Role, Ticket, TicketNotice, User


@pytest.fixture
def tickets(instance: Instance) -> Instance:
    """T-1 of Ann with two entries, T-2 of nobody known, T-3 of a technician."""
    add_people(instance)
    with instance.database.writing() as session:
        account = accounts.create_account(
            session,
            email="tech@desk.test",
            name="",
            password="correct horse battery",
            role=Role.TECHNICIAN,
            now=NOW,
            actor="test",
        )
        ann = session.get_one(User, 1)
        for number, values in enumerate(
            (
                {
                    "requester": ann,
                    "company": session.get_one(Company, 1),
                    "requester_address": "ann@acme.test",
                },
                {
                    "requester_address": "carl\x1b[2J@new.test",
                    "notice": TicketNotice.CLAIM,
                    "claimed_ticket_id": 1,
                },
                {"requester_account_id": account.id, "requester_address": "tech@desk.test"},
            ),
            start=1,
        ):
            when = NOW + timedelta(minutes=number)
            session.add(Ticket(subject=f"Ärger {number}\x1b[31m", created_at=when, updated_at=when, **values))
            session.flush()
        mail = Entry(
            ticket_id=1, from_addr="ann@acme.test", from_name="Ann", body_text="Off.\x07", created_at=NOW
        )
        note = Entry(
            ticket_id=1, kind=EntryKind.NOTE, account_id=account.id, body_text="Looking.", created_at=NOW
        )
        mail.attachments = [
            Attachment(position=0, filename="a\x1b.jpg", content_type="image/jpeg", size=12, sha256="0" * 64)
        ]
        session.add_all([mail, note])
    return instance


def test_the_list_has_the_last_changed_first(servicedesk: Command, tickets: Instance) -> None:
    listed = servicedesk.json("ticket", "list")
    assert [ticket["number"] for ticket in listed] == [3, 2, 1]
    assert listed[2] == {
        "number": 1,
        "subject": "Ärger 1\x1b[31m",
        "status": "open",
        "requester": "Ann Lee",
        "sender": "ann@acme.test",
        "company": "Acme Ltd",
        "notice": None,
        "claims": None,
        "follows": None,
        "created_at": "2026-11-23T12:01:00+00:00",
        "updated_at": "2026-11-23T12:01:00+00:00",
    }
    assert (listed[1]["requester"], listed[1]["notice"], listed[1]["claims"]) == (None, "claim", 1)
    assert listed[0]["requester"] == "tech@desk.test"
    assert [ticket["number"] for ticket in servicedesk.json("ticket", "list", "--limit", "1")] == [3]


def test_the_table_is_for_people_and_obeyed_by_no_terminal(servicedesk: Command, tickets: Instance) -> None:
    table = servicedesk.ok("ticket", "list")
    assert "\x1b" not in table
    lines = table.splitlines()
    assert lines[0].split() == ["number", "status", "company", "requester", "subject"]
    assert lines[3].split() == ["T-1", "open", "Acme", "Ltd", "Ann", "Lee", "Ärger", "1�[31m"]
    assert "unknown sender carl" in lines[2]


@pytest.mark.parametrize("number", ["1", "T-1", "t-1"])
def test_one_ticket_is_shown_with_its_conversation(
    servicedesk: Command, tickets: Instance, number: str
) -> None:
    shown = servicedesk.json("ticket", "show", number)
    assert (shown["number"], len(shown["entries"])) == (1, 2)
    mail, note = shown["entries"]
    assert (mail["kind"], mail["sender"], mail["text"]) == ("mail", "ann@acme.test", "Off.\x07")
    assert mail["attachments"] == [
        {
            "filename": "a\x1b.jpg",
            "content_type": "image/jpeg",
            "size": 12,
            "inline": False,
            "sha256": "0" * 64,
        }
    ]
    assert (note["kind"], note["sender"]) == ("note", "tech@desk.test")
    text = servicedesk.ok("ticket", "show", number)
    assert text == (
        "T-1  Ärger 1�[31m\n"
        "open · Ann Lee · Acme Ltd\n"
        "\n--- ann@acme.test · 2026-11-23 12:00 UTC · mail\nOff.�\n[a�.jpg · image/jpeg · 12 octets]\n"
        "\n--- tech@desk.test · 2026-11-23 12:00 UTC · note\nLooking.\n"
    )


@pytest.mark.parametrize("number", ["4", "0", "T-999999999"])
def test_a_ticket_that_is_missing_is_told(servicedesk: Command, tickets: Instance, number: str) -> None:
    assert servicedesk.refused("ticket", "show", number) == f"There is no ticket T-{int(number.strip('T-'))}."
    assert servicedesk.refused("ticket", "show", number, "--json").startswith("There is no ticket")


@pytest.mark.parametrize("number", ["x", "1.5", "²", "9" * 30, "T-", ""])
def test_what_is_no_number_is_refused(servicedesk: Command, number: str) -> None:
    assert "is not a ticket's number" in servicedesk.refused("ticket", "show", number, code=2)


def test_an_empty_list_says_so(servicedesk: Command) -> None:
    assert servicedesk.ok("ticket", "list").startswith("No tickets yet.")
    assert servicedesk.json("ticket", "list") == []
