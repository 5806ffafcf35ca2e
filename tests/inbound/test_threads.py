"""Which ticket mail belongs to, and whether its sender may write there: runs over a mailbox in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.factories import MAILBOX, NOW, make_raw
from tests.inbound.conftest import Desk
from webapp.desk import brake, claims, incoming_rules, options, participants, sender_lists
from webapp.desk.incoming_rules import IncomingRules
from webapp.mail.reply_token import make_message_id, reply_key
from webapp.models import (
    Account,
    Delivery,
    DeliveryEvent,
    Entry,
    EntryFlag,
    EntryKind,
    Inbound,
    OutgoingKind,
    OutgoingMessage,
    Role,
    SenderList,
    Ticket,
    TicketParticipant,
    TicketStatus,
    UndeliverableAddress,
)

BOB = "Bob Ray <bob@binder.test>"
TOM = "Tom Tec <tom@desk.test>"


@pytest.fixture
def key(desk: Desk) -> bytes:
    with desk.instance.database.writing() as session:
        return options.make_reply_key(session, desk.instance.vault)


@pytest.fixture
def tom(desk: Desk) -> int:
    with desk.instance.database.writing() as session:
        return make_account(session)


def make_account(session: Session, *, email: str = "tom@desk.test", enabled: bool = True) -> int:
    account = Account(
        email=email, email_key=email, name="Tom Tec", role=Role.TECHNICIAN, password_hash="x",
        enabled=enabled, created_at=NOW,
    )  # fmt: skip
    session.add(account)
    session.flush()
    return account.id


def token(key: bytes, ticket_id: int = 1, account_id: int | None = None) -> str:
    return make_message_id(key, ticket_id, "desk.test", account_id=account_id)


def answer(desk: Desk, in_reply_to: str = "", sender: str = BOB, **more: str) -> Inbound:
    """One more message, taken in; its ledger row."""
    headers = {"In-Reply-To": f"<{in_reply_to}>"} if in_reply_to else {}
    headers |= {name.replace("_", "-"): value for name, value in more.items() if name != "subject"}
    desk.deliver(make_raw(sender=sender, headers=headers, subject=more.get("subject", "Re: Printer offline")))
    desk.poll()
    return desk.ledger()[-1]


def open_ticket(desk: Desk) -> None:
    """T-1 of Ann, whose message is known as first@acme.test."""
    desk.deliver(make_raw(message_id="first@acme.test"))
    desk.poll()


def entries(desk: Desk, ticket_id: int = 1) -> list[Entry]:
    with desk.instance.database.reading() as session:
        return list(session.scalars(sa.select(Entry).where(Entry.ticket_id == ticket_id).order_by(Entry.id)))


def actor(session: Session) -> Account:
    return session.scalars(sa.select(Account)).one()


def test_a_forged_reference_is_a_claim_and_not_an_entry(desk: Desk, key: bytes, tom: int) -> None:
    open_ticket(desk)
    for sender in (BOB, "carl@new.test", TOM):
        row = answer(desk, "first@acme.test", sender)
        assert (row.rule, row.disposition) == ("thread-claim", "claim"), sender
        assert answer(desk, subject="[T-1] Printer", sender=f"x.{sender.split('<')[-1].strip('>')}").rule in (
            "thread-claim",
        )
    assert len(entries(desk)) == 1


@pytest.mark.parametrize("harm", ["truncated", "foreign", "changed", "other ticket"])
def test_a_token_that_is_not_whole_and_ours_proves_nothing(desk: Desk, key: bytes, harm: str) -> None:
    open_ticket(desk)
    whole = token(key)
    harmed = {
        "truncated": whole.replace("@", "")[:-20] + "@desk.test",
        "foreign": token(reply_key(b"o" * 32)),
        "changed": whole.replace("t1.", "t2.", 1),
        "other ticket": token(key, ticket_id=77),
    }[harm]
    row = answer(desk, harmed)
    assert (row.rule, row.ticket_id) == ("new-ticket", 2)
    assert len(entries(desk)) == 1


@pytest.mark.parametrize("header", ["In-Reply-To", "References"])
def test_a_new_sender_with_a_token_is_flagged_and_gets_nothing(desk: Desk, key: bytes, header: str) -> None:
    open_ticket(desk)
    copied = ", ".join(f"p{number}@binder.test" for number in range(50))
    row = answer(desk, **{header: f"<x@y.test> <{token(key)}>", "Cc": copied})
    assert (row.rule, row.disposition, row.ticket_id) == ("thread", "update", 1)
    [_, entry] = entries(desk)
    assert (entry.kind, entry.flag, entry.account_id) == (EntryKind.MAIL, EntryFlag.NEW_SENDER, None)
    with desk.instance.database.reading() as session:
        assert session.scalars(sa.select(TicketParticipant)).all() == []
        ticket = session.get_one(Ticket, 1)
        assert ticket.requester_address == "ann@acme.test"
        assert participants.offered(session, ticket) == []


def test_the_token_counts_before_anything_else_that_names_a_ticket(desk: Desk, key: bytes) -> None:
    open_ticket(desk)
    desk.deliver(make_raw(message_id="second@acme.test", subject="Another thing"))
    desk.poll()
    row = answer(
        desk, token(key, 2), "ann@acme.test", References="<first@acme.test>", subject="Re: [T-1] Printer"
    )
    assert (row.disposition, row.ticket_id) == ("update", 2)
    assert "keyed token in In-Reply-To" in row.saw


def test_a_technician_without_the_token_sent_to_them_is_only_noted(desk: Desk, key: bytes, tom: int) -> None:
    open_ticket(desk)
    answer(desk, token(key), TOM)
    answer(desk, token(key, account_id=tom), TOM)
    answer(desk, token(key, account_id=tom + 1), TOM)
    [_, unproven, proven, other] = entries(desk)
    assert {one.kind for one in (unproven, proven, other)} == {EntryKind.NOTE}
    assert (unproven.flag, unproven.account_id) == (EntryFlag.UNPROVEN_STAFF, None)
    assert (proven.flag, proven.account_id) == (None, tom)
    assert (other.flag, other.account_id) == (EntryFlag.UNPROVEN_STAFF, None)


def test_with_a_server_that_checks_senders_the_token_alone_is_no_proof(
    desk: Desk, key: bytes, tom: int
) -> None:
    open_ticket(desk)
    with desk.instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules(authserv_id="mx.desk.test"))
    answer(desk, token(key, account_id=tom), TOM)
    answer(desk, token(key, account_id=tom), TOM, Authentication_Results="mx.desk.test; dmarc=pass")
    row = answer(desk, token(key, account_id=tom), TOM, Authentication_Results="mx.desk.test; dmarc=fail")
    assert [entry.account_id for entry in entries(desk)] == [None, None, tom]
    assert (row.rule, row.disposition) == ("spoofed-sender", "claim")
    with desk.instance.database.reading() as session:
        ticket = session.get_one(Ticket, row.ticket_id)
        assert (ticket.requester_account_id, ticket.claimed_ticket_id) == (None, 1)


def test_a_spoofed_sender_without_a_thread_is_a_ticket_of_nobody(desk: Desk) -> None:
    with desk.instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules(authserv_id="mx.desk.test"))
    row = answer(desk, sender="ann@acme.test", Authentication_Results="mx.desk.test; dmarc=fail")
    [ticket] = desk.tickets()
    assert (row.disposition, ticket.notice, ticket.requester_id) == ("ticket", "unverified", None)
    assert ticket.company is None


def test_a_disabled_technician_has_no_technician_s_power(desk: Desk, key: bytes) -> None:
    open_ticket(desk)
    with desk.instance.database.writing() as session:
        disabled = make_account(session, enabled=False)
    answer(desk, token(key, account_id=disabled), TOM)
    [_, entry] = entries(desk)
    assert (entry.kind, entry.flag, entry.account_id) == (EntryKind.MAIL, EntryFlag.DISABLED_STAFF, None)
    row = answer(desk, "first@acme.test", TOM)
    assert row.rule == "thread-claim"


def test_later_mail_of_a_claim_s_sender_goes_to_the_claim(desk: Desk) -> None:
    open_ticket(desk)
    first = answer(desk, "first@acme.test")
    second = answer(desk, "first@acme.test")
    assert (first.disposition, second.disposition) == ("claim", "update")
    assert first.ticket_id == second.ticket_id == 2
    other = answer(desk, "first@acme.test", "carl@new.test")
    assert (other.disposition, other.ticket_id) == ("claim", 3)


def test_joined_mail_is_in_the_ticket_and_what_comes_later_follows(desk: Desk, tom: int) -> None:
    open_ticket(desk)
    answer(desk, "first@acme.test")
    with desk.instance.database.writing() as session:
        claim = session.get_one(Ticket, 2)
        claims.join(session, claim, as_participant=True, now=desk.now, actor=actor(session))
    assert [entry.from_addr for entry in entries(desk)][:2] == ["ann@acme.test", "bob@binder.test"]
    row = answer(desk, subject="Re: [T-2] Printer")
    assert (row.rule, row.disposition, row.ticket_id) == ("thread", "update", 1)
    assert "a participant" in row.saw
    assert answer(desk, "first@acme.test", "carl@new.test", subject="[T-2] x").ticket_id == 3


def test_undo_of_a_join_brings_back_what_the_parser_put_there(desk: Desk, tom: int) -> None:
    open_ticket(desk)
    answer(desk, "first@acme.test")
    with desk.instance.database.writing() as session:
        claims.join(
            session, session.get_one(Ticket, 2), as_participant=False, now=desk.now, actor=actor(session)
        )
    with desk.instance.database.writing() as session:
        claims.undo_join(session, session.get_one(Ticket, 2), now=desk.now, actor=actor(session))
    assert [entry.from_addr for entry in entries(desk) if entry.kind is EntryKind.MAIL] == ["ann@acme.test"]
    assert [entry.from_addr for entry in entries(desk, 2) if entry.kind is EntryKind.MAIL] == [
        "bob@binder.test"
    ]
    with desk.instance.database.reading() as session:
        claim = session.get_one(Ticket, 2)
        assert (claim.notice, claim.status, claim.merged_into_id) == ("claim", TicketStatus.OPEN, None)


def test_joins_of_joins_are_undone_in_any_order(desk: Desk, tom: int) -> None:
    """Carl's T-3 names Bob's claim T-2 and is joined there, and that to T-1."""
    open_ticket(desk)
    answer(desk, "first@acme.test")
    answer(desk, sender="carl@new.test", subject="[T-2] too")

    def join(number: int) -> None:
        with desk.instance.database.writing() as session:
            claim = session.get_one(Ticket, number)
            claims.join(session, claim, as_participant=False, now=desk.now, actor=actor(session))

    def undo(number: int) -> None:
        with desk.instance.database.writing() as session:
            claims.undo_join(session, session.get_one(Ticket, number), now=desk.now, actor=actor(session))

    def senders(number: int) -> set[str | None]:
        return {one.from_addr for one in entries(desk, number) if one.kind is EntryKind.MAIL}

    join(3)
    join(2)
    assert senders(1) == {"ann@acme.test", "bob@binder.test", "carl@new.test"}
    undo(2)
    assert (senders(1), senders(2)) == ({"ann@acme.test"}, {"bob@binder.test", "carl@new.test"})
    join(2)
    undo(3)
    assert (senders(1), senders(3)) == ({"ann@acme.test", "bob@binder.test"}, {"carl@new.test"})
    undo(2)
    assert (senders(1), senders(2)) == ({"ann@acme.test"}, {"bob@binder.test"})


def test_a_late_answer_of_a_new_sender_is_a_ticket_of_theirs(desk: Desk, key: bytes) -> None:
    """There they are the requester: nothing says that they take no part."""
    open_ticket(desk)
    with desk.instance.database.writing() as session:
        session.get_one(Ticket, 1).status = TicketStatus.CLOSED
    row = answer(desk, token(key))
    assert (row.rule, row.disposition, row.ticket_id) == ("thread", "ticket", 2)
    [entry] = entries(desk, 2)
    assert (entry.kind, entry.flag) == (EntryKind.MAIL, None)


def test_a_technician_who_is_a_user_too_needs_a_technician_s_proof(desk: Desk, key: bytes) -> None:
    open_ticket(desk)
    with desk.instance.database.writing() as session:
        both = make_account(session, email="amy@acme.test")
        incoming_rules.save(session, IncomingRules(same_company=False))
    assert answer(desk, "first@acme.test", "amy@acme.test").rule == "thread-claim"
    answer(desk, token(key), "amy@acme.test")
    answer(desk, token(key, account_id=both), "amy@acme.test")
    [_, unproven, proven] = entries(desk)
    assert (unproven.kind, unproven.flag) == (EntryKind.NOTE, EntryFlag.UNPROVEN_STAFF)
    assert (proven.kind, proven.flag, proven.account_id) == (EntryKind.NOTE, None, both)
    own = answer(desk, sender="amy@acme.test", subject="My own")
    with desk.instance.database.reading() as session:
        ticket = session.get_one(Ticket, own.ticket_id)
        assert (ticket.requester_id is not None, ticket.requester_account_id) == (True, None)


def test_a_blocked_sender_does_not_hide_among_others(desk: Desk) -> None:
    with desk.instance.database.writing() as session:
        sender_lists.add(session, SenderList.BLOCK, "evil.test", now=desk.now, actor="x")
        sender_lists.add(session, SenderList.ALLOW, "monitor.test", now=desk.now, actor="x")
    for sender in (
        "carl@new.test, Eve <eve@EVIL.test>",
        "All: eve@mail.evil.test;",
        "eve@evil.test>, <x@y.z>",
    ):
        row = answer(desk, sender=sender)
        assert (row.rule, row.saw.endswith("is blocked by evil.test")) == ("blocked-sender", True), sender
    assert answer(desk, sender="carl@new.test, dan@new.test").rule == "new-ticket"
    row = answer(desk, sender="carl@new.test, x@monitor.test", Auto_Submitted="auto-generated")
    assert row.rule == "auto-submitted"


def test_who_only_says_to_be_an_unknown_requester_is_not(desk: Desk) -> None:
    """The desk's own server found that the mail is forged: it must not get in because nobody knows Carl."""
    desk.deliver(make_raw(message_id="carls@new.test", sender="carl@new.test"))
    desk.poll()
    with desk.instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules(authserv_id="mx.desk.test"))
    row = answer(desk, "carls@new.test", "carl@new.test", Authentication_Results="mx.desk.test; dmarc=fail")
    assert (row.rule, row.disposition) == ("spoofed-sender", "claim")
    row = answer(desk, "carls@new.test", "carl@new.test", Authentication_Results="mx.desk.test; dmarc=pass")
    assert (row.rule, row.ticket_id) == ("thread", 1)


