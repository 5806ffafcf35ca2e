"""Settings > Service desk > Answers."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk import thread_marks
from webapp.desk.thread_marks import ThreadMarks
from webapp.instance import Instance
from webapp.models import Audit

PAGE = "/settings/service-desk/answers"
GOOD = {"tag_form": "[{prefix}-{number}]", "tag_prefix": "T"}


def saved(instance: Instance) -> ThreadMarks:
    with instance.database.reading() as session:
        return thread_marks.load(session)


def test_the_beginning(alice: Browser, instance: Instance) -> None:
    assert saved(instance) == ThreadMarks()
    page = alice.get(PAGE).text
    assert "Re: Printer offline [T-1042]" in page
    assert alice.send(PAGE, PAGE, **GOOD).status_code == 303
    assert saved(instance) == ThreadMarks()
    with instance.database.reading() as session:
        assert session.scalars(sa.select(Audit).where(Audit.action == "settings.answers")).all() == []


def test_another_tag_and_the_old_ones(alice: Browser, instance: Instance) -> None:
    alice.send(PAGE, PAGE, tag_form=" ({prefix}#{number}) ", tag_prefix="HELP")
    alice.send(PAGE, PAGE, tag_form="({prefix}#{number})", tag_prefix="IT")
    marks = saved(instance)
    assert marks.tags.current == "(IT#{number})"
    assert marks.former_tags == ("[T-{number}]", "(HELP#{number})")
    page = alice.get(PAGE).text
    for told in ("Re: Printer offline (IT#1042)", "(HELP#1042)", "[T-1042]"):
        assert told in page
    alice.send(PAGE, PAGE, tag_form="({prefix}#{number})", tag_prefix="HELP")
    assert saved(instance).former_tags == ("[T-{number}]", "(IT#{number})")
    with instance.database.reading() as session:
        assert len(session.scalars(sa.select(Audit).where(Audit.action == "settings.answers")).all()) == 3


def test_where_answers_go(alice: Browser, instance: Instance) -> None:
    alice.send(PAGE, PAGE, **GOOD, answers_to=" help@b\xfccher.example ", plus_address="true")
    marks = saved(instance)
    assert (marks.answers_to, marks.plus_address) == ("help@xn--bcher-kva.example", True)
    assert "help+t1042-" in alice.get(PAGE).text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("tag_form", "[{prefix}]", "Write {number} once"),
        ("tag_form", "", "Write {number} once"),
        ("tag_prefix", "1", "Enter 1 to 10 letters"),
        ("tag_prefix", "", "Enter 1 to 10 letters"),
        ("answers_to", "nobody", "is not an e-mail address"),
        ("answers_to", "a@example.com\r\nBcc: b@example.com", "line breaks"),
        ("answers_to", "\u0436@example.com", "Letters before the @ must be ASCII"),
        ("answers_to", "ann@acme.example", "a person&#39;s address"),
        ("answers_to", "bob@desk.example", "a person&#39;s address"),
    ],
)
def test_refused_at_its_field(
    alice: Browser, instance: Instance, field: str, value: str, sentence: str
) -> None:
    with instance.database.writing() as session:
        make.make_user(session)
    answer = alice.send(PAGE, PAGE, **(GOOD | {field: value}))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert f'id="{field}-error"' in answer.text
    assert saved(instance) == ThreadMarks()
