"""Mailboxes whose keys are for ever (Exchange, Office365): put back is put back, and nothing comes twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import make_raw
from tests.inbound.conftest import Desk
from webapp.desk import mail_servers, options
from webapp.inbound import returned
from webapp.inbound.preview import preview
from webapp.mailserver.errors import ServerBusy, Stage
from webapp.mailserver.memory import MemoryMailbox
from webapp.models import Disposition, Placement, Row


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.server.keys_are_for_ever = True
    return desk


def test_a_message_put_back_is_a_duplicate_and_moved_again(desk: Desk) -> None:
    key = desk.deliver(
        make_raw(message_id="")
    )  # known by its key: without a Message-ID, nothing else says so
    desk.poll()
    assert [row.disposition for row in desk.ledger()] == [Disposition.TICKET]
    desk.server.put_back(key, "Archive")
    desk.server.folders["INBOX"][0].raw += b"rebuilt by the server\r\n"  # as Exchange does
    desk.now += timedelta(minutes=5)
    desk.poll()
    first, second = desk.ledger()
    assert (second.disposition, second.rule) == (Disposition.DUPLICATE, "duplicate")
    assert second.saw.startswith("put back into the inbox after it was processed")
    assert (second.ticket_id, second.placement) == (first.ticket_id, Placement.ARCHIVED)
    assert (first.remote_key, second.remote_key) == (key, f"{key}~2")
    assert len(desk.tickets()) == 1
    assert len(desk.folder("Archive")) == 1
    assert desk.folder("INBOX") == []


def test_every_time_it_comes_back_it_is_moved_again(desk: Desk) -> None:
    key = desk.deliver()
    desk.poll()
    for _ in range(returned.RETURNS + 3):
        desk.now += timedelta(minutes=5)
        if not any(str(message.uid) == key for message in desk.server.folders["INBOX"]):
            desk.server.put_back(key, "Archive")
        assert desk.poll().failure is None
    assert len(desk.ledger()) == returned.RETURNS  # what comes back without end fills no database
    assert len(desk.tickets()) == 1


def test_what_the_servers_list_still_shows_is_passed_over(desk: Desk) -> None:
    """An index that is behind for a moment after a move is no person who put something back."""
    key = desk.deliver()
    desk.poll()
    desk.server.put_back(key, "Archive")
    desk.poll()
    assert len(desk.ledger()) == 1
    desk.now += returned.SETTLED_AFTER
    desk.poll()
    assert [row.disposition for row in desk.ledger()] == [Disposition.TICKET, Disposition.DUPLICATE]


def test_another_size_or_time_is_the_same_message(desk: Desk) -> None:
    """A server that estimates anew ends no epoch: else all that was left in the inbox would come again."""
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    with desk.instance.database.writing() as session:
        options.set_ignored_mail(session, options.IgnoredMail.LEAVE)
    desk.poll()
    assert [row.placement for row in desk.ledger()] == [Placement.LEFT]
    desk.server.folders["INBOX"][0].misjudged = 77
    for _ in range(2):
        desk.poll()
    assert [row.placement for row in desk.ledger()] == [Placement.LEFT]
    assert desk.ledger()[0].epoch == "memory"


def test_a_move_whose_answer_was_lost_is_finished_by_the_key(desk: Desk) -> None:
    desk.deliver()
    desk.server.lose_reply_of.add("move")
    assert desk.poll().failure is not None
    assert [row.placement for row in desk.ledger()] == [Placement.PENDING_MOVE]
    desk.server.lose_reply_of.clear()
    desk.now += timedelta(hours=1)
    desk.poll()
    assert [row.placement for row in desk.ledger()] == [Placement.ARCHIVED]
    assert len(desk.tickets()) == 1


def test_a_duplicate_whose_move_was_lost_is_finished_too(desk: Desk) -> None:
    key = desk.deliver()
    desk.poll()
    desk.server.put_back(key, "Archive")
    desk.now += timedelta(minutes=5)
    desk.server.fail_on["move"] = ServerBusy("busy", stage=Stage.MOVE)
    desk.poll()
    assert [row.placement for row in desk.ledger()] == [Placement.ARCHIVED, Placement.PENDING_MOVE]
    desk.server.fail_on.clear()
    desk.now += timedelta(hours=1)
    desk.poll()
    assert [row.placement for row in desk.ledger()] == [Placement.ARCHIVED, Placement.ARCHIVED]
    assert len(desk.folder("Archive")) == 1


def test_the_dry_run_foretells_the_duplicate(desk: Desk) -> None:
    key = desk.deliver()
    desk.poll()
    desk.server.put_back(key, "Archive")
    with desk.instance.database.reading() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        assert stored is not None
        wanted = mail_servers.stored_draft(desk.instance.vault, stored)
    told = preview(desk.instance, wanted, connect=lambda _: MemoryMailbox(desk.server), parser=desk.parser)
    (row,) = told.rows
    assert (row.disposition, row.rule) == (Disposition.DUPLICATE, "duplicate")
    assert row.ticket_id == desk.tickets()[0].id
    assert told.counts.duplicate == told.counts.moved == 1


def test_a_busy_server_is_left_alone_as_long_as_it_asked(desk: Desk) -> None:
    desk.server.fail_on["list_unread"] = ServerBusy("429", stage=Stage.INBOX, retry_after=600)
    report = desk.poll()
    assert report.next_try_at == desk.now + timedelta(seconds=600)
    desk.server.fail_on["list_unread"] = ServerBusy("429", stage=Stage.INBOX, retry_after=86_400)
    report = desk.poll()
    assert report.next_try_at == desk.now + timedelta(minutes=30)  # never out of sight
