"""Users and companies: lists, forms, roles, CSV import with its preview, export."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from werkzeug.test import TestResponse

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk.directory import read_csv
from webapp.instance import Instance
from webapp.models import Audit, Company, Ticket, User, UserAddress
from webapp.views.people_import import MAX_FILE_BYTES

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>&amp;\"'"
DORA = {
    "name": "Dora Day",
    "email": "dora@acme.example",
    "other_emails": "d.day@private.example",
    "company": "Acme Ltd",
    "phone": "+359 2 1",
    "active": "true",
}
HEADER = "email,name,company,other_emails,phone,active\n"
FILE = HEADER + "ann@acme.example,Ann Poe,Acme Ltd,,,no\ndora@acme.example,Dora,New Co,d@d.example,,yes\n"


@pytest.fixture(autouse=True)
def ann(instance: Instance) -> None:
    """One user of one company, ids 1 and 1."""
    with instance.database.writing() as session:
        make.make_user(session, "Ann Lee", "ann@acme.example", make.make_company(session, "Acme Ltd"))


def names(page: str) -> list[str]:
    return re.findall(r'<th scope="row">(?:<a [^>]*>)?([^<]*)', page)


def counts(instance: Instance) -> list[int | None]:
    with instance.database.reading() as session:
        models = (User, UserAddress, Company, Audit)
        return [session.scalar(sa.select(sa.func.count()).select_from(model)) for model in models]


def fingerprint(browser: Browser, user_id: int = 1) -> str:
    return hidden(browser.get(f"/people/{user_id}/edit").text)["fingerprint"]


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}


def upload(browser: Browser, content: bytes | str) -> TestResponse:
    octets = content.encode() if isinstance(content, str) else content
    parts = (
        f'name="csrf_token"\r\n\r\n{browser.csrf_token("/people/import")}'.encode(),
        b'name="file"; filename="users.csv"\r\n\r\n' + octets,
    )
    body = b"".join(b"--limit\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts)
    kind = "multipart/form-data; boundary=limit"
    return browser.post("/people/import", data=body + b"--limit--\r\n", content_type=kind)


def confirm(browser: Browser, preview: str, **changes: str) -> TestResponse:
    return browser.post("/people/import/confirm", data=hidden(preview) | changes)


# Lists


def test_the_list_tells_everything_about_a_user(vera: Browser, bob: Browser, instance: Instance) -> None:
    bob.send("/people/new", page="/people/new", **(DORA | {"active": ""}))
    page = vera.get("/people").text
    for told in ("Ann Lee", "ann@acme.example", "Acme Ltd", "Yes", "Dora Day", "d.day@private.example", "No"):
        assert told in page
    assert "/edit" not in page
    assert "/people/new" not in page
    assert "/people/import" not in page
    assert re.search(r'<a href="/people" aria-current="page">(?s:.*?)Users &amp; companies', page)
    assert 'href="/people/1"' in page
    assert 'href="/people/1/edit' in bob.get("/people/1").text
    assert "/edit" not in vera.get("/people/1").text
    assert "/people/import" not in bob.get("/people").text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["Ann Lee", "Bob Ray", "Cy"]),
        ("q=lee", ["Ann Lee"]),
        ("q=BINDER.example", ["Bob Ray"]),
        ("q=ray@old.example", ["Bob Ray"]),
        ("q=77", ["Cy"]),
        ("q=%25", []),
        ("q=_", []),
        ("q=nobody", []),
        ("company=1", ["Ann Lee"]),
        ("company=2", ["Bob Ray"]),
        ("company=2&q=lee", []),
        ("company=99", []),
        ("company=x", ["Ann Lee", "Bob Ray", "Cy"]),
        ("company=-1", ["Ann Lee", "Bob Ray", "Cy"]),
        ("company=99999999999999999999", ["Ann Lee", "Bob Ray", "Cy"]),
        ("q=%00", ["Ann Lee", "Bob Ray", "Cy"]),
    ],
)
def test_search_and_company_narrow_the_list(
    vera: Browser, instance: Instance, query: str, found: list[str]
) -> None:
    with instance.database.writing() as session:
        binder = make.make_company(session, "Binder Inc")
        user = make.make_user(session, "Bob Ray", "bob@binder.example", binder)
        user.addresses.append(
            UserAddress(addr_spec="ray@old.example", addr_key="ray@old.example", position=1)
        )
        make.make_user(session, "Cy", "cy@c.example").phone = "0 77 1"
    page = vera.get(f"/people?{query}").text
    assert names(page) == found
    assert ("No user matches." in page) == (not found)
    assert ("Clear filter" in page) == (query not in ("", "q=%00") and not re.search("=(x|-1|9{20})$", query))


def test_fifty_users_a_page_with_the_filter_kept(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        for number in range(60):
            make.make_user(session, f"user {number:02}", f"u{number}@u.example")
    first, second = vera.get("/people?q=user").text, vera.get("/people?q=user&page=2").text
    assert names(first) == [f"user {number:02}" for number in range(50)]
    assert names(second) == [f"user {number:02}" for number in range(50, 60)]
    assert 'href="/people?q=user&amp;page=2"' in first
    assert "There is no page 3." in vera.get("/people?page=3").text


def test_fifty_companies_a_page_and_their_users(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        for number in range(60):
            make.make_company(session, f"company {number:02}")
    first, second = vera.get("/companies").text, vera.get("/companies?page=2").text
    assert (len(names(first)), len(names(second))) == (50, 11)
    assert re.search(r'<a href="/people\?company=1">1 user<', first)
    assert "0 users" in first
    assert "/companies/new" not in first
    assert re.search(r'<a href="/people" aria-current="page">', first)
    assert names(vera.get("/companies?q=ACME").text) == ["Acme Ltd"]
    assert "No company matches." in vera.get("/companies?q=x").text


@pytest.mark.parametrize(("path", "most"), [("/people", 12), ("/companies", 10)])
def test_a_long_list_asks_no_more_than_a_short_one(
    vera: Browser, instance: Instance, path: str, most: int
) -> None:
    with instance.database.writing() as session:
        for number in range(50):
            make.make_user(
                session, f"u{number}", f"u{number}@u.example", make.make_company(session, f"c{number}")
            )
    asked: list[str] = []
    event.listen(instance.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert len(names(vera.get(path).text)) == 50
    assert len(asked) <= most


def test_empty_lists_say_what_to_do(instance: Instance, signed_in: Callable[[str], Browser]) -> None:
    with instance.database.writing() as session:
        for model in (UserAddress, User, Company):
            session.execute(sa.delete(model))
    pages = {who: signed_in(who).get("/people").text for who in ("vera", "bob", "alice")}
    assert all("No users yet." in page for page in pages.values())
    assert ["/people/new" in pages[who] for who in pages] == [False, True, True]
    assert ["/people/import" in pages[who] for who in pages] == [False, False, True]
    assert "No companies yet." in signed_in("vera").get("/companies").text


# Adding and editing


@pytest.mark.parametrize("who", ["bob", "alice"])
def test_a_user_is_added_and_edited_without_a_script(
    signed_in: Callable[[str], Browser], instance: Instance, who: str
) -> None:
    browser = signed_in(who)
    answer = browser.send("/people/new", page="/people/new", **DORA)
    assert (answer.status_code, answer.location) == (303, "/people")
    assert "Dora Day added." in browser.get("/people").text
    page = browser.get("/people/2/edit").text
    for told in (
        'value="Dora Day"',
        'value="dora@acme.example"',
        "d.day@private.example</textarea>",
        " checked",
    ):
        assert told in page
    assert '<option value="Acme Ltd">' in page
    changes = {"name": "Dora Poe", "company": "New Co", "fingerprint": fingerprint(browser, 2)}
    answer = browser.send("/people/2/edit", page="/people/2/edit", **(DORA | changes))
    assert answer.status_code == 303
    assert "Dora Poe saved." in browser.get("/people").text
    with instance.database.reading() as session:
        user = session.get(User, 2)
        assert user is not None
        assert (user.name, user.company and user.company.name) == ("Dora Poe", "New Co")
        actions = session.scalars(sa.select(Audit.action).where(~Audit.action.startswith("account"))).all()
    assert actions == ["user.create", "company.create", "user.update"]


def test_a_mailbox_may_be_prefilled_from_elsewhere(bob: Browser) -> None:
    page = bob.get("/people/new?name=Carl&email=carl@new.example").text
    assert 'value="Carl"' in page
    assert 'value="carl@new.example"' in page


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "Enter a name."),
        ({"email": ""}, "Enter an email address"),
        ({"email": "nobody"}, "is not an e-mail address"),
        ({"email": "ANN@acme.example"}, "ANN@acme.example belongs to another user, Ann Lee."),
        ({"other_emails": "x@y.example\nann@acme.example"}, "belongs to another user, Ann Lee."),
        ({"other_emails": "help@example.com"}, "is the incoming mailbox"),
        ({"email": "help@example.com"}, "is the incoming mailbox"),
        ({"company": "x" * 201}, "at most 200 characters"),
        ({"phone": "1" * 61}, "at most 60 characters"),
        ({"name": "A\x00B"}, "control characters"),
    ],
)
def test_what_is_refused_is_said_and_the_entries_are_kept(
    bob: Browser, instance: Instance, changes: dict[str, str], sentence: str
) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        make.make_user(session, "Zoe", "zoe@z.example")
    before = counts(instance)
    for path in ("/people/new", "/people/2/edit"):
        answer = bob.send(path, page=path, **(DORA | changes))
        assert answer.status_code == 422
        assert sentence in html.unescape(answer.text)
        assert answer.text.count("field-error") == 1
        assert "Not saved" in answer.text
        kept = DORA | changes
        assert f'value="{kept["phone"]}"' in answer.text
        assert "d.day@private.example" in answer.text or "other_emails" in changes
    assert counts(instance) == before


def test_an_edit_by_two_people_shows_theirs_and_saving_again_overwrites(bob: Browser, alice: Browser) -> None:
    ann = {"name": "Ann Lee", "email": "ann@acme.example", "company": "Acme Ltd", "active": "true"}
    opened = fingerprint(bob)
    alice.send("/people/1/edit", page="/people/1/edit", **ann, phone="777", fingerprint=opened)
    answer = bob.send("/people/1/edit", page="/people/1/edit", **ann, phone="888", fingerprint=opened)
    assert answer.status_code == 409
    assert "Somebody else changed this user" in answer.text
    assert "<dd>777</dd>" in answer.text
    assert 'value="888"' in answer.text
    assert "Save mine" in answer.text
    now = hidden(answer.text)["fingerprint"]
    again = bob.send("/people/1/edit", page="/people/1/edit", **ann, phone="888", fingerprint=now)
    assert again.status_code == 303
    assert ">888<" in bob.get("/people").text


def test_two_saves_at_the_same_moment_are_told_not_broken(
    bob: Browser, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.desk.people.find_company", lambda *_: None)
    monkeypatch.setattr("webapp.desk.people._read_address", lambda _session, text, _user: text)
    before = counts(instance)
    for path, entries in (
        ("/people/new", DORA | {"email": "ann@acme.example"}),
        ("/people/new", DORA),
        ("/companies/new", {"name": "ACME ltd"}),
    ):
        answer = bob.send(path, page=path, **entries)
        assert answer.status_code == 422
        assert "Nothing was changed. Save again." in answer.text
    assert counts(instance) == before


def test_a_company_is_added_and_renamed(bob: Browser, instance: Instance) -> None:
    assert bob.send("/companies/new", page="/companies/new", name=" Binder Inc ").status_code == 303
    page = bob.get("/companies").text
    assert "Binder Inc added." in page
    assert names(page) == ["Acme Ltd", "Binder Inc"]
    assert 'value="Binder Inc"' in bob.get("/companies/2/edit").text
    assert bob.send("/companies/2/edit", page="/companies/2/edit", name="BINDER").status_code == 303
    assert names(bob.get("/companies").text) == ["Acme Ltd", "BINDER"]
    for path in ("/companies/new", "/companies/2/edit"):
        for name, sentence in (("acme LTD", "already a company named Acme Ltd"), ("", "Enter a name.")):
            answer = bob.send(path, page=path, name=name)
            assert answer.status_code == 422
            assert sentence in answer.text
            assert f'value="{name}"' in answer.text


@pytest.mark.parametrize("path", ["/people/99/edit", "/companies/99/edit"])
def test_what_is_not_there_cannot_be_saved(bob: Browser, path: str) -> None:
    assert bob.send(path, page="/people/new", **DORA).status_code == 404


@pytest.mark.parametrize(
    ("who", "allowed"),
    [("vera", ()), ("bob", ("edit",)), ("alice", ("edit", "import"))],
)
def test_each_role_on_each_change(
    signed_in: Callable[[str], Browser], instance: Instance, who: str, allowed: tuple[str, ...]
) -> None:
    browser, before = signed_in(who), counts(instance)
    for path, kind in (
        ("/people/new", "edit"),
        ("/people/1/edit", "edit"),
        ("/companies/new", "edit"),
        ("/companies/1/edit", "edit"),
        ("/people/import", "import"),
        ("/people/import/confirm", "import"),
    ):
        answer = browser.send(path, page="/people", name="")
        assert answer.status_code == (422 if kind in allowed else 403), path
        assert browser.post(path, data=DORA).status_code in (400, 403)  # no CSRF token
    assert counts(instance) == before


def test_hostile_texts_are_only_texts(alice: Browser, instance: Instance) -> None:
    alice.send(
        "/people/new",
        page="/people/new",
        **(DORA | {"name": HOSTILE, "company": HOSTILE, "phone": HOSTILE[:60]}),
    )
    refused = alice.send(
        "/people/new", page="/people/new", **{**DORA, "email": HOSTILE, "other_emails": HOSTILE}
    )
    file = HEADER + f'x@x.example,"{HOSTILE.replace(chr(34), chr(34) * 2)}",<b>Co</b>,,,\n'
    pages = [
        refused.text,
        upload(alice, file).text,
        upload(alice, "email,name,company,<script>alert(1)</script>\n").text,
        *(alice.get(path).text for path in ("/people", "/people/2/edit", "/companies", "/companies/2/edit")),
        alice.get("/people", query_string={"q": HOSTILE}).text,
        alice.get("/people/new", query_string={"name": HOSTILE}).text,
    ]
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "<b>Co" not in page
        assert "&lt;" in page


# Import and export


def test_a_file_is_shown_first_and_imported_when_confirmed(alice: Browser, instance: Instance) -> None:
    before = counts(instance)
    preview = upload(alice, FILE)
    assert preview.status_code == 200
    for told in (
        "<strong>1 user</strong> will be created, <strong>1 user</strong> updated",
        "1 company will be created: New Co.",
        "Name: Ann Lee → Ann Poe",
        "Active: yes → no",
        "dora@acme.example",
        "Import 2 users",
    ):
        assert told in preview.text
    assert counts(instance) == before
    answer = confirm(alice, preview.text)
    assert (answer.status_code, answer.location) == (303, "/people")
    page = alice.get("/people").text
    assert "Import finished. Users: 1 created, 1 updated, 0 unchanged. Companies: 1 created." in page
    assert names(page) == ["Ann Poe", "Dora"]
    with instance.database.reading() as session:
        audit = session.scalars(sa.select(Audit).where(Audit.action == "directory.import")).one()
    assert audit.actor == "alice@desk.example"


def test_a_file_that_changes_nothing_has_nothing_to_confirm(alice: Browser) -> None:
    page = upload(alice, HEADER + "ann@acme.example,Ann Lee,Acme Ltd,,,\n").text
    assert "There is nothing to import" in page
    assert "/people/import/confirm" not in page


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ["Choose a CSV file"]),
        (b"email,name\n", [">company<", "must name the columns"]),
        (b"\x00\x01\x02", ["must name the columns"]),
        (
            (HEADER + "x,X,,,,\n,,,,,\nok@x.example,,,,,\n").encode(),
            [">2<", "is not an e-mail", ">4<", "name is missing"],
        ),
        (
            (HEADER + "z@z.example,Z,,ANN@acme.example,,\n").encode(),
            [">other_emails<", "belongs to another user"],
        ),
        ("email,name,company\na@b.example,Änn,\n".encode("cp1252"), ["not UTF-8"]),
        ((HEADER + 'z@z.example,"Z,,,,\n').encode(), ["never closed"]),
    ],
)
def test_a_file_with_mistakes_imports_nothing(
    alice: Browser, instance: Instance, content: bytes, told: list[str]
) -> None:
    before = counts(instance)
    answer = upload(alice, content)
    assert answer.status_code == 422
    for words in told:
        assert words in answer.text
    assert "/people/import/confirm" not in answer.text
    carried = base64.urlsafe_b64encode(content).decode()
    confirmed = confirm(alice, answer.text, content=carried, fingerprint="0" * 64)
    assert confirmed.status_code == 422
    assert counts(instance) == before


def test_no_file_at_all_is_asked_for(alice: Browser) -> None:
    answer = alice.send("/people/import", page="/people/import")
    assert answer.status_code == 422
    assert "Choose a CSV file" in answer.text


def test_a_large_file_is_refused_with_a_sentence(alice: Browser, instance: Instance) -> None:
    lines = "".join(f"u{number}@u.example,{'x' * 50},Big,,,\n" for number in range(150))
    allowed = (HEADER + lines)[:MAX_FILE_BYTES].rpartition("\n")[0] + "\n"
    allowed += "\n" * (MAX_FILE_BYTES - len(allowed))
    before = counts(instance)
    huge = alice.post("/people/import", data=b"x" * 2_500_000, content_type="multipart/form-data; boundary=x")
    answers = [upload(alice, allowed + "\n"), huge]
    assert [answer.status_code for answer in answers] == [422, 413]
    for answer in answers:
        assert "This file is larger than 500 KB. Nothing was imported." in answer.text
    assert counts(instance) == before
    preview = upload(alice, allowed)
    assert preview.status_code == 200
    assert "And 50 more." in preview.text
    assert confirm(alice, preview.text).status_code == 303


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        (
            {"content": base64.urlsafe_b64encode((HEADER + "eve@e.example,Eve,,,,\n").encode()).decode()},
            409,
            "Not imported",
        ),
        ({"content": base64.urlsafe_b64encode(b"nonsense").decode()}, 422, "must name the columns"),
        ({"fingerprint": "0" * 64}, 409, "Not imported"),
        ({"fingerprint": ""}, 409, "Not imported"),
        ({"content": ""}, 422, "Choose the file again"),
        ({"content": "%%%"}, 422, "Choose the file again"),
        ({"content": "abcde"}, 422, "Choose the file again"),
        ({"content": "ä"}, 422, "Choose the file again"),
        (
            {"content": base64.urlsafe_b64encode(b"x" * (MAX_FILE_BYTES + 1)).decode()},
            422,
            "Choose the file again",
        ),
        ({"content": "A" * 2_100_000}, 413, "larger than 500 KB"),
    ],
)
def test_only_what_was_shown_is_imported(
    alice: Browser, instance: Instance, changes: dict[str, str], status: int, sentence: str
) -> None:
    preview, before = upload(alice, FILE), counts(instance)
    answer = confirm(alice, preview.text, **changes)
    assert answer.status_code == status
    assert sentence in answer.text
    assert counts(instance) == before


def test_a_directory_that_changed_since_is_shown_again(
    alice: Browser, bob: Browser, instance: Instance
) -> None:
    preview = upload(alice, FILE)
    bob.send("/people/new", page="/people/new", **DORA)
    before = counts(instance)
    again = confirm(alice, preview.text)
    assert again.status_code == 409
    assert "changed since the preview" in again.text
    assert "<strong>0 users</strong> will be created, <strong>2 users</strong> updated" in again.text
    assert counts(instance) == before
    assert confirm(alice, again.text).status_code == 303


def test_a_file_confirmed_twice_is_imported_once(alice: Browser, instance: Instance) -> None:
    preview = upload(alice, FILE)
    assert confirm(alice, preview.text).status_code == 303
    before = counts(instance)
    assert confirm(alice, preview.text).status_code == 409
    assert counts(instance) == before


def test_an_export_imports_as_nothing_new(alice: Browser, bob: Browser) -> None:
    bob.send("/people/new", page="/people/new", **(DORA | {"name": '=1+1, "Dora"', "company": "Bücher;Ltd"}))
    answer = alice.get("/people/export.csv")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=users.csv")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.data.startswith(b"\xef\xbb\xbf" + HEADER.encode().rstrip())
    assert [user.name for user in read_csv(answer.data)] == ["Ann Lee", '=1+1, "Dora"']
    assert "There is nothing to import" in upload(alice, answer.data).text


@pytest.mark.parametrize(
    "path",
    [
        "/people",
        "/people/new",
        "/people/1",
        "/people/1/edit",
        "/people/link?email=carl@new.example&q=ann",
        "/people/1/link?email=carl@new.example",
        "/people/import",
        "/companies",
        "/companies/new",
        "/companies/1/edit",
    ],
)
def test_every_page_has_one_heading_and_ids_of_its_own(alice: Browser, path: str) -> None:
    page = alice.get(path).text
    assert page.count("<h1") == 1
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    labels = set(re.findall(r'<label for="([^"]+)"', page))
    assert labels <= set(ids)


# A user's page


def test_a_users_page_tells_who_it_is_and_what_they_asked(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        user = session.get_one(User, 1)
        user.addresses.append(UserAddress(addr_spec="a@old.example", addr_key="a@old.example", position=1))
        for number in range(22):
            make.make_ticket(session, f"question {number}", requester=user, company=user.company)
        make.make_ticket(session, "somebody else's")
    page = vera.get("/people/1").text
    for told in ("Ann Lee", "ann@acme.example", "a@old.example", 'href="/people?company=1">Acme Ltd'):
        assert told in page
    assert re.findall(r">(question \d+)<", page) == [f"question {number}" for number in range(21, 1, -1)]
    assert "The newest 20 of 22." in page
    assert "Inactive" not in page


# Unknown senders: added as a user, or linked to one


@pytest.fixture
def carls_tickets(instance: Instance) -> None:
    """Three tickets of an address nobody has, written in three ways, and one of somebody else."""
    with instance.database.writing() as session:
        for address in ("Carl@new.example", "carl@NEW.example", '"carl"@new.example', "carla@new.example"):
            make.make_ticket(session, requester_address=address, requester_name="Carl")


def requesters(instance: Instance) -> list[tuple[int | None, int | None]]:
    with instance.database.reading() as session:
        rows = session.execute(sa.select(Ticket.requester_id, Ticket.company_id).order_by(Ticket.id))
        return [(row.requester_id, row.company_id) for row in rows]


def last_audit(instance: Instance) -> tuple[str, str, dict[str, object]]:
    with instance.database.reading() as session:
        row = session.scalars(sa.select(Audit).order_by(Audit.id.desc()).limit(1)).one()
        return row.action, row.subject, row.detail


@pytest.mark.usefixtures("carls_tickets")
def test_a_sender_who_is_added_gets_the_tickets_of_before(bob: Browser, instance: Instance) -> None:
    page = bob.get("/people/new?name=Carl&email=carl@new.example&next=/tickets/1").text
    assert hidden(page)["next"] == "/tickets/1"
    assert '<a href="/tickets/1" data-cancel>' in page
    carl = {"name": "Carl Coe", "email": "carl@new.example", "company": "Acme Ltd", "active": "true"}
    refused = bob.send("/people/new", page="/people/new", **(carl | {"name": "", "next": "/tickets/1"}))
    assert hidden(refused.text)["next"] == "/tickets/1"
    answer = bob.send("/people/new", page="/people/new", **carl, next="/tickets/1")
    assert (answer.status_code, answer.location) == (303, "/tickets/1")
    page = bob.get("/tickets/1").text
    assert "Carl Coe added. 3 earlier tickets are theirs now." in page
    assert '<a href="/people/2">Carl Coe</a>' in page
    assert "Unknown sender" not in page
    assert requesters(instance) == [(2, 1)] * 3 + [(None, None)]
    action, subject, detail = last_audit(instance)
    assert (action, subject, detail["earlier_tickets"]) == ("user.create", "carl@new.example", 3)


@pytest.mark.usefixtures("carls_tickets")
def test_an_address_is_linked_to_a_user_who_is_there(bob: Browser, instance: Instance) -> None:
    page = bob.get("/people/link?name=Carl&email=carl@new.example&next=/tickets/1").text
    assert "Nobody has this name" in page
    page = bob.get("/people/link?q=lee&email=carl@new.example&next=/tickets/1").text
    confirmation = "/people/1/link?email=carl@new.example&next=/tickets/1"
    assert f'href="{html.escape(confirmation)}"' in page
    page = bob.get(confirmation).text
    assert "Link to Ann Lee?" in page
    assert "3 earlier tickets become theirs too, with Acme Ltd as company." in page
    assert requesters(instance)[0] == (None, None)  # only looked at so far
    answer = bob.post("/people/1/link", data=hidden(page))
    assert (answer.status_code, answer.location) == (303, "/tickets/1")
    page = bob.get("/tickets/1").text
    assert "carl@new.example is an address of Ann Lee now. 3 earlier tickets are theirs now." in page
    assert requesters(instance) == [(1, 1)] * 3 + [(None, None)]
    assert "carl@new.example" in bob.get("/people/1").text
    detail = {"address": "carl@new.example", "earlier_tickets": 3}
    assert last_audit(instance) == ("user.link_address", "ann@acme.example", detail)
    before = counts(instance)
    again = bob.send("/people/1/link", page="/people", email="carl@new.example")
    assert (again.status_code, again.location) == (303, "/people/1")
    assert "was already an address of Ann Lee." in bob.get("/people/1").text
    assert counts(instance) == before
    assert "is already an address of" in bob.get("/people/link?email=CARL@new.example").text


def test_likely_users_come_first(bob: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_user(session, "Carl Coe", "cc@binder.example")
        make.make_user(session, "Dora", "dora@new.example")
        make.make_user(session, "Eve", "carl@private.example")
        make.make_user(session, "Gil", "gil@gmail.com")
    page = bob.get("/people/link?name=carl+coe&email=carl@new.example").text
    assert names(page) == ["Carl Coe", "Dora", "Eve"]
    assert names(bob.get("/people/link?email=someone@gmail.com").text) == []
    assert "No user matches." in bob.get("/people/link?email=a@b.example&q=zzz").text


def test_a_search_gets_the_choices_alone(bob: Browser) -> None:
    part = bob.get("/people/link?email=carl@new.example&q=ann", headers={"HX-Request": "true"}).text
    assert names(part) == ["Ann Lee"]
    assert 'id="link-choices"' in part
    assert "<html" not in part


def test_the_company_of_a_domain_is_proposed(bob: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_user(session, "Gil", "gil@gmail.com", session.get(Company, 1))
        binder = make.make_company(session, "Binder Inc")
        make.make_user(session, "Two", "two@shared.example", binder)
        make.make_user(session, "Three", "three@shared.example", session.get(Company, 1))
        make.make_user(session, "Four", "four@half.example", binder)
        make.make_user(session, "Five", "five@half.example")

    def proposed(query: str) -> str:
        found = re.search(r'<input[^>]* id="company"[^>]*>', bob.get(f"/people/new?{query}").text)
        assert found
        value = re.search(r'value="([^"]*)"', found[0])
        return value[1] if value else ""

    assert proposed("email=new@ACME.example") == "Acme Ltd"
    assert proposed("email=new@acme.example&company=Other") == "Other"
    strangers = (
        "new@gmail.com",
        "x@shared.example",
        "x@half.example",
        "x@sub.acme.example",
        "nonsense",
        "x@%",
    )
    for email in strangers:
        assert proposed(f"email={email}") == "", email


@pytest.mark.parametrize(
    ("email", "sentence"),
    [
        ("zoe@z.example", "belongs to another user, Zoe."),
        ("BOB@desk.example", "is the address of Bob Best, of this service desk."),
        ("help@example.com", "is the incoming mailbox"),
        ("nonsense", "is not an e-mail address"),
    ],
)
def test_an_address_that_cannot_be_linked_is_told_before_and_refused_after(
    bob: Browser, instance: Instance, email: str, sentence: str
) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        make.make_user(session, "Zoe", "zoe@z.example")
    before = counts(instance)
    page = bob.get(f"/people/1/link?email={email}&next=/email-log").text
    assert "Not linked." in page
    assert sentence in html.unescape(page)
    assert 'action="/people/1/link"' not in page
    answer = bob.send("/people/1/link", page="/people", email=email, next="/email-log")
    assert answer.status_code == 422
    assert sentence in html.unescape(answer.text)
    assert counts(instance) == before
    page = bob.get(f"/people/link?email={email}&next=/email-log").text
    assert "/people/1/link" not in page
    assert 'href="/email-log">Go back' in page


@pytest.mark.usefixtures("carls_tickets")
def test_linking_to_an_inactive_user_says_what_it_does_not_do(bob: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        session.get_one(User, 1).active = False
    page = bob.get("/people/1/link?email=carl@new.example").text
    assert "Ann Lee is inactive." in page
    assert re.search(r'<a href="/people" aria-current="page">(?s:.*?)Users &amp; companies', page)
    assert "earlier ticket" not in page.replace("no earlier ticket", "")
    assert bob.post("/people/1/link", data=hidden(page)).status_code == 303
    assert requesters(instance) == [(None, None)] * 4
    assert "Unknown sender" in bob.get("/tickets/1").text


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_the_way_back_never_leads_elsewhere(bob: Browser, wanted: str) -> None:
    query = {"email": "carl@new.example", "next": wanted}
    for path in ("/people/new", "/people/link", "/people/1/link", "/people/1/edit"):
        assert re.search(r'href="[^"/]*(//|\\)[^"]*evil', bob.get(path, query_string=query).text) is None
    answers = (
        bob.send("/people/new", page="/people/new", **DORA, next=wanted),
        bob.send("/people/1/link", page="/people", **query),
    )
    assert [answer.location for answer in answers] == ["/", "/"]


def test_linking_needs_the_role_and_a_token(vera: Browser, bob: Browser, instance: Instance) -> None:
    before = counts(instance)
    answer = vera.send("/people/1/link", page="/tickets", email="carl@new.example")
    assert answer.status_code == 403
    assert bob.post("/people/1/link", data={"email": "carl@new.example"}).status_code == 400
    assert bob.send("/people/99/link", page="/people", email="carl@new.example").status_code == 404
    assert counts(instance) == before


@pytest.mark.usefixtures("carls_tickets")
def test_an_import_says_which_tickets_became_somebodys(alice: Browser, instance: Instance) -> None:
    preview = upload(alice, HEADER + "carl@new.example,Carl Coe,Acme Ltd,,,\n")
    assert "3 earlier tickets of unknown senders become theirs." in preview.text
    assert requesters(instance)[0] == (None, None)
    assert confirm(alice, preview.text).status_code == 303
    assert "Earlier tickets that are theirs now: 3." in alice.get("/people").text
    assert requesters(instance) == [(2, 1)] * 3 + [(None, None)]
