"""Held mail: what names a ticket its sender may not write to waits for a person. Runs over memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.factories import NOW, make_raw, set_incoming, set_row
from tests.inbound.conftest import Desk
from tests.inbound.test_threads import BOB, answer, make_account, open_ticket
from webapp.desk import (
    audit,
    claims,
    held_mail,
    incoming_rules,
    notification_settings,
    participants,
    sender_lists,
)
from webapp.desk.incoming_rules import IncomingRules
from webapp.desk.notification_settings import Event, NotificationSettings
from webapp.inbound import again, held, replay
from webapp.inbound.again import AgainRefused
from webapp.inbound.held import HeldRefused, HeldSettled, NotHeld
from webapp.instance import Instance
from webapp.models import (
    Account,
    ActionKind,
    Audit,
    Disposition,
    Entry,
    EntryKind,
    HeldMessage,
    HeldVerdict,
    Inbound,
    InboundAction,
    OutgoingMessage,
    Placement,
    RawMessage,
    Row,
    SenderList,
    Ticket,
    TicketNotice,
    TicketStatus,
)

CARL = "Carl <carl@new.test>"
HELD = 2  # the ledger row of the message that is held


@pytest.fixture
def actor(desk: Desk) -> Account:
    with desk.instance.database.writing() as session:
        return session.get_one(Account, make_account(session))


@pytest.fixture
def queue(desk: Desk) -> Desk:
    """T-1 of Ann, and a message of Bob of another company that names it, with a file."""
    hold(desk)
    open_ticket(desk)
    raw = make_raw(
        sender=BOB, subject="Re: Printer offline [T-1]", text="Me too.\n", message_id="bob@binder.test",
        files=[("a.txt", b"abc")],
    )  # fmt: skip
    desk.deliver(raw)
    desk.poll()
    assert desk.ledger()[-1].disposition is Disposition.HELD
    return desk


def hold(desk: Desk, **more: object) -> None:
    with desk.instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules(hold_claims=True, **more))  # type: ignore[arg-type]


def held_row(instance: Instance, inbound_id: int = HELD) -> HeldMessage:
    with instance.database.reading() as session:
        return session.get_one(HeldMessage, inbound_id)


def kinds(instance: Instance) -> list[ActionKind]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(InboundAction.kind).order_by(InboundAction.id)))


def texts(desk: Desk, ticket_id: int = 1) -> list[str]:
    """Of the mail in a ticket."""
    [ticket] = [one for one in desk.tickets() if one.id == ticket_id]
    return [entry.body_text.strip() for entry in ticket.entries if entry.kind is EntryKind.MAIL]


def test_it_waits_and_nothing_is_made_or_sent(queue: Desk) -> None:
    row = queue.ledger()[-1]
    assert (row.disposition, row.rule, row.ticket_id) == (Disposition.HELD, "thread-claim", None)
    assert (row.placement, len(queue.folder("Archive"))) == (Placement.ARCHIVED, 2)
    assert row.saw.startswith("says it belongs to T-1 (subject tag [T-1])")
    found = held_row(queue.instance)
    assert (found.claimed_ticket_id, found.preview, found.verdict) == (1, "Me too.", None)
    assert len(queue.tickets()) == 1
    assert texts(queue) == ["Our printer is offline."]
    with queue.instance.database.reading() as session:
        assert session.get(RawMessage, HELD) is not None
        assert session.scalar(sa.select(sa.func.count(OutgoingMessage.id))) == 0
        assert held_mail.count_waiting(session) == 1


def test_nobody_is_told_of_it(desk: Desk) -> None:
    """Not even where acknowledgements and notifications are on."""
    set_row(desk.instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test",
            from_address="help@desk.test", active="true")  # fmt: skip
    with desk.instance.database.writing() as session:
        make_account(session)
        notification_settings.save(session, NotificationSettings(on=frozenset(Event)))
    open_ticket(desk)

    def sent() -> int:
        with desk.instance.database.reading() as session:
            return session.scalar(sa.select(sa.func.count(OutgoingMessage.id))) or 0

    before = sent()
    assert before  # of the ticket they are told
    hold(desk)
    assert answer(desk, "first@acme.test").disposition is Disposition.HELD
    assert sent() == before


def test_the_run_counts_it(desk: Desk) -> None:
    hold(desk)
    open_ticket(desk)
    desk.deliver(make_raw(sender=BOB, headers={"In-Reply-To": "<first@acme.test>"}))
    report = desk.poll()
    assert (report.counts.held, report.counts.processed, report.counts.moved) == (1, 1, 1)


def test_a_spoofed_sender_is_held_too_and_never_taken_for_the_customer(desk: Desk, actor: Account) -> None:
    hold(desk, authserv_id="mx.desk.test")
    open_ticket(desk)
    failed = {"Authentication-Results": "mx.desk.test; dmarc=fail header.from=acme.test"}
    row = answer(desk, "first@acme.test", "Ann Lee <ann@acme.test>", **failed)
    assert (row.disposition, row.rule) == (Disposition.HELD, "spoofed-sender")
    number = held.make_ticket(desk.instance, row.id, now=desk.now, actor=actor)
    with desk.instance.database.reading() as session:
        made = session.get_one(Ticket, number)
    assert (made.requester_id, made.company_id, made.notice) == (None, None, TicketNotice.UNVERIFIED)


def test_who_may_write_is_not_held(queue: Desk) -> None:
    assert answer(queue, "first@acme.test", "Ann Lee <ann@acme.test>").disposition is Disposition.UPDATE


def test_join(queue: Desk, actor: Account) -> None:
    with queue.instance.database.writing() as session:
        session.get_one(Ticket, 1).status = TicketStatus.CLOSED
    assert held.join(queue.instance, HELD, as_participant=True, now=queue.now, actor=actor) == 1
    [ticket] = queue.tickets()
    assert texts(queue) == ["Our printer is offline.", "Me too."]
    joined = next(entry for entry in ticket.entries if entry.inbound_id == HELD)
    assert [file.filename for file in joined.attachments] == ["a.txt"]
    assert ticket.status is TicketStatus.OPEN
    row = queue.ledger()[-1]
    assert (row.disposition, row.ticket_id) == (Disposition.HELD, 1)  # what the parser decided stays
    found = held_row(queue.instance)
    assert (found.verdict, found.settled_by) == (HeldVerdict.JOINED, "tom@desk.test")
    assert answer(queue, "first@acme.test").disposition is Disposition.UPDATE  # Bob takes part now
    with queue.instance.database.reading() as session:
        told = session.scalars(sa.select(Audit.subject).where(Audit.action == "message.join")).all()
    assert told == ["message 2"]


def test_join_goes_where_the_named_ticket_was_joined_to(queue: Desk, actor: Account) -> None:
    queue.deliver(make_raw(sender="Amy Poe <amy@acme.test>", subject="Another", message_id="amy@acme.test"))
    queue.poll()
    with queue.instance.database.writing() as session:
        session.get_one(Ticket, 1).merged_into_id = 2
    assert held.join(queue.instance, HELD, as_participant=False, now=queue.now, actor=actor) == 2
    assert "Me too." in texts(queue, 2)


def test_an_undone_join_leaves_nothing_behind(queue: Desk, actor: Account) -> None:
    held.join(queue.instance, HELD, as_participant=False, now=queue.now, actor=actor)
    held.undo(queue.instance, HELD, now=queue.now, actor=actor)
    assert texts(queue) == ["Our printer is offline."]
    assert queue.ledger()[-1].ticket_id is None
    assert held_row(queue.instance).verdict is None
    assert held.join(queue.instance, HELD, as_participant=False, now=queue.now, actor=actor) == 1
    assert texts(queue) == ["Our printer is offline.", "Me too."]
    assert kinds(queue.instance) == [ActionKind.JOIN, ActionKind.HOLD, ActionKind.JOIN]


def test_a_ticket_of_its_own_is_a_refused_claim(queue: Desk, actor: Account) -> None:
    number = held.make_ticket(queue.instance, HELD, now=queue.now, actor=actor)
    with queue.instance.database.reading() as session:
        made = session.get_one(Ticket, number)
    assert (number, made.subject, made.claimed_ticket_id, made.notice) == (2, "Re: Printer offline", 1, None)
    assert made.requester_id is not None
    assert texts(queue, number) == ["Me too."]
    row = answer(queue, "first@acme.test")  # and his later mail about T-1 goes there
    assert (row.disposition, row.ticket_id) == (Disposition.UPDATE, number)
    with pytest.raises(HeldRefused, match=r"It is in T-2\. Join that ticket"):
        held.undo(queue.instance, HELD, now=queue.now, actor=actor)
    with queue.instance.database.writing() as session:  # as its page offers
        claim = session.get_one(Ticket, number)
        claims.join(session, claim, as_participant=False, now=queue.now, actor=actor)
    assert "Me too." in texts(queue, 1)


def test_refuse_and_undo(queue: Desk, actor: Account) -> None:
    held.refuse(queue.instance, HELD, now=queue.now, actor=actor)
    assert held_row(queue.instance).verdict is HeldVerdict.REFUSED
    assert len(queue.tickets()) == 1
    with queue.instance.database.reading() as session:
        assert held_mail.count_waiting(session) == 0
    held.undo(queue.instance, HELD, now=queue.now, actor=actor)
    assert held_row(queue.instance).verdict is None
    with pytest.raises(HeldSettled, match="waits for a decision already"):
        held.undo(queue.instance, HELD, now=queue.now, actor=actor)


def test_block_and_undo(queue: Desk, actor: Account) -> None:
    assert held.block(queue.instance, HELD, now=queue.now, actor=actor) == "bob@binder.test"
    assert answer(queue, "first@acme.test").rule == "blocked-sender"
    held.undo(queue.instance, HELD, now=queue.now, actor=actor)
    assert held_row(queue.instance).verdict is None
    assert answer(queue, "first@acme.test").disposition is Disposition.HELD


def test_an_undone_block_leaves_somebody_elses_entry_alone(queue: Desk, actor: Account) -> None:
    with queue.instance.database.writing() as session:
        sender_lists.add(session, SenderList.BLOCK, "bob@binder.test", note="a bore", now=NOW, actor="test")
    held.block(queue.instance, HELD, now=queue.now, actor=actor)
    held.undo(queue.instance, HELD, now=queue.now, actor=actor)
    with queue.instance.database.reading() as session:
        assert sender_lists.find(session, SenderList.BLOCK, "bob@binder.test") is not None


def test_of_several_those_are_refused_that_wait(queue: Desk, actor: Account) -> None:
    answer(queue, "first@acme.test")
    answer(queue, "first@acme.test", CARL)
    held.refuse(queue.instance, 3, now=queue.now, actor=actor)
    refused = held.refuse_all(queue.instance, [4, 3, 2, 2, 99, 1], now=queue.now, actor=actor)
    assert refused == 2
    with queue.instance.database.reading() as session:
        assert held_mail.count_waiting(session) == 0
        assert [row.inbound.id for row in held_mail.settled(session)] == [4, 3, 2]


@pytest.mark.parametrize("second", ["join", "make_ticket", "refuse", "block"])
@pytest.mark.parametrize("first", ["join", "make_ticket", "refuse", "block"])
def test_the_second_of_two_is_told(queue: Desk, actor: Account, first: str, second: str) -> None:
    def act(name: str) -> None:
        more = {"as_participant": False} if name == "join" else {}
        getattr(held, name)(queue.instance, HELD, now=queue.now, actor=actor, **more)

    act(first)
    tickets, done = len(queue.tickets()), kinds(queue.instance)
    with pytest.raises(HeldSettled, match=r"tom@desk\.test has decided about this message already"):
        act(second)
    assert (len(queue.tickets()), kinds(queue.instance)) == (tickets, done)


def test_two_at_once_do_one_thing(queue: Desk, actor: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one decides while this one reads the message."""
    read = again.read_again

    def meanwhile(instance: Instance, inbound_id: int) -> object:
        held.refuse(queue.instance, HELD, now=queue.now, actor=actor)
        return read(instance, inbound_id)

    monkeypatch.setattr("webapp.inbound.held.read_again", meanwhile)
    with pytest.raises(HeldSettled, match="already: refused"):
        held.join(queue.instance, HELD, as_participant=True, now=queue.now, actor=actor)
    assert texts(queue) == ["Our printer is offline."]


