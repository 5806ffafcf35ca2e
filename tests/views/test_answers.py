"""The reply form of a ticket page: what it shows, what it sends, and what it says when it does not."""

from __future__ import annotations

import io
import re
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.instance import Instance
from webapp.models import (
    Delivery,
    DeliveryEvent,
    DeliveryState,
    Entry,
    EntryKind,
    MailServer,
    OutgoingMessage,
    Ticket,
    TicketStatus,
)

PAGE = "/tickets/1"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def ticket(instance: Instance) -> int:
    """T-1 with a message of Ann's; mail can be sent."""
    with instance.database.writing() as session:
        session.add(
            MailServer(
                row="outgoing", active=True, protocol="smtp", tls_mode="starttls", host="smtp.example.com",
                port=587, from_address="help@example.com", updated_at=make.NOW,
            )
        )  # fmt: skip
        make.make_incoming(session)
        ticket = make.make_ticket(session, requester=make.make_user(session), requester_name="Ann")
        make.make_entry(session, ticket)
        return ticket.id


def form_of(browser: Browser, page: str = PAGE) -> dict[str, str]:
    """The hidden values of the form as it is shown now."""
    text = browser.get(page).text
    found = re.findall(r'name="(seen|form_key|csrf_token)" value="([^"]*)"', text)
    return dict(found)


def upload(content: bytes, name: str) -> FileStorage:
    return FileStorage(io.BytesIO(content), filename=name)


def post(browser: Browser, values: dict[str, Any], **more: Any) -> TestResponse:
    """As bytes: the client leaves its own temporary files open."""
    boundary, body = encode_multipart(values)
    return browser.post(
        f"{PAGE}/replies", data=body, content_type=f"multipart/form-data; boundary={boundary}", **more
    )


def send(browser: Browser, *, htmx: bool = False, **values: Any) -> TestResponse:
    told = form_of(browser) | {
        "to": "ann@acme.example", "cc": "", "text": "It works.", "status": "waiting", "quote": "on",
    }  # fmt: skip
    return post(browser, told | values, headers=HTMX if htmx else {})


def replies(instance: Instance) -> list[Entry]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Entry).where(Entry.kind == EntryKind.REPLY)))


def test_the_form_says_from_to_and_how_much(bob: Browser, ticket: int) -> None:
    page = bob.get(PAGE).text
    compose = page[page.index('id="compose"') :]
    assert "Bob Best &lt;help@example.com&gt;" in compose
    assert 'name="to" value="Ann Lee &lt;ann@acme.example&gt;"' in compose
    assert "Up to 20 MB in all." in compose
    assert 'id="write-reply" value="reply" autocomplete="off" checked' in compose
    assert "Internal note – only staff see this" in compose


def test_the_form_says_what_the_mail_server_takes(bob: Browser, instance: Instance, ticket: int) -> None:
    with instance.database.writing() as session:
        session.get_one(MailServer, "outgoing").largest_octets = 5_000_000
    page = bob.get(PAGE).text
    assert "Up to 3.5 MB in all: the mail server takes messages of up to 5 MB." in page
    assert 'data-most-octets="3580769"' in page
    with instance.database.writing() as session:
        session.get_one(MailServer, "outgoing").largest_octets = 90_000
    page = bob.get(PAGE).text
    assert "No files fit: the mail server takes messages of up to 0 MB." not in page
    assert "No files fit: the mail server takes messages of up to 0.09 MB." in page


def test_the_form_shows_the_signature_and_it_goes_along(
    bob: Browser, instance: Instance, ticket: int
) -> None:
    assert 'id="reply-signature">Bob Best</div>' in bob.get(PAGE).text
    bob.send("/account", "/account", name="Bob Best", signature="Cheers, {name}")
    assert 'id="reply-signature">Cheers, Bob Best</div>' in bob.get(PAGE).text
    send(bob)
    with instance.database.reading() as session:
        [compressed] = session.scalars(sa.select(OutgoingMessage.compressed))
    assert b"Cheers, Bob Best" in zlib.decompress(compressed)


def test_a_viewer_has_no_form(vera: Browser, ticket: int) -> None:
    page = vera.get(PAGE).text
    assert 'id="compose"' not in page
    assert vera.send(f"{PAGE}/replies", PAGE, text="x").status_code == 403


def test_sent_without_a_script(bob: Browser, instance: Instance, ticket: int) -> None:
    answer = send(bob)
    assert (answer.status_code, answer.location) == (303, "/tickets/1#entry-2")
    page = bob.get(PAGE).text
    assert 'aria-label="Reply by Bob Best, ' in page
    assert "Waiting" in page[page.index('id="sent-2"') :]
    assert "to Ann Lee" not in page
    assert "to ann@acme.example" in page
    with instance.database.reading() as session:
        assert session.get_one(Ticket, 1).status is TicketStatus.WAITING


