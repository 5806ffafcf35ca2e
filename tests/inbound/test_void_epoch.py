"""UIDVALIDITY changed in the middle of things: nothing pending and nothing read is left for ever."""

from __future__ import annotations

import sqlalchemy as sa

from tests.factories import NOW, make_raw
from tests.inbound.conftest import Desk
from webapp.desk import options
from webapp.mailserver.errors import ConnectionFailed, FolderRefused, Stage
from webapp.models import Inbound, Placement, PollRun, Setting

ARCHIVE = "Archive"


def take_in_without_moving(desk: Desk) -> None:
    desk.server.fail_on["move"] = ConnectionFailed("lost", stage=Stage.MOVE)
    assert desk.poll().failure is not None
    desk.server.fail_on.clear()


def test_a_message_marked_read_and_not_moved_is_found_again(desk: Desk) -> None:
    desk.deliver(make_raw(subject="one"))
    take_in_without_moving(desk)
    assert desk.server.folders["INBOX"][0].seen
    desk.server.change_epoch()
    report = desk.poll()
    [row] = desk.ledger()
    assert (row.placement, row.epoch) == (Placement.ARCHIVED, "INBOX/2")
    assert (len(desk.folder("INBOX")), len(desk.folder(ARCHIVE)), len(desk.tickets())) == (0, 1, 1)
    assert (report.counts.moved, report.counts.processed) == (1, 0)


def test_one_too_large_to_be_read_whole_is_found_again_by_its_header(desk: Desk) -> None:
    desk.deliver(make_raw(subject="Huge", files=[("big.bin", b"x" * 51_000_000)]))
    take_in_without_moving(desk)
    desk.server.change_epoch()
    desk.poll()
    assert [row.placement for row in desk.ledger()] == [Placement.ARCHIVED]
    assert len(desk.folder(ARCHIVE)) == 1


def test_other_read_mail_of_the_same_second_is_left_alone(desk: Desk) -> None:
    desk.deliver(make_raw(subject="one"), at=NOW)
    take_in_without_moving(desk)
    other = make_raw(subject="read by a person long ago")
    desk.server.deliver(other, received_at=NOW, seen=True)
    desk.server.change_epoch()
    desk.poll()
    assert desk.folder("INBOX") == [other]
    assert len(desk.ledger()) == 1


def test_one_that_was_moved_before_the_change_is_archived(desk: Desk) -> None:
    desk.deliver()
    desk.server.lose_reply_of.add("move")
    desk.poll()
    desk.server.lose_reply_of.clear()
    desk.server.change_epoch()
    desk.poll()
    assert [row.placement for row in desk.ledger()] == [Placement.ARCHIVED]


def test_two_equal_messages_of_one_second_keep_a_row_each(desk: Desk) -> None:
    raw = make_raw(message_id="")
    desk.deliver(raw, at=NOW)
    desk.deliver(raw, at=NOW)
    take_in_without_moving(desk)
    desk.server.change_epoch()
    desk.poll()
    assert [row.placement for row in desk.ledger()] == [Placement.ARCHIVED] * 2
    assert len(desk.folder(ARCHIVE)) == 2


def test_ignored_mail_left_in_the_inbox_stays_there(desk: Desk) -> None:
    with desk.instance.database.writing() as session:
        session.add(Setting(name=options.IGNORED_MAIL, value=options.IgnoredMail.LEAVE.value))
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    desk.poll()
    desk.server.change_epoch()
    desk.poll()
    [row] = desk.ledger()
    assert (row.placement, row.epoch, row.disposition) == (Placement.LEFT, "INBOX/2", "ignored")
    assert len(desk.folder("INBOX")) == 1


def test_what_was_meant_for_a_folder_that_is_refused_goes_where_mail_goes_now(desk: Desk) -> None:
    desk.deliver()
    desk.server.fail_on["move"] = FolderRefused("not selectable", stage=Stage.MOVE)
    assert desk.poll().failure is not None
    desk.server.fail_on.clear()
    desk.server.archive_name = "Processed"
    desk.poll()
    [row] = desk.ledger()
    assert (row.placement, row.folder) == (Placement.ARCHIVED, "Processed")
    assert len(desk.folder("Processed")) == 1


class TestTheRecordOfARun:
    def test_each_message_names_the_run_that_took_it_in(self, desk: Desk) -> None:
        desk.deliver()
        first = desk.poll()
        desk.deliver()
        second = desk.poll()
        assert [row.run_id for row in desk.ledger()] == [first.run_id, second.run_id]
        with desk.instance.database.reading() as session:
            runs = list(session.scalars(sa.select(PollRun).order_by(PollRun.id)))
        assert [(run.id, run.counts["ticket"], run.error) for run in runs] == [
            (first.run_id, 1, ""),
            (second.run_id, 1, ""),
        ]
        assert all(run.finished_at for run in runs)

    def test_a_run_that_was_killed_is_seen_to_have_no_end(self, desk: Desk) -> None:
        desk.deliver()
        desk.server.fail_on["move"] = KeyboardInterrupt()  # type: ignore[assignment]
        try:
            desk.poll()
        except KeyboardInterrupt:
            desk.server.fail_on.clear()
        with desk.instance.database.reading() as session:
            run = session.scalars(sa.select(PollRun)).one()
        assert (run.finished_at, run.counts["ticket"], run.error) == (None, 1, "")
        desk.poll()
        with desk.instance.database.reading() as session:
            cut, after = session.scalars(sa.select(PollRun).order_by(PollRun.id))
            assert session.scalars(sa.select(Inbound.run_id)).one() == cut.id
        assert cut.finished_at is None
        assert "ended in the middle" in cut.error
        assert (after.error, after.counts["moved"]) == ("", 1)
