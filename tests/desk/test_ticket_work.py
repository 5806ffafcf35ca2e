"""Work on a ticket: what is written, what is refused, and that nothing is overwritten unseen."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.factories import NOW
from webapp.desk import ticket_work
from webapp.desk.ticket_work import MAX_NOTE_CHARACTERS, ChangedMeanwhile, WorkRefused
from webapp.instance import Instance
from webapp.models import Account, Audit, Entry, EntryKind, Role, Ticket, TicketStatus

LATER = NOW + timedelta(hours=1)
OPEN, WAITING, CLOSED = TicketStatus.OPEN, TicketStatus.WAITING, TicketStatus.CLOSED


def account(session: Session, name: str, role: Role = Role.TECHNICIAN, *, enabled: bool = True) -> Account:
    email = f"{name.lower()}@desk.example"
    made = Account(
        email=email, email_key=email, name=name, role=role, password_hash="x", enabled=enabled, created_at=NOW
    )
    session.add(made)
    session.flush()
    return made


def ticket(session: Session) -> Ticket:
    made = Ticket(subject="Printer offline", status=OPEN, created_at=NOW, updated_at=NOW)
    session.add(made)
    session.flush()
    return made


def entries(session: Session) -> list[tuple[EntryKind, str]]:
    return [(entry.kind, entry.body_text) for entry in session.scalars(sa.select(Entry).order_by(Entry.id))]


def audits(session: Session) -> list[tuple[str, str, str]]:
    return [(row.actor, row.action, row.subject) for row in session.scalars(sa.select(Audit))]


def test_a_status_is_set_with_an_entry_and_an_audit_row(instance: Instance) -> None:
    with instance.database.writing() as session:
        bob, one = account(session, "Bob"), ticket(session)
        told = ticket_work.set_status(session, one, CLOSED, seen=OPEN, now=LATER, actor=bob)
        assert told == "Status: Open → Closed"
        assert (one.status, one.updated_at) == (CLOSED, LATER)
        assert entries(session) == [(EntryKind.CHANGE, told)]
        assert audits(session) == [("bob@desk.example", "ticket.status", "T-1")]


def test_the_same_status_writes_nothing(instance: Instance) -> None:
    with instance.database.writing() as session:
        bob, one = account(session, "Bob"), ticket(session)
        ticket_work.set_status(session, one, CLOSED, seen=OPEN, now=NOW, actor=bob)
        assert ticket_work.set_status(session, one, CLOSED, seen=OPEN, now=LATER, actor=bob) == ""
        assert one.updated_at == NOW
        assert len(entries(session)) == len(audits(session)) == 1


def test_a_status_changed_meanwhile_is_not_overwritten(instance: Instance) -> None:
    with instance.database.writing() as session:
        bob, one = account(session, "Bob"), ticket(session)
        with pytest.raises(ChangedMeanwhile, match="The status was changed to Open in the meantime"):
            ticket_work.set_status(session, one, CLOSED, seen=WAITING, now=LATER, actor=bob)
        assert (one.status, one.updated_at) == (OPEN, NOW)
        assert not entries(session)
        assert not audits(session)


def test_a_ticket_goes_to_somebody_and_back_to_the_pool(instance: Instance) -> None:
    with instance.database.writing() as session:
        bob, one = account(session, "Bob"), ticket(session)
        ticket_work.set_assignee(session, one, bob.id, seen=None, now=NOW, actor=bob)
        session.flush()
        assert one.assignee is bob
        ticket_work.set_assignee(session, one, None, seen=bob.id, now=LATER, actor=bob)
        session.flush()
        assert one.assignee_id is None
        assert one.updated_at == LATER
        assert [text for _, text in entries(session)] == [
            "Assigned: Ticket pool → Bob",
            "Assigned: Bob → Ticket pool",
        ]
        assert [action for _, action, _ in audits(session)] == ["ticket.assign", "ticket.assign"]


def test_an_assignee_changed_meanwhile_is_not_overwritten(instance: Instance) -> None:
    with instance.database.writing() as session:
        bob, eve, one = account(session, "Bob"), account(session, "Eve"), ticket(session)
        ticket_work.set_assignee(session, one, bob.id, seen=None, now=NOW, actor=bob)
        with pytest.raises(ChangedMeanwhile, match="assigned to Bob in the meantime"):
            ticket_work.set_assignee(session, one, eve.id, seen=None, now=LATER, actor=eve)
        assert ticket_work.set_assignee(session, one, bob.id, seen=None, now=LATER, actor=eve) == ""
        assert len(entries(session)) == 1


def test_only_people_who_work_on_tickets_can_have_them(instance: Instance) -> None:
    with instance.database.writing() as session:
        one, bob = ticket(session), account(session, "bob")
        alice = account(session, "Alice", Role.ADMINISTRATOR)
        vera, gone = account(session, "Vera", Role.VIEWER), account(session, "Gone", enabled=False)
        assert ticket_work.assignable(session) == [alice, bob]
        for nobody in (vera.id, gone.id, 99):
            with pytest.raises(WorkRefused, match="technicians and administrators only"):
                ticket_work.set_assignee(session, one, nobody, seen=None, now=LATER, actor=bob)
        assert entries(session) == []


def test_a_ticket_may_leave_somebody_who_takes_none_any_more(instance: Instance) -> None:
    with instance.database.writing() as session:
        one, bob = ticket(session), account(session, "Bob")
        ticket_work.set_assignee(session, one, bob.id, seen=None, now=NOW, actor=bob)
        bob.enabled = False
        session.flush()
        assert ticket_work.set_assignee(session, one, bob.id, seen=bob.id, now=LATER, actor=bob) == ""
        assert ticket_work.set_assignee(session, one, None, seen=bob.id, now=LATER, actor=bob)


def test_a_note_is_kept_clean(instance: Instance) -> None:
    with instance.database.writing() as session:
        bob, one = account(session, "Bob"), ticket(session)
        written = "  Call\x00 Ann\x1b[31m\r\n\tat 9\rnow\x7f\ud800 \n"
        ticket_work.add_note(session, one, written, now=LATER, actor=bob)
        assert entries(session) == [(EntryKind.NOTE, "Call Ann[31m\n\tat 9\nnow")]
        assert one.updated_at == LATER
        row = session.scalars(sa.select(Audit)).one()
        assert (row.action, row.subject, row.detail) == ("ticket.note", "T-1", {"characters": 22})


@pytest.mark.parametrize("text", ["", "   \r\n\t", "\x00\x07", "x" * (MAX_NOTE_CHARACTERS + 1)])
def test_a_note_of_no_or_too_many_words_is_refused(instance: Instance, text: str) -> None:
    with instance.database.writing() as session:
        bob, one = account(session, "Bob"), ticket(session)
        with pytest.raises(WorkRefused):
            ticket_work.add_note(session, one, text, now=LATER, actor=bob)
        assert not entries(session)
        assert not audits(session)


def test_the_longest_note_fits(instance: Instance) -> None:
    with instance.database.writing() as session:
        bob, one = account(session, "Bob"), ticket(session)
        assert ticket_work.add_note(session, one, "x" * MAX_NOTE_CHARACTERS, now=LATER, actor=bob)


def test_the_same_note_sent_twice_is_one(instance: Instance) -> None:
    with instance.database.writing() as session:
        bob, eve, one = account(session, "Bob"), account(session, "Eve"), ticket(session)
        assert ticket_work.add_note(session, one, "Called.", now=NOW, actor=bob)
        assert ticket_work.add_note(session, one, "Called. ", now=NOW, actor=bob) is None
        assert ticket_work.add_note(session, one, "Called.", now=NOW, actor=eve)
        assert ticket_work.add_note(session, one, "Called.", now=LATER, actor=bob)
        assert len(entries(session)) == 3
