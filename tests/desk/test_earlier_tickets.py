"""Tickets of unknown senders become a user's: whose, which, when, and that it stays quick."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from tests.factories import NOW, add_people, set_incoming
from webapp.desk import accounts, people
from webapp.desk.directory import import_previewed, import_users, preview_import, read_csv
from webapp.desk.earlier_tickets import count_nobodys
from webapp.desk.people import Entries, Refused, Saved
from webapp.instance import Instance
from webapp.models import Audit, Company, Role, Ticket, TicketStatus, User
from webapp.models.ticket import requester_key

WHO: dict[str, Any] = {"now": NOW, "actor": "bob@desk.test"}
CARL = Entries("Carl Coe", "carl@new.test", company="New Ltd")
EARLIER = NOW.replace(year=2025)


def write_tickets(instance: Instance, *addresses: str | None, **values: Any) -> None:
    with instance.database.writing() as session:
        for address in addresses:
            told = {"status": TicketStatus.OPEN, "created_at": EARLIER, "updated_at": EARLIER} | values
            session.add(Ticket(subject="Hello", requester_address=address, **told))


def requesters(instance: Instance) -> list[tuple[str | None, str | None]]:
    """Name and company of each ticket's requester."""
    query = (
        sa.select(User.name, Company.name)
        .select_from(Ticket)
        .outerjoin(User, User.id == Ticket.requester_id)
        .outerjoin(Company, Company.id == Ticket.company_id)
        .order_by(Ticket.id)
    )
    with instance.database.reading() as session:
        return [(user, company) for user, company in session.execute(query)]


def create(instance: Instance, entries: Entries) -> Saved:
    with instance.database.writing() as session:
        return people.create_user(session, entries, **WHO)


def update(instance: Instance, user_id: int, entries: Entries) -> Saved:
    with instance.database.writing() as session:
        user = session.get_one(User, user_id)
        return people.update_user(session, user, entries, expected=people.fingerprint(user), **WHO)


def link(instance: Instance, user_id: int, address: str) -> Saved:
    with instance.database.writing() as session:
        return people.link_address(session, session.get_one(User, user_id), address, **WHO)


def told(instance: Instance) -> list[tuple[str, object]]:
    """The audited acts on users, and how many earlier tickets each names."""
    with instance.database.reading() as session:
        rows = session.scalars(sa.select(Audit).where(Audit.action.startswith("user.")).order_by(Audit.id))
        return [(row.action, row.detail.get("earlier_tickets")) for row in rows]


CARLS, NOBODYS = ("Carl Coe", "New Ltd"), (None, None)


@pytest.mark.parametrize(
    ("written", "theirs"),
    [
        ("carl@new.test", True),
        ("CARL@New.Test", True),
        ('"carl"@new.test', True),
        ("carl@new.test.", True),
        ("carl.coe@bücher.test", True),
        ("carl.coe@xn--bcher-kva.test", True),
        ("carl.coe@BÜCHER.test", True),
        ("carl.coe@bucher.test", False),
        ("\uff43arl@new.test", False),
        ("carl+x@new.test", False),
        ("carl@sub.new.test", False),
        ("x" * 319 + "@", False),
        (None, False),
    ],
)
def test_an_address_is_compared_as_senders_are(instance: Instance, written: str | None, theirs: bool) -> None:
    write_tickets(instance, written)
    saved = create(instance, replace(CARL, other_emails="carl.coe@bücher.test"))
    assert requesters(instance) == [CARLS if theirs else NOBODYS]
    assert saved.earlier_tickets == int(theirs)
    assert told(instance) == [("user.create", 1 if theirs else None)]


def test_only_nobodys_tickets_change_and_keep_their_times(instance: Instance) -> None:
    add_people(instance)
    with instance.database.writing() as session:
        account = accounts.create_account(
            session, email="carl@new.test", name="", password="correct horse battery", role=Role.TECHNICIAN,
            now=NOW, actor="test",
        )  # fmt: skip
    write_tickets(instance, "carl@new.test", requester_id=1, company_id=1)
    write_tickets(instance, "carl@new.test", requester_account_id=account.id)
    write_tickets(instance, "carl@new.test", status=TicketStatus.CLOSED)
    assert create(instance, CARL).earlier_tickets == 1
    assert requesters(instance) == [("Ann Lee", "Acme Ltd"), NOBODYS, CARLS]
    with instance.database.reading() as session:
        assert set(session.scalars(sa.select(Ticket.updated_at))) == {EARLIER}
        assert session.get_one(Ticket, 3).status is TicketStatus.CLOSED


