"""The page of held mail: what it shows, the decisions, who comes second, and the ways to it."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from tests.factories import make_raw
from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk import incoming_rules
from webapp.desk.incoming_rules import IncomingRules
from webapp.instance import Instance
from webapp.models import Disposition, Entry, HeldMessage, HeldVerdict, RawMessage, SenderRule, Ticket

PAGE = "/held-mail"
DECIDED = "/held-mail?show=decided"


@pytest.fixture
def held(instance: Instance) -> list[int]:
    """T-1, and three messages of strangers who name it."""
    with instance.database.writing() as session:
        make.make_incoming(session)
        incoming_rules.save(session, IncomingRules(hold_claims=True))
        wanted = make.make_ticket(session)
        make.make_entry(session, wanted)
        mailbox = make.make_mailbox(session)
        return [hold(session, mailbox, wanted, name) for name in ("carl", "dora", "emil")]


def hold(session: sa.orm.Session, mailbox: object, wanted: Ticket, name: str) -> int:
    address = f"{name}@new.example"
    raw = make_raw(sender=f"{name.title()} <{address}>", subject=f"Re: {name} [T-1]", text=f"It is {name}.\n")
    inbound = make.make_inbound(
        session, mailbox, disposition=Disposition.HELD, rule="thread-claim", from_addr=address,  # type: ignore[arg-type]
        from_name=name.title(), subject=f"Re: {name} [T-1]", raw=raw,
        saw="says it belongs to T-1 (subject tag [T-1]); sender is neither",
    )  # fmt: skip
    session.add(HeldMessage(inbound_id=inbound.id, claimed_ticket_id=wanted.id, preview=f"It is {name}."))
    return inbound.id


def verdicts(instance: Instance) -> list[HeldVerdict | None]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(HeldMessage.verdict).order_by(HeldMessage.inbound_id)))


def test_who_says_what_about_which_ticket(bob: Browser, vera: Browser, held: list[int]) -> None:
    page = bob.get(PAGE).text
    for told in (
        "Waiting (3)", "Carl", "&lt;carl@new.example&gt;", "T-1 Printer offline", "It is carl.",
        "The parser saw: says it belongs to T-1 (subject tag [T-1])", "Join T-1", "Ticket of its own",
        "Refuse", "Block the sender", "carl@new.example may write to T-1 from now on",
    ):  # fmt: skip
        assert told in page, told
    seen = vera.get(PAGE).text
    assert "It is carl." in seen
    for hidden in ("Join T-1", "Block the sender", "Refuse the chosen", "Choose"):
        assert hidden not in seen, hidden


def test_the_ways_to_it(bob: Browser, vera: Browser, held: list[int]) -> None:
    assert ", 3 need attention" in bob.get("/tickets").text
    assert "Held mail (3)" in bob.get("/tickets").text
    assert "need attention</span>" not in vera.get("/tickets").text
    assert "3 held messages say" in bob.get("/tickets/1").text
    log = bob.get("/email-log").text
    assert f'href="/held-mail#held-{held[0]}"' in log
    assert "Done, I read it" not in log
    message = bob.get(f"/email-log/{held[0]}").text
    assert "This message waits for a decision." in message
    assert "Held" in bob.get("/email-log?outcome=held&period=all").text
    assert bob.get("/email-log?outcome=attention&period=all").text.count('class="subject"') == 3
    assert "Held for a decision" in bob.get("/email-log/log.csv?period=all").text


def test_join_with_the_sender(bob: Browser, instance: Instance, held: list[int]) -> None:
    answer = bob.send(f"{PAGE}/{held[0]}/join", PAGE, participant="on")
    assert (answer.status_code, answer.location) == (303, PAGE)
    page = bob.get(PAGE).text
    assert 'The message was joined to <a href="/tickets/1">T-1</a>.' in page
    assert "Waiting (2)" in page
    ticket = bob.get("/tickets/1").text
    assert "It is carl." in ticket
    assert "carl@new.example" in ticket[ticket.index('id="participants"') :]
    decided = bob.get(DECIDED).text
    assert "<strong>Joined to T-1</strong> by bob@desk.example" in decided
    answer = bob.send(f"{PAGE}/{held[0]}/undo", DECIDED, show="decided")
    assert (answer.status_code, answer.location) == (303, DECIDED)
    assert "It is carl." not in bob.get("/tickets/1").text
    assert verdicts(instance) == [None] * 3


def test_a_ticket_of_its_own_is_not_undone(bob: Browser, instance: Instance, held: list[int]) -> None:
    bob.send(f"{PAGE}/{held[0]}/ticket", PAGE)
    assert "It is carl." in bob.get("/tickets/2").text
    assert "Join to T-1" in bob.get("/tickets/2").text
    assert "/undo" not in bob.get(DECIDED).text
    refused = bob.send(f"{PAGE}/{held[0]}/undo", PAGE)
    assert refused.status_code == 422
    assert "It is in T-2." in refused.text


def test_refuse_and_block(bob: Browser, instance: Instance, held: list[int]) -> None:
    bob.send(f"{PAGE}/{held[0]}/refuse", PAGE)
    bob.send(f"{PAGE}/{held[1]}/block", PAGE)
    assert verdicts(instance) == [HeldVerdict.REFUSED, HeldVerdict.BLOCKED, None]
    page = bob.get(DECIDED).text
    assert "Refused, and its sender blocked" in page
    bob.send(f"{PAGE}/{held[1]}/undo", DECIDED)
    assert verdicts(instance) == [HeldVerdict.REFUSED, None, None]
    with instance.database.reading() as session:
        assert session.scalars(sa.select(SenderRule)).all() == []
        assert session.scalars(sa.select(Ticket.id)).all() == [1]


@pytest.mark.parametrize("second", ["join", "ticket", "refuse", "block"])
def test_the_second_tab_is_told(alice: Browser, bob: Browser, held: list[int], second: str) -> None:
    bob.send(f"{PAGE}/{held[0]}/refuse", PAGE)
    late = alice.send(f"{PAGE}/{held[0]}/{second}", PAGE)
    assert late.status_code == 409
    assert "bob@desk.example has decided about this message already: refused." in late.text
    assert f'id="held-{held[0]}"' not in late.text


def test_several_at_once(bob: Browser, instance: Instance, held: list[int]) -> None:
    nothing = bob.send(f"{PAGE}/refuse", PAGE)
    assert nothing.status_code == 422
    assert "Choose at least one message first." in nothing.text
    token = bob.csrf_token(PAGE)
    bob.post(f"{PAGE}/refuse", data={"csrf_token": token, "id": [str(held[0]), str(held[1]), "x", "99"]})
    assert verdicts(instance) == [HeldVerdict.REFUSED, HeldVerdict.REFUSED, None]
    assert "2 messages were refused. 1 other was decided by somebody else meanwhile." in bob.get(PAGE).text
    late = bob.post(f"{PAGE}/refuse", data={"csrf_token": token, "id": [str(held[0])]})
    assert late.status_code == 409


@pytest.mark.parametrize("act", ["join", "ticket", "refuse", "block", "undo"])
def test_what_is_not_held(bob: Browser, held: list[int], act: str) -> None:
    assert bob.send(f"{PAGE}/99/{act}", PAGE).status_code == 404


@pytest.mark.parametrize("act", ["join", "ticket", "refuse", "block", "undo"])
def test_a_viewer_decides_nothing(vera: Browser, instance: Instance, held: list[int], act: str) -> None:
    assert vera.send(f"{PAGE}/{held[0]}/{act}", PAGE).status_code == 403
    assert verdicts(instance) == [None] * 3


def test_an_original_that_is_no_longer_kept(bob: Browser, instance: Instance, held: list[int]) -> None:
    with instance.database.writing() as session:
        session.execute(sa.delete(RawMessage))
    answer = bob.send(f"{PAGE}/{held[0]}/ticket", PAGE)
    assert answer.status_code == 422
    assert "The original of this message is no longer kept" in answer.text


def test_hostile_words_stay_text(bob: Browser, instance: Instance, held: list[int]) -> None:
    with instance.database.writing() as session:
        row = session.get_one(HeldMessage, held[0])
        row.preview = "<script>alert(1)</script>" + "x" * 700
        row.inbound.subject = row.inbound.from_name = "<img src=x>"
    page = bob.get(PAGE).text
    assert "<script>alert" not in page
    assert "<img src" not in page
    assert "Show more of the text" in page


def test_nothing_is_held(alice: Browser, bob: Browser, instance: Instance) -> None:
    page = alice.get(PAGE).text
    assert "Nothing is held at the moment" in page
    assert 'href="/settings/service-desk/incoming-rules"' in page
    assert "Change that" not in bob.get(PAGE).text
    assert "Held mail" not in bob.get("/tickets").text
    assert "Held mail" not in bob.get("/email-log").text
    with instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules(hold_claims=True))
    assert "No message waits for a decision.</p>" in bob.get(PAGE).text
    assert "Held mail" in bob.get("/email-log").text
    assert "Nobody has decided about a held message yet." in bob.get(DECIDED).text


def test_pages_of_the_queue(bob: Browser, instance: Instance, held: list[int]) -> None:
    with instance.database.writing() as session:
        wanted, mailbox = session.get_one(Ticket, 1), make.make_mailbox(session, account="b@example.com")
        for number in range(49):
            hold(session, mailbox, wanted, f"n{number}")
    first, second = bob.get(PAGE).text, bob.get(f"{PAGE}?page=2").text
    assert len(re.findall('class="card held"', first)) == 50
    assert len(re.findall('class="card held"', second)) == 2
    assert "There is no page 3." in bob.get(f"{PAGE}?page=3").text


def test_the_setting(alice: Browser, instance: Instance) -> None:
    rules = "/settings/service-desk/incoming-rules"
    assert "Hold it in a queue until a technician decides" in alice.get(rules).text
    alice.send(rules, rules, reopen_days="0", claims="hold", cc_colleagues="true")
    with instance.database.reading() as session:
        saved = incoming_rules.load(session)
    assert (saved.hold_claims, saved.cc_colleagues) == (True, True)
    assert re.search(r'value="hold"\s+checked', alice.get(rules).text)
    assert alice.send(rules, rules, reopen_days="0", claims="drop").status_code == 422
    alice.send(rules, rules, reopen_days="0", claims="ticket")
    with instance.database.reading() as session:
        assert incoming_rules.load(session).hold_claims is False


def test_entries_are_where_they_belong(bob: Browser, instance: Instance, held: list[int]) -> None:
    """A join and its undo leave the entries of others alone."""
    bob.send(f"{PAGE}/{held[0]}/join", PAGE)
    bob.send(f"{PAGE}/{held[1]}/join", PAGE)
    bob.send(f"{PAGE}/{held[0]}/undo", DECIDED)
    with instance.database.reading() as session:
        found = session.scalars(sa.select(Entry.inbound_id).where(Entry.inbound_id.is_not(None))).all()
    assert found == [held[1]]
