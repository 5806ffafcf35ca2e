"""What people do about messages, on the pages: who may, what it says, and where it leads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import add_people, make_raw, set_incoming
from tests.views import factories as make
from tests.views.browser import Browser
from webapp.inbound import background
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.mailserver.memory import MemoryMailbox, MemoryServer
from webapp.models import (
    Audit,
    Disposition,
    Inbound,
    InboundAction,
    MailboxIdentity,
    MailServer,
    MissedMessage,
    MissedState,
    RawMessage,
    Ticket,
    TicketStatus,
)

Receive = Callable[..., None]
CARL = "Carl <carl@new.test>"


def plain(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)).strip()


@pytest.fixture(scope="module")
def parser() -> Iterator[ParserProcess]:
    with ParserProcess() as process:
        yield process


@pytest.fixture
def receive(instance: Instance, parser: ParserProcess) -> Receive:
    """Messages come in and are polled."""
    add_people(instance)
    server = MemoryServer()

    def receive(*raws: bytes, **incoming: str) -> None:
        set_incoming(instance, **incoming)
        for raw in raws:
            server.deliver(raw, received_at=make.NOW)
        poll(
            instance,
            parser,
            trigger="command",
            connect=lambda _: MemoryMailbox(server),
            clock=lambda: make.NOW,
        )

    return receive


def act(browser: Browser, path: str, **data: Any) -> TestResponse:
    token = browser.csrf_token("/tickets")
    return browser.post(path, data={"csrf_token": token} | data, follow_redirects=True)


def test_create_ticket_anyway(bob: Browser, receive: Receive) -> None:
    receive(make_raw(subject="Backup failed", headers={"Auto-Submitted": "auto-generated"}))
    assert "Create ticket anyway" in bob.get("/email-log/1").text
    answer = act(bob, "/email-log/1/ticket")
    assert answer.request.path == "/email-log/1"
    page = plain(answer.text)
    assert "T-1 was made from this message." in page
    assert "Ignored – automatic message (Auto-Submitted: auto-generated) · then by hand T-1" in page
    assert "Ticket made by hand by bob@desk.example" in page
    assert "Create ticket anyway" not in page
    assert "then by hand T-1" in plain(bob.get("/email-log").text)
    assert "Backup failed" in bob.get("/tickets/1").text
    assert "This message is in T-1 already. Nothing was changed." in plain(
        act(bob, "/email-log/1/ticket").text
    )


def test_process_again_after_adding_the_sender(bob: Browser, receive: Receive) -> None:
    receive(make_raw(sender=CARL), process_unknown="false")
    page = bob.get("/email-log/1").text
    assert 'href="/people/new?name=Carl&amp;email=carl@new.test&amp;next=/email-log/1"' in page
    assert 'href="/people/link?name=Carl&amp;email=carl@new.test&amp;next=/email-log/1"' in page
    assert "The rules ignore it again: unknown sender. Nothing else was changed." in plain(
        act(bob, "/email-log/1/again").text
    )
    bob.send("/people/new", "/people/new", name="Carl Coe", email="carl@new.test", active="y")
    page = plain(bob.get("/email-log/1").text)
    assert "carl@new.test belongs to Carl Coe now. Process this message again" in page
    assert "Add sender as user" not in page
    assert "T-1 was made from this message." in plain(act(bob, "/email-log/1/again").text)


def test_process_again_after_linking_the_sender_to_a_user(bob: Browser, receive: Receive) -> None:
    receive(make_raw(sender=CARL), process_unknown="false")
    answer = act(bob, "/people/1/link", email="carl@new.test", next="/email-log/1")
    assert answer.request.path == "/email-log/1"
    page = plain(answer.text)
    assert "carl@new.test is an address of Ann Lee now." in page
    assert "carl@new.test belongs to Ann Lee now. Process this message again" in page
    assert "Link to a user" not in page
    assert "T-1 was made from this message." in plain(act(bob, "/email-log/1/again").text)
    assert '<a href="/people/1">Ann Lee</a>' in bob.get("/tickets/1").text


def test_tickets_of_an_unknown_sender_that_mail_made_become_theirs(bob: Browser, receive: Receive) -> None:
    receive(make_raw(sender="Carl <CARL@new.test>"), make_raw(sender=CARL))
    answer = act(bob, "/people/1/link", email="carl@new.test", next="/tickets/2")
    assert "2 earlier tickets are theirs now." in plain(answer.text)
    for number in (1, 2):
        assert '<a href="/people/1">Ann Lee</a>' in bob.get(f"/tickets/{number}").text


def test_an_answer_and_a_claim_are_told_as_such(bob: Browser, receive: Receive, instance: Instance) -> None:
    receive(make_raw(message_id="first@acme.test"))
    with instance.database.writing() as session:
        session.execute(sa.update(Ticket).values(requester_id=None, company_id=None))
    answer = {"In-Reply-To": "<first@acme.test>"}
    receive(
        make_raw(sender=CARL, headers=answer), make_raw(sender=CARL, headers=answer), process_unknown="false"
    )
    set_incoming(instance, process_unknown="true")
    assert "T-2 was made. It names another ticket" in plain(act(bob, "/email-log/2/again").text)
    with instance.database.writing() as session:
        session.execute(sa.update(Ticket).where(Ticket.id == 1).values(requester_address="carl@new.test"))
    assert "Added to T-1 ." in plain(act(bob, "/email-log/3/again").text)


@pytest.mark.parametrize("path", ["ticket", "again", "dismiss", "replay"])
def test_who_may(vera: Browser, alice: Browser, receive: Receive, path: str) -> None:
    receive(make_raw(headers={"Auto-Submitted": "auto-generated"}))
    page = vera.get("/email-log/1").text
    assert "Create ticket anyway" not in page
    assert "Understand again" not in page
    assert act(vera, f"/email-log/1/{path}").status_code == 403
    assert alice.post(f"/email-log/1/{path}").status_code == 400  # no CSRF token
    assert act(alice, f"/email-log/99/{path}").status_code == 404


def test_what_is_no_longer_kept_is_not_offered(bob: Browser, receive: Receive, instance: Instance) -> None:
    receive(make_raw(headers={"Auto-Submitted": "auto-generated"}))
    with instance.database.writing() as session:
        session.execute(sa.delete(RawMessage))
    page = bob.get("/email-log/1").text
    for offer in ("Create ticket anyway", "Process again", "Understand again", "Show headers"):
        assert offer not in page
    for path in ("ticket", "again", "replay"):
        assert "no longer kept" in act(bob, f"/email-log/1/{path}").text
    assert bob.get("/email-log/1/replay").status_code == 404
    assert bob.get("/email-log/1/headers").status_code == 404


def test_a_message_in_a_ticket_has_nothing_to_make(bob: Browser, receive: Receive) -> None:
    receive(make_raw())
    page = bob.get("/email-log/1").text
    assert "Create ticket anyway" not in page
    assert "Process again" not in page


def test_verdicts_on_what_could_not_be_read(bob: Browser, receive: Receive, instance: Instance) -> None:
    receive(make_raw())
    with instance.database.writing() as session:
        session.execute(sa.update(Inbound).values(disposition=Disposition.QUARANTINED, rule="quarantine"))
    page = bob.get("/email-log/1").text
    for offer in ("Try again", "Done, I read it", "needs a person"):
        assert offer in page
    assert "1 needs attention" in plain(bob.get("/email-log").text)
    assert " Download " not in plain(page)  # of the whole original: for administrators
    page = plain(act(bob, "/email-log/1/dismiss").text)
    assert "This message needs no attention any more." in page
    assert "Done, I read it" not in page
    assert "Needs no attention any more by bob@desk.example" in page
    assert "needs attention" not in plain(bob.get("/email-log").text)
    page = plain(act(bob, "/email-log/1/again").text)
    assert "The message could be read and is in T-1 now." in page
    assert "then by hand T-1" in page
    assert "Try again" not in page


def test_closed_meanwhile_it_is_said_to_be_open_again(
    bob: Browser, receive: Receive, instance: Instance
) -> None:
    receive(make_raw())
    with instance.database.writing() as session:
        session.execute(sa.update(Inbound).values(disposition=Disposition.QUARANTINED, rule="quarantine"))
        session.execute(sa.update(Ticket).values(status=TicketStatus.CLOSED))
    page = plain(act(bob, "/email-log/1/again").text)
    assert "The message could be read. T-1 was closed and is open again, with it." in page


def test_unreadable_once_and_ignored_now(bob: Browser, receive: Receive, instance: Instance) -> None:
    receive(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        session.execute(
            sa.update(Inbound).values(
                disposition=Disposition.QUARANTINED, rule="quarantine", ticket_id=ticket.id
            )
        )
    assert "1 needs attention" in plain(bob.get("/email-log").text)
    page = plain(act(bob, "/email-log/1/again").text)
    assert (
        "The message could be read now, and the rules ignore it: automatic message (Auto-Submitted: "
        "auto-replied). It needs no attention any more, and its ticket is closed." in page
    )
    assert "ignore it again" not in page
    assert "Done, I read it" not in page
    assert "Create ticket anyway" in page
    assert "needs attention" not in plain(bob.get("/email-log").text)


def test_understood_again_it_needs_no_attention(bob: Browser, receive: Receive, instance: Instance) -> None:
    receive(make_raw())
    with instance.database.writing() as session:
        session.execute(
            sa.update(Inbound).values(disposition=Disposition.QUARANTINED, rule="quarantine", subject="?")
        )
    assert "“Try again” on the message's page lets the rules decide" in bob.get("/email-log/1/replay").text
    page = plain(act(bob, "/email-log/1/replay").text)
    assert "then by hand T-1" in page
    for offer in ("Try again", "Done, I read it", "needs a person"):
        assert offer not in page
    assert "needs attention" not in plain(bob.get("/email-log").text)


def test_a_claim_understood_again_still_needs_attention(
    bob: Browser, receive: Receive, instance: Instance
) -> None:
    """What was understood of a claim does not say who wrote it."""
    first = make_raw(message_id="a@acme.test")
    receive(first, make_raw(sender=CARL, headers={"In-Reply-To": "<a@acme.test>"}))
    with instance.database.writing() as session:
        session.execute(sa.update(Inbound).where(Inbound.id == 2).values(subject="?"))
    assert "Written." in act(bob, "/email-log/2/replay").text
    assert "1 needs attention" in plain(bob.get("/email-log").text)


@pytest.mark.parametrize(("path", "button"), [("again", "Process it"), ("ticket", "Make a ticket")])
def test_a_copy_gets_a_second_ticket_only_after_a_question(
    bob: Browser, receive: Receive, instance: Instance, path: str, button: str
) -> None:
    receive(*[make_raw(message_id="d@acme.test")] * 2)
    answer = act(bob, f"/email-log/2/{path}")
    assert "This message is in T-1 already" in plain(answer.text)
    assert f"{button} nevertheless" in plain(answer.text)
    assert f'action="/email-log/2/{path}"' in answer.text
    assert tickets(instance) == 1
    assert "T-2 was made from this message." in plain(act(bob, f"/email-log/2/{path}", copy="yes").text)
    assert tickets(instance) == 2
    assert "is in T-2 already. Nothing was changed." in plain(act(bob, f"/email-log/2/{path}").text)


def test_a_copy_of_what_has_no_ticket_needs_no_question(
    bob: Browser, receive: Receive, instance: Instance
) -> None:
    receive(*[make_raw(sender=CARL, message_id="d@new.test")] * 2, process_unknown="false")
    set_incoming(instance, process_unknown="true")
    assert "T-1 was made from this message." in plain(act(bob, "/email-log/2/again").text)


def tickets(instance: Instance) -> int:
    with instance.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Ticket)) or 0


def test_verdicts_in_the_list(bob: Browser, vera: Browser, receive: Receive, instance: Instance) -> None:
    receive(make_raw(subject="Odd"), make_raw())
    with instance.database.writing() as session:
        session.execute(
            sa.update(Inbound)
            .where(Inbound.id == 1)
            .values(disposition=Disposition.QUARANTINED, rule="quarantine")
        )
    here = "/email-log?outcome=attention&period=all"
    page = bob.get(here).text
    assert page.count('form="verdict"') == 2
    assert 'formaction="/email-log/1/again" class="link-button" aria-label="Try again: Odd"' in page
    assert '<form method="post" id="verdict">' in page
    assert 'form="verdict"' not in vera.get(here).text
    answer = act(bob, "/email-log/1/dismiss", next=here)
    assert (answer.request.path, answer.request.args["outcome"]) == ("/email-log", "attention")
    assert "This message needs no attention any more." in answer.text
    assert 'form="verdict"' not in bob.get("/email-log").text
    assert act(bob, "/email-log/1/dismiss", next="//evil.test/x").request.host != "evil.test"


def test_verdicts_in_the_list_do_not_make_it_differ(
    bob: Browser, receive: Receive, instance: Instance
) -> None:
    receive(make_raw(subject="Odd"))
    with instance.database.writing() as session:
        session.execute(sa.update(Inbound).values(disposition=Disposition.QUARANTINED, rule="quarantine"))
    htmx = {"HX-Request": "true"}
    part = bob.get("/email-log", headers=htmx).text
    assert 'form="verdict"' in part
    assert "csrf_token" not in part
    seen = re.search(r"seen=([0-9a-f]+)", part)
    assert seen
    assert bob.get(f"/email-log?seen={seen[1]}", headers=htmx).status_code == 204


def test_headers_in_order_decoded_and_as_sent(vera: Browser, receive: Receive) -> None:
    raw = (
        b"Received: from a\r\nFrom: Ann Lee <ann@acme.test>\r\nReceived: from b\r\n"
        b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\nX-Odd: <script>alert(1)</script> "
        b"\xe2\x80\xae\x1b[31m\r\n\r\nbody text\r\n"
    )
    receive(raw)
    page = vera.get("/email-log/1/headers").text
    names = re.findall(r'<dt class="mono">([^<]*)</dt>', page)
    assert names == ["Received", "From", "Received", "Subject", "X-Odd"]
    assert "<dd>Größe</dd>" in page
    assert "<script>alert" not in page
    assert "body text" not in page
    assert not {"\u202e", "\x1b"} & set(page)
    sent = vera.get("/email-log/1/headers?raw=1").text
    assert "Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=" in sent
    assert "<script>alert" not in sent
    assert not {"\u202e", "\x1b"} & set(sent)
    part = vera.get("/email-log/1/headers", headers={"HX-Request": "true"}).text
    assert part.lstrip().startswith('<section id="message-headers"')


def test_understand_again(bob: Browser, receive: Receive, instance: Instance) -> None:
    receive(make_raw())
    page = plain(bob.get("/email-log/1/replay").text)
    assert "It is understood as before. There is nothing to change." in page
    with instance.database.writing() as session:
        session.execute(sa.update(Inbound).values(subject="Pr?nter"))
    page = plain(bob.get("/email-log/1/replay").text)
    assert "Subject Pr?nter Printer offline" in page
    assert "<h1>Pr?nter</h1>" in bob.get("/email-log/1").text
    assert "Written. The message is shown as it is understood now." in plain(
        act(bob, "/email-log/1/replay").text
    )
    assert "<h1>Printer offline</h1>" in bob.get("/email-log/1").text
    assert "Nothing was changed." in plain(act(bob, "/email-log/1/replay").text)
    with instance.database.reading() as session:
        assert len(session.scalars(sa.select(InboundAction)).all()) == 1


@pytest.fixture
def missed_mail(instance: Instance) -> Instance:
    with instance.database.writing() as session:
        make.make_incoming(session)
        mailbox = make.make_mailbox(session)
        for key in ("7", "8"):
            session.add(
                MissedMessage(
                    mailbox_id=mailbox.id, epoch="1", remote_key=key, size=9, received_at=make.NOW,
                    found_at=make.NOW, from_addr="ann@acme.test", from_name="Ann Lee",
                    subject=f"Opened {key}",
                )
            )  # fmt: skip
    return instance


def states(instance: Instance) -> list[MissedState]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(MissedMessage.state).order_by(MissedMessage.id)))


def test_missed_mail_is_shown_and_taken_in(
    bob: Browser, app: Flask, missed_mail: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    monkeypatch.setattr(background, "poll", lambda _instance, _parser, *, trigger: runs.append(trigger))
    page = plain(bob.get("/email-log").text)
    assert "2 messages in the inbox were opened by somebody before that" in page
    assert "Opened 7 from Ann Lee" in page
    answer = act(bob, "/email-log/missed", id=["1"], verdict="process")
    assert "The parser is taking it in now." in answer.text
    app.extensions["background_poll"].wait(10)
    assert runs == ["button"]
    assert states(missed_mail) == [MissedState.WANTED, MissedState.FOUND]
    assert "Left alone." in act(bob, "/email-log/missed", id=["2"], verdict="dismiss").text
    assert states(missed_mail) == [MissedState.WANTED, MissedState.DISMISSED]
    assert "Opened before the parser saw" not in bob.get("/email-log").text
    with missed_mail.database.reading() as session:
        audits = session.scalars(sa.select(Audit).where(Audit.action.startswith("missed."))).all()
    assert [(audit.action, audit.detail["ids"]) for audit in audits] == [
        ("missed.want", [1]), ("missed.dismiss", [2]),
    ]  # fmt: skip


def add_missed(instance: Instance, number: int) -> None:
    with instance.database.writing() as session:
        mailbox = session.scalars(sa.select(MailboxIdentity)).one()
        session.add_all(
            MissedMessage(
                mailbox_id=mailbox.id, epoch="2", remote_key=str(key), size=9, received_at=make.NOW,
                found_at=make.NOW, from_name="Ann Lee", subject=f"More {key}",
            )
            for key in range(number)
        )  # fmt: skip


@pytest.mark.parametrize(("more", "ticked"), [(8, 10), (9, 0)])
def test_of_many_missed_none_is_chosen_at_first(
    bob: Browser, missed_mail: Instance, more: int, ticked: int
) -> None:
    add_missed(missed_mail, more)
    page = bob.get("/email-log").text
    assert len(re.findall(r'name="id" value="\d+" checked', page)) == ticked
    assert ("Process all 11 …" in page) == (ticked == 0)


def test_of_very_many_missed_the_newest_are_shown(bob: Browser, missed_mail: Instance) -> None:
    add_missed(missed_mail, 2_998)
    answer = bob.get("/email-log")
    assert answer.text.count('name="id"') == 50
    assert "More 2997" in answer.text
    assert "Opened 7" not in answer.text
    assert "3,000 messages in the inbox were opened" in plain(answer.text)
    assert "The newest 50 of 3,000:" in answer.text
    assert len(answer.data) < 60_000


@pytest.mark.parametrize(
    ("verdict", "state", "question", "told"),
    [
        ("process-all", MissedState.WANTED, "Process all 3,000?", "The parser is taking them in now."),
        ("dismiss-all", MissedState.DISMISSED, "Leave all 3,000 alone?", "They stay in the inbox as before."),
    ],
)
def test_all_of_them_are_decided_after_a_question(
    bob: Browser,
    missed_mail: Instance,
    monkeypatch: pytest.MonkeyPatch,
    verdict: str,
    state: MissedState,
    question: str,
    told: str,
) -> None:
    monkeypatch.setattr(background, "poll", lambda *_, **__: None)
    add_missed(missed_mail, 2_998)
    page = act(bob, "/email-log/missed", verdict=verdict).text
    assert f"<h1>{question}</h1>" in page
    assert set(states(missed_mail)) == {MissedState.FOUND}
    last = re.search(r'name="last" value="(\d+)"', page)
    assert last
    with missed_mail.database.writing() as session:
        session.execute(
            sa.update(MissedMessage).where(MissedMessage.id == 3_000).values(remote_key="x", id=3_001)
        )
    assert told in act(bob, "/email-log/missed", verdict=verdict, last=last[1]).text
    assert states(missed_mail) == [state] * 2_999 + [MissedState.FOUND]  # the last was found meanwhile
    assert act(bob, "/email-log/missed", verdict=verdict, last="x").status_code == 400


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (["1"], "It will be processed when incoming email is turned on."),
        (["1", "2"], "They will be processed when incoming email is turned on."),
    ],
)
def test_wanted_while_incoming_email_is_off(
    bob: Browser, missed_mail: Instance, chosen: list[str], sentence: str
) -> None:
    with missed_mail.database.writing() as session:
        session.execute(sa.update(MailServer).values(active=False))
    page = act(bob, "/email-log/missed", id=chosen, verdict="process").text
    assert re.search(rf'notice-warning">(?s:.){{0,300}}<span>{sentence}', page)
    assert states(missed_mail).count(MissedState.WANTED) == len(chosen)


def test_decided_by_somebody_else_meanwhile(bob: Browser, missed_mail: Instance) -> None:
    for sentence in ("Left alone.", "Somebody else decided"):
        assert sentence in act(bob, "/email-log/missed", id=["1"], verdict="dismiss").text


def test_missed_mail_of_nobodys_choice(bob: Browser, vera: Browser, missed_mail: Instance) -> None:
    assert "Choose at least one message." in act(bob, "/email-log/missed", verdict="process").text
    assert act(bob, "/email-log/missed", id=["1"], verdict="burn").status_code == 400
    page = vera.get("/email-log").text
    assert "Opened 7" in page
    assert "Leave alone<" not in page
    assert act(vera, "/email-log/missed", id=["1"], verdict="process").status_code == 403
    assert states(missed_mail) == [MissedState.FOUND, MissedState.FOUND]


def test_missed_mail_of_another_mailbox_is_not_shown(vera: Browser, missed_mail: Instance) -> None:
    with missed_mail.database.writing() as session:
        session.execute(sa.update(MailboxIdentity).values(host="old.example.com"))
    assert "Opened 7" not in vera.get("/email-log").text


DSN = (
    b"From: MAILER-DAEMON@mx.test\r\nSubject: Undelivered\r\nContent-Type: multipart/report;"
    b' report-type=delivery-status; boundary="x"\r\n\r\n--x\r\n\r\nNo.\r\n--x\r\nContent-Type: '
    b"message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n\r\nFinal-Recipient: rfc822; a@b.test\r\n"
    b"Action: failed\r\nStatus: 5.1.1\r\n\r\n--x--\r\n"
)
REASONS: dict[str, tuple[list[bytes], dict[str, str], str]] = {
    "new-ticket": ([make_raw()], {}, "New ticket T-1 · Acme Ltd"),
    "thread": (
        [make_raw(message_id="a@acme.test"), make_raw(headers={"In-Reply-To": "<a@acme.test>"})],
        {},
        "Added to T-1 · Acme Ltd",
    ),
    "thread-claim": (
        [make_raw(message_id="a@acme.test"), make_raw(sender=CARL, headers={"In-Reply-To": "<a@acme.test>"})],
        {},
        "New ticket T-2 – names another ticket, where the sender may not write",
    ),
    "own-message": ([make_raw(sender="help@desk.test")], {}, "Ignored – sent by this service desk"),
    "delivery-report": ([DSN], {}, "Ignored – delivery report for a message this desk does not know"),
    "noreply-sender": (
        [make_raw(sender="no-reply@shop.test")],
        {},
        "Ignored – sender is a no-reply address (From: no-reply@shop.test)",
    ),
    "auto-submitted": (
        [make_raw(headers={"Auto-Submitted": "auto-replied"})],
        {},
        "Ignored – automatic message (Auto-Submitted: auto-replied)",
    ),
    "auto-response-suppress": (
        [make_raw(headers={"X-Auto-Response-Suppress": "DR, AutoReply"})],
        {},
        "Ignored – automatic message (X-Auto-Response-Suppress: DR, AutoReply)",
    ),
    "other-automated": (
        [make_raw(headers={"X-Autoreply": "yes"})],
        {},
        "Ignored – automatic message (X-Autoreply: yes)",
    ),
    "unknown-sender": ([make_raw(sender=CARL)], {"process_unknown": "false"}, "Ignored – unknown sender"),
    "duplicate": ([make_raw(message_id="d@acme.test")] * 2, {}, "Skipped – already processed on"),
}


@pytest.mark.parametrize("rule", REASONS)
def test_every_reason_is_reached_by_a_message(
    vera: Browser, instance: Instance, receive: Receive, rule: str
) -> None:
    """Through the parser process, the rules and the database to the words on the page."""
    raws, incoming, told = REASONS[rule]
    receive(*raws, **incoming)
    with instance.database.reading() as session:
        assert session.get_one(Inbound, len(raws)).rule == rule
    for path in ("/email-log", f"/email-log/{len(raws)}"):
        assert told in plain(vera.get(path).text).replace("( ", "(")


def test_mail_before_the_date_has_no_row_and_is_told_by_the_run(vera: Browser, receive: Receive) -> None:
    receive(make_raw(), cutoff_enabled="true", cutoff_at="2099-01-01T00:00:00Z")
    page = plain(vera.get("/email-log").text)
    assert "1 older than the specified date, left alone" in page
    assert "No messages in this period. Last check" in page
    assert "found nothing new." in page
