"""Settings > Service desk > Replies."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.views.browser import Browser
from webapp.desk import reply_settings
from webapp.desk.reply_settings import ReplySettings
from webapp.instance import Instance
from webapp.models import Audit

PAGE = "/settings/service-desk/replies"
GOOD = {
    "desk_name": "Example Desk",
    "sender_name": "person",
    "signature": "{name}\r\n{desk}",
    "files_mb": "10",
}


def saved(instance: Instance) -> ReplySettings:
    with instance.database.reading() as session:
        return reply_settings.load(session)


def test_saved_and_noted(alice: Browser, instance: Instance) -> None:
    assert saved(instance) == ReplySettings()
    assert alice.send(PAGE, PAGE, **GOOD).status_code == 303
    assert saved(instance) == ReplySettings(desk_name="Example Desk", signature="{name}\n{desk}", files_mb=10)
    page = alice.get(PAGE).text
    assert 'From: <span class="address">Alice Able (Example Desk) &lt;help@example.com&gt;</span>' in page
    assert "Alice Able\nExample Desk</div>" in page
    with instance.database.reading() as session:
        [row] = session.scalars(sa.select(Audit).where(Audit.action == "settings.replies"))
    assert row.detail["after"]["files_mb"] == 10


def test_a_preview_saves_nothing(alice: Browser, instance: Instance) -> None:
    answer = alice.send(PAGE, PAGE, **(GOOD | {"sender_name": "desk", "preview": "1"}))
    assert answer.status_code == 200
    assert 'From: <span class="address">Example Desk &lt;help@example.com&gt;</span>' in answer.text
    assert saved(instance) == ReplySettings()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("desk_name", "x" * 101, "At most 100 characters fit."),
        ("desk_name", "Desk\u202e", "has a control character or a direction mark"),
        ("sender_name", "nobody", "Choose one of these."),
        ("signature", "x" * 2001, "At most 2,000 characters fit."),
        ("files_mb", "0", "from 1 to 22"),
        ("files_mb", "23", "from 1 to 22"),
        ("files_mb", "1.5", "from 1 to 22"),
        ("files_mb", "", "from 1 to 22"),
    ],
)
def test_refused_at_its_field(
    alice: Browser, instance: Instance, field: str, value: str, sentence: str
) -> None:
    answer = alice.send(PAGE, PAGE, **(GOOD | {field: value}))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert saved(instance) == ReplySettings()


def test_a_desk_without_a_name_cannot_be_the_sender(alice: Browser) -> None:
    answer = alice.send(PAGE, PAGE, **(GOOD | {"desk_name": " ", "sender_name": "desk"}))
    assert "Enter the service desk&#39;s name first" in answer.text


def test_only_administrators(bob: Browser, vera: Browser) -> None:
    for browser in (bob, vera):
        assert browser.send(PAGE, "/tickets", **GOOD).status_code == 403
