"""What keeps coming back is settled, or said: nothing goes round for ever unseen, and no neighbour waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.factories import make_raw
from tests.inbound.conftest import Desk
from webapp.desk import options
from webapp.inbound import missed
from webapp.mailserver.base import UNKNOWN_TIME
from webapp.mailserver.errors import ConnectionFailed, Stage
from webapp.models import MailboxIdentity, MissedMessage, MissedState, Setting

REFUSE = """
CREATE TRIGGER refuse BEFORE INSERT ON inbound WHEN new.subject = 'Stubborn'
BEGIN SELECT RAISE(ABORT, 'refused'); END
"""


def identity(desk: Desk) -> MailboxIdentity:
    with desk.instance.database.reading() as session:
        return session.scalars(sa.select(MailboxIdentity)).one()


def test_a_left_message_that_is_listed_with_another_size_settles(desk: Desk) -> None:
    """Some servers estimate RFC822.SIZE, and estimate better later."""
    with desk.instance.database.writing() as session:
        session.merge(Setting(name=options.IGNORED_MAIL, value=options.IgnoredMail.LEAVE.value))
    desk.deliver(make_raw(sender="no-reply@shop.test"))
    desk.poll()
    [stored] = desk.server.folders["INBOX"]
    stored.misjudged = 7
    for _ in range(3):
        desk.poll()
    settled = identity(desk).epoch_generation
    desk.deliver(make_raw(subject="Another"))
    report = desk.poll()
    assert (report.counts.ticket, report.drained) == (1, True)
    assert identity(desk).epoch_generation == settled == 1
    assert len(desk.ledger()) == 2


@pytest.fixture
def stubborn(desk: Desk) -> Desk:
    """A desk whose database refuses the row of one message, whatever is tried."""
    with desk.instance.database.writing() as session:
        session.execute(sa.text(REFUSE))
    return desk


@pytest.mark.sqlite
def test_a_message_that_cannot_be_recorded_is_said_and_its_neighbours_are_done(
    stubborn: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn.deliver(make_raw(subject="Before"))
    stubborn.deliver(make_raw(subject="Stubborn"))
    stubborn.deliver(make_raw(subject="After"))
    report = stubborn.poll()
    assert [ticket.subject for ticket in stubborn.tickets()] == ["Before", "After"]
    assert report.failure is not None
    assert "NotRecorded" in report.failure.sentence
    assert len(stubborn.folder("INBOX")) == 1
    assert "could not be recorded" in caplog.text
    with stubborn.instance.database.writing() as session:
        session.execute(sa.text("DROP TRIGGER refuse"))
    assert stubborn.poll().failure is None
    assert [ticket.subject for ticket in stubborn.tickets()] == ["Before", "After", "Stubborn"]


@pytest.mark.sqlite
def test_one_that_a_person_wants_stays_wanted_until_it_is_recorded(stubborn: Desk) -> None:
    stubborn.poll()
    stubborn.now += missed.LOOK_EVERY
    stubborn.server.deliver(make_raw(subject="Stubborn"), received_at=stubborn.now, seen=True)
    stubborn.poll()
    with stubborn.instance.database.writing() as session:
        [found] = session.scalars(sa.select(MissedMessage))
        missed.want(session, [found.id])
    stubborn.poll()
    assert states(stubborn) == [MissedState.WANTED]
    with stubborn.instance.database.writing() as session:
        session.execute(sa.text("DROP TRIGGER refuse"))
    stubborn.poll()
    assert states(stubborn) == [MissedState.PROCESSED]
    assert len(stubborn.tickets()) == 1


def states(desk: Desk) -> list[MissedState]:
    with desk.instance.database.reading() as session:
        return list(session.scalars(sa.select(MissedMessage.state).order_by(MissedMessage.id)))


def test_a_look_for_missed_mail_that_fails_is_no_failed_run(desk: Desk) -> None:
    desk.poll()
    desk.now += missed.LOOK_EVERY
    desk.deliver()
    desk.server.fail_on["list_read"] = ConnectionFailed("refused", stage=Stage.INBOX)
    report = desk.poll()
    assert (report.failure, report.counts.ticket) == (None, 1)
    assert identity(desk).missed_looked_at == desk.now


def test_decisions_about_more_than_one_pass_outlive_a_new_epoch(desk: Desk) -> None:
    desk.poll()
    number = missed.NEW_AT_ONCE + 50
    for count in range(number):
        at = desk.now + timedelta(seconds=count + 1)
        desk.server.deliver(make_raw(subject=f"No {count}"), received_at=at, seen=True)
    for _ in range(2):
        desk.now += missed.LOOK_EVERY
        desk.poll()
    with desk.instance.database.writing() as session:
        ids = session.scalars(sa.select(MissedMessage.id)).all()
        assert missed.dismiss(session, ids) == number
        session.execute(sa.update(MissedMessage).values(state=MissedState.WANTED))
    desk.server.change_epoch()
    for _ in range(4):
        desk.now += missed.LOOK_EVERY
        desk.poll()
    assert states(desk) == [MissedState.PROCESSED] * number
    assert len(desk.tickets()) == number


def test_a_message_without_a_readable_time_of_receipt_is_taken_in_as_of_now(desk: Desk) -> None:
    desk.deliver(at=UNKNOWN_TIME)
    desk.poll()
    [ticket] = desk.tickets()
    assert ticket.entries[0].created_at == ticket.created_at
    assert desk.ledger()[0].received_at == UNKNOWN_TIME
