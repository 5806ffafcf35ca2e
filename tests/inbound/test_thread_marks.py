"""Answers that find their ticket by what is a setting: another subject tag, an address that names it."""

from __future__ import annotations

import pytest

from tests.factories import MAILBOX, make_raw
from tests.inbound.conftest import Desk
from tests.inbound.test_threads import BOB, TOM, answer, entries, make_account, open_ticket, token
from webapp.desk import options, participants, reply_recipients, thread_marks
from webapp.desk.reply_recipients import RecipientsRefused
from webapp.desk.thread_marks import ThreadMarks
from webapp.mail.reply_address import make_reply_address
from webapp.models import Account, Disposition, EntryFlag, EntryKind, Inbound, Ticket

ANN = "Ann Lee <ann@acme.test>"


@pytest.fixture
def key(desk: Desk) -> bytes:
    with desk.instance.database.writing() as session:
        return options.make_reply_key(session, desk.instance.vault)


def mark(desk: Desk, **marks: object) -> None:
    with desk.instance.database.writing() as session:
        thread_marks.save(session, ThreadMarks(**marks))  # type: ignore[arg-type]


def address(key: bytes, ticket_id: int = 1) -> str:
    made = make_reply_address(key, MAILBOX, ticket_id)
    assert made is not None
    return made


def sent_to(desk: Desk, addresses: str, *, sender: str = ANN, field: str = "To", **headers: str) -> Inbound:
    """A message to these addresses that names its ticket in no other way."""
    raw = make_raw(sender=sender, subject="Another subject", headers=headers)
    if field == "To":
        raw = raw.replace(f"To: {MAILBOX}".encode(), f"To: {addresses}".encode(), 1)
    else:
        raw = f"{field}: {addresses}\r\n".encode() + raw
    desk.deliver(raw)
    desk.poll()
    return desk.ledger()[-1]


def test_tags_of_today_and_of_before(desk: Desk) -> None:
    mark(desk, tag_form="({prefix}#{number})", tag_prefix="HELP", former_tags=("[IT-{number}]",))
    open_ticket(desk)
    for subject in ("Re: x (HELP#1)", "Re: x (help#1)", "Re: x [IT-1]", "Re: x [T-1]"):
        row = answer(desk, sender=ANN, subject=subject)
        assert (row.disposition, row.ticket_id) == (Disposition.UPDATE, 1), subject
        assert f"subject tag {subject.partition('x ')[2]} names T-1" in row.saw
    row = answer(desk, sender=BOB, subject="Re: x (HELP#1) [IT-1]")
    assert row.disposition is Disposition.CLAIM
    assert desk.tickets()[-1].subject == "Re: x"
    assert answer(desk, sender=BOB, subject="Re: y (OTHER#1)").disposition is Disposition.TICKET


@pytest.mark.parametrize("field", ["To", "Cc", "Delivered-To", "X-Original-To", "delivered-to"])
def test_an_address_that_names_the_ticket(desk: Desk, key: bytes, field: str) -> None:
    open_ticket(desk)
    row = sent_to(desk, address(key).upper(), field=field)
    assert (row.disposition, row.ticket_id) == (Disposition.UPDATE, 1)
    assert f"keyed address in {field.title() if field != 'X-Original-To' else field} names T-1" in row.saw


def test_whoever_has_the_address_is_accepted_and_flagged(desk: Desk, key: bytes) -> None:
    open_ticket(desk)
    assert sent_to(desk, address(key), sender="Carl <carl@new.test>").disposition is Disposition.UPDATE
    assert entries(desk)[-1].flag is EntryFlag.NEW_SENDER


def test_it_never_speaks_for_a_technician(desk: Desk, key: bytes) -> None:
    with desk.instance.database.writing() as session:
        account_id = make_account(session)
    open_ticket(desk)
    sent_to(desk, address(key), sender=TOM)
    entry = entries(desk)[-1]
    assert (entry.kind, entry.flag, entry.account_id) == (EntryKind.NOTE, EntryFlag.UNPROVEN_STAFF, None)
    in_reply_to = f"<{token(key, account_id=account_id)}>"  # what was sent to that account alone still does
    sent_to(desk, address(key), sender=TOM, **{"In-Reply-To": in_reply_to})
    assert entries(desk)[-1].account_id == account_id


def test_forged_foreign_and_torn_addresses_name_nothing(desk: Desk, key: bytes) -> None:
    open_ticket(desk)
    good = address(key)
    for bad in (
        good.replace("t1-", "t2-"),
        good.replace("@", "x@"),
        "help+t1-@desk.test",
        "help+t1@desk.test",
    ):
        assert sent_to(desk, bad).disposition is Disposition.TICKET, bad
    assert sent_to(desk, address(b"another" * 5)).disposition is Disposition.TICKET


def test_our_own_message_id_is_asked_first(desk: Desk, key: bytes) -> None:
    open_ticket(desk)
    desk.deliver(make_raw(sender=ANN, subject="Another", message_id="second@acme.test"))
    desk.poll()
    row = sent_to(desk, address(key, 1), **{"In-Reply-To": f"<{token(key, 2)}>"})
    assert row.ticket_id == 2


@pytest.mark.parametrize("sender", ["help+t1-x@desk.test", "HELP+anything@desk.test", MAILBOX])
def test_mail_from_our_mailbox_with_a_detail_is_our_own(desk: Desk, sender: str) -> None:
    row = answer(desk, sender=f"Somebody <{sender}>")
    assert (row.disposition, row.rule) == (Disposition.IGNORED, "own-message")


def test_so_is_mail_from_where_answers_go(desk: Desk) -> None:
    mark(desk, answers_to="support@desk.test")
    assert answer(desk, sender="Desk <support+x@desk.test>").rule == "own-message"


def test_nobody_writes_to_or_adds_our_own_addresses(desk: Desk, key: bytes) -> None:
    mark(desk, answers_to="support@desk.test")
    sent_to(desk, f"{address(key, 9)}, support+y@desk.test, amy@acme.test")
    with desk.instance.database.writing() as session:
        ticket, actor = session.get_one(Ticket, 1), session.get_one(Account, make_account(session))
        assert [one.addr_spec for one in participants.offered(session, ticket)] == ["amy@acme.test"]
        for own in (address(key), "support@desk.test", "support+x@desk.test"):
            with pytest.raises(RecipientsRefused, match="an address of this service desk itself"):
                reply_recipients.read(session, to=own)
            with pytest.raises(participants.ParticipantRefused, match="an address of this service desk"):
                participants.add(session, ticket, own, now=desk.now, actor=actor)
