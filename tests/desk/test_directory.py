"""The directory's CSV: a broken file imports nothing and is told by line and column."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import NOW, make_instance, set_row
from webapp.desk.directory import CsvError, ImportResult, export_users, import_users, read_csv
from webapp.instance import Instance
from webapp.mail.address import fold_addr_spec
from webapp.models import Audit, Company, User, UserAddress

HEADER = "email,name,company"
ALL = "email,name,company,other_emails,phone,active"


def load(instance: Instance, text: str | bytes) -> ImportResult:
    content = text.encode() if isinstance(text, str) else text
    with instance.database.writing() as session:
        return import_users(session, read_csv(content), now=NOW, actor="test")


def export(instance: Instance) -> str:
    with instance.database.reading() as session:
        return export_users(session)


def people(instance: Instance) -> list[tuple[Any, ...]]:
    """(addresses, name, company, phone, active) of every user, as stored."""
    with instance.database.reading() as session:
        return [
            (
                [address.addr_spec for address in user.addresses],
                user.name,
                user.company.name if user.company else None,
                user.phone,
                user.active,
            )
            for user in session.scalars(sa.select(User).order_by(User.id))
        ]


def counts(instance: Instance) -> list[int | None]:
    with instance.database.reading() as session:
        models = (User, UserAddress, Company, Audit)
        return [session.scalar(sa.select(sa.func.count()).select_from(model)) for model in models]


@contextmanager
def counted_questions(engine: sa.Engine) -> Iterator[list[str]]:
    questions: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT"):
            questions.append(arguments[2])

    sa.event.listen(engine, "before_cursor_execute", note)
    yield questions
    sa.event.remove(engine, "before_cursor_execute", note)


ANN = (["ann@acme.test"], "Ann Lee", "Acme", "", True)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\nann@acme.test,Ann Lee,Acme\n",
        f"{HEADER}\r\nann@acme.test,Ann Lee,Acme\r\n",
        f"{HEADER}\rann@acme.test,Ann Lee,Acme\r",
        f"{HEADER}\nann@acme.test,Ann Lee,Acme",
        f"\ufeff{HEADER}\nann@acme.test,Ann Lee,Acme\n",
        "email;name;company\nann@acme.test;Ann Lee;Acme\n",
        'company,email,name\n"Acme",ann@acme.test,"Ann Lee"\n',
        " Email , NAME,Company\n ann@acme.test ,  Ann Lee , Acme \n",
        f"{HEADER}\n\n  \nann@acme.test,Ann Lee,Acme\n\n,,\n",
        f"{ALL}\nann@acme.test,Ann Lee,Acme,,,\n",
        f"{ALL}\nann@acme.test,Ann Lee,Acme\n",  # a spreadsheet left out the empty end
        f"{ALL}\nann@acme.test,Ann Lee,Acme, ; ,,YES\n",
    ],
)
def test_files_of_all_kinds_of_programs_are_read(instance: Instance, text: str) -> None:
    assert load(instance, text).created == 1
    assert people(instance) == [ANN]


def test_all_columns_are_kept(instance: Instance) -> None:
    result = load(
        instance,
        f"{ALL}\n"
        'ann@acme.test,"Lee, Ann","Acme ""Best"" Ltd",a.lee@private.test; ann@Acme.example,+359 2 123,yes\n'
        "bob@binder.test,Bob,,,,no\n"
        'cy@binder.test,Cy,acme "best" LTD,,,0\n',
    )
    assert (result.created, result.companies) == (3, ['Acme "Best" Ltd'])
    assert people(instance) == [
        (
            ["ann@acme.test", "a.lee@private.test", "ann@acme.example"],
            "Lee, Ann",
            'Acme "Best" Ltd',
            "+359 2 123",
            True,
        ),
        (["bob@binder.test"], "Bob", None, "", False),
        (["cy@binder.test"], "Cy", 'Acme "Best" Ltd', "", False),
    ]


GOOD = "ok@acme.test,Good Line,New Company\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, "email", "must name the columns"),
        ("\n", 1, "email", "must name the columns"),
        ("ann@acme.test,Ann,Acme\n", 1, "email", "must name the columns email,name,company"),
        ("email,name\na@b.test,A\n", 1, "company", "must name the columns"),
        ("email,name,company,mobile\n", 1, "mobile", "not known. Known: email,name,company,other_emails"),
        ("email,name,company,\n", 1, "4", "not known"),
        ("email,name,company,name\n", 1, "name", "twice"),
        ('email,"name,company\n' + GOOD, 1, "2", "a quote is opened here and never closed"),
        (f"{HEADER}\n{GOOD},Nameless,Acme\n", 3, "email", "address is missing"),
        (f"{HEADER}\n{GOOD}ann@acme.test,,Acme\n", 3, "name", "name is missing"),
        (f"{HEADER}\n{GOOD}not an address,Ann,Acme\n", 3, "email", "is not an e-mail address"),
        (f"{HEADER}\n{GOOD}a@b@c.test,Ann,Acme\n", 3, "email", "is not an e-mail address"),
        (f"{HEADER}\n{GOOD}Ann <ann@acme.test>,Ann,Acme\n", 3, "email", "is not an e-mail address"),
        (f"{HEADER}\n{GOOD}ann@acme.test,Ann\n", 3, "company", "the line ends before this column"),
        (f"{HEADER}\n{GOOD}ann@acme.test\n", 3, "name", "the line ends before this column"),
        (f"{HEADER}\n{GOOD}ann@acme.test,Lee, Ann,Acme\n", 3, "4", "more values than columns"),
        (f"{HEADER}\n{GOOD}ann@acme.test;Ann;Acme\n", 3, "name", "the line ends before this column"),
        (f'{HEADER}\n{GOOD}ann@acme.test,"Ann,Acme\n{GOOD}', 3, "2", "never closed"),
        (f'{HEADER}\n{GOOD}ann@acme.test,"Ann" Lee,Acme\n', 3, "2", "text after the closing quote"),
        (f'{HEADER}\n{GOOD}ann@acme.test,"A ""B""",Ac"me\n"x"y\n', 4, "1", "text after the closing quote"),
        (f'{HEADER}\n{GOOD}ann@acme.test,"Ann\nLee",Acme\n', 3, "name", "a line break"),
        (f'{HEADER}\n"a@b.test","A","B\nC\nD"\n', 2, "company", "a line break"),
        (f"{HEADER}\n{GOOD}ann@acme.test,Ann\x1b[31m,Acme\n", 3, "name", "control character"),
        (f"{HEADER}\n{GOOD}ann@acme.test,Ann\x00,Acme\n", 3, "name", "control character"),
        (f"{HEADER}\n{GOOD}ann@acme.test,{'x' * 201},Acme\n", 3, "name", "longer than 200"),
        (f"{HEADER}\n{GOOD}ann@acme.test,Ann,{'ß' * 101}\n", 3, "company", "longer than 200"),
        (f"{ALL}\nann@acme.test,Ann,Acme,,{'1' * 61},\n", 2, "phone", "longer than 60"),
        (f"{ALL}\nann@acme.test,Ann,Acme,,,maybe\n", 2, "active", "enter yes or no, not 'maybe'"),
        (f"{ALL}\nann@acme.test,Ann,Acme,nonsense,,\n", 2, "other_emails", "is not an e-mail address"),
        (f"{HEADER}\n{GOOD}OK@ACME.test,Ann,Acme\n", 3, "email", "OK@acme.test is already on line 2"),
        (f"{HEADER}\na@bücher.test,A,\na@xn--bcher-kva.test,B,\n", 3, "email", "already on line 2"),
        (f"{ALL}\na@b.test,A,,c@b.test,,\nc@b.test,C,,,,\n", 3, "email", "already on line 2"),
        (f"{ALL}\na@b.test,A,,,,\nc@b.test,C,,d@b.test;A@B.TEST,,\n", 3, "other_emails", "already on line 2"),
        (f"{ALL}\na@b.test,A,,A@b.test,,\n", 2, "other_emails", "twice on this line"),
        (f"{HEADER}\n{GOOD}ann@acme.test,{'x' * 140_000},Acme\n", 3, "2", "far too long"),
    ],
)
def test_a_broken_file_names_line_and_column_and_imports_nothing(
    instance: Instance, text: str, line: int, column: str, words: str
) -> None:
    with pytest.raises(CsvError) as caught:
        load(instance, text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"line {line}, column {column}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert counts(instance) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        ("email,name,company\na@b.test,Ännchen,\n".encode("cp1252"), 2, "name"),
        ("email,name,company\na@b.test,A,\nb@b.test,B,Bücher\n".encode("cp1252"), 3, "company"),
        ("email,name,company\n".encode("utf-16"), 1, "email"),
        (b"\x00\x01\x02\x03", 1, "email"),
    ],
)
def test_a_file_that_is_not_utf_8_names_line_and_column(content: bytes, line: int, column: str) -> None:
    with pytest.raises(CsvError) as caught:
        read_csv(content)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (f"{HEADER}\n{GOOD}help@desk.test,Help,\n", 3, "email", "is the incoming mailbox"),
        (f"{ALL}\n{GOOD}ann@acme.test,Ann,,HELP@desk.test,,\n", 3, "other_emails", "is the incoming mailbox"),
        (
            f"{ALL}\n{GOOD}ann@acme.test,Ann,,bob@b.test,,\n",
            3,
            "other_emails",
            "belongs to another user, Bob",
        ),
    ],
)
def test_what_is_taken_already_names_line_and_column(
    instance: Instance, text: str, line: int, column: str, words: str
) -> None:
    set_row(instance, host="imap.desk.test", username="help@desk.test")
    load(instance, f"{HEADER}\nbob@b.test,Bob,Binder\n")
    before = counts(instance)
    with pytest.raises(CsvError) as caught:
        load(instance, text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert words in str(caught.value)
    assert counts(instance) == before


def test_the_same_file_again_changes_nothing(instance: Instance) -> None:
    text = f"{ALL}\nAnn@Acme.test,Ann Lee,Acme,ann@private.test,123,yes\nbob@b.test,Bob,,,,no\n"
    load(instance, text)
    before = people(instance)
    result = load(instance, text)
    assert (result.created, result.updated, result.unchanged, result.companies) == (0, 0, 2, [])
    assert people(instance) == before


def test_an_update_changes_what_is_named_and_keeps_the_rest(instance: Instance) -> None:
    load(instance, f"{ALL}\nann@acme.test,Ann Lee,Acme,ann@private.test;ann@old.test,123,no\n")
    result = load(instance, f"{HEADER}\nANN@acme.test,Ann Poe,Binder\n")
    assert (result.created, result.updated, result.companies) == (0, 1, ["Binder"])
    addresses = ["ANN@acme.test", "ann@private.test", "ann@old.test"]
    assert people(instance) == [(addresses, "Ann Poe", "Binder", "123", False)]
    load(instance, f"{ALL}\nann@old.test,Ann Poe,,ann@new.test,,yes\n")
    addresses = ["ann@old.test", "ann@new.test", "ANN@acme.test", "ann@private.test"]
    assert people(instance) == [(addresses, "Ann Poe", None, "", True)]


def test_an_address_is_stored_as_written_and_compared_folded(instance: Instance) -> None:
    load(instance, f"{HEADER}\nAnn.Lee@Bücher.test,Ann,\n")
    with instance.database.reading() as session:
        [address] = session.scalars(sa.select(UserAddress))
    assert address.addr_spec == "Ann.Lee@bücher.test"
    assert address.addr_key == fold_addr_spec("ann.lee@xn--bcher-kva.test")


def test_an_import_is_audited(instance: Instance) -> None:
    load(instance, f"{HEADER}\n{GOOD}")
    with instance.database.reading() as session:
        [row] = session.scalars(sa.select(Audit))
    assert (row.action, row.actor, row.detail) == (
        "directory.import",
        "test",
        {"created": 1, "updated": 0, "companies": 1, "earlier_tickets": 0},
    )


def test_an_export_is_a_file_of_the_imports_own(instance: Instance) -> None:
    text = f'{ALL}\r\nann@acme.test,"Lee, Ann",Acme,a@b.test;c@d.test,123,yes\r\nbob@b.test,Bob,,,,no\r\n'
    load(instance, text)
    assert export(instance) == text


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x")'])
def test_what_looks_like_a_formula_comes_back_as_it_was(instance: Instance, name: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([HEADER.split(","), ["ann@acme.test", name, name]])
    load(instance, out.getvalue())
    assert people(instance)[0][1:3] == (name, name)
    assert load(instance, export(instance)).unchanged == 1


WORDS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn"), exclude_characters="\ufeff"), max_size=30
).map(str.strip)
LOCALS = st.from_regex(r"[a-z0-9]([a-z0-9.+_-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda text: ".." not in text
)
ADDRESSES = st.builds("{}@{}".format, LOCALS, st.sampled_from(["acme.test", "Binder.test", "bücher.test"]))
LINES = st.lists(
    st.tuples(
        st.lists(ADDRESSES, min_size=1, max_size=3),
        WORDS.filter(bool),
        WORDS.filter(lambda text: len(text.casefold()) < 200),
        st.text("0123456789+ -()", max_size=20).map(str.strip),
        st.booleans(),
    ),
    max_size=8,
    unique_by=lambda line: line[0][0],
)


@settings(deadline=None, max_examples=20)
@given(LINES)
def test_an_export_imports_as_the_same_directory(lines: list[tuple[list[str], str, str, str, bool]]) -> None:
    keys = [fold_addr_spec(email) for line in lines for email in line[0]]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=",")
    writer.writerow(ALL.split(","))
    for emails, name, company, phone, active in lines:
        writer.writerow([emails[0], name, company, ";".join(emails[1:]), phone, "yes" if active else "no"])
    if len(set(keys)) < len(keys):
        with pytest.raises(CsvError):
            read_csv(out.getvalue().encode())
        return
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        one, two = make_instance(Path(first)), make_instance(Path(second))
        load(one, out.getvalue())
        load(two, export(one))
        assert people(one) == people(two)
        assert [person[1] for person in people(one)] == [line[1] for line in lines]
        assert load(one, export(two)).unchanged == len(lines)
        one.close()
        two.close()


@settings(max_examples=300)
@given(st.binary(max_size=200).map(lambda tail: b"email,name,company\n" + tail) | st.binary(max_size=80))
def test_no_file_is_worse_than_refused(content: bytes) -> None:
    refusals: list[CsvError] = []
    try:
        read_csv(content)
    except CsvError as error:
        refusals.append(error)
    assert all(error.line >= 1 and "\n" not in str(error) for error in refusals)


def test_an_import_of_ten_thousand_users_asks_no_question_for_each(instance: Instance) -> None:
    lines = [f"u{n}@c{n % 100}.test,User {n},Company {n % 100},u{n}@private.test" for n in range(10_000)]
    text = "\n".join([f"{HEADER},other_emails", *lines])
    with counted_questions(instance.database.engine) as questions:
        assert load(instance, text).created == 10_000
    assert len(questions) < 10
    with counted_questions(instance.database.engine) as questions:
        assert load(instance, text).unchanged == 10_000
    assert len(questions) < 100  # the addresses come in batches
    assert counts(instance)[:3] == [10_000, 20_000, 100]
