"""My account: name, signature with its preview, password."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.views.browser import PASSWORD, PEOPLE, Browser
from webapp.desk import accounts, reply_settings
from webapp.desk.reply_settings import ReplySettings
from webapp.instance import Instance
from webapp.models import Account, Audit, LoginSession

PAGE = "/account"
NEW = "another battery staple"


def account(instance: Instance, person: str = "bob") -> Account:
    with instance.database.reading() as session:
        found = accounts.find_account(session, PEOPLE[person][0])
    assert found is not None
    return found


def test_name_and_signature_are_saved_and_noted(bob: Browser, instance: Instance) -> None:
    answer = bob.send(PAGE, PAGE, name=" Bob  Better ", signature="Regards\r\n{name}\r\n")
    assert answer.status_code == 303
    assert (account(instance).name, account(instance).signature) == ("Bob Better", "Regards\n{name}")
    page = bob.get(PAGE).text
    assert 'value="Bob Better"' in page
    assert "Regards\nBob Better</div>" in page
    bob.send(PAGE, PAGE, name="Bob Better", signature="Regards\n{name}")  # the same again
    with instance.database.reading() as session:
        [row] = session.scalars(sa.select(Audit).where(Audit.action == "account.change_profile"))
    assert (row.actor, row.detail["changed"]) == ("bob@desk.example", ["name", "signature"])


def test_an_empty_signature_is_the_desk_s(bob: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        reply_settings.save(session, ReplySettings(desk_name="Example Desk", signature="{desk} for you"))
    assert "Example Desk for you</div>" in bob.get(PAGE).text
    bob.send(PAGE, PAGE, name="Bob", signature="mine")
    assert bob.send(PAGE, PAGE, name="Bob", signature="  ").status_code == 303
    assert account(instance).signature is None


def test_a_preview_saves_nothing_and_is_escaped(bob: Browser, instance: Instance) -> None:
    answer = bob.send(PAGE, PAGE, name="<Bob>", signature="{name} <script>", preview="1")
    assert answer.status_code == 200
    assert "&lt;Bob&gt; &lt;script&gt;</div>" in answer.text
    assert account(instance).signature is None
    assert account(instance).name == "Bob Best"


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"signature": "{phone}"}, "there is no {phone} here"),
        ({"signature": "a { b"}, "this { belongs to no variable"),
        ({"signature": "x" * 2001}, "At most 2,000 characters fit."),
        ({"name": "x" * 201}, "Enter a name of at most 200 characters."),
        ({"name": "x" * 201, "signature": "{x}"}, "2 fields need attention"),
        ({"name": "Bob\u202e"}, "Enter a name of at most 200 characters."),
    ],
)
def test_refused_with_a_sentence(
    bob: Browser, instance: Instance, entries: dict[str, str], sentence: str
) -> None:
    answer = bob.send(PAGE, PAGE, **({"name": "Bob", "signature": "kept"} | entries))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert account(instance).name == "Bob Best"
    assert account(instance).signature is None


def test_who_only_looks_has_no_signature(vera: Browser, instance: Instance) -> None:
    assert 'name="signature"' not in vera.get(PAGE).text
    assert vera.send(PAGE, PAGE, name="Vera", signature="x").status_code == 303
    assert (account(instance, "vera").name, account(instance, "vera").signature) == ("Vera", None)


def change(browser: Browser, now: str = PASSWORD, new: str = NEW, again: str = NEW) -> tuple[int, str]:
    answer = browser.send(f"{PAGE}/password", PAGE, now=now, password=new, again=again)
    return answer.status_code, answer.text


def test_the_password_is_changed_and_others_are_signed_out(bob: Browser, instance: Instance) -> None:
    other = bob.application.test_client()
    assert isinstance(other, Browser)
    other.sign_in("bob")
    assert other.get(PAGE).status_code == 200
    assert change(bob)[0] == 303
    assert "Your password is changed." in bob.get(PAGE).text
    assert other.get(PAGE).status_code == 303
    with instance.database.reading() as session:
        assert accounts.check_password(session, "bob@desk.example", NEW) is not None
        assert accounts.check_password(session, "bob@desk.example", PASSWORD) is None
        mine = LoginSession.account_id == account(instance).id
        assert len(session.scalars(sa.select(LoginSession).where(mine)).all()) == 1


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"now": "wrong horse battery"}, "This is not your password."),
        ({"again": "another battery stable"}, "The two are not the same."),
        ({"new": "short", "again": "short"}, "at least 12 characters"),
    ],
)
def test_a_password_that_is_not_changed(
    bob: Browser, instance: Instance, entries: dict[str, str], sentence: str
) -> None:
    status, text = change(bob, **entries)
    assert status == 422
    assert sentence in text
    with instance.database.reading() as session:
        assert accounts.check_password(session, "bob@desk.example", PASSWORD) is not None
    assert NEW not in text
    assert PASSWORD not in text


def test_the_password_now_cannot_be_guessed_at(bob: Browser, instance: Instance) -> None:
    told = [change(bob, now=f"wrong horse {number}")[0] for number in range(30)]
    assert told[0] == 422
    assert 429 in told


def test_a_form_of_another_site_changes_nothing(bob: Browser, instance: Instance) -> None:
    for path in (PAGE, f"{PAGE}/password"):
        answer = bob.post(path, data={"name": "x", "now": PASSWORD, "password": NEW, "again": NEW})
        assert answer.status_code in (400, 403)
    assert account(instance).name == "Bob Best"
