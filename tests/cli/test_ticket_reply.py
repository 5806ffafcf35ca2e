"""`servicedesk ticket reply`: a reply or a note, through the same function as the page."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.conftest import Command
from tests.factories import NOW, add_people, set_row
from webapp.desk import accounts
from webapp.instance import Instance
from webapp.models import Delivery, Entry, EntryKind, OutgoingMessage, Role, Row, Ticket, TicketStatus, User

BY = ("--by", "Bob@desk.test")


@pytest.fixture(autouse=True)
def ticket(instance: Instance) -> None:
    add_people(instance)
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test", active="true")
    with instance.database.writing() as session:
        for email, role in (("bob@desk.test", Role.TECHNICIAN), ("vera@desk.test", Role.VIEWER)):
            accounts.create_account(
                session,
                email=email,
                name="",
                password="correct horse battery",
                role=role,
                now=NOW,
                actor="test",
            )
        session.add(
            Ticket(
                subject="Printer", requester=session.get_one(User, 1), requester_address="ann@acme.test",
                created_at=NOW, updated_at=NOW,
            )
        )  # fmt: skip
        session.flush()
        session.add(Entry(ticket_id=1, from_addr="ann@acme.test", body_text="Help", created_at=NOW))


def entries(instance: Instance, kind: EntryKind) -> list[Entry]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Entry).where(Entry.kind == kind)))


def test_a_reply_from_standard_input(servicedesk: Command, instance: Instance) -> None:
    told = servicedesk.ok("ticket", "reply", "T-1", *BY, stdin="It works.\n")
    assert told == "T-1: the reply to ann@acme.test is in the outbox.\n"
    [reply] = entries(instance, EntryKind.REPLY)
    assert reply.body_text == "It works."
    with instance.database.reading() as session:
        assert session.get_one(Ticket, 1).status is TicketStatus.WAITING
        assert session.scalar(sa.select(Delivery.recipient)) == "ann@acme.test"
    shown = servicedesk.json("ticket", "show", "1")
    assert [entry["kind"] for entry in shown["entries"]] == ["mail", "reply", "change"]
    assert shown["entries"][1]["sender"] == "bob@desk.test"


def test_with_files_recipients_and_status(servicedesk: Command, instance: Instance, tmp_path: Path) -> None:
    text, file = tmp_path / "text.txt", tmp_path / "Bericht ä.pdf"
    text.write_text("\ufeffSee the file.", encoding="utf-8")
    file.write_bytes(b"%PDF-1.4")
    told = servicedesk.json(
        "ticket", "reply", "1", *BY, "--text-file", str(text), "--attach", str(file),
        "--to", "Amy <amy@acme.test>, dan@acme.test", "--cc", "eve@acme.test", "--status", "closed",
        "--no-quote",
    )  # fmt: skip
    assert (told["to"], told["cc"]) == (["amy@acme.test", "dan@acme.test"], ["eve@acme.test"])
    assert told["kind"] == "reply"
    shown = servicedesk.json("ticket", "show", "1")
    assert shown["status"] == "closed"
    assert shown["entries"][1]["text"] == "See the file."
    assert shown["entries"][1]["attachments"][0]["filename"] == "Bericht ä.pdf"


def test_a_note_sends_nothing(servicedesk: Command, instance: Instance) -> None:
    assert servicedesk.ok("ticket", "reply", "1", *BY, "--note", stdin="Ask Ann.") == "T-1: note added.\n"
    assert servicedesk.json("ticket", "reply", "1", *BY, "--note", stdin="More.")["kind"] == "note"
    assert [note.body_text for note in entries(instance, EntryKind.NOTE)] == ["Ask Ann.", "More."]
    with instance.database.reading() as session:
        assert session.scalar(sa.select(OutgoingMessage)) is None


@pytest.mark.parametrize(
    ("arguments", "stdin", "sentence", "code"),
    [
        (("9", *BY), "x", "There is no ticket T-9.", 1),
        (("1", "--by", "nobody@desk.test"), "x", "There is no account nobody@desk.test.", 1),
        (("1", "--by", "vera@desk.test"), "x", "vera@desk.test may not work on tickets.", 1),
        (("1", *BY), " \n", "The reply is empty.", 1),
        (("1", *BY, "--note"), "", "The note is empty.", 1),
        (("1", *BY), b"\xff", "The text is not UTF-8.", 1),
        (("1", *BY, "--to", "nobody"), "x", "'nobody' is not an e-mail address", 1),
        (("1", *BY, "--cc", "help@desk.test"), "x", "is an address of this service desk itself", 1),
        (("1", *BY, "--text-file", "/nowhere/at-all"), "", "/nowhere/at-all cannot be read", 1),
        (("1", *BY, "--note", "--to", "a@b.test"), "x", "An internal note has only a text", 2),
        (("1", *BY, "--attach", "/nowhere/at-all"), "x", "does not exist", 2),
        (("1",), "x", "Missing option '--by'", 2),
    ],
)
def test_refused_in_one_line(
    servicedesk: Command, instance: Instance, arguments: tuple[str, ...], stdin: str | bytes, sentence: str,
    code: int,
) -> None:  # fmt: skip
    assert sentence in servicedesk.refused("ticket", "reply", *arguments, stdin=stdin, code=code)
    assert entries(instance, EntryKind.REPLY) == []


def test_while_outgoing_is_off(servicedesk: Command, instance: Instance) -> None:
    set_row(instance, Row.OUTGOING, active="false")
    assert "Outgoing email is off" in servicedesk.refused("ticket", "reply", "1", *BY, stdin="x")
    assert entries(instance, EntryKind.REPLY) == []