def test_a_refused_claim_takes_the_later_mail_of_its_sender(desk: Desk, tom: int) -> None:
    open_ticket(desk)
    answer(desk, "first@acme.test")
    with desk.instance.database.writing() as session:
        claims.refuse(session, session.get_one(Ticket, 2), now=desk.now, actor=actor(session))
    assert answer(desk, "first@acme.test").ticket_id == 2
    with desk.instance.database.writing() as session, pytest.raises(claims.ClaimRefused):
        claims.refuse(session, session.get_one(Ticket, 2), now=desk.now, actor=actor(session))


def test_a_blocked_sender_is_ignored_and_the_log_names_the_entry(desk: Desk, tom: int) -> None:
    open_ticket(desk)
    answer(desk, "first@acme.test")
    with desk.instance.database.writing() as session:
        assert claims.block(
            session, session.get_one(Ticket, 2), now=desk.now, actor=actor(session)
        ) == "bob@binder.test"  # fmt: skip
        sender_lists.add(session, SenderList.BLOCK, "evil.test", now=desk.now, actor="x")
    assert answer(desk, "first@acme.test").saw == "bob@binder.test is blocked by bob@binder.test"
    row = answer(desk, sender="eve@mail.evil.test")
    assert (row.rule, row.saw) == ("blocked-sender", "eve@mail.evil.test is blocked by evil.test")
    assert answer(desk, sender="eve@notevil.test").rule == "new-ticket"


