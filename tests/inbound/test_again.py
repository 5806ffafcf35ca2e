"""Messages a person takes up again: once, explained, and all or nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.factories import NOW, make_raw, set_incoming
from tests.inbound.conftest import Desk
from webapp.desk import audit, options, people
from webapp.desk.options import IgnoredMail
from webapp.desk.people import Entries
from webapp.inbound import again, replay
from webapp.inbound.again import AgainRefused, Outcome
from webapp.inbound.parser_process import ParserDied, ParserProcess
from webapp.instance import Instance
from webapp.models import (
    ActionKind,
    Audit,
    Disposition,
    Entry,
    EntryKind,
    Inbound,
    InboundAction,
    Placement,
    RawMessage,
    Ticket,
    TicketNotice,
    TicketStatus,
    UserAddress,
)

Act = Callable[..., Outcome]
CARL = "Carl <carl@new.test>"


def act(desk: Desk, what: Act, inbound_id: int = 1) -> Outcome:
    return what(desk.instance, inbound_id, now=desk.now, actor="bob@desk.test")


def actions(instance: Instance) -> list[InboundAction]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(InboundAction).order_by(InboundAction.id)))


def entries_of(instance: Instance, inbound_id: int) -> list[Entry]:
    with instance.database.reading() as session:
        query = sa.select(Entry).where(Entry.inbound_id == inbound_id).order_by(Entry.generation)
        return list(session.scalars(query))


@pytest.fixture
def ignored(desk: Desk) -> Desk:
    """An automatic answer of Ann's and, while strangers are not served, a message of Carl's."""
    set_incoming(desk.instance, process_unknown="false")
    desk.deliver(make_raw(subject="Out of office", headers={"Auto-Submitted": "auto-replied"}))
    desk.deliver(make_raw(sender=CARL, subject="Hello", text="May I ask?\n", files=[("a.txt", b"abc")]))
    desk.poll()
    assert [row.rule for row in desk.ledger()] == ["auto-submitted", "unknown-sender"]
    return desk


def test_a_ticket_whatever_the_rules_say(ignored: Desk) -> None:
    outcome = act(ignored, again.create_ticket)
    [ticket] = ignored.tickets()
    assert outcome.ticket_id == ticket.id
    assert (ticket.subject, ticket.company and ticket.company.name) == ("Out of office", "Acme Ltd")
    row = ignored.ledger()[0]
    assert (row.disposition, row.rule, row.ticket_id) == (Disposition.IGNORED, "auto-submitted", ticket.id)
    [entry] = ticket.entries
    assert (entry.inbound_id, entry.generation) == (1, 2)
    [action] = actions(ignored.instance)
    assert (action.kind, action.actor, action.ticket_id) == (
        ActionKind.CREATE_TICKET, "bob@desk.test", ticket.id,
    )  # fmt: skip
    assert action.trace[-1] == {"rule": "by-hand", "fired": True, "saw": "bob@desk.test wanted a ticket"}
    assert [step["fired"] for step in action.trace[:-1]] == [False] * (len(action.trace) - 1)
    with ignored.instance.database.reading() as session:
        told = session.scalars(sa.select(Audit).where(Audit.action == "message.create-ticket")).one()
    assert (told.subject, told.detail["ticket"]) == ("message 1", ticket.id)


@pytest.mark.parametrize("second", [again.create_ticket, again.process_again])
def test_a_second_click_makes_nothing(ignored: Desk, second: Act) -> None:
    first = act(ignored, again.create_ticket)
    again_told = act(ignored, second)
    assert (again_told.already, again_told.ticket_id) == (True, first.ticket_id)
    assert len(ignored.tickets()) == 1
    assert len(actions(ignored.instance)) == 1


def test_two_processes_at_once_make_one(ignored: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is asked before the other one commits; the unique key answers."""
    act(ignored, again.create_ticket)
    asked = again.entry_by_hand
    answers = iter([None])
    monkeypatch.setattr(again, "entry_by_hand", lambda *told: next(answers, asked(*told)))
    outcome = act(ignored, again.create_ticket)
    assert (outcome.already, outcome.ticket_id) == (True, 1)
    assert len(ignored.tickets()) == 1
    assert len(actions(ignored.instance)) == 1


