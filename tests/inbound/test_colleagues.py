"""Colleagues in To and Cc of a customer's mail take part by themselves, where the setting says so."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.factories import MAILBOX, NOW, add_people, make_raw
from tests.inbound.conftest import Desk
from tests.inbound.test_threads import make_account
from webapp.desk import incoming_rules, options, reply_recipients
from webapp.desk.incoming_rules import IncomingRules
from webapp.mail.reply_token import make_message_id
from webapp.models import Disposition, Entry, EntryKind, Ticket, TicketParticipant, UndeliverableAddress, User

ANN = "Ann Lee <ann@acme.test>"
MORE = b"""email,name,company,other_emails
cid@acme.test,Cid Acme,Acme Ltd,cid.two@acme.test
dan@acme.test,Dan Acme,Acme Ltd,
"""


@pytest.fixture
def on(desk: Desk) -> Desk:
    add_people(desk.instance, MORE)
    with desk.instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules(cc_colleagues=True))
    return desk


def receive(desk: Desk, *, sender: str = ANN, to: str = MAILBOX, cc: str = "", **headers: str) -> None:
    raw = make_raw(sender=sender, headers=({"Cc": cc} if cc else {}) | headers)
    desk.deliver(raw.replace(f"To: {MAILBOX}".encode(), f"To: {to}".encode(), 1))
    desk.poll()


def participants(desk: Desk, ticket_id: int = 1) -> list[str]:
    with desk.instance.database.reading() as session:
        query = sa.select(TicketParticipant.addr_key).where(TicketParticipant.ticket_id == ticket_id)
        return list(session.scalars(query.order_by(TicketParticipant.id)))


def test_off_they_are_offered_only(desk: Desk) -> None:
    receive(desk, cc="Amy <amy@acme.test>")
    assert participants(desk) == []


def test_colleagues_and_nobody_else(on: Desk) -> None:
    named = "x@new.test, bob@binder.test, cid@acme.test, ann@acme.test"
    receive(on, to=f"{MAILBOX}, AMY@acme.test", cc=named)
    assert participants(on) == ["amy@acme.test", "cid@acme.test"]
    with on.instance.database.reading() as session:
        ticket = session.get_one(Ticket, 1)
        assert reply_recipients.suggested(session, ticket).cc == (
            "Amy Poe <amy@acme.test>, Cid Acme <cid@acme.test>"
        )
        said = session.scalars(sa.select(Entry).where(Entry.kind == EntryKind.CHANGE)).all()
    assert [entry.from_name for entry in said] == ["Email parser"] * 2
    assert said[0].body_text.startswith("Participant added: Amy Poe <amy@acme.test>")


def test_each_person_once_under_whatever_address(on: Desk) -> None:
    receive(on, cc="cid@acme.test, cid.two@acme.test")
    assert participants(on) == ["cid@acme.test"]
    first = on.ledger()[0].message_id
    receive(on, cc="cid.two@acme.test, dan@acme.test", References=f"<{first}>")
    assert participants(on) == ["cid@acme.test", "dan@acme.test"]


def test_an_update_brings_them_too(on: Desk) -> None:
    on.deliver(make_raw(message_id="first@acme.test"))
    on.poll()
    receive(on, cc="dan@acme.test", References="<first@acme.test>")
    assert on.ledger()[-1].disposition is Disposition.UPDATE
    assert participants(on) == ["dan@acme.test"]


def test_who_is_left_out(on: Desk) -> None:
    """Inactive users, accounts of the desk, addresses that do not exist, the desk's own with any detail."""
    with on.instance.database.writing() as session:
        make_account(session, email="cid@acme.test")
        session.add(UndeliverableAddress(addr_key="dan@acme.test", since=NOW, why="5.1.1"))
        session.execute(sa.update(User).where(User.name == "Amy Poe").values(active=False))
    receive(on, cc="cid@acme.test, dan@acme.test, amy@acme.test, help+x@desk.test")
    assert participants(on) == []


def test_strangers_and_claims_bring_nobody(on: Desk) -> None:
    receive(on, sender="Carl <carl@new.test>", cc="amy@acme.test")
    on.deliver(make_raw(message_id="first@acme.test"))
    on.poll()
    receive(on, sender="Bob Ray <bob@binder.test>", cc="amy@acme.test", References="<first@acme.test>")
    assert on.ledger()[-1].disposition is Disposition.CLAIM
    with on.instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(TicketParticipant.id))) == 0


def test_somebody_new_with_a_token_brings_nobody(on: Desk) -> None:
    """The entry is accepted and marked: a word that does not count for that much."""
    with on.instance.database.writing() as session:
        key = options.make_reply_key(session, on.instance.vault)
    receive(on)
    receive(
        on, sender="Bob Ray <bob@binder.test>", cc="amy@acme.test",
        References=f"<{make_message_id(key, 1, 'desk.test')}>",
    )  # fmt: skip
    assert on.ledger()[-1].disposition is Disposition.UPDATE
    assert participants(on) == []


def test_no_more_than_a_ticket_takes(on: Desk) -> None:
    lines = [f"u{number}@acme.test,User {number},Acme Ltd" for number in range(60)]
    add_people(on.instance, ("email,name,company\n" + "\n".join(lines) + "\n").encode())
    receive(on, cc=", ".join(f"u{number}@acme.test" for number in range(60)))
    assert len(participants(on)) == 50
