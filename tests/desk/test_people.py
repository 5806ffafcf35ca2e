"""Users and companies entered one by one: every rule, and two people at the same moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.desk.test_directory import ANN, counts, load
from tests.desk.test_directory import people as stored_people
from tests.factories import NOW, add_people, set_incoming
from webapp.desk import people
from webapp.desk.directory import PreviewOutdated, import_previewed, preview_import, read_csv
from webapp.desk.people import ChangedMeanwhile, Entries, Refused
from webapp.instance import Instance
from webapp.models import Audit, Company, User, UserAddress

DORA = Entries("Dora Day", "dora@acme.test", "d.day@private.test\ndora@acme.example", "Acme Ltd", "+359 2 1")
WHO: dict[str, Any] = {"now": NOW, "actor": "bob@desk.test"}


def create(instance: Instance, entries: Entries) -> None:
    with instance.database.writing() as session:
        people.create_user(session, entries, **WHO)


def find(session: Session, name: str) -> User:
    return session.scalars(sa.select(User).where(User.name == name)).one()


def update(instance: Instance, name: str, entries: Entries) -> bool:
    with instance.database.writing() as session:
        user = find(session, name)
        return people.update_user(session, user, entries, expected=people.fingerprint(user), **WHO).changed


def audits(instance: Instance) -> list[tuple[str, str, dict[str, Any]]]:
    with instance.database.reading() as session:
        rows = session.scalars(sa.select(Audit).where(Audit.actor == WHO["actor"]).order_by(Audit.id))
        return [(row.action, row.subject, row.detail) for row in rows]


def test_a_user_is_created_with_company_and_addresses(instance: Instance) -> None:
    create(instance, replace(DORA, name="  Dora Day ", email=" Dora@ACME.test "))
    addresses = ["Dora@acme.test", "d.day@private.test", "dora@acme.example"]
    assert stored_people(instance) == [(addresses, "Dora Day", "Acme Ltd", "+359 2 1", True)]
    company, user = audits(instance)
    assert company == ("company.create", "Acme Ltd", {})
    assert user[:2] == ("user.create", "Dora@acme.test")
    assert user[2]["other_emails"] == "d.day@private.test;dora@acme.example"


def test_a_company_is_found_however_it_is_written(instance: Instance) -> None:
    create(instance, DORA)
    create(instance, Entries("Eve", "eve@acme.test", company=" ACME LTD "))
    assert counts(instance)[2] == 1
    assert {person[2] for person in stored_people(instance)} == {"Acme Ltd"}


def test_repeated_addresses_are_one(instance: Instance) -> None:
    create(instance, replace(DORA, other_emails="DORA@acme.test\r\n\r\n x@y.test \r\nX@Y.test"))
    assert stored_people(instance)[0][0] == ["dora@acme.test", "x@y.test"]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "name", "Enter a name."),
        ({"name": " \t "}, "name", "Enter a name."),
        ({"name": "x" * 201}, "name", "at most 200"),
        ({"name": "Do\nra"}, "name", "control characters"),
        ({"name": "Do\x00ra"}, "name", "control characters"),
        ({"name": "Do\u2028ra"}, "name", "control characters"),
        ({"name": "Do\udcffra"}, "name", "control characters"),
        ({"email": ""}, "email", "Enter an email address"),
        ({"email": "dora"}, "email", "is not an e-mail address"),
        ({"email": "dora@acme.test, x@y.test"}, "email", "is not an e-mail address"),
        ({"email": "do\x00ra@acme.test"}, "email", "control characters"),
        ({"email": "x" * 330 + "@acme.test"}, "email", "address"),
        ({"email": "ann@ACME.test"}, "email", "ann@acme.test belongs to another user, Ann Lee."),
        ({"email": "ann.lee@private.test"}, "email", "belongs to another user, Ann Lee."),
        ({"email": "HELP@desk.test"}, "email", "is the incoming mailbox"),
        ({"other_emails": "x@y.test\nann@acme.test"}, "other_emails", "belongs to another user, Ann Lee."),
        ({"other_emails": "help@desk.test"}, "other_emails", "is the incoming mailbox"),
        ({"other_emails": "nonsense"}, "other_emails", "is not an e-mail address"),
        ({"other_emails": "a@b.test\x1cc@d.test"}, "other_emails", "control characters"),
        ({"other_emails": "\n".join(f"a{n}@b.test" for n in range(101))}, "other_emails", "at most 100"),
        ({"company": "x" * 201}, "company", "at most 200"),
        ({"company": "ß" * 101}, "company", "at most 200"),
        ({"company": "A\x1bB"}, "company", "control characters"),
        ({"phone": "1" * 61}, "phone", "at most 60"),
        ({"phone": "1\n2"}, "phone", "control characters"),
    ],
)
def test_what_is_refused_says_why_at_its_field(
    instance: Instance, changes: dict[str, Any], field: str, words: str
) -> None:
    add_people(instance)
    set_incoming(instance)
    create(instance, Entries("Zoe", "zoe@z.test"))
    before = counts(instance)
    wanted = replace(DORA, **({"company": "Brand New"} | changes))
    with pytest.raises(Refused) as caught:
        create(instance, wanted)
    assert list(caught.value.errors) == [field]
    assert words in caught.value.errors[field]
    with pytest.raises(Refused):
        update(instance, "Zoe", wanted)
    assert counts(instance) == before


def test_everything_wrong_is_told_at_once(instance: Instance) -> None:
    with pytest.raises(Refused) as caught:
        create(instance, Entries("", "", "x", "y" * 300, "z" * 100))
    assert set(caught.value.errors) == {"name", "email", "other_emails", "company", "phone"}


def test_an_update_removes_adds_and_reorders_addresses(instance: Instance) -> None:
    create(instance, DORA)
    wanted = replace(
        DORA, email="dora@acme.example", other_emails="dora@acme.test\nnew@acme.test", company=""
    )
    assert update(instance, "Dora Day", replace(wanted, active=False, phone=""))
    addresses = ["dora@acme.example", "dora@acme.test", "new@acme.test"]
    assert stored_people(instance) == [(addresses, "Dora Day", None, "", False)]
    assert counts(instance)[1] == 3
    action, subject, detail = audits(instance)[-1]
    assert (action, subject) == ("user.update", "dora@acme.example")
    assert detail["active"] == ["yes", "no"]
    assert detail["company"] == ["Acme Ltd", ""]
    assert "name" not in detail


def test_an_address_given_up_is_free_for_another(instance: Instance) -> None:
    create(instance, DORA)
    update(instance, "Dora Day", replace(DORA, other_emails=""))
    create(instance, Entries("Eve", "d.day@private.test"))
    assert counts(instance)[0] == 2


def test_saving_the_same_changes_and_writes_down_nothing(instance: Instance) -> None:
    create(instance, DORA)
    before = audits(instance)
    assert not update(instance, "Dora Day", DORA)
    assert audits(instance) == before


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(instance: Instance) -> None:
    create(instance, DORA)
    with instance.database.reading() as session:
        opened = people.fingerprint(find(session, "Dora Day"))
    update(instance, "Dora Day", replace(DORA, phone="999"))
    with instance.database.writing() as session, pytest.raises(ChangedMeanwhile) as caught:
        people.update_user(session, find(session, "Dora Day"), DORA, expected=opened, **WHO)
    assert caught.value.row["phone"] == "999"
    assert stored_people(instance)[0][3] == "999"


@pytest.mark.parametrize(
    "entries", [Entries("Eve", "ann@acme.test"), Entries("Eve", "eve@e.test", "", "ACME ltd")]
)
def test_two_at_the_same_moment_are_refused_not_broken(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, entries: Entries
) -> None:
    """As on a database whose transactions run side by side: the check still saw nothing."""
    add_people(instance)
    monkeypatch.setattr(people, "find_company", lambda *_: None)
    monkeypatch.setattr(people, "_read_address", lambda _session, text, _user: text)
    before = counts(instance)
    with pytest.raises(Refused) as caught:
        create(instance, entries)
    assert caught.value.errors == {"": people.AT_THE_SAME_MOMENT}
    with pytest.raises(Refused), instance.database.writing() as session:
        people.create_company(session, "acme LTD", **WHO)
    assert counts(instance) == before


def test_companies_are_unique_however_written(instance: Instance) -> None:
    with instance.database.writing() as session:
        acme = people.create_company(session, " Acme Ltd ", **WHO)
        people.create_company(session, "Straße", **WHO)
    for name in ("ACME LTD", "strasse", "", " ", "x" * 201, "a\nb"):
        with instance.database.writing() as session, pytest.raises(Refused) as caught:
            people.create_company(session, name, **WHO)
        assert list(caught.value.errors) == ["name"]
    with instance.database.writing() as session:
        found = session.get(Company, acme.id)
        assert found
        with pytest.raises(Refused, match="already a company named Straße"):
            people.rename_company(session, found, "STRASSE", **WHO)
        assert people.rename_company(session, found, "ACME Ltd", **WHO)
        assert not people.rename_company(session, found, "ACME Ltd", **WHO)
    assert audits(instance)[-1] == ("company.rename", "ACME Ltd", {"before": "Acme Ltd"})
    assert len(audits(instance)) == 3


ALL = "email,name,company,other_emails,phone,active\n"
FILE = (
    ALL + "ann@acme.test,Ann Poe,New Co,,,no\n"
    "bob@binder.test,Bob Ray,Binder Inc,,,\n"
    "dora@acme.test,Dora,new co,d@d.test,1,yes\n"
).encode()


def test_a_preview_tells_what_the_import_would_do_and_writes_nothing(instance: Instance) -> None:
    add_people(instance)
    before, people_before = counts(instance), stored_people(instance)
    with instance.database.reading() as session:
        result, mistakes = preview_import(session, FILE, now=NOW)
        assert not session.new
        assert not session.dirty
    assert mistakes == []
    assert (result.created, result.updated, result.unchanged, result.companies) == (1, 1, 1, ["New Co"])
    assert [(change.line, change.before is None) for change in result.changes] == [(2, False), (4, True)]
    assert result.changes[0].differences == [
        ("name", "Ann Lee", "Ann Poe"),
        ("company", "Acme Ltd", "New Co"),
        ("active", "yes", "no"),
    ]
    assert (counts(instance), stored_people(instance)) == (before, people_before)
    with instance.database.writing() as session:
        done = import_previewed(session, read_csv(FILE), result.fingerprint, **WHO)
    assert done.changes == result.changes
    assert counts(instance)[0] == 4


def test_a_preview_names_the_first_mistakes_in_order(instance: Instance) -> None:
    load(instance, ALL + "ann@acme.test,Ann Lee,Acme,,,\n")
    file = ALL + "x,X,,,,\nb@b.test,,,ann@acme.test,,\nok@b.test,Ok,,ann@acme.test,,\nz@z.test,Z,,,,maybe\n"
    with instance.database.reading() as session:
        result, mistakes = preview_import(session, file.encode(), now=NOW)
    assert [(mistake.line, mistake.column) for mistake in mistakes] == [
        (2, "email"),
        (3, "name"),
        (4, "other_emails"),
        (5, "active"),
    ]
    assert result.created == 0
    assert stored_people(instance) == [ANN]


def test_a_preview_tells_at_most_twenty_mistakes(instance: Instance) -> None:
    with instance.database.reading() as session:
        _, mistakes = preview_import(session, (ALL + "x,X,,,,\n" * 100).encode(), now=NOW)
    assert len(mistakes) == 20


def test_an_import_that_is_not_what_was_shown_is_undone(instance: Instance) -> None:
    add_people(instance)
    with instance.database.reading() as session:
        result, _ = preview_import(session, FILE, now=NOW)
    update(instance, "Ann Lee", Entries("Ann Lee", "ann@acme.test", "", "Acme Ltd", "123"))
    before = counts(instance)
    with pytest.raises(PreviewOutdated), instance.database.writing() as session:
        import_previewed(session, read_csv(FILE), result.fingerprint, **WHO)
    assert counts(instance) == before


def test_addresses_are_numbered_from_the_primary_one(instance: Instance) -> None:
    create(instance, DORA)
    with instance.database.reading() as session:
        keys = session.scalars(sa.select(UserAddress.position).order_by(UserAddress.position)).all()
    assert keys == [0, 1, 2]


def test_an_address_deleted_by_somebody_at_the_same_moment_is_told_not_broken(instance: Instance) -> None:
    create(instance, DORA)
    wanted = replace(DORA, other_emails="dora@acme.example")
    with instance.database.writing() as session:
        user = find(session, "Dora Day")
        opened = people.fingerprint(user)
        session.connection().execute(sa.delete(UserAddress).where(UserAddress.position == 2))
        with pytest.raises(Refused) as caught:
            people.update_user(session, user, wanted, expected=opened, **WHO)
        session.rollback()
    assert caught.value.errors == {"": people.AT_THE_SAME_MOMENT}
    assert counts(instance)[1] == 3