def test_automatic_mail_of_an_allowed_sender_is_taken_in(desk: Desk) -> None:
    with desk.instance.database.writing() as session:
        sender_lists.add(session, SenderList.ALLOW, "monitor.test", now=desk.now, actor="x")
    row = answer(desk, sender="noreply@rmm.monitor.test", Auto_Submitted="auto-generated")
    assert (row.rule, row.disposition) == ("new-ticket", "ticket")


def test_a_closed_ticket_is_reopened_only_within_the_days_set(desk: Desk) -> None:
    open_ticket(desk)
    with desk.instance.database.writing() as session:
        session.get_one(Ticket, 1).status = TicketStatus.CLOSED
        incoming_rules.save(session, IncomingRules(reopen_days=2))
    assert answer(desk, "first@acme.test", "ann@acme.test").disposition == "update"
    assert desk.tickets()[0].status is TicketStatus.OPEN
    with desk.instance.database.writing() as session:
        ticket = session.get_one(Ticket, 1)
        ticket.status, ticket.updated_at = TicketStatus.CLOSED, desk.now - timedelta(days=3)
    row = answer(desk, "first@acme.test", "ann@acme.test", subject="Re: [T-1] Printer offline")
    assert (row.disposition, row.ticket_id) == ("ticket", 2)
    assert desk.tickets()[1].subject == "Re: Printer offline"


