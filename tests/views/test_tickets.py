"""The ticket list and one ticket's page."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import event

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.instance import Instance
from webapp.models import Account, EntryKind, Ticket, TicketNotice, TicketStatus

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>&amp;\"'"


def subjects(page: str) -> list[str]:
    return re.findall(r'<th scope="row" class="subject"><a [^>]*>([^<]*)</a>', page)


def test_the_list_tells_number_company_requester_and_status(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        company = make.make_company(session, "Acme Ltd")
        user = make.make_user(session, "Ann Lee", company=company)
        make.make_ticket(session, "Printer", requester=user, company=company, status=TicketStatus.WAITING)
        make.make_ticket(session, "Spam?", requester_address="carl@new.example", requester_name="Carl")
    page = vera.get("/tickets").text
    for told in ("T-1", "Printer", "Acme Ltd", "Ann Lee", "Waiting", "T-2", "Unknown sender", "Carl", "Open"):
        assert told in page


def test_newest_change_comes_first(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session, "older", updated_at=make.NOW - timedelta(hours=1))
        make.make_ticket(session, "newest", updated_at=make.NOW)
        make.make_ticket(session, "oldest", updated_at=make.NOW - timedelta(days=9))
    assert subjects(vera.get("/tickets").text) == ["newest", "older", "oldest"]


def test_fifty_a_page_with_real_links(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        for number in range(120):
            make.make_ticket(session, f"ticket {number}", updated_at=make.NOW - timedelta(minutes=number))
    first, last = vera.get("/tickets").text, vera.get("/tickets?page=3").text
    assert subjects(first) == [f"ticket {number}" for number in range(50)]
    assert 'href="/tickets?page=2"' in first
    assert "tickets 1 to 50" in first
    assert "Previous" not in first
    assert subjects(last) == [f"ticket {number}" for number in range(100, 120)]
    assert "tickets 101 to 120" in last
    assert "Next" not in last
    assert 'href="/tickets?page=2"' in last
    assert 'href="/tickets"' in last


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "1.5", "９", "99999999999999999999"])
def test_a_page_that_is_none_is_the_first(vera: Browser, instance: Instance, page: str) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session, "there")
    assert subjects(vera.get("/tickets", query_string={"page": page}).text) == ["there"]


def test_a_page_behind_the_last_leads_back(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session)
    page = vera.get("/tickets?page=7&status=open").text
    assert "There is no page 7" in page
    assert 'href="/tickets?status=open"' in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=printer", ["Printer"]),
        ("q=PRINT", ["Printer"]),
        ("q=T-2", ["VPN"]),
        ("q=2", ["VPN"]),
        ("q=[T-2]", ["VPN"]),
        ("q=acme", ["Printer"]),
        ("q=ann lee", ["Printer"]),
        ("q=carl@new", ["VPN"]),
        ("q=100%25", ["100% full"]),
        ("q=_", []),
        ("q=' OR 1=1 --", []),
        ("status=closed", ["VPN"]),
        ("status=open", ["Printer", "100% full"]),
        ("status=nonsense", ["Printer", "VPN", "100% full"]),
        ("status=closed&q=printer", []),
        ("q=%00", ["Printer", "VPN", "100% full"]),
    ],
)
def test_filters(vera: Browser, instance: Instance, query: str, found: list[str]) -> None:
    with instance.database.writing() as session:
        company = make.make_company(session, "Acme Ltd")
        user = make.make_user(session, "Ann Lee", company=company)
        later = [make.NOW - timedelta(minutes=number) for number in range(3)]
        make.make_ticket(session, "Printer", requester=user, company=company, updated_at=later[0])
        make.make_ticket(
            session, "VPN", status=TicketStatus.CLOSED, requester_address="carl@new.example",
            updated_at=later[1],
        )  # fmt: skip
        make.make_ticket(session, "100% full", requester_address=None, updated_at=later[2])
    assert subjects(vera.get(f"/tickets?{query}").text) == found


def test_no_match_offers_to_clear(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session)
    page = vera.get("/tickets?q=nothing+like+it").text
    assert "No ticket matches." in page
    assert "Clear filter" in page


def test_empty_before_mail_is_set_up(vera: Browser, alice: Browser) -> None:
    page = vera.get("/tickets").text
    assert "Incoming email is not set up." in page
    assert "An administrator sets it up" in page
    assert 'href="/settings/service-desk/mail/incoming/edit"' in alice.get("/tickets").text


def test_empty_while_mail_is_off(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session, active=False)
    assert "Incoming email is set up but not active." in vera.get("/tickets").text


def test_empty_while_waiting_for_mail(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
    assert "New mail to help@example.com will appear here." in vera.get("/tickets").text


def test_a_ticket_shows_its_conversation_oldest_first(
    vera: Browser, instance: Instance, people: dict[str, Account]
) -> None:
    with instance.database.writing() as session:
        company = make.make_company(session)
        ticket = make.make_ticket(
            session, requester=make.make_user(session, company=company), company=company
        )
        inbound = make.make_inbound(session, make.make_mailbox(session), ticket_id=ticket.id)
        first = make.make_entry(session, ticket, "It does\n  not print.", inbound_id=inbound.id)
        make.make_attachment(session, first, "photo.jpg", size=240_000)
        make.make_entry(
            session, ticket, "Toner ordered.", kind=EntryKind.NOTE, account_id=people["bob"].id,
            from_addr=None, from_name="",
        )  # fmt: skip
    page = vera.get("/tickets/1").text
    assert "T-1" in page
    assert '<a href="/people/1">Ann Lee</a> &lt;ann@acme.example&gt;' in page
    assert '<div class="text">It does\n  not print.</div>' in page
    assert 'aria-label="Message from Ann Lee, ' in page
    assert 'aria-label="Internal note by Bob Best, ' in page
    assert "only staff see this" in page
    assert page.index("not print.") < page.index("Toner ordered.")
    assert 'href="/email-log/1"' in page
    assert 'href="/tickets/1/attachments/1"' in page
    assert "JPEG picture, 240 KB" in page
    assert "Show " not in page


def test_quoted_text_is_folded_never_lost(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        make.make_entry(session, ticket, "Thanks!\n\n> Please check\n> the cable.", reply_text="Thanks!")
    page = vera.get("/tickets/1").text
    assert '<div class="text">Thanks!</div>' in page
    assert "<summary>Show earlier messages (2 lines)</summary>" in page
    assert '<div class="text quoted">&gt; Please check\n&gt; the cable.</div>' in page


def test_a_message_that_is_all_quote_is_shown_whole(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_entry(session, make.make_ticket(session), "> quoted only", reply_text=" ")
    page = vera.get("/tickets/1").text
    assert '<div class="text">&gt; quoted only</div>' in page
    assert "<summary>Show" not in page


def test_a_message_without_text_says_so(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_entry(session, make.make_ticket(session), "")
    assert "This message has no text." in vera.get("/tickets/1").text


def test_a_huge_text_is_cut_with_a_word(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_entry(session, make.make_ticket(session), "y" * 300_000)
    page = vera.get("/tickets/1").text
    assert len(page) < 150_000
    assert "300,000 characters in all" in page


def test_a_long_conversation_has_pages(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        for number in range(60):
            make.make_entry(session, ticket, f"message {number}.")
    page = vera.get("/tickets/1").text
    assert "message 49." in page
    assert "message 50." not in page
    assert 'href="/tickets/1?page=2#newest"' in page
    assert "message 59." in vera.get("/tickets/1?page=2").text


def test_hostile_text_is_only_text(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        company = make.make_company(session, HOSTILE)
        ticket = make.make_ticket(
            session, HOSTILE, company=company, requester_name=HOSTILE, requester_address=HOSTILE
        )
        entry = make.make_entry(session, ticket, HOSTILE, from_name=HOSTILE, from_addr=HOSTILE)
        make.make_attachment(session, entry, HOSTILE)
        mailbox = make.make_mailbox(session)
        make.make_inbound(
            session, mailbox, subject=HOSTILE, from_addr=HOSTILE, from_name=HOSTILE, message_id=HOSTILE,
            saw=HOSTILE, trace=[{"rule": HOSTILE, "fired": True, "saw": HOSTILE}], defects=[HOSTILE],
            folder=HOSTILE, remote_key=HOSTILE, ticket_id=ticket.id,
        )  # fmt: skip
    for path in ("/tickets", "/tickets/1", "/email-log", "/email-log/1", f"/tickets?q={HOSTILE}"):
        page = vera.get(path).text
        assert "<script>" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"notice": TicketNotice.CLAIM, "claimed_ticket_id": 1}, 'belongs to <a href="/tickets/1">T-1</a>'),
        ({"notice": TicketNotice.QUARANTINE}, "This message could not be read."),
        ({"notice": TicketNotice.TOO_LARGE}, "This message is larger than the limit."),
        ({"follow_up_of_id": 1}, 'Follow-up of <a href="/tickets/1">T-1</a>'),
    ],
)
def test_notices(vera: Browser, instance: Instance, values: dict[str, object], sentence: str) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session, "the first")
        make.make_ticket(session, "the second", **values)
    assert sentence in vera.get("/tickets/2").text
    assert sentence not in vera.get("/tickets/1").text


def test_an_unknown_sender_has_a_badge(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session, requester_address="carl@new.example", requester_name="Carl")
    page = vera.get("/tickets/1").text
    assert "Unknown sender" in page
    assert "Carl &lt;carl@new.example&gt;" in page


def test_an_unknown_sender_can_be_added_or_linked(bob: Browser, vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_user(session)
        make.make_ticket(session, requester_address="carl@new.example", requester_name="Carl")
        make.make_ticket(session, requester_address=None, requester_name="Nobody")
    query = "?name=Carl&amp;email=carl@new.example&amp;next=/tickets/1"
    page = bob.get("/tickets/1").text
    assert f'href="/people/new{query}"' in page
    assert f'href="/people/link{query}"' in page
    for other in (bob.get("/tickets/2").text, vera.get("/tickets/1").text):
        assert "Unknown sender" in other
        assert "/people/new" not in other
        assert "/people/link" not in other


@pytest.mark.parametrize(
    ("active", "words"),
    [(False, "who is inactive. Set that user active"), (True, "Save that user once more")],
)
def test_a_senders_address_that_somebody_has_leads_to_that_user(
    bob: Browser, instance: Instance, active: bool, words: str
) -> None:
    with instance.database.writing() as session:
        make.make_user(session, "Ann Lee", "ann@acme.example").active = active
        make.make_ticket(session, requester_address="Ann@ACME.example")
    page = bob.get("/tickets/1").text
    assert words in page
    assert 'href="/people/1/edit?next=/tickets/1"' in page
    assert "/people/new" not in page
    form = dict(
        re.findall(
            r'name="(fingerprint|next)" value="([^"]*)"', bob.get("/people/1/edit?next=/tickets/1").text
        )
    )
    answer = bob.send(
        "/people/1/edit", "/people", name="Ann Lee", email="ann@acme.example", active="true", **form
    )
    assert (answer.status_code, answer.location) == (303, "/tickets/1")
    page = bob.get("/tickets/1").text
    assert "1 earlier ticket is theirs now." in page
    assert '<a href="/people/1">Ann Lee</a>' in page
    assert "Unknown sender" not in page


def test_a_ticket_of_the_desks_own_people(
    vera: Browser, instance: Instance, people: dict[str, Account]
) -> None:
    with instance.database.writing() as session:
        make.make_ticket(
            session, requester_address="bob@desk.example", requester_name="Bob Best",
            requester_account_id=people["bob"].id,
        )  # fmt: skip
    assert "Unknown sender" not in vera.get("/tickets").text
    page = vera.get("/tickets/1").text
    assert "Bob Best &lt;bob@desk.example&gt;, of this service desk" in page


def test_the_list_asks_a_fixed_number_of_questions(vera: Browser, instance: Instance) -> None:
    asked: list[str] = []
    event.listen(instance.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    def questions(path: str) -> int:
        asked.clear()
        assert vera.get(path).status_code == 200
        return len(asked)

    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session)
        for number in range(2):
            company = make.make_company(session, f"company {number}")
            user = make.make_user(session, f"user {number}", f"u{number}@acme.example", company)
            ticket: Ticket = make.make_ticket(session, requester=user, company=company)
            make.make_attachment(session, make.make_entry(session, ticket))
            make.make_inbound(session, mailbox, ticket_id=ticket.id)
    few = {path: questions(path) for path in ("/tickets", "/tickets/1", "/email-log")}
    with instance.database.writing() as session:
        for number in range(2, 40):
            company = make.make_company(session, f"company {number}")
            user = make.make_user(session, f"user {number}", f"u{number}@acme.example", company)
            ticket = make.make_ticket(session, requester=user, company=company)
            make.make_attachment(session, make.make_entry(session, session.get_one(Ticket, 1)))
            make.make_inbound(session, mailbox, ticket_id=ticket.id)
    assert {path: questions(path) for path in few} == few
