"""Claims, participants and the brake on a ticket's page, and a user's address that does not exist."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk import participants
from webapp.instance import Instance
from webapp.models import (
    Disposition,
    Entry,
    SenderRule,
    Ticket,
    TicketNotice,
    TicketParticipant,
    TicketStatus,
    UndeliverableAddress,
)


@pytest.fixture
def claim(instance: Instance) -> int:
    """T-2, which says it belongs to T-1."""
    with instance.database.writing() as session:
        make.make_incoming(session)
        wanted = make.make_ticket(session)
        make.make_entry(session, wanted)
        ticket = make.make_ticket(
            session, "Re: Printer", notice=TicketNotice.CLAIM, claimed_ticket_id=wanted.id,
            requester_address="carl@new.example", requester_name="Carl",
        )  # fmt: skip
        inbound = make.make_inbound(
            session, make.make_mailbox(session), ticket_id=ticket.id, disposition=Disposition.CLAIM,
            rule="thread-claim", saw="says it belongs to T-1 (subject tag [T-1])",
        )  # fmt: skip
        make.make_entry(session, ticket, "Me too", inbound_id=inbound.id, from_addr="carl@new.example")
        return ticket.id


def ticket(instance: Instance, number: int) -> Ticket:
    with instance.database.reading() as session:
        return session.get_one(Ticket, number)


def texts(instance: Instance, number: int) -> list[str]:
    with instance.database.reading() as session:
        query = sa.select(Entry.body_text).where(Entry.ticket_id == number).order_by(Entry.id)
        return list(session.scalars(query))


def test_a_claim_shows_its_evidence_and_what_can_be_done(bob: Browser, vera: Browser, claim: int) -> None:
    page = bob.get("/tickets/2").text
    assert "says it belongs to T-1 (subject tag [T-1])" in page
    for label in ("Join to T-1", "Refuse", "Block sender"):
        assert label in page
    seen = vera.get("/tickets/2").text
    assert "Says it belongs to" in seen
    assert "Join to T-1" not in seen
    assert "says it belongs here" in bob.get("/tickets/1").text


def test_join_and_undo(bob: Browser, instance: Instance, claim: int) -> None:
    answer = bob.send("/tickets/2/claim/join", "/tickets/2", participant="on")
    assert (answer.status_code, answer.location) == (303, "/tickets/1")
    page = bob.get("/tickets/1").text
    assert "T-2 was joined to this ticket." in page
    assert "Me too" in page
    assert "carl@new.example" in page[page.index('id="participants"') :]
    assert ticket(instance, 2).status is TicketStatus.CLOSED
    assert "Joined to" in bob.get("/tickets/2").text
    bob.send("/tickets/2/claim/undo", "/tickets/2")
    assert "Me too" in texts(instance, 2)
    assert "Me too" not in texts(instance, 1)
    assert "Join to T-1" in bob.get("/tickets/2").text


def test_refuse_and_join_after_all(bob: Browser, instance: Instance, claim: int) -> None:
    bob.send("/tickets/2/claim/refuse", "/tickets/2")
    assert ticket(instance, 2).notice is None
    assert "said it belongs here, which was refused" in bob.get("/tickets/1").text
    page = bob.get("/tickets/2").text
    assert "Block sender" not in page
    assert "Join to T-1" in page
    answer = bob.send("/tickets/2/claim/refuse", "/tickets/2")
    assert answer.status_code == 303
    assert "Somebody has decided about this ticket already." in bob.get("/tickets/2").text
    assert bob.send("/tickets/2/claim/join", "/tickets/2").location == "/tickets/1"


def test_block(bob: Browser, instance: Instance, claim: int) -> None:
    bob.send("/tickets/2/claim/block", "/tickets/2")
    assert ticket(instance, 2).status is TicketStatus.CLOSED
    with instance.database.reading() as session:
        [rule] = session.scalars(sa.select(SenderRule))
    assert (rule.list, rule.value_key, rule.created_by) == ("block", "carl@new.example", "bob@desk.example")


def test_participants_are_added_and_removed(bob: Browser, instance: Instance, claim: int) -> None:
    for address, told in (
        ("dan@acme.example", "dan@acme.example takes part in this ticket."),
        ("help@example.com", "help@example.com is an address of this service desk itself."),
        ("ann@acme.example", "The requester takes part already."),
        ("nobody", "is not an e-mail address"),
    ):
        bob.send("/tickets/1/participants", "/tickets/1", address=address)
        assert told in bob.get("/tickets/1").text, address
    with instance.database.reading() as session:
        [participant] = session.scalars(sa.select(TicketParticipant))
    assert (participant.addr_key, participant.added_by) == ("dan@acme.example", "bob@desk.example")
    bob.send(f"/tickets/2/participants/{participant.id}/remove", "/tickets/1")
    with instance.database.reading() as session:
        assert session.get(TicketParticipant, participant.id) is not None
    bob.send(f"/tickets/1/participants/{participant.id}/remove", "/tickets/1")
    with instance.database.reading() as session:
        assert session.get(TicketParticipant, participant.id) is None


def test_whom_the_requester_wrote_to_as_well_is_offered(bob: Browser, instance: Instance, claim: int) -> None:
    with instance.database.writing() as session:
        recipients = {
            "to": [["", "help@example.com"], ["", "bob@desk.example"]],
            "cc": [["Dan", "dan@acme.example"], ["", "Ann@acme.example"], ["", "no address"]],
        }
        make.make_entry(session, session.get_one(Ticket, 1), "x", recipients=recipients)
        strange = {"cc": [["", "eve@evil.example"]]}
        make.make_entry(
            session, session.get_one(Ticket, 1), "y", recipients=strange, from_addr="carl@new.example"
        )
    page = bob.get("/tickets/1").text
    offered = page[page.index('id="participants"') : page.index("Add a participant")]
    assert offered.count('name="address" value=') == 1
    assert 'value="dan@acme.example"' in offered
    assert "eve@evil.example" not in offered


def test_a_message_to_thousands_does_not_make_its_page_slow(
    bob: Browser, instance: Instance, claim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [["", f"p{number}@binder.example"] for number in range(400)]
    with instance.database.writing() as session:
        session.get_one(Ticket, 1).requester_address = "ann@acme.example"
        for entry in session.scalars(sa.select(Entry).where(Entry.ticket_id == 1)):
            entry.from_addr, entry.recipients = "ann@acme.example", {"to": many, "cc": many}
    checked: list[str] = []
    check = participants._is_addr_spec

    def counted(text: str) -> bool:
        checked.append(text)
        return check(text)

    monkeypatch.setattr(participants, "_is_addr_spec", counted)
    assert bob.get("/tickets/1").text.count("mail went to p") == participants.OFFERED
    assert len(checked) <= 200


def test_an_address_that_does_not_exist_takes_no_part(bob: Browser, instance: Instance, claim: int) -> None:
    with instance.database.writing() as session:
        session.add(UndeliverableAddress(addr_key="dan@acme.example", since=make.NOW, why="No such address."))
    bob.send("/tickets/1/participants", "/tickets/1", address="Dan@acme.example")
    assert "could not be delivered" in bob.get("/tickets/1").text


def test_a_user_s_page_says_where_nothing_is_sent_and_undoes_it(
    bob: Browser, vera: Browser, instance: Instance
) -> None:
    with instance.database.writing() as session:
        user = make.make_user(session)
        session.add(
            UndeliverableAddress(addr_key="ann@acme.example", since=make.NOW, why="A report said so.")
        )
        path = f"/people/{user.id}"
    assert "Nothing is sent to ann@acme.example any more." in vera.get(path).text
    assert "Send there again" not in vera.get(path).text
    assert bob.send(f"{path}/send-again", path, address="other@acme.example").status_code == 400
    bob.send(f"{path}/send-again", path, address="ann@acme.example")
    assert "any more" not in bob.get(path).text


def test_the_brake_is_shown_and_released(bob: Browser, instance: Instance, claim: int) -> None:
    with instance.database.writing() as session:
        session.get_one(Ticket, 1).braked_at = datetime.now(UTC)
    assert "Nothing automatic is sent about this ticket." in bob.get("/tickets/1").text
    bob.send("/tickets/1/brake/release", "/tickets/1")
    assert ticket(instance, 1).braked_at is None
    assert "Brake released" in bob.get("/tickets/1").text


def test_a_flag_says_why_an_entry_is_to_be_read_with_care(
    bob: Browser, instance: Instance, claim: int
) -> None:
    for flag, words in (
        ("new-sender", "takes no part in it"),
        ("unproven-staff", "nothing proves that the technician wrote this"),
        ("disabled-staff", "may not sign in any more"),
    ):
        with instance.database.writing() as session:
            make.make_entry(session, session.get_one(Ticket, 1), flag, flag=flag)
        assert words in bob.get("/tickets/1").text