def test_effect_and_record_are_one_transaction(ignored: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(audit, "record", fail)
    with pytest.raises(RuntimeError):
        act(ignored, again.create_ticket)
    assert (ignored.tickets(), actions(ignored.instance)) == ([], [])
    assert ignored.ledger()[0].ticket_id is None


def test_the_rules_once_more_still_ignore_it(ignored: Desk) -> None:
    outcome = act(ignored, again.process_again)
    assert (outcome.ticket_id, outcome.disposition, outcome.rule) == (
        None, Disposition.IGNORED, "auto-submitted",
    )  # fmt: skip
    [action] = actions(ignored.instance)
    assert (action.generation, action.disposition) == (None, Disposition.IGNORED)
    assert not {"before-cutoff", "duplicate"} & {step["rule"] for step in action.trace}


def test_a_sender_who_became_a_user_is_served(ignored: Desk) -> None:
    with ignored.instance.database.writing() as session:
        entries = Entries(name="Carl Coe", email="carl@new.test", company="New Ltd")
        people.create_user(session, entries, now=NOW, actor="test")
    outcome = act(ignored, again.process_again, 2)
    [ticket] = ignored.tickets()
    assert (outcome.ticket_id, outcome.rule) == (ticket.id, "new-ticket")
    assert ticket.company is not None
    assert ticket.company.name == "New Ltd"
    [entry] = ticket.entries
    assert entry.body_text.strip() == "May I ask?"
    assert [file.filename for file in entry.attachments] == ["a.txt"]


def test_settings_as_they_are_now(ignored: Desk) -> None:
    """Strangers are served now; and the date of the cut-off is not asked of a message that is here."""
    set_incoming(
        ignored.instance, process_unknown="true", cutoff_enabled="true", cutoff_at="2030-01-01T00:00:00Z"
    )
    assert act(ignored, again.process_again, 2).disposition is Disposition.TICKET


def test_an_answer_goes_to_its_ticket(desk: Desk) -> None:
    desk.deliver(make_raw(message_id="first@acme.test"))
    automatic = {"Auto-Submitted": "auto-replied", "In-Reply-To": "<first@acme.test>"}
    desk.deliver(make_raw(subject="Re: Printer offline", headers=automatic))
    desk.poll()
    assert act(desk, again.create_ticket, 2).ticket_id == 2  # a person wanted a ticket: it is a new one
    plain = desk.ledger()[1]
    assert (plain.disposition, plain.ticket_id) == (Disposition.IGNORED, 2)


def test_a_copy_can_be_processed_again(desk: Desk) -> None:
    raw = make_raw()
    for _ in range(2):
        desk.deliver(raw, at=NOW)
    desk.poll()
    assert [row.disposition for row in desk.ledger()] == [Disposition.TICKET, Disposition.DUPLICATE]
    assert act(desk, again.process_again, 2).disposition is Disposition.TICKET
    assert len(desk.tickets()) == 2


def test_a_message_in_a_ticket_is_not_doubled(desk: Desk) -> None:
    desk.deliver()
    desk.poll()
    for what in (again.create_ticket, again.process_again):
        assert act(desk, what) == Outcome(1, Disposition.TICKET, already=True)
    assert len(desk.tickets()) == 1
    assert actions(desk.instance) == []


class Dying(ParserProcess):
    """A parser process that no message survives."""

    def parse(self, raw: bytes, transport_headers: tuple[tuple[str, str], ...] = ()) -> object:  # type: ignore[override]
        raise ParserDied("ended by signal 9")


@pytest.fixture
def quarantined(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Ann's message killed the parser when it came in."""
    desk.deliver(make_raw(message_id="odd@acme.test"))
    with Dying() as dying:
        whole, desk.parser = desk.parser, dying
        desk.poll()
        desk.parser = whole
    assert desk.ledger()[0].disposition is Disposition.QUARANTINED
    return desk


def test_once_it_can_be_read_the_quarantine_ticket_is_filled(quarantined: Desk) -> None:
    outcome = act(quarantined, again.process_again)
    [ticket] = quarantined.tickets()
    assert (outcome.ticket_id, ticket.subject, ticket.notice) == (ticket.id, "Printer offline", None)
    assert ticket.company is not None
    assert [entry.generation for entry in entries_of(quarantined.instance, 1)] == [1, 2]
    assert ticket.entries[-1].body_text.strip() == "Our printer is offline."
    assert act(quarantined, again.process_again).already


def test_what_still_kills_the_parser_changes_nothing(
    quarantined: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "ParserProcess", Dying)
    with pytest.raises(AgainRefused, match="still cannot be read"):
        act(quarantined, again.process_again)
    assert actions(quarantined.instance) == []
    assert quarantined.tickets()[0].notice is TicketNotice.QUARANTINE


def test_a_quarantined_answer_goes_to_its_ticket_and_closes_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.deliver(make_raw(message_id="first@acme.test"))
    desk.poll()
    desk.deliver(make_raw(subject="Re: Printer", headers={"In-Reply-To": "<first@acme.test>"}))
    with Dying() as dying:
        whole, desk.parser = desk.parser, dying
        desk.poll()
        desk.parser = whole
    assert act(desk, again.process_again, 2).ticket_id == 1
    first, second = desk.tickets()
    assert len(first.entries) == 2
    assert second.status is TicketStatus.CLOSED
    assert second.entries[-1].body_text == "The message could be read now and is in T-1."


def test_without_the_original_it_is_refused(ignored: Desk) -> None:
    with ignored.instance.database.writing() as session:
        session.execute(sa.delete(RawMessage))
    for what in (again.create_ticket, again.process_again):
        with pytest.raises(AgainRefused, match="no longer kept"):
            act(ignored, what)


def test_dismissed_once(quarantined: Desk) -> None:
    for _ in range(2):
        with quarantined.instance.database.writing() as session:
            again.dismiss(session, session.get_one(Inbound, 1), now=NOW, actor="bob")
    assert [action.kind for action in actions(quarantined.instance)] == [ActionKind.DISMISS]


def test_ignored_mail_that_was_left_is_never_judged_twice(desk: Desk) -> None:
    with desk.instance.database.writing() as session:
        options.set_ignored_mail(session, IgnoredMail.LEAVE)
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    reports = [desk.poll() for _ in range(3)]
    assert [report.counts.ignored for report in reports] == [1, 0, 0]
    [row] = desk.ledger()
    assert row.placement is Placement.LEFT
    assert len(desk.folder("INBOX")) == 1
    act(desk, again.create_ticket)
    assert desk.poll().counts.processed == 0
    assert len(desk.tickets()) == 1
    with desk.instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == 1


def test_closed_meanwhile_the_quarantine_ticket_is_opened_again(quarantined: Desk) -> None:
    with quarantined.instance.database.writing() as session:
        session.get_one(Ticket, 1).status = TicketStatus.CLOSED
    outcome = act(quarantined, again.process_again)
    [ticket] = quarantined.tickets()
    assert (outcome.ticket_id, outcome.reopened, ticket.status) == (1, True, TicketStatus.OPEN)
    assert ticket.entries[-1].body_text == "The message could be read now, so this ticket is open again."


def test_an_open_quarantine_ticket_is_not_said_to_be_opened(quarantined: Desk) -> None:
    assert not act(quarantined, again.process_again).reopened
    assert [entry.kind for entry in quarantined.tickets()[0].entries] == [EntryKind.MAIL, EntryKind.MAIL]


def test_read_now_and_ignored_closes_its_ticket(quarantined: Desk) -> None:
    with quarantined.instance.database.writing() as session:
        session.execute(sa.delete(UserAddress))
    set_incoming(quarantined.instance, process_unknown="false")
    outcome = act(quarantined, again.process_again)
    assert (outcome.ticket_id, outcome.disposition, outcome.before) == (
        None, Disposition.IGNORED, Disposition.QUARANTINED,
    )  # fmt: skip
    [ticket] = quarantined.tickets()
    assert ticket.status is TicketStatus.CLOSED
    assert "the rules make no ticket of it" in ticket.entries[-1].body_text
    outcome = act(quarantined, again.create_ticket)
    assert (outcome.ticket_id, outcome.reopened) == (1, True)
    assert quarantined.tickets()[0].status is TicketStatus.OPEN


def test_understood_again_it_is_in_its_ticket_once(quarantined: Desk) -> None:
    found = replay.compare(quarantined.instance, quarantined.parser, 1)
    assert replay.apply_replay(quarantined.instance, found, now=NOW, actor="bob")
    for what in (again.process_again, again.create_ticket):
        assert act(quarantined, what) == Outcome(1, Disposition.QUARANTINED, already=True)
    [entry] = entries_of(quarantined.instance, 1)
    assert (entry.generation, entry.body_text.strip()) == (1, "Our printer is offline.")