@pytest.mark.parametrize("name", ["join", "make_ticket", "refuse", "block", "undo"])
def test_all_or_nothing(queue: Desk, actor: Account, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever ends the process before the commit leaves everything as it was."""
    if name == "undo":
        held.join(queue.instance, HELD, as_participant=False, now=queue.now, actor=actor)

    def state() -> object:
        with queue.instance.database.reading() as session:
            tables = (Ticket, Entry, InboundAction, Audit, HeldMessage, Inbound)
            return [session.execute(sa.select(table.__table__)).all() for table in tables]

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    before = state()
    monkeypatch.setattr(audit, "record", fail)
    more = {"as_participant": False} if name == "join" else {}
    with pytest.raises(RuntimeError):
        getattr(held, name)(queue.instance, HELD, now=queue.now, actor=actor, **more)
    assert state() == before


def test_without_a_single_sender_there_is_nobody_to_block_or_add(desk: Desk, actor: Account) -> None:
    hold(desk)
    open_ticket(desk)
    row = answer(desk, "first@acme.test", "carl@new.test, dora@new.test")
    assert row.disposition is Disposition.HELD
    with pytest.raises(HeldRefused, match="names no single sender"):
        held.block(desk.instance, row.id, now=desk.now, actor=actor)
    with pytest.raises(HeldRefused, match="without adding a participant"):
        held.join(desk.instance, row.id, as_participant=True, now=desk.now, actor=actor)
    assert held_row(desk.instance, row.id).verdict is None
    assert held.join(desk.instance, row.id, as_participant=False, now=desk.now, actor=actor) == 1


def test_what_is_not_held_or_no_longer_kept(queue: Desk, actor: Account) -> None:
    for inbound_id in (1, 99):
        with pytest.raises(NotHeld):
            held.refuse(queue.instance, inbound_id, now=queue.now, actor=actor)
    with queue.instance.database.writing() as session:
        session.execute(sa.delete(RawMessage))
    with pytest.raises(AgainRefused, match="no longer kept"):
        held.make_ticket(queue.instance, HELD, now=queue.now, actor=actor)
    held.refuse(queue.instance, HELD, now=queue.now, actor=actor)


@pytest.mark.parametrize("do", [again.create_ticket, again.process_again])
def test_the_email_logs_buttons_settle_it(queue: Desk, do: Callable[..., again.Outcome]) -> None:
    with queue.instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules())
    outcome = do(queue.instance, HELD, now=queue.now, actor="bob@desk.test")
    assert outcome.ticket_id == 2
    assert held_row(queue.instance).verdict is HeldVerdict.TICKET


def test_processed_again_when_its_sender_takes_part(queue: Desk, actor: Account) -> None:
    with queue.instance.database.writing() as session:
        ticket = session.get_one(Ticket, 1)
        participants.add(session, ticket, "bob@binder.test", now=queue.now, actor=actor)
    outcome = again.process_again(queue.instance, HELD, now=queue.now, actor="bob@desk.test")
    assert (outcome.ticket_id, held_row(queue.instance).verdict) == (1, HeldVerdict.JOINED)
    held.undo(queue.instance, HELD, now=queue.now, actor=actor)
    assert texts(queue) == ["Our printer is offline."]


def test_processed_again_it_is_held_again(queue: Desk, actor: Account) -> None:
    outcome = again.process_again(queue.instance, HELD, now=queue.now, actor="bob@desk.test")
    assert (outcome.disposition, outcome.ticket_id) == (Disposition.HELD, None)
    assert held_row(queue.instance).verdict is None
    held.refuse(queue.instance, HELD, now=queue.now, actor=actor)
    again.process_again(queue.instance, HELD, now=queue.now, actor="bob@desk.test")
    assert held_row(queue.instance).verdict is None


def test_ignored_mail_processed_again_comes_into_the_queue(desk: Desk, actor: Account) -> None:
    open_ticket(desk)
    set_incoming(desk.instance, process_unknown="false")
    row = answer(desk, "first@acme.test", CARL)
    assert row.disposition is Disposition.IGNORED
    set_incoming(desk.instance, process_unknown="true")
    hold(desk)
    again.process_again(desk.instance, row.id, now=desk.now, actor="bob@desk.test")
    assert held.join(desk.instance, row.id, as_participant=False, now=desk.now, actor=actor) == 1


def test_understood_again_its_preview_follows(queue: Desk) -> None:
    with queue.instance.database.writing() as session:
        session.get_one(HeldMessage, HELD).preview = "garbled"
        session.get_one(Inbound, HELD).subject = "garbled"
    found = replay.compare(queue.instance, queue.parser, HELD)
    assert replay.apply_replay(queue.instance, found, now=queue.now, actor="bob@desk.test")
    assert held_row(queue.instance).preview == "Me too."


def test_the_same_message_again_is_a_copy(queue: Desk) -> None:
    queue.server.deliver(queue.folder("Archive")[1], received_at=NOW)
    queue.poll()
    row = queue.ledger()[-1]
    assert (row.disposition, row.duplicate_of_id, row.ticket_id) == (Disposition.DUPLICATE, HELD, None)


KILLED = """
import os, sys
from tests.factories import NOW, make_instance
from webapp.desk import audit
from webapp.inbound import held
from webapp.models import Account
from pathlib import Path
instance = make_instance(Path(sys.argv[1]))
with instance.database.reading() as session:
    actor = session.get_one(Account, 1)
held.write_down = lambda *_, **__: os.kill(os.getpid(), 9)
getattr(held, sys.argv[2])(
    instance, 2, now=NOW, actor=actor, **({"as_participant": True} if sys.argv[2] == "join" else {})
)
"""


@pytest.mark.parametrize("name", ["join", "make_ticket", "block"])
def test_killed_before_the_commit(queue: Desk, actor: Account, name: str) -> None:
    folder = str(queue.instance.settings.instance)
    ended = subprocess.run([sys.executable, "-c", KILLED, folder, name], check=False, timeout=60)
    assert ended.returncode == -9
    assert held_row(queue.instance).verdict is None
    assert (len(queue.tickets()), texts(queue)) == (1, ["Our printer is offline."])
    with queue.instance.database.reading() as session:
        assert sender_lists.find(session, SenderList.BLOCK, "bob@binder.test") is None
    assert held.join(queue.instance, HELD, as_participant=False, now=queue.now, actor=actor) == 1
