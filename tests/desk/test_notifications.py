"""Who gets what: the outbox after mail came in and after people worked on tickets."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import argon2
import pytest
import sqlalchemy as sa

from tests.factories import MAILBOX, NOW, add_people, make_instance, make_raw, set_incoming, set_row
from webapp.desk import (
    accounts,
    notice_wording,
    notification_settings,
    notifications,
    options,
    reply_settings,
    sender_lists,
    thread_marks,
    ticket_work,
)
from webapp.desk.notice_rules import Arrived
from webapp.desk.notification_settings import Event, NotificationSettings, Wording
from webapp.desk.reply_settings import ReplySettings
from webapp.desk.thread_marks import ThreadMarks
from webapp.instance import Instance
from webapp.mail import written_text
from webapp.mail.loop_token import is_our_loop_token
from webapp.mail.message import InboundMessage
from webapp.mail.parse import parse
from webapp.mail.reply_token import read_token
from webapp.models import (
    Account,
    Delivery,
    Disposition,
    Entry,
    Inbound,
    MailboxIdentity,
    OutgoingKind,
    OutgoingMessage,
    Placement,
    Role,
    Row,
    SenderList,
    Setting,
    Ticket,
    TicketNotice,
    TicketStatus,
    UndeliverableAddress,
    User,
)

OWN = "help@desk.test"
ALL = NotificationSettings(on=frozenset(Event))
URL = "https://desk.test"
ALICE, BOB, VERA = 1, 2, 3


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_hasher", argon2.PasswordHasher(1, 8, 1))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """T-1 of Ann; Alice and Bob work here, Vera only looks; everything is on."""
    instance = make_instance(tmp_path, public_url=URL)
    add_people(instance)
    set_incoming(instance)
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username=OWN, active="true")
    with instance.database.writing() as session:
        for email, name, role in (
            ("alice@desk.test", "Alice Able", Role.ADMINISTRATOR),
            ("bob@desk.test", "Bob Best", Role.TECHNICIAN),
            ("vera@desk.test", "Vera View", Role.VIEWER),
        ):
            accounts.create_account(
                session, email=email, name=name, password="correct horse battery", role=role, now=NOW,
                actor="test",
            )  # fmt: skip
        reply_settings.save(session, ReplySettings(desk_name="Example Desk"))
        notification_settings.save(session, ALL)
        session.add(MailboxIdentity(protocol="imap", host="h", port=1, account="a"))
        session.flush()
        add_ticket(session)
    yield instance
    instance.close()


def add_ticket(session: sa.orm.Session, **values: object) -> Ticket:
    told = {
        "subject": "Re: Printer offline", "requester": session.get_one(User, 1), "requester_name": "Ann",
        "requester_address": "ann@acme.test", "created_at": NOW, "updated_at": NOW,
        "company_id": session.get_one(User, 1).company_id,
    }  # fmt: skip
    ticket = Ticket(**(told | values))
    session.add(ticket)
    session.flush()
    return ticket


def change(instance: Instance, settings: NotificationSettings) -> None:
    with instance.database.writing() as session:
        notification_settings.save(session, settings)


def arrive(
    instance: Instance, raw: bytes | None = None, *, now: datetime = NOW, number: int = 1, **values: Any
) -> None:
    """A message came in about T-1."""
    message = parse(raw or make_raw())
    with instance.database.writing() as session:
        inbound = Inbound(
            mailbox_id=1, epoch="e", remote_key=message.message_id, size=1, sha256="0" * 64, received_at=now,
            subject="", disposition=Disposition.TICKET, rule="", saw="", trace=[], defects=[],
            placement=Placement.ARCHIVED, folder="", recorded_at=now,
        )  # fmt: skip
        session.add(inbound)
        session.flush()
        mail = Arrived(
            message=message, received_at=now, inbound_id=inbound.id, ticket_id=number, is_new_ticket=True,
            is_known=True, sender_key=message.sender.addr_spec,
        )  # fmt: skip
        notices = notifications.begin(session, instance)
        if notices:
            notices.mail_arrived(replace(mail, **values), now)


def sent(instance: Instance) -> list[tuple[str, str]]:
    """Kind and recipient of everything in the outbox, in order."""
    with instance.database.reading() as session:
        query = sa.select(OutgoingMessage.kind, Delivery.recipient).join(Delivery.message)
        return [(kind.value, to) for kind, to in session.execute(query.order_by(Delivery.id))]


def messages(instance: Instance) -> list[InboundMessage]:
    with instance.database.reading() as session:
        query = sa.select(OutgoingMessage.compressed).order_by(OutgoingMessage.id)
        return [parse(zlib.decompress(one)) for one in session.scalars(query)]


def headers(message: InboundMessage) -> dict[str, str]:
    return {name.lower(): value for name, value in message.headers}


def assign(instance: Instance, to: int | None, *, by: int = ALICE, number: int = 1) -> None:
    with instance.database.writing() as session:
        ticket = session.get_one(Ticket, number)
        actor = session.get_one(Account, by)
        said = ticket_work.set_assignee(session, ticket, to, seen=ticket.assignee_id, now=NOW, actor=actor)
        if said:
            notifications.tell_assigned(session, instance, ticket, actor=actor, now=NOW)


def close(instance: Instance, number: int = 1, *, now: datetime = NOW) -> None:
    with instance.database.writing() as session:
        ticket, actor = session.get_one(Ticket, number), session.get_one(Account, ALICE)
        ticket.status = TicketStatus.CLOSED
        notifications.tell_closed(session, instance, ticket, actor=actor, now=now)


ACKNOWLEDGED = ("acknowledgement", "ann@acme.test")
TO_ALL = [("opened", "alice@desk.test"), ("opened", "bob@desk.test")]


def test_a_new_ticket_tells_the_requester_and_every_technician(instance: Instance) -> None:
    arrive(instance)
    assert sent(instance) == [ACKNOWLEDGED, *TO_ALL]


def test_a_claim_tells_technicians_alone(instance: Instance) -> None:
    arrive(instance, is_doubted=True)
    assert sent(instance) == TO_ALL


def test_an_update_tells_who_has_the_ticket(instance: Instance) -> None:
    arrive(instance, is_new_ticket=False)
    assert sent(instance) == []  # nobody has it, and the pool is not told by default
    assign(instance, BOB, by=BOB)
    arrive(instance, is_new_ticket=False)
    assert sent(instance) == [("updated", "bob@desk.test")]


def test_an_update_in_the_pool_tells_all_where_that_is_wanted(instance: Instance) -> None:
    change(instance, replace(ALL, pool_updates=True))
    arrive(instance, is_new_ticket=False)
    assert sent(instance) == [("updated", "alice@desk.test"), ("updated", "bob@desk.test")]


def test_what_staff_wrote_tells_nobody(instance: Instance) -> None:
    assign(instance, BOB, by=BOB)
    arrive(instance, is_new_ticket=False, is_internal=True)
    assert sent(instance) == []


def test_nobody_is_told_of_what_they_did(instance: Instance) -> None:
    assign(instance, BOB, by=BOB)
    assert sent(instance) == []
    arrive(instance, make_raw(sender="bob@desk.test"))
    assert ("opened", "bob@desk.test") not in sent(instance)
    assert ("opened", "alice@desk.test") in sent(instance)


def test_an_assignment_tells_the_new_assignee(instance: Instance) -> None:
    assign(instance, BOB)
    assign(instance, None)
    assert sent(instance) == [("assigned", "bob@desk.test")]


def test_closing_tells_the_requester_once_an_hour(instance: Instance) -> None:
    close(instance)
    close(instance)
    assert sent(instance) == [("closed", "ann@acme.test")]
    close(instance, now=NOW + timedelta(hours=2))
    assert len(sent(instance)) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"notice": TicketNotice.CLAIM},
        {"notice": TicketNotice.UNVERIFIED},
        {"notice": TicketNotice.QUARANTINE},
        {"braked_at": NOW},
        {"merged_into_id": 1},
        {"requester": None},
        {"requester_address": None, "requester": None},
        {"requester_address": MAILBOX},
        {"requester_address": OWN},
        {"requester_address": "noreply@acme.test"},
        {"requester_address": "gone@acme.test"},
        {"requester_address": "ann@blocked.test"},
        {"requester_address": "ann@allowed.test"},
    ],
)
def test_closing_tells_nobody_who_should_not_be(instance: Instance, values: dict[str, object]) -> None:
    with instance.database.writing() as session:
        session.add(UndeliverableAddress(addr_key="gone@acme.test", since=NOW, why="5.1.1"))
        sender_lists.add(session, SenderList.BLOCK, "blocked.test", now=NOW, actor="test")
        sender_lists.add(session, SenderList.ALLOW, "allowed.test", now=NOW, actor="test")
        number = add_ticket(session, **values).id
    close(instance, number)
    assert sent(instance) == []


def test_a_braked_ticket_tells_nobody(instance: Instance) -> None:
    with instance.database.writing() as session:
        session.get_one(Ticket, 1).braked_at = NOW
    arrive(instance)
    assign(instance, BOB, by=BOB)
    arrive(instance, is_new_ticket=False)
    assert sent(instance) == []


def test_an_address_that_does_not_exist_gets_nothing(instance: Instance) -> None:
    with instance.database.writing() as session:
        for key in ("ann@acme.test", "bob@desk.test"):
            session.add(UndeliverableAddress(addr_key=key, since=NOW, why="5.1.1"))
    arrive(instance)
    assert sent(instance) == [("opened", "alice@desk.test")]


@pytest.mark.parametrize("event", list(Event))
def test_each_event_has_its_switch(instance: Instance, event: Event) -> None:
    change(instance, replace(ALL, on=frozenset({event})))
    arrive(instance)
    assign(instance, BOB)
    arrive(instance, is_new_ticket=False)
    close(instance)
    assert {kind for kind, _ in sent(instance)} == {event.value}


def test_before_anybody_chose_customers_get_nothing(instance: Instance) -> None:
    change(instance, NotificationSettings())
    arrive(instance)
    close(instance)
    assert sent(instance) == []
    assign(instance, BOB)
    arrive(instance, is_new_ticket=False)
    assert sent(instance) == [("assigned", "bob@desk.test"), ("updated", "bob@desk.test")]


def test_nothing_piles_up_while_outgoing_is_off(instance: Instance) -> None:
    set_row(instance, Row.OUTGOING, password=None, active="false")
    arrive(instance)
    assign(instance, BOB)
    close(instance)
    assert sent(instance) == []


def test_one_message_causes_each_mail_once(instance: Instance) -> None:
    arrive(instance)
    with instance.database.writing() as session:
        mail = Arrived(
            message=parse(make_raw()), received_at=NOW, inbound_id=1, ticket_id=1, is_new_ticket=True,
            is_known=True, sender_key="amy@acme.test",
        )  # fmt: skip
        notices = notifications.begin(session, instance)
        assert notices is not None
        notices.mail_arrived(mail, NOW + timedelta(days=3))
        notices.mail_arrived(replace(mail, received_at=NOW + timedelta(days=3)), NOW + timedelta(days=3))
    assert sent(instance) == [ACKNOWLEDGED, *TO_ALL]


def test_one_sender_is_acknowledged_once_an_hour_and_four_times_a_day(instance: Instance) -> None:
    change(instance, replace(ALL, on=frozenset({Event.ACKNOWLEDGEMENT})))
    for minutes in range(0, 12 * 60, 10):
        arrive(instance, now=NOW + timedelta(minutes=minutes))
    assert sent(instance) == [ACKNOWLEDGED] * 4
    with instance.database.reading() as session:
        times = list(session.scalars(sa.select(OutgoingMessage.created_at).order_by(OutgoingMessage.id)))
    assert [(later - NOW) // timedelta(hours=1) for later in times] == [0, 1, 2, 3]


def test_sixty_an_hour_in_all(instance: Instance) -> None:
    change(instance, replace(ALL, on=frozenset({Event.ACKNOWLEDGEMENT})))
    for number in range(70):
        arrive(instance, make_raw(sender=f"u{number}@acme.test"))
    assert len(sent(instance)) == 60
    arrive(instance, make_raw(sender="late@acme.test"), now=NOW + timedelta(hours=1, seconds=1))
    assert len(sent(instance)) == 61


def test_the_caps_hold_while_several_take_mail_in(instance: Instance, tmp_path: Path) -> None:
    """Each with an instance of its own on the same database, as processes have."""
    change(instance, replace(ALL, on=frozenset({Event.ACKNOWLEDGEMENT})))
    others = [make_instance(tmp_path) for _ in range(4)]
    raws = [
        [make_raw(sender=f"u{(number * 7 + place) % 40}@x{number % 2}.test") for number in range(40)]
        for place in range(4)
    ]
    failures: list[BaseException] = []

    def work(one: Instance, mine: list[bytes]) -> None:
        try:
            for raw in mine:
                arrive(one, raw)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(others, raws, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.close()
    assert failures == []
    recipients = [to for _, to in sent(instance)]
    assert len(recipients) == 60
    assert len(set(recipients)) == 60


def test_a_technician_gets_sixty_an_hour(instance: Instance) -> None:
    change(instance, replace(ALL, on=frozenset({Event.OPENED})))
    for number in range(70):
        arrive(instance, make_raw(sender=f"u{number}@acme.test"))
    assert sorted(sent(instance)) == sorted(TO_ALL * 60)


def test_an_acknowledgement_says_that_it_is_one(instance: Instance) -> None:
    change(instance, replace(ALL, on=frozenset({Event.ACKNOWLEDGEMENT})))
    raw = make_raw(
        sender='"Ann Lee" <Ann@acme.test>',
        message_id="mine@acme.test",
        headers={"References": "<older@acme.test>"},
    )
    arrive(instance, raw, sender_key="ann@acme.test")
    (message,) = messages(instance)
    said = headers(message)
    assert message.sender.addr_spec == OWN
    assert message.sender.display_name == "Example Desk"
    assert [one.addr_spec for one in message.to] == ["Ann@acme.test"]
    assert message.cc == ()
    assert message.subject == "Re: Printer offline [T-1]"
    assert message.in_reply_to == ("mine@acme.test",)
    assert message.references == ("older@acme.test", "mine@acme.test")
    assert said["auto-submitted"] == "auto-replied"
    assert said["x-auto-response-suppress"] == "All"
    assert "Our printer" not in message.body_text  # the customer's words do not go back
    assert "ticket" not in said.get("reply-to", "")
    assert message.message_id is not None
    assert message.loop_header is not None
    with instance.database.reading() as session:
        key = options.loop_key(session, instance.vault)
        token_key = options.reply_key(session, instance.vault)
    assert key is not None
    assert token_key is not None
    assert is_our_loop_token(key, message.message_id, message.loop_header)
    token = read_token(token_key, message.message_id)
    assert token is not None
    assert (token.ticket_id, token.account_id) == (1, None)


def test_a_notice_to_a_technician_quotes_the_mail_and_is_theirs_alone(instance: Instance) -> None:
    change(instance, replace(ALL, on=frozenset({Event.OPENED})))
    arrive(instance, make_raw(text="One <b>two</b>\n" + "word " * 2_000))
    first, second = messages(instance)
    assert [[one.addr_spec for one in message.to] for message in (first, second)] == [
        ["alice@desk.test"],
        ["bob@desk.test"],
    ]
    assert first.subject == "New: Printer offline [T-1]"
    assert f"{URL}/tickets/1" in first.body_text
    assert "Company: Acme Ltd" in first.body_text
    assert "One <b>two</b>" in first.body_text
    assert first.body_text.rstrip().endswith("[...]")
    assert len(first.body_text) < 2_500
    assert first.body_html is not None
    assert "<b>" not in first.body_html
    assert "One &lt;b&gt;two&lt;/b&gt;" in first.body_html
    assert headers(first)["auto-submitted"] == "auto-generated"
    with instance.database.reading() as session:
        token_key = options.reply_key(session, instance.vault)
    assert token_key is not None
    tokens = [read_token(token_key, message.message_id or "") for message in (first, second)]
    assert [token and token.account_id for token in tokens] == [ALICE, BOB]


def test_a_strangers_words_do_not_go_to_whom_a_stranger_names(instance: Instance) -> None:
    change(instance, replace(ALL, on=frozenset({Event.ACKNOWLEDGEMENT}), unknown_senders=True))
    with instance.database.writing() as session:
        number = add_ticket(
            session, subject="Win money at https://evil.test", requester=None, company_id=None,
            requester_name="Click https://evil.test",
        ).id  # fmt: skip
    raw = make_raw(subject="Win money at https://evil.test").replace(
        b"Ann Lee <ann@acme.test>", b'"Click https://evil.test" <victim@else.test>'
    )
    arrive(instance, raw, number=number, is_known=False)
    (message,) = messages(instance)
    whole = f"{message.subject} {message.body_text} {message.body_html} {headers(message)['to']}"
    assert "evil" not in whole
    assert message.subject == f"Re: Your message [T-{number}]"


INJECTION = "x\r\nBcc: victim@else.test\r\n\r\nbody \u202egnp.exe\u2028y\x00"


def test_nothing_a_stranger_wrote_becomes_a_header(instance: Instance) -> None:
    with instance.database.writing() as session:
        user = session.get_one(User, 1)
        user.name = INJECTION
        ticket = session.get_one(Ticket, 1)
        ticket.subject = INJECTION
        session.get_one(Account, BOB).name = INJECTION
        reply_settings.save(session, ReplySettings(desk_name="Desk \u202e\u200e"))
        wording = Wording(
            "{subject}{requester}{company}{desk}{sender}", "{text} {sender} {subject}", "{sender}"
        )
        notification_settings.save(
            session,
            replace(
                ALL, wordings={Event.OPENED: wording, Event.ACKNOWLEDGEMENT: Wording("{requester}", "x")}
            ),
        )
    arrive(instance, make_raw().replace(b"Ann Lee", b"=?utf-8?q?x=0D=0ABcc=3A_victim=40else.test?="))
    found = messages(instance)
    assert len(found) == 3
    for message in found:
        assert "bcc" not in headers(message)
        assert len(message.to) == 1
        assert message.defects == ()


def test_a_notice_that_fails_costs_nobody_a_ticket(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(notifications, "compose", fail)
    assign(instance, BOB)
    with instance.database.reading() as session:
        assert session.get_one(Ticket, 1).assignee_id == BOB
        assert session.scalar(sa.select(sa.func.count()).select_from(Entry)) == 1
    assert sent(instance) == []


def test_a_saved_wording_that_is_none_any_more_is_the_default(instance: Instance) -> None:
    change(instance, replace(ALL, wordings={Event.ASSIGNED: Wording("{nobody}", "x")}))
    assign(instance, BOB)
    assert messages(instance)[0].subject == "Assigned to you: Printer offline [T-1]"


def test_kinds_are_automatic() -> None:
    assert all(event.kind.is_automatic for event in Event)
    assert OutgoingKind.ACKNOWLEDGEMENT is Event.ACKNOWLEDGEMENT.kind


def test_a_stranger_hears_nothing_in_words_a_stranger_wrote_at_the_end_either(instance: Instance) -> None:
    change(instance, replace(ALL, unknown_senders=True))
    with instance.database.writing() as session:
        add_ticket(
            session, requester=None, requester_name="Buy at evil.test", requester_address="victim@else.test",
            subject="Buy at evil.test", company_id=None,
        )  # fmt: skip
    close(instance, 2)
    assert sent(instance) == [("closed", "victim@else.test")]
    [message] = messages(instance)
    assert "evil" not in f"{message.subject} {message.body_text} {message.body_html}"
    assert message.subject == "Your message [T-2]"


@pytest.mark.parametrize(
    "value",
    [[], {"on": []}, {"wordings": []}, {"wordings": {"closed": {"x": 1}}}, {"wordings": {"closed": "x"}}],
)
def test_settings_of_another_shape_stop_nothing(instance: Instance, value: object) -> None:
    with instance.database.writing() as session:
        session.merge(Setting(name=notification_settings.NAME, value=value))
    assign(instance, BOB)
    assert sent(instance) == [("assigned", "bob@desk.test")]


def test_what_breaks_before_anything_is_written_costs_nobody_their_work(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> object:
        raise ValueError("no settings")

    monkeypatch.setattr(reply_settings, "load", broken)
    assign(instance, BOB)
    assert "nobody is notified" in caplog.text
    with instance.database.reading() as session:
        assert session.get_one(Ticket, 1).assignee_id == BOB


def test_the_tag_and_where_answers_go_are_settings(instance: Instance) -> None:
    with instance.database.writing() as session:
        thread_marks.save(session, ThreadMarks(tag_prefix="HD", answers_to="answers@desk.test"))
    assign(instance, BOB)
    [message] = messages(instance)
    assert message.subject.endswith("[HD-1]")
    assert [one.addr_spec for one in message.reply_to] == ["answers@desk.test"]


def test_the_keys_are_unsealed_once_for_however_many_are_told(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with instance.database.writing() as session:
        for number in range(20):
            accounts.create_account(
                session, email=f"t{number}@desk.test", name="T", password="correct horse battery",
                role=Role.TECHNICIAN, now=NOW, actor="test",
            )  # fmt: skip
    keys = Mock(side_effect=options.make_loop_key)
    wordings = Mock(side_effect=notification_settings.check)
    monkeypatch.setattr(options, "make_loop_key", keys)
    monkeypatch.setattr(notification_settings, "check", wordings)
    change(instance, replace(ALL, on=frozenset({Event.OPENED})))
    arrive(instance)
    assert len(sent(instance)) == 22
    assert (keys.call_count, wordings.call_count) == (1, 1)


def test_of_a_huge_message_only_the_beginning_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tidying a megabyte takes a third of a second, for each who is told, while nobody else can write."""
    tidied = Mock(side_effect=written_text.tidy)
    monkeypatch.setattr(written_text, "tidy", tidied)
    assert notice_wording.shortened("word " * 200_000).endswith("word\n[...]")
    assert notice_wording.shortened("Hello." + " " * 100_000) == "Hello."
    assert notice_wording.shortened("Hello." + " " * 100_000 + "Bye.") == "Hello.\n[...]"
    assert max(len(call.args[0]) for call in tidied.mock_calls) <= notice_wording.LOOKED_AT
