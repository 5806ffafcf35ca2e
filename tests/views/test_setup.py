"""The first minutes: one-time code, first administrator, time zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from tests.views.browser import PASSWORD, Browser
from webapp.desk import accounts, options
from webapp.instance import Instance
from webapp.models import Account, Role


@pytest.fixture
def code(instance: Instance) -> str:
    with instance.database.writing() as session:
        code = accounts.renew_setup_code(session, now=datetime.now(UTC))
    assert code is not None
    return code


def set_up(browser: Browser, good_code: str, **changes: str) -> tuple[int, str]:
    """The status, and where it leads to or what the page says."""
    entries = {
        "code": good_code,
        "email": "anna@desk.example",
        "name": "Anna Able",
        "password": PASSWORD,
        "time_zone": "Europe/Sofia",
    }
    answer = browser.send("/setup", page="/setup", **(entries | changes))
    return answer.status_code, answer.location or answer.text


def test_everything_leads_to_setup_at_first(anonymous: Browser) -> None:
    page = anonymous.get("/", follow_redirects=True)
    assert page.request.path == "/setup"
    assert "Set up this service desk" in page.text


def test_it_creates_the_first_administrator_and_signs_in(
    anonymous: Browser, instance: Instance, code: str
) -> None:
    status, address = set_up(anonymous, code)
    assert (status, address) == (303, "/settings/service-desk/mail/incoming/edit")
    page = anonymous.get(address).text
    assert "Welcome, Anna Able." in page
    assert 'name="archive_folder"' in page  # the incoming row, opened
    assert "Times are shown in Europe/Sofia (UTC+0" in page
    with instance.database.reading() as session:
        account = session.scalars(sa.select(Account)).one()
        assert account.role is Role.ADMINISTRATOR
        assert options.time_zone(session).key == "Europe/Sofia"


def test_the_code_is_good_once(anonymous: Browser, instance: Instance, code: str) -> None:
    page_token = anonymous.csrf_token("/setup")
    assert set_up(anonymous, code)[0] == 303
    again = anonymous.post("/setup", data={"code": code, "email": "eve@x.example", "csrf_token": page_token})
    assert again.status_code in (303, 400)
    with instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Account)) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"code": ""}, "This is not the one-time code"),
        ({"code": "AAAA-AAAA-AAAA-AAAA"}, "This is not the one-time code"),
        ({"email": "nobody"}, "is not an e-mail address"),
        ({"email": ""}, "Enter an email address"),
        ({"password": "short"}, "at least 12 characters"),
        ({"time_zone": "Mars/Olympus"}, "There is no time zone"),
        ({"time_zone": "../../etc/passwd"}, "There is no time zone"),
    ],
)
def test_what_is_not_right_is_said_and_nothing_is_made(
    anonymous: Browser, instance: Instance, code: str, changes: dict[str, str], sentence: str
) -> None:
    status, page = set_up(anonymous, code, **changes)
    assert status == 422
    assert sentence in page
    assert PASSWORD not in page
    with instance.database.reading() as session:
        assert not accounts.any_account(session)
    assert set_up(anonymous, code)[0] == 303  # and the code is still good


def test_guessing_the_code_is_slowed_down(anonymous: Browser, code: str) -> None:
    for _ in range(5):
        assert set_up(anonymous, "wrong")[0] == 422
    assert set_up(anonymous, code)[0] == 429


def test_setup_is_closed_once_there_is_an_account(anonymous: Browser, people: dict[str, Account]) -> None:
    answer = anonymous.get("/setup")
    assert (answer.status_code, answer.location) == (303, "/login")
    answer = anonymous.send("/setup", code="x")
    assert (answer.status_code, answer.location) == (303, "/login")