def send(desk: Desk, message_id: str, *recipients: str, entry_id: int | None = None) -> None:
    with desk.instance.database.writing() as session:
        message = OutgoingMessage(
            row="outgoing", kind=OutgoingKind.REPLY, message_id=message_id, from_addr=MAILBOX, ticket_id=1,
            entry_id=entry_id, created_at=NOW, created_by="x", compressed=b"",
        )  # fmt: skip
        message.deliveries = [
            Delivery(row="outgoing", recipient=one, recipient_key=one.lower(), queued_at=NOW)
            for one in recipients
        ]
        session.add(message)


def test_an_answer_to_what_was_sent_belongs_to_its_ticket(desk: Desk) -> None:
    open_ticket(desk)
    send(desk, "sent@desk.test", "ann@acme.test")
    assert answer(desk, "sent@desk.test", "ann@acme.test").ticket_id == 1
    assert answer(desk, "sent@desk.test", BOB).rule == "thread-claim"


def test_our_own_message_that_comes_back_is_ignored(desk: Desk, key: bytes) -> None:
    open_ticket(desk)
    send(desk, "sent@desk.test", "ann@acme.test")
    for message_id in ("sent@desk.test", token(key)):
        desk.deliver(make_raw(sender="list@acme.test", message_id=message_id))
    desk.poll()
    assert [row.rule for row in desk.ledger()[1:]] == ["own-message", "own-message"]


