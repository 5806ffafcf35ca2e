"""Settings > Service desk > Ignored mail."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk import options
from webapp.desk.options import IgnoredMail
from webapp.instance import Instance
from webapp.models import Audit

PAGE = "/settings/service-desk/ignored-mail"


def saved(instance: Instance) -> IgnoredMail:
    with instance.database.reading() as session:
        return options.ignored_mail(session)


def test_the_page_says_where_ignored_mail_goes(alice: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session, archive_folder="Done")
    page = alice.get(PAGE).text
    assert 'value="move" aria-describedby="help-move" checked' in page
    assert "It goes to the subfolder “Ignored” of “Done”, still unread" in page
    assert f'href="{PAGE}" aria-current="page"' in page
    assert f'href="{PAGE}"' in alice.get("/settings/service-desk/mail").text


def test_save_and_back(alice: Browser, instance: Instance) -> None:
    for choice in (IgnoredMail.LEAVE, IgnoredMail.MOVE):
        answer = alice.send(PAGE, PAGE, ignored_mail=choice.value)
        assert (answer.status_code, answer.location) == (303, PAGE)
        assert saved(instance) is choice
        assert "Saved. Ignored mail" in alice.get(PAGE).text
    with instance.database.reading() as session:
        audits = session.scalars(sa.select(Audit).where(Audit.action == "settings.ignored-mail")).all()
    assert [audit.detail["after"] for audit in audits] == ["leave", "move"]


def test_saving_the_same_writes_no_audit(alice: Browser, instance: Instance) -> None:
    alice.send(PAGE, PAGE, ignored_mail="move")
    with instance.database.reading() as session:
        assert session.scalar(sa.select(Audit).where(Audit.action == "settings.ignored-mail")) is None


def test_saved_with_a_toast(alice: Browser, instance: Instance) -> None:
    token = alice.csrf_token(PAGE)
    answer = alice.post(
        PAGE, data={"csrf_token": token, "ignored_mail": "leave"}, headers={"HX-Request": "true"}
    )
    toast = json.loads(answer.headers["HX-Trigger"])["toast"]
    assert toast == {
        "level": "good",
        "message": "Saved. Ignored mail stays in the inbox from the next run on.",
    }
    assert 'value="leave" aria-describedby="help-leave" checked' in answer.text
    assert "<html" not in answer.text
    assert saved(instance) is IgnoredMail.LEAVE


@pytest.mark.parametrize("entered", [{}, {"ignored_mail": "burn"}])
def test_no_choice_is_refused(alice: Browser, instance: Instance, entered: dict[str, str]) -> None:
    answer = alice.send(PAGE, PAGE, **entered)
    assert answer.status_code == 422
    assert "Choose what happens to ignored mail." in answer.text
    assert saved(instance) is IgnoredMail.MOVE


def test_only_administrators(bob: Browser, instance: Instance) -> None:
    assert bob.get(PAGE).status_code == 403
    assert bob.send(PAGE, "/tickets", ignored_mail="leave").status_code == 403
    assert saved(instance) is IgnoredMail.MOVE
