"""The outbox page: what is shown, who may do what, and that a second click does nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.factories import set_row
from tests.views import factories as make
from tests.views.browser import Browser
from tests.views.factories import NOW, make_ticket
from webapp.instance import Instance
from webapp.models import (
    Audit,
    Delivery,
    DeliveryEvent,
    DeliveryState,
    OutgoingKind,
    Row,
    SendingTrouble,
    UndeliverableAddress,
)
from webapp.outbound.outbox import Outgoing, enqueue

EVIL = '<script>alert(1)</script> "quoted"'


@pytest.fixture(autouse=True)
def outgoing(instance: Instance) -> None:
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test", active="true")


def write(
    instance: Instance,
    recipient: str = "ann@acme.test",
    subject: str = "Your printer",
    text: str = "It prints.",
    ticket_id: int | None = None,
    **delivery: object,
) -> int:
    """A delivery as a worker would have left it; its id."""
    with instance.database.writing() as session:
        number = session.scalar(sa.select(sa.func.count()).select_from(Delivery)) or 0
        raw = f"From: help@desk.test\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\n{text}\r\n".encode()
        message = Outgoing(
            raw=raw, message_id=f"m{number}@desk.test", from_addr="help@desk.test", subject=subject
        )
        written = enqueue(
            session, message, [recipient], row=Row.OUTGOING, kind=OutgoingKind.REPLY,
            created_by="bob@desk.example", now=NOW, ticket_id=ticket_id,
        )  # fmt: skip
        assert written is not None
        for name, value in delivery.items():
            setattr(written.deliveries[0], name, value)
        return written.deliveries[0].id


def failed(instance: Instance, **values: object) -> int:
    told = {
        "state": DeliveryState.FAILED, "attempts": 1, "next_try_at": None, "settled_at": NOW,
        "attention": True, "server_words": "550 5.1.1 no such user",
        "error": "The mail server refused ann@acme.test.",
    }  # fmt: skip
    return write(instance, **(told | values))  # type: ignore[arg-type]


def load(instance: Instance, delivery_id: int) -> Delivery:
    with instance.database.reading() as session:
        return session.get_one(Delivery, delivery_id)


def test_the_empty_page_says_what_will_be_there(vera: Browser) -> None:
    assert "Nothing was sent yet." in vera.get("/outbox").text


def test_the_list_tells_state_reason_and_ticket(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        number = make_ticket(session).id
    failed(instance, ticket_id=number)
    page = vera.get("/outbox").text
    assert "ann@acme.test" in page
    assert "The mail server refused ann@acme.test." in page
    assert f'href="/tickets/{number}"' in page
    assert "formaction" not in page  # a viewer looks


def test_one_delivery_with_words_headers_and_text_escaped(vera: Browser, instance: Instance) -> None:
    delivery_id = failed(instance, subject=EVIL, text=EVIL + "\u202e")
    page = vera.get(f"/outbox/{delivery_id}").text
    assert "550 5.1.1 no such user" in page
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 4
    assert "\u202e" not in page
    assert "To</dt><dd>ann@acme.test" in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("state=failed", {"bad@acme.test"}),
        ("state=waiting", {"soon@acme.test", "late@acme.test"}),
        ("state=sent", {"fine@acme.test"}),
        ("state=uncertain", set()),
        ("state=attention", {"bad@acme.test"}),
        ("to=ACME.test", {"bad@acme.test", "soon@acme.test", "late@acme.test", "fine@acme.test"}),
        ("to=fine%25", set()),
        ("subject=invoice", {"late@acme.test"}),
        ("state=nonsense", {"bad@acme.test", "soon@acme.test", "late@acme.test", "fine@acme.test"}),
    ],
)
def test_filters(vera: Browser, instance: Instance, query: str, shown: set[str]) -> None:
    failed(instance, recipient="bad@acme.test")
    write(instance, "soon@acme.test")
    write(instance, "late@acme.test", "Invoice 7", state=DeliveryState.DEFERRED)
    write(instance, "fine@acme.test", state=DeliveryState.SENT)
    page = vera.get(f"/outbox?{query}").text
    everybody = ("bad@acme.test", "soon@acme.test", "late@acme.test", "fine@acme.test")
    assert {to for to in everybody if f'data-label="To">{to}' in page} == shown
    assert ("No delivery matches." in page) is (not shown)


def test_pages_are_links(vera: Browser, instance: Instance) -> None:
    for _ in range(51):
        write(instance)
    first = vera.get("/outbox?state=waiting").text
    assert 'href="/outbox?state=waiting&amp;page=2" rel="next"' in first
    assert vera.get("/outbox?state=waiting&page=2").text.count('data-label="To"') == 1
    assert "There is no page 9" in vera.get("/outbox?page=9").text


def test_a_tick_that_finds_nothing_new_gets_nothing(vera: Browser, instance: Instance) -> None:
    write(instance)
    page = vera.get("/outbox").text
    link = page.partition('data-live hx-get="')[2].partition('"')[0].replace("&amp;", "&")
    assert vera.get(link, headers={"HX-Request": "true"}).status_code == 204
    failed(instance)
    assert vera.get(link, headers={"HX-Request": "true"}).status_code == 200


def test_resend_queues_once(bob: Browser, instance: Instance) -> None:
    delivery_id = failed(instance)
    first = bob.send(f"/outbox/{delivery_id}/resend", f"/outbox/{delivery_id}", seen="1")
    assert first.status_code == 303
    found = load(instance, delivery_id)
    assert (found.state, found.attention, found.settled_at) == (DeliveryState.QUEUED, False, None)
    bob.send(f"/outbox/{delivery_id}/resend", f"/outbox/{delivery_id}", seen="1")
    assert "waiting to be sent already" in bob.get(f"/outbox/{delivery_id}").text
    with instance.database.reading() as session:
        assert session.scalars(sa.select(Audit.action)).all().count("outbox.resend") == 1


def test_an_old_page_in_a_second_tab_sends_nothing_again(bob: Browser, instance: Instance) -> None:
    delivery_id = failed(instance, attempts=2)
    bob.send(f"/outbox/{delivery_id}/resend", f"/outbox/{delivery_id}", seen="1")
    assert load(instance, delivery_id).state is DeliveryState.FAILED
    assert "Look at it once more first" in bob.get("/outbox").text


def test_a_sent_one_is_not_offered_and_not_taken(bob: Browser, instance: Instance) -> None:
    delivery_id = write(instance, state=DeliveryState.SENT)
    assert "/resend" not in bob.get(f"/outbox/{delivery_id}").text
    assert "/resend?" not in bob.get("/outbox").text
    bob.send(f"/outbox/{delivery_id}/resend", f"/outbox/{delivery_id}")
    assert load(instance, delivery_id).state is DeliveryState.SENT


def test_an_uncertain_one_warns_first(bob: Browser, instance: Instance) -> None:
    delivery_id = failed(instance, state=DeliveryState.UNCERTAIN)
    page = bob.send(f"/outbox/{delivery_id}/resend", f"/outbox/{delivery_id}")
    assert "it may arrive twice" in page.text
    assert load(instance, delivery_id).state is DeliveryState.UNCERTAIN
    bob.send(f"/outbox/{delivery_id}/resend", f"/outbox/{delivery_id}", sure="yes", seen="1")
    assert load(instance, delivery_id).state is DeliveryState.QUEUED


def test_nothing_is_resent_to_nobody_or_while_off(bob: Browser, instance: Instance) -> None:
    delivery_id = failed(instance)
    with instance.database.writing() as session:
        session.add(UndeliverableAddress(addr_key="ann@acme.test", since=NOW, why="5.1.1"))
    bob.send(f"/outbox/{delivery_id}/resend", f"/outbox/{delivery_id}")
    assert "does not exist" in bob.get(f"/outbox/{delivery_id}").text
    other = failed(instance, recipient="amy@acme.test")
    set_row(instance, Row.OUTGOING, password=None, active="false")
    bob.send(f"/outbox/{other}/resend", f"/outbox/{other}")
    assert "Outgoing is off" in bob.get(f"/outbox/{other}").text
    assert {load(instance, one).state for one in (delivery_id, other)} == {DeliveryState.FAILED}


def test_an_address_that_has_no_user_is_allowed_again_here(
    bob: Browser, vera: Browser, instance: Instance
) -> None:
    delivery_id = failed(instance)
    with instance.database.writing() as session:
        session.add(UndeliverableAddress(addr_key="ann@acme.test", since=NOW, why="A report said so."))
    assert "Send there again" not in vera.get(f"/outbox/{delivery_id}").text
    page = bob.get(f"/outbox/{delivery_id}").text
    assert "Nothing is sent to ann@acme.test any more." in page
    assert "Send there again" in page
    bob.send(f"/outbox/{delivery_id}/allow-address", f"/outbox/{delivery_id}")
    page = bob.get(f"/outbox/{delivery_id}").text
    assert "Mail is sent to ann@acme.test again." in page
    assert "Send there again" not in page
    with instance.database.reading() as session:
        assert session.scalars(sa.select(UndeliverableAddress)).all() == []
        assert "address.send-again" in session.scalars(sa.select(Audit.action)).all()
    bob.send(f"/outbox/{delivery_id}/resend", f"/outbox/{delivery_id}")
    assert load(instance, delivery_id).state is DeliveryState.QUEUED


def test_what_a_report_said_afterwards_is_shown(vera: Browser, instance: Instance) -> None:
    delivery_id = write(instance, state=DeliveryState.SENT, next_try_at=None, settled_at=NOW)
    with instance.database.writing() as session:
        make.make_incoming(session)
        inbound = make.make_inbound(session, make.make_mailbox(session), from_addr="mailer-daemon@acme.test")
        session.add(
            DeliveryEvent(
                delivery_id=delivery_id, inbound_id=inbound.id, at=NOW, action="failed", status="5.2.2",
                words=EVIL,
            )
        )  # fmt: skip
    assert "A report says: failed (5.2.2)." in vera.get("/outbox").text
    page = vera.get(f"/outbox/{delivery_id}").text
    assert "Failed (5.2.2)" in page
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


def test_resend_all_that_failed_names_the_number_first(bob: Browser, instance: Instance) -> None:
    for _ in range(3):
        failed(instance)
    old = failed(instance, settled_at=NOW - timedelta(days=3))
    page = bob.get("/outbox/resend-failed?period=day").text
    assert "3 deliveries have failed" in page
    since = page.partition('name="since" value="')[2].partition('"')[0]
    bob.send("/outbox/resend-failed", "/outbox/resend-failed", since=since)
    assert "3 failed deliveries are sent again." in bob.get("/outbox").text
    assert load(instance, old).state is DeliveryState.FAILED
    assert "Nothing that failed" in bob.get("/outbox/resend-failed?period=day").text
    assert bob.send("/outbox/resend-failed", "/outbox/resend-failed", since="yesterday").status_code == 400


def test_stopping_asks_first_and_keeps_it(bob: Browser, instance: Instance) -> None:
    delivery_id = write(instance)
    assert "will not be sent" in bob.send(f"/outbox/{delivery_id}/stop", f"/outbox/{delivery_id}").text
    assert load(instance, delivery_id).state is DeliveryState.QUEUED
    bob.send(f"/outbox/{delivery_id}/stop", f"/outbox/{delivery_id}", sure="yes")
    found = load(instance, delivery_id)
    assert (found.state, found.attention) == (DeliveryState.NOT_SENT, False)
    assert found.error == "Given up by bob@desk.example before it could be sent."
    assert "Nothing that failed" in bob.get("/outbox/resend-failed").text  # what was stopped stays stopped


def test_one_that_is_being_sent_cannot_be_stopped(bob: Browser, instance: Instance) -> None:
    delivery_id = write(instance, state=DeliveryState.SENDING)
    bob.send(f"/outbox/{delivery_id}/stop", f"/outbox/{delivery_id}", sure="yes")
    assert load(instance, delivery_id).state is DeliveryState.SENDING
    assert "just being sent" in bob.get("/outbox").text


def test_try_now(bob: Browser, instance: Instance) -> None:
    later = NOW + timedelta(hours=4)
    delivery_id = write(instance, state=DeliveryState.DEFERRED, next_try_at=later, attempts=5)
    bob.send(f"/outbox/{delivery_id}/try", f"/outbox/{delivery_id}")
    found = load(instance, delivery_id).next_try_at
    assert found is not None
    assert found < later


def test_a_failing_server_is_told_everywhere_and_can_be_asked(
    bob: Browser, vera: Browser, instance: Instance
) -> None:
    write(instance)
    later = NOW + timedelta(hours=4)
    with instance.database.writing() as session:
        session.add(
            SendingTrouble(
                row="outgoing",
                since=NOW,
                sentence="The server did not accept the password.",
                cure="Enter the password again.",
                server_words="535 5.7.8 no",
                version=1,
                next_try_at=later,
            )
        )
    page = vera.get("/outbox").text
    assert "Outgoing email has failed since" in page
    assert "Enter the password again." in page
    assert "535 5.7.8 no" in page
    assert "Outgoing email is failing" in vera.get("/tickets").text
    bob.send("/outbox/servers/outgoing/try", "/outbox")
    with instance.database.reading() as session:
        assert session.get_one(SendingTrouble, "outgoing").next_try_at < later
    assert bob.send("/outbox/servers/incoming/try", "/outbox").status_code == 404


def test_what_waits_for_a_row_that_is_off_is_told(vera: Browser, instance: Instance) -> None:
    write(instance)
    set_row(instance, Row.OUTGOING, password=None, active="false")
    assert "Outgoing is off while mail waits for it." in vera.get("/outbox").text


def test_the_menu_counts_what_needs_attention_until_somebody_saw_to_it(
    bob: Browser, instance: Instance
) -> None:
    assert "nav-count" not in bob.get("/tickets").text
    delivery_id = failed(instance)
    assert "1 needs attention" in bob.get("/tickets").text
    bob.send(f"/outbox/{delivery_id}/dismiss", f"/outbox/{delivery_id}", next="/outbox?state=failed")
    assert "nav-count" not in bob.get("/tickets").text


@pytest.mark.parametrize("act", ["resend", "stop", "try", "dismiss"])
def test_viewers_only_look(vera: Browser, instance: Instance, act: str) -> None:
    delivery_id = failed(instance)
    assert vera.send(f"/outbox/{delivery_id}/{act}", "/tickets", sure="yes").status_code == 403
    assert load(instance, delivery_id).attention