def test_a_user_without_a_company_gives_none(instance: Instance) -> None:
    write_tickets(instance, "carl@new.test")
    create(instance, replace(CARL, company=""))
    assert requesters(instance) == [("Carl Coe", None)]


def test_an_address_a_user_gets_later_brings_its_tickets(instance: Instance) -> None:
    create(instance, CARL)
    write_tickets(instance, "carl@old.test", "carl@old.test", "carl@older.test")
    saved = update(instance, 1, replace(CARL, other_emails="carl@old.test"))
    assert (saved.changed, saved.earlier_tickets) == (True, 2)
    assert requesters(instance) == [CARLS, CARLS, NOBODYS]
    assert told(instance) == [("user.create", None), ("user.update", 2)]
    assert update(instance, 1, replace(CARL, other_emails="carl@old.test")).earlier_tickets == 0
    assert len(told(instance)) == 2


def test_an_address_given_up_keeps_its_tickets(instance: Instance) -> None:
    write_tickets(instance, "carl@new.test")
    create(instance, CARL)
    update(instance, 1, replace(CARL, email="carl@other.test"))
    assert requesters(instance) == [CARLS]


def test_an_inactive_user_gets_nothing_until_set_active(instance: Instance) -> None:
    write_tickets(instance, "carl@new.test", "carl@old.test")
    assert create(instance, replace(CARL, active=False)).earlier_tickets == 0
    assert update(instance, 1, replace(CARL, active=False, phone="1")).earlier_tickets == 0
    assert link(instance, 1, "carl@old.test").earlier_tickets == 0
    assert requesters(instance) == [NOBODYS, NOBODYS]
    assert update(instance, 1, replace(CARL, other_emails="carl@old.test")).earlier_tickets == 2
    assert requesters(instance) == [CARLS, CARLS]


def test_setting_a_user_inactive_takes_no_ticket_away(instance: Instance) -> None:
    write_tickets(instance, "carl@new.test")
    create(instance, CARL)
    update(instance, 1, replace(CARL, active=False))
    assert requesters(instance) == [CARLS]


def test_a_refused_user_changes_no_ticket(instance: Instance) -> None:
    add_people(instance)
    write_tickets(instance, "carl@new.test")
    with pytest.raises(Refused):
        create(instance, replace(CARL, other_emails="ann@acme.test"))
    assert requesters(instance) == [NOBODYS]


# Linking an address


def test_a_linked_address_is_one_more_of_the_users(instance: Instance) -> None:
    add_people(instance)
    write_tickets(instance, "carl@new.test", "carl@new.test", "other@new.test")
    with instance.database.reading() as session:
        assert count_nobodys(session, "CARL@new.test") == 2
    saved = link(instance, 1, " Carl@NEW.test ")
    assert (saved.user.name, saved.changed, saved.earlier_tickets) == ("Ann Lee", True, 2)
    assert requesters(instance) == [("Ann Lee", "Acme Ltd")] * 2 + [NOBODYS]
    with instance.database.reading() as session:
        held = session.get_one(User, 1).addresses
        addresses = ["ann@acme.test", "ann.lee@private.test", "Carl@new.test"]
        assert [address.addr_spec for address in held] == addresses
        row = session.scalars(sa.select(Audit).order_by(Audit.id.desc()).limit(1)).one()
        detail = {"address": "Carl@new.test", "earlier_tickets": 2}
        assert (row.action, row.subject, row.detail) == ("user.link_address", "ann@acme.test", detail)
        assert count_nobodys(session, "carl@new.test") == 0