def bounce(
    message_id: str, recipient: str, status: str = "5.1.1", action: str = "failed", words: str = "Sorry."
) -> bytes:
    return (
        "From: mailer-daemon@acme.test\r\nTo: help@desk.test\r\nSubject: Undelivered\r\n"
        "Return-Path: <>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain\r\n\r\n{words}\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.acme.test\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{message_id}>\r\n\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("status", "action", "is_disabled"),
    [("5.1.1", "failed", True), ("5.1.10", "failed", True), ("5.1.8", "failed", False),
     ("5.2.2", "failed", False), ("4.1.1", "delayed", False), ("2.1.5", "delivered", False)],
)  # fmt: skip
def test_a_report_is_an_event_of_the_delivery_it_speaks_of(
    desk: Desk, status: str, action: str, is_disabled: bool
) -> None:
    open_ticket(desk)
    send(desk, "sent@desk.test", "ann@acme.test", "Amy@acme.test")
    before = desk.tickets()[0].updated_at
    desk.deliver(bounce("sent@desk.test", "amy@ACME.test", status, action))
    desk.poll()
    row = desk.ledger()[-1]
    assert (row.rule, row.disposition, row.ticket_id) == ("delivery-report", "report", 1)
    with desk.instance.database.reading() as session:
        [event] = session.scalars(sa.select(DeliveryEvent))
        delivery = session.get_one(Delivery, event.delivery_id)
        assert (delivery.recipient, event.status, event.action) == ("Amy@acme.test", status, action)
        assert delivery.attention is (action == "failed")
        disabled = session.scalars(sa.select(UndeliverableAddress.addr_key)).all()
    assert disabled == (["amy@acme.test"] if is_disabled else [])
    assert (desk.tickets()[0].updated_at, len(entries(desk))) == (before, 1)


def test_a_report_is_an_event_for_each_recipient_the_message_was_sent_to(desk: Desk) -> None:
    open_ticket(desk)
    people = ("ann", "amy", "bob", "carl", "dora", "emil")
    send(desk, "sent@desk.test", *(f"{one}@acme.test" for one in people))
    told = [
        ("ann", "delayed", "4.4.1"), ("amy", "failed", "5.1.1"), ("bob", "failed", "5.2.2"),
        ("carl", "relayed", "2.0.0"), ("dora", "expanded", "2.0.0"), ("eve", "failed", "5.1.1"),
        ("amy", "delivered", "2.0.0"),
    ]  # fmt: skip
    groups = "\r\n".join(
        f"Final-Recipient: rfc822; {who}@acme.test\r\nAction: {action}\r\nStatus: {status}\r\n"
        for who, action, status in told
    )
    first = bounce("sent@desk.test", "zoe@acme.test", "5.1.1")
    desk.deliver(
        first.replace(
            b"\r\n\r\n--b\r\nContent-Type: text/rfc822",
            f"\r\n\r\n{groups}\r\n--b\r\nContent-Type: text/rfc822".encode(),
        )
    )
    desk.poll()
    assert "our message to amy@acme.test and 4 more" in desk.ledger()[-1].saw
    with desk.instance.database.reading() as session:
        rows = session.execute(
            sa.select(Delivery.recipient, DeliveryEvent.action, DeliveryEvent.status, Delivery.attention)
            .join(DeliveryEvent, DeliveryEvent.delivery_id == Delivery.id)
            .order_by(Delivery.id)
        ).all()
        disabled = session.scalars(sa.select(UndeliverableAddress.addr_key)).all()
    failed = ("amy", "bob")
    assert rows == [(f"{who}@acme.test", action, status, who in failed) for who, action, status in told[:5]]
    assert disabled == ["amy@acme.test"]


