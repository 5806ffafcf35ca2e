"""Working through tickets: status, assignee and notes, in place and without a script."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk import accounts
from webapp.instance import Instance
from webapp.models import Account, Audit, Entry, EntryKind, Ticket, TicketStatus
from webapp.views import access

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert('x')</script>"
FORMS = [
    ("status", {"status": "closed", "seen": "open"}),
    ("assignee", {"assignee": "", "seen": ""}),
    ("notes", {"text": "Called."}),
]


@pytest.fixture(autouse=True)
def one_ticket(instance: Instance, people: dict[str, Account]) -> None:
    with instance.database.writing() as session:
        make.make_entry(session, make.make_ticket(session))


def post(browser: Browser, what: str, *, htmx: bool = True, **data: str) -> TestResponse:
    token = browser.csrf_token("/tickets/1")
    return browser.post(f"/tickets/1/{what}", data=data | {"csrf_token": token}, headers=HTMX if htmx else {})


def stored(instance: Instance) -> tuple[Ticket, list[Entry], list[Audit]]:
    with instance.database.reading() as session:
        return (
            session.get_one(Ticket, 1),
            list(session.scalars(sa.select(Entry).where(Entry.kind != EntryKind.MAIL).order_by(Entry.id))),
            list(session.scalars(sa.select(Audit).where(Audit.action.startswith("ticket.")))),
        )


def plain(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)).strip()


def toast(answer: TestResponse) -> str:
    found: str = json.loads(answer.headers["HX-Trigger"])["toast"]["message"]
    return found


@pytest.mark.parametrize("person", ["bob", "alice"])
def test_a_status_is_set_in_place(
    signed_in: Callable[[str], Browser], instance: Instance, person: str, people: dict[str, Account]
) -> None:
    answer = post(signed_in(person), "status", status="waiting", seen="open")
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<section id="ticket-facts"')
    assert "<html" not in answer.text
    assert '<select id="choose-status" name="status" autofocus>' in answer.text
    assert '<option value="waiting" selected>' in answer.text
    assert toast(answer) == "Status: Open → Waiting."
    assert "ticket:changed" in json.loads(answer.headers["HX-Trigger"])
    ticket, entries, audits = stored(instance)
    assert ticket.status is TicketStatus.WAITING
    assert ticket.updated_at > make.NOW
    assert [(entry.body_text, entry.account_id) for entry in entries] == [
        ("Status: Open → Waiting", people[person].id)
    ]
    assert [row.actor for row in audits] == [people[person].email]


def test_a_status_is_set_without_a_script(bob: Browser, instance: Instance) -> None:
    answer = post(bob, "status", htmx=False, status="closed", seen="open")
    assert (answer.status_code, answer.location) == (303, "/tickets/1")
    page = bob.get("/tickets/1").text
    assert "Status: Open → Closed." in page
    assert 'aria-label="Change by Bob Best, ' in page


def test_a_ticket_is_assigned(bob: Browser, instance: Instance, people: dict[str, Account]) -> None:
    alice = str(people["alice"].id)
    page = bob.get("/tickets/1").text
    options = re.findall(r"<option[^>]*>([^<]*)</option>", page)
    assert options == ["Open", "Waiting", "Closed", "Ticket pool", "Alice Able", "Bob Best"]
    answer = post(bob, "assignee", assignee=alice, seen="")
    assert f'<option value="{alice}" selected>Alice Able' in answer.text
    assert '<select id="choose-assignee" name="assignee" autofocus>' in answer.text
    assert toast(answer) == "Assigned: Ticket pool → Alice Able."
    answer = post(bob, "assignee", htmx=False, assignee="", seen=alice)
    assert answer.status_code == 303
    ticket, entries, audits = stored(instance)
    assert ticket.assignee_id is None
    assert len(entries) == len(audits) == 2


def test_who_takes_no_tickets_any_more_stays_to_be_seen(
    bob: Browser, instance: Instance, people: dict[str, Account]
) -> None:
    with instance.database.writing() as session:
        session.get_one(Ticket, 1).assignee_id = people["vera"].id
    assert "Vera View (takes no tickets any more)" in bob.get("/tickets/1").text


@pytest.mark.parametrize("htmx", [True, False])
def test_the_same_again_writes_nothing(bob: Browser, instance: Instance, htmx: bool) -> None:
    for _ in range(2):
        post(bob, "status", htmx=htmx, status="closed", seen="open")
    post(bob, "assignee", htmx=htmx, assignee="", seen="")
    for _ in range(2):
        post(bob, "notes", htmx=htmx, text="Called.")
    _, entries, audits = stored(instance)
    assert [entry.body_text for entry in entries] == ["Status: Open → Closed", "Called."]
    assert len(audits) == 2


@pytest.mark.parametrize("htmx", [True, False])
def test_what_changed_meanwhile_is_told_and_kept(
    bob: Browser, instance: Instance, people: dict[str, Account], htmx: bool
) -> None:
    with instance.database.writing() as session:
        ticket = session.get_one(Ticket, 1)
        ticket.status, ticket.assignee_id = TicketStatus.CLOSED, people["alice"].id
    answer = post(bob, "status", htmx=htmx, status="waiting", seen="open")
    assert answer.status_code == 409
    assert ("<html" in answer.text) is not htmx
    assert "The status was changed to Closed in the meantime. Your choice was not saved." in answer.text
    assert '<option value="closed" selected>' in answer.text
    assert '<input type="hidden" name="seen" value="closed">' in answer.text
    answer = post(bob, "assignee", htmx=htmx, assignee=str(people["bob"].id), seen="")
    assert answer.status_code == 409
    assert "The ticket was assigned to Alice Able in the meantime." in answer.text
    ticket, entries, audits = stored(instance)
    assert (ticket.status, ticket.assignee_id) == (TicketStatus.CLOSED, people["alice"].id)
    assert not entries
    assert not audits


@pytest.mark.parametrize("htmx", [True, False])
def test_a_viewer_cannot_be_assigned(
    bob: Browser, instance: Instance, people: dict[str, Account], htmx: bool
) -> None:
    answer = post(bob, "assignee", htmx=htmx, assignee=str(people["vera"].id), seen="")
    assert answer.status_code == 422
    assert "technicians and administrators only" in answer.text


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("status", {}),
        ("status", {"status": "gone", "seen": "open"}),
        ("status", {"status": "closed"}),
        ("assignee", {}),
        ("assignee", {"assignee": "1"}),
        ("assignee", {"assignee": "x", "seen": ""}),
        ("assignee", {"assignee": "99999999999999999999", "seen": ""}),
        ("assignee", {"assignee": "9999999999", "seen": ""}),
        ("assignee", {"assignee": "-1", "seen": ""}),
    ],
)
def test_a_form_that_is_none_of_ours(
    bob: Browser, instance: Instance, what: str, data: dict[str, str]
) -> None:
    assert post(bob, what, htmx=True, **data).status_code == 400
    assert not stored(instance)[1]


def test_a_note_is_added_in_place(bob: Browser, instance: Instance) -> None:
    answer = post(bob, "notes", text="Toner ordered.\r\nComes tomorrow.")
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<section id="note-form"')
    assert "Toner" not in answer.text
    assert "autofocus" in answer.text
    assert toast(answer) == "Note added."
    part = bob.get("/tickets/1", headers=HTMX).text
    assert part.lstrip().startswith('<section id="conversation"')
    assert '<div class="text">Toner ordered.\nComes tomorrow.</div>' in part
    assert 'aria-label="Internal note by Bob Best, ' in part
    assert stored(instance)[0].updated_at > make.NOW


def test_a_note_is_added_without_a_script(bob: Browser) -> None:
    answer = post(bob, "notes", htmx=False, text="Toner ordered.")
    assert (answer.status_code, answer.location) == (303, "/tickets/1#newest")
    page = bob.get("/tickets/1").text
    assert "Note added." in page
    assert "Toner ordered." in page


@pytest.mark.parametrize("htmx", [True, False])
@pytest.mark.parametrize(
    ("text", "told"), [(" \r\n ", "The note is empty."), ("<b>" + "y" * 50_000, "50,003 characters")]
)
def test_a_note_refused_keeps_its_words(
    bob: Browser, instance: Instance, text: str, told: str, htmx: bool
) -> None:
    answer = post(bob, "notes", htmx=htmx, text=text)
    assert answer.status_code == 422
    assert told in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert ("&lt;b&gt;yyy" in answer.text) is ("y" in text)
    assert ("<html" in answer.text) is not htmx
    assert not stored(instance)[1]


def test_a_note_beyond_this_page_is_said(bob: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        for _ in range(50):
            make.make_entry(session, session.get_one(Ticket, 1))
    answer = post(bob, "notes", text="At the end.")
    assert toast(answer) == "Note added. It is on the last page of the conversation."
    answer = post(bob, "notes", htmx=False, text="At the very end.")
    assert (answer.status_code, answer.location) == (303, "/tickets/1?page=2#newest")
    page = bob.get("/tickets/1?page=2").text
    assert "At the end." in page
    assert 'hx-post="/tickets/1/notes?page=2"' in page
    assert toast(post(bob, "notes?page=2", text="More.")) == "Note added."
    refused = post(bob, "notes", htmx=False, text="").text
    assert 'href="/tickets/1?page=2"' in refused
    assert "/notes?page=2" not in refused


def test_hostile_words_are_only_words(bob: Browser, instance: Instance, people: dict[str, Account]) -> None:
    with instance.database.writing() as session:
        session.get_one(Account, people["alice"].id).name = HOSTILE
    post(bob, "notes", text=HOSTILE)
    answer = post(bob, "assignee", assignee=str(people["alice"].id), seen="")
    for text in (answer.text, bob.get("/tickets/1").text, bob.get("/tickets").text):
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text


@pytest.mark.parametrize(("what", "data"), FORMS)
@pytest.mark.parametrize("htmx", [True, False])
def test_viewers_only_look(
    vera: Browser, instance: Instance, what: str, data: dict[str, str], htmx: bool
) -> None:
    page = vera.get("/tickets/1").text
    assert "choose-status" not in page
    assert "note-form" not in page
    answer = post(vera, what, htmx=htmx, **data)
    assert answer.status_code == 403
    assert "Only technicians and administrators can do this." in answer.text
    assert not stored(instance)[1]


@pytest.mark.parametrize(("what", "data"), FORMS)
def test_nobody_signed_in_changes_nothing(
    anonymous: Browser, instance: Instance, what: str, data: dict[str, str]
) -> None:
    assert anonymous.post(f"/tickets/1/{what}", data=data).status_code == 303
    answer = anonymous.post(f"/tickets/1/{what}", data=data, headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/login")
    assert not stored(instance)[1]


@pytest.mark.parametrize(("what", "data"), FORMS)
def test_a_forged_form_changes_nothing(
    bob: Browser, instance: Instance, what: str, data: dict[str, str]
) -> None:
    assert bob.post(f"/tickets/1/{what}", data=data).status_code == 400
    assert not stored(instance)[1]


@pytest.mark.parametrize(("what", "data"), FORMS)
def test_a_ticket_that_is_not_there(bob: Browser, what: str, data: dict[str, str]) -> None:
    token = bob.csrf_token("/tickets/1")
    assert bob.post(f"/tickets/7/{what}", data=data | {"csrf_token": token}).status_code == 404


def test_linked_tickets_name_each_other(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session, "again", follow_up_of_id=1)
        make.make_ticket(session, "me too", claimed_ticket_id=1, notice="claim")
    page = plain(vera.get("/tickets/1").text)
    assert "Followed up by T-2 ." in page
    assert "T-3 says it belongs here." in page
    assert "Follow-up of T-1" in plain(vera.get("/tickets/2").text)


def test_the_list_by_assignee(bob: Browser, instance: Instance, people: dict[str, Account]) -> None:
    with instance.database.writing() as session:
        make.make_ticket(session, "Mine", assignee_id=people["bob"].id)
        make.make_ticket(session, "Hers", assignee_id=people["alice"].id)
    found = {
        query: set(re.findall(r'class="subject"><a [^>]*>([^<]*)<', bob.get(f"/tickets?{query}").text))
        for query in ("", "assignee=me", "assignee=pool", "assignee=nonsense", "assignee=me&status=closed")
    }
    everything = {"Mine", "Hers", "Printer offline"}
    assert found == {
        "": everything,
        "assignee=me": {"Mine"},
        "assignee=pool": {"Printer offline"},
        "assignee=nonsense": everything,
        "assignee=me&status=closed": set(),
    }
    assert '<td data-label="Assigned">Alice Able</td>' in bob.get("/tickets").text


def next_state(page: str, part: str) -> str:
    found = re.search(rf'id="{part}"[^>]* hx-get="([^"]+)"', page)
    assert found
    return found[1].replace("&amp;", "&")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/tickets?status=open&q=printer", "ticket-list"),
        ("/email-log?from=ann", "log-list"),
        ("/email-log", "log-state"),
    ],
)
def test_a_list_refreshes_itself(bob: Browser, instance: Instance, path: str, part: str) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        mailbox = make.make_mailbox(session)
    page = bob.get(path).text
    assert 'hx-trigger="app:tick from:body"' in page
    address = next_state(page, part)
    assert "seen=" in address
    assert all(query in address for query in path.partition("?")[2].split("&"))
    answer = bob.get(address, headers=HTMX)
    assert (answer.status_code, answer.data) == (204, b"")
    with instance.database.writing() as session:
        make.make_ticket(session, "Another printer")
        make.make_inbound(session, mailbox)
        make.make_run(session, mailbox)
    answer = bob.get(address, headers=HTMX)
    assert answer.status_code == 200
    assert re.match(rf'\s*<[a-z]+ id="{part}"', answer.text)
    again = next_state(answer.text, part)
    assert again.count("seen=") == 1
    assert again != address
    assert bob.get(again, headers=HTMX).status_code == 204


def test_a_list_that_refreshes_itself_keeps_no_sign_in_alive(
    bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    monkeypatch.setattr(access, "_touch", touched.append)
    monkeypatch.setattr(accounts, "SEEN_PRECISION", timedelta(0))
    bob.get("/tickets?seen=x", headers=HTMX)
    assert not touched
    bob.get("/tickets")
    assert touched


def test_a_list_is_refreshed_by_a_link_without_a_script(bob: Browser) -> None:
    page = bob.get("/tickets?status=open&page=2&seen=old").text
    assert re.search(r'<a href="/tickets\?status=open&amp;page=2">[^/]*', page)
    assert "<span data-updates hidden>" in page