def test_linking_twice_does_nothing_more(instance: Instance) -> None:
    add_people(instance)
    link(instance, 1, "carl@new.test")
    saved = link(instance, 1, "CARL@new.test")
    assert (saved.changed, saved.earlier_tickets) == (False, 0)
    assert told(instance) == [("user.link_address", None)]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("bob@binder.test", "belongs to another user, Bob Ray."),
        ("HELP@desk.test", "is the incoming mailbox"),
        ("Tech@desk.test", "Tech@desk.test is the address of Tess Tech, of this service desk."),
        ("carl", "is not an e-mail address"),
        ("", "Enter an email address"),
        ("carl\x00@new.test", "control characters"),
    ],
)
def test_an_address_of_somebody_else_is_not_linked(instance: Instance, address: str, words: str) -> None:
    add_people(instance)
    set_incoming(instance)
    with instance.database.writing() as session:
        accounts.create_account(
            session, email="tech@desk.test", name="Tess Tech", password="correct horse battery",
            role=Role.VIEWER, now=NOW, actor="test",
        ).enabled = False  # fmt: skip
    write_tickets(instance, address)
    with pytest.raises(Refused) as caught:
        link(instance, 1, address)
    assert words in caught.value.errors[""]
    assert requesters(instance) == [NOBODYS]
    assert told(instance) == []


def test_a_user_has_at_most_a_hundred_other_addresses(instance: Instance) -> None:
    create(instance, replace(CARL, other_emails="\n".join(f"c{number}@new.test" for number in range(99))))
    link(instance, 1, "last@new.test")
    with pytest.raises(Refused, match="at most 100 other addresses"):
        link(instance, 1, "more@new.test")


# Imports

FILE = (
    b"email,name,company,other_emails,phone,active\n"
    b"ann@acme.test,Ann Lee,Acme Ltd,carl@new.test,,\n"
    b"dora@d.test,Dora,,,,\n"
    b"eve@e.test,Eve,,,,no\n"
)


def test_an_import_gives_tickets_to_whom_it_touches(instance: Instance) -> None:
    add_people(instance)
    write_tickets(instance, "carl@new.test", "DORA@d.test", "dora@d.test", "eve@e.test", "z@z.test", None)
    with instance.database.reading() as session:
        shown, _ = preview_import(session, FILE, now=NOW)
    assert shown.earlier_tickets == 3
    assert requesters(instance) == [NOBODYS] * 6
    with instance.database.writing() as session:
        result = import_previewed(session, read_csv(FILE), shown.fingerprint, **WHO)
    assert result.earlier_tickets == 3
    assert requesters(instance) == [("Ann Lee", "Acme Ltd"), *[("Dora", None)] * 2, *[NOBODYS] * 3]
    with instance.database.reading() as session:
        row = session.scalars(sa.select(Audit).order_by(Audit.id.desc()).limit(1)).one()
        assert (row.action, row.detail["earlier_tickets"]) == ("directory.import", 3)


def test_a_large_import_finds_the_tickets_of_all_its_users(instance: Instance) -> None:
    write_tickets(instance, *(f"u{number}@c.test" for number in range(0, 1200, 100)))
    lines = "".join(f"u{number}@c.test,User {number},Big\n" for number in range(1200))
    with instance.database.writing() as session:
        result = import_users(session, read_csv(f"email,name,company\n{lines}".encode()), **WHO)
    assert result.earlier_tickets == 12
    assert requesters(instance) == [(f"User {number}", "Big") for number in range(0, 1200, 100)]


# A hundred thousand tickets


@pytest.mark.sqlite
def test_a_hundred_thousand_tickets_cost_nothing(instance: Instance) -> None:
    """All of unknown senders: the index leads to the two that matter."""
    filler = itertools.chain((f"u{number}@many.test" for number in range(100_000)), ["carl@new.test"] * 2)
    rows = [
        {"subject": "Hello", "status": TicketStatus.OPEN, "requester_address": address, "created_at": NOW,
         "updated_at": NOW, "requester_name": "", "requester_key": requester_key(address)}
        for address in filler
    ]  # fmt: skip
    with instance.database.writing() as session:
        session.execute(sa.insert(Ticket), rows)
    plans: list[str] = []

    def explain(*arguments: Any) -> None:
        connection, statement, parameters = arguments[0], arguments[2], arguments[3]
        if "ticket.requester_key" in statement and not statement.startswith(("INSERT", "EXPLAIN")):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in plan)

    with instance.database.reading() as session:
        assert count_nobodys(session, "carl@new.test") == 2
    sa.event.listen(instance.database.engine, "before_cursor_execute", explain)
    assert create(instance, CARL).earlier_tickets == 2
    sa.event.remove(instance.database.engine, "before_cursor_execute", explain)
    wanted = "INDEX ix_ticket_nobodys (requester_id=? AND requester_key=?)"
    steps = [step for step in plans if "ticket" in step]
    assert len(steps) == 2
    assert all(wanted in step for step in steps), plans