def test_a_report_about_nothing_of_ours_is_ignored(desk: Desk) -> None:
    open_ticket(desk)
    send(desk, "sent@desk.test", "ann@acme.test")
    desk.deliver(bounce("unknown@desk.test", "ann@acme.test"))
    desk.deliver(bounce("sent@desk.test", "eve@evil.test"))
    desk.poll()
    assert [(row.disposition, "bounce_unmatched" in row.saw) for row in desk.ledger()[1:]] == [
        ("ignored", True), ("ignored", True),
    ]  # fmt: skip
    with desk.instance.database.reading() as session:
        assert session.scalars(sa.select(UndeliverableAddress)).all() == []


def test_five_hundred_automatic_answers_and_bounces_make_no_mail_and_no_ticket(desk: Desk) -> None:
    open_ticket(desk)
    send(desk, "sent@desk.test", "ann@acme.test")
    for number in range(500):
        headers = {"In-Reply-To": "<sent@desk.test>", "Auto-Submitted": "auto-replied"}
        desk.deliver(make_raw(headers=headers, text=f"Away {number}\n"))
        about = "sent@desk.test" if number % 2 else f"n{number}@x.test"
        desk.deliver(bounce(about, "ann@acme.test", "4.4.1", words=f"Attempt {number}"))
    desk.poll()
    with desk.instance.database.reading() as session:
        outcomes = dict(
            session.execute(
                sa.select(Inbound.disposition, sa.func.count()).group_by(Inbound.disposition)
            ).all()
        )
        assert outcomes == {"ticket": 1, "ignored": 750, "report": 250}
        assert session.scalar(sa.select(sa.func.count()).select_from(OutgoingMessage)) == 1
        assert session.scalar(sa.select(sa.func.count()).select_from(DeliveryEvent)) == 250
    assert len(desk.tickets()) == 1


def test_more_than_twenty_an_hour_from_one_sender_brake_the_ticket(desk: Desk) -> None:
    open_ticket(desk)
    for number in range(brake.AT_MOST - 1):
        desk.deliver(make_raw(headers={"In-Reply-To": "<first@acme.test>"}, text=f"{number}\n"))
    desk.poll()
    [ticket] = desk.tickets()
    assert not brake.is_braked(ticket, desk.now)
    for number in range(3):
        desk.deliver(make_raw(headers={"In-Reply-To": "<first@acme.test>"}, text=f"more {number}\n"))
    desk.poll()
    [ticket] = desk.tickets()
    assert brake.is_braked(ticket, desk.now)
    assert not brake.is_braked(ticket, desk.now + brake.LASTS)
    assert [entry.kind for entry in ticket.entries].count(EntryKind.CHANGE) == 1
    assert len(ticket.entries) == brake.AT_MOST + 3 + 1


def test_nobody_is_too_odd_for_the_brake(desk: Desk, key: bytes) -> None:
    """No sender that can be trusted, or one whose letters have a case that only Unicode knows."""
    for ticket_id, sender in ((1, "a@loop.test, b@loop.test"), (2, "Ä.Ö@loop.test")):
        desk.deliver(make_raw(message_id=f"{ticket_id}@acme.test", text=f"{ticket_id}\n"))
        for number in range(brake.AT_MOST + 1):
            headers = {"In-Reply-To": f"<{token(key, ticket_id)}>"}
            raw = make_raw(headers=headers, sender="nobody", text=f"{ticket_id} {number}\n")
            desk.deliver(raw.replace(b"From: nobody", f"From: {sender}".encode()))  # RFC 6532
        desk.poll()
        assert brake.is_braked(desk.tickets()[ticket_id - 1], desk.now), sender