def test_sent_with_htmx(bob: Browser, instance: Instance, ticket: int) -> None:
    answer = send(bob, htmx=True)
    assert answer.status_code == 200
    assert answer.headers["HX-Retarget"] == "#compose"
    assert "ticket:changed" in answer.headers["HX-Trigger"]
    assert 'id="ticket-facts" hx-swap-oob="true"' in answer.text
    assert '<option value="waiting" selected>' in answer.text[answer.text.index("ticket-facts") :]
    assert "It works." not in answer.text
    assert len(replies(instance)) == 1


@pytest.mark.parametrize("htmx", [True, False])
def test_the_same_form_again_sends_nothing(bob: Browser, instance: Instance, ticket: int, htmx: bool) -> None:
    told = form_of(bob)
    for _ in range(3):
        assert send(bob, htmx=htmx, **told).status_code == (200 if htmx else 303)
    assert len(replies(instance)) == 1
    changed = send(bob, htmx=htmx, **(told | {"text": "Something else."}))
    assert changed.status_code == 409
    assert "<strong>You</strong>\n      replied just now" in re.sub(r"<time[^>]*>|</time>", "", changed.text)
    assert "Something else." in changed.text or htmx
    assert len(replies(instance)) == 1


def test_a_colleague_was_quicker(bob: Browser, alice: Browser, instance: Instance, ticket: int) -> None:
    told = form_of(bob)
    send(alice, text="Already done.")
    with instance.database.writing() as session:
        make.make_entry(session, session.get_one(Ticket, 1), "Still broken!", created_at=datetime.now(UTC))
    answer = send(bob, htmx=True, **told)
    assert answer.status_code == 409
    assert answer.text.lstrip().startswith('<div id="reply-notice">')
    text = re.sub(r"<time[^>]*>|</time>", "", answer.text)
    assert "<strong>Alice Able</strong>\n      replied just now: <q>Already done.</q>" in text
    assert "<strong>Ann Lee</strong>\n      wrote just now: <q>Still broken!</q>" in text
    assert "Send anyway" in answer.text
    fresh = dict(re.findall(r'name="(seen|form_key)" value="([^"]*)"', answer.text))
    assert send(bob, htmx=True, **(told | fresh)).status_code == 200
    assert len(replies(instance)) == 2


def test_refused_keeps_what_was_typed(bob: Browser, instance: Instance, ticket: int) -> None:
    file = upload(b"x", "a.txt")
    answer = send(
        bob, to="nobody", cc="amy@acme.example", text="<b>Long</b> text", status="closed", files=file
    )
    assert answer.status_code == 422
    page = answer.text
    assert "is not an e-mail address" in page
    assert 'name="to" value="nobody" required' in page
    assert 'aria-invalid="true"' in page
    assert 'name="cc" value="amy@acme.example"' in page
    assert "\n&lt;b&gt;Long&lt;/b&gt; text</textarea>" in page
    assert '<option value="closed" selected>Closed</option>' in page
    assert "Choose the files again" in page
    assert replies(instance) == []
    assert send(bob, htmx=True, to="nobody").status_code == 422


@pytest.mark.parametrize(
    "told", [{"form_key": "x"}, {"form_key": ""}, {"seen": "-1"}, {"seen": ""}, {"status": "gone"}]
)
def test_an_incomplete_form_is_refused(
    bob: Browser, instance: Instance, ticket: int, told: dict[str, Any]
) -> None:
    assert send(bob, **told).status_code == 400
    assert replies(instance) == []


def test_files_go_along_and_can_be_taken_out_again(bob: Browser, instance: Instance, ticket: int) -> None:
    files = [upload(b"%PDF-1.4 x", "Bericht für Ann.pdf"), upload(b"a;b", "x.csv")]
    assert send(bob, files=files).status_code == 303
    page = bob.get(PAGE).text
    assert "Bericht für Ann.pdf" in page
    assert bob.get(f"{PAGE}/attachments/1").data == b"%PDF-1.4 x"
    answer = bob.get(f"{PAGE}/attachments/2")
    assert answer.data == b"a;b"
    assert "x.csv" in answer.headers["Content-Disposition"]


def test_too_much_is_said_and_far_too_much_is_cut_off(bob: Browser, instance: Instance, ticket: int) -> None:
    much = upload(bytes(21_000_000), "big.bin")
    answer = send(bob, files=much)
    assert answer.status_code == 422
    assert "The files have 21.0 MB in all; at most 20 MB can be sent." in answer.text
    assert send(bob, files=upload(bytes(31_000_000), "big.bin")).status_code == 413
    assert replies(instance) == []


def test_only_who_may_send_is_let_upload(vera: Browser, ticket: int) -> None:
    token = vera.csrf_token(PAGE)
    data = {"csrf_token": token, "files": upload(bytes(3_000_000), "big.bin")}
    assert post(vera, data).status_code == 403


