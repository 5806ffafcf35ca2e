"""Messages that somebody opened before the parser: found, shown, and taken in when a person wants it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.factories import make_raw
from tests.inbound.conftest import Desk
from webapp.inbound import missed
from webapp.mailserver.errors import ConnectionFailed, Stage
from webapp.models import MailboxIdentity, MissedMessage, MissedState


def look(desk: Desk) -> list[MissedMessage]:
    """A run, late enough to look for missed mail; everything known about it."""
    desk.now += missed.LOOK_EVERY
    desk.poll()
    with desk.instance.database.reading() as session:
        return list(session.scalars(sa.select(MissedMessage).order_by(MissedMessage.id)))


def opened(desk: Desk, subject: str = "Opened", *, age: timedelta = timedelta(0)) -> str:
    raw = make_raw(subject=subject)
    return desk.server.deliver(raw, received_at=desk.now - age, seen=True)


@pytest.fixture
def polled(desk: Desk) -> Desk:
    """A desk whose first run is over."""
    desk.poll()
    desk.now += timedelta(seconds=1)
    return desk


def test_the_first_run_that_ends_well_sets_the_beginning(desk: Desk) -> None:
    desk.server.fail_on["open"] = ConnectionFailed("no", stage=Stage.CONNECT)
    desk.poll()
    assert first_run_at(desk) is None
    desk.server.fail_on.clear()
    desk.poll()
    begun = first_run_at(desk)
    assert begun == desk.now
    desk.poll()
    assert first_run_at(desk) == begun


def first_run_at(desk: Desk) -> object:
    with desk.instance.database.reading() as session:
        return session.scalars(sa.select(MailboxIdentity.first_run_at)).one()


def test_a_message_opened_before_the_parser_came_is_found_and_left_alone(polled: Desk) -> None:
    key = opened(polled)
    [found] = look(polled)
    assert (found.state, found.remote_key, found.subject) == (MissedState.FOUND, key, "Opened")
    assert (found.from_addr, found.from_name) == ("ann@acme.test", "Ann Lee")
    assert len(look(polled)) == 1
    assert polled.tickets() == []
    assert len(polled.folder("INBOX")) == 1


def test_mail_read_before_the_first_run_is_history(polled: Desk) -> None:
    opened(polled, age=timedelta(hours=1))
    assert look(polled) == []


def test_our_own_marks_are_none(polled: Desk) -> None:
    polled.deliver()
    polled.server.fail_on["move"] = ConnectionFailed("lost", stage=Stage.MOVE)
    polled.poll()
    polled.server.has_quota = True
    polled.server.fail_on.clear()
    assert polled.server.folders["INBOX"][0].seen
    assert look(polled) == []
    polled.server.has_quota = False
    polled.server.change_epoch()
    assert look(polled) == []
    assert polled.folder("INBOX") == []


def test_it_looks_every_five_minutes_and_no_more_often(polled: Desk) -> None:
    look(polled)
    polled.server.commands.clear()
    polled.poll()
    assert "list_read" not in polled.server.commands
    look(polled)
    assert polled.server.commands.count("list_read") == 1


def test_wanted_it_is_taken_in_by_the_next_run(polled: Desk) -> None:
    opened(polled)
    [found] = look(polled)
    with polled.instance.database.writing() as session:
        assert missed.want(session, [found.id]) == 1
    polled.poll()
    [ticket] = polled.tickets()
    assert ticket.subject == "Opened"
    assert polled.folder("INBOX") == []
    assert [row.state for row in look(polled)] == [MissedState.PROCESSED]


def test_dismissed_it_is_shown_no_more(polled: Desk) -> None:
    opened(polled)
    [found] = look(polled)
    with polled.instance.database.writing() as session:
        assert missed.dismiss(session, [found.id]) == 1
        assert missed.list_found(session, found.mailbox_id) == []
    look(polled)
    polled.server.change_epoch()
    assert [row.state for row in look(polled)] == [MissedState.DISMISSED]


def test_made_unread_again_it_is_processed_like_any_other(polled: Desk) -> None:
    opened(polled)
    look(polled)
    polled.server.folders["INBOX"][0].seen = False
    assert [row.state for row in look(polled)] == [MissedState.PROCESSED]
    assert len(polled.tickets()) == 1


def test_one_that_left_the_inbox_is_gone(polled: Desk) -> None:
    key = opened(polled)
    look(polled)
    polled.server.expunge(key)
    assert [row.state for row in look(polled)] == [MissedState.GONE]


def test_one_that_was_put_back_after_it_was_processed_was_not_missed(polled: Desk) -> None:
    raw = make_raw()
    polled.deliver(raw)
    polled.poll()
    polled.server.deliver(raw, received_at=polled.ledger()[0].received_at, seen=True)
    assert [row.state for row in look(polled)] == [MissedState.PROCESSED]


def test_the_newest_are_found_first_and_the_rest_later(polled: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "NEW_AT_ONCE", 2)
    for number in range(3):
        opened(polled, f"No. {number}")
    assert {row.subject for row in look(polled)} == {"No. 1", "No. 2"}
    assert len(look(polled)) == 3