def test_while_outgoing_is_off(alice: Browser, bob: Browser, instance: Instance, ticket: int) -> None:
    told = form_of(bob)
    with instance.database.writing() as session:
        session.get_one(MailServer, "outgoing").active = False
    page = bob.get(PAGE).text
    assert "Outgoing email is off" in page
    assert "Ask an administrator to turn it on." in page
    assert 'id="write-note" value="note" autocomplete="off" checked' in page
    assert 'id="reply-text"' not in page
    assert "Turn it on in the mail server configuration" in alice.get(PAGE).text
    for htmx in (True, False):
        answer = send(bob, htmx=htmx, **told)
        assert answer.status_code == 422
        assert "Outgoing email is off" in answer.text
        assert "It works." in answer.text or htmx
    assert replies(instance) == []


def test_what_became_of_each_mail(bob: Browser, vera: Browser, instance: Instance, ticket: int) -> None:
    send(bob, cc="amy@acme.example")
    with instance.database.writing() as session:
        ann, amy = session.scalars(sa.select(Delivery).order_by(Delivery.id))
        ann.state, ann.settled_at = DeliveryState.SENT, make.NOW
        amy.state, amy.settled_at, amy.error = DeliveryState.FAILED, make.NOW, "The server refused amy."
        inbound = make.make_inbound(session, make.make_mailbox(session))
        session.add(
            DeliveryEvent(
                delivery_id=amy.id, inbound_id=inbound.id, at=make.NOW, action="failed", status="5.1.1",
                words="No such user",
            )
        )  # fmt: skip
    part = bob.get(f"{PAGE}/entries/2/deliveries?seen=1", headers=HTMX).text
    assert part.count("<li>") == 2
    assert "Sent" in part
    assert "Failed – The server refused amy." in part
    assert "failed (5.1.1) – <q>No such user</q>" in part
    assert "hx-get" not in part  # settled
    assert part.count("Try again") == 2  # its label and its word, of the failed one
    assert "Try again" not in vera.get(f"{PAGE}/entries/2/deliveries", headers=HTMX).text
    assert bob.get(f"{PAGE}/entries/2/deliveries").location == "/tickets/1#entry-2"
    for path in ("/tickets/1/entries/1/deliveries", "/tickets/9/entries/2/deliveries"):
        assert bob.get(path, headers=HTMX).status_code == 404
    bob.send("/outbox/2/resend", PAGE, next=PAGE)
    part = bob.get(f"{PAGE}/entries/2/deliveries?seen=1", headers=HTMX).text
    assert 'hx-trigger="every 2s"' in part


def test_a_technician_s_own_mail_is_sent_to_the_customer(
    bob: Browser, instance: Instance, ticket: int
) -> None:
    with instance.database.writing() as session:
        inbound = make.make_inbound(session, make.make_mailbox(session))
        make.make_entry(
            session, session.get_one(Ticket, 1), "From my phone.", kind=EntryKind.NOTE, inbound_id=inbound.id
        )
    assert "/tickets/1?send=2#compose" in bob.get(PAGE).text
    page = bob.get(f"{PAGE}?send=2").text
    assert "\nFrom my phone.</textarea>" in page
    for wanted in ("1", "99", "x", ""):
        assert "From my phone.</textarea>" not in bob.get(f"{PAGE}?send={wanted}").text


def test_the_other_ticket_s_note_is_not_shown(bob: Browser, instance: Instance, ticket: int) -> None:
    with instance.database.writing() as session:
        inbound = make.make_inbound(session, make.make_mailbox(session))
        other = make.make_ticket(session)
        entry = make.make_entry(session, other, "Secret", kind=EntryKind.NOTE, inbound_id=inbound.id)
        entry_id = entry.id
    assert "Secret" not in bob.get(f"{PAGE}?send={entry_id}").text


def test_where_answers_are_wanted_elsewhere(bob: Browser, instance: Instance, ticket: int) -> None:
    with instance.database.writing() as session:
        people = {"to": [], "cc": [], "reply_to": [["", "o'x@evil.example"]]}
        make.make_entry(session, session.get_one(Ticket, 1), "x", recipients=people)
    page = bob.get(PAGE).text
    assert "asks for answers at another address" in page
    assert 'name="to" value="Ann Lee &lt;ann@acme.example&gt;"' in page


def test_no_message_is_sent_by_a_forged_form(bob: Browser, instance: Instance, ticket: int) -> None:
    told = form_of(bob) | {"to": "ann@acme.example", "text": "x", "status": "open", "csrf_token": "no"}
    assert post(bob, told).status_code == 400
    with instance.database.reading() as session:
        assert session.scalar(sa.select(OutgoingMessage)) is None
