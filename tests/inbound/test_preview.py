"""What the preview tells beside its rows: limits, progress, stopping, and messages the ledger knows."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.factories import NOW, make_raw, set_incoming
from tests.inbound.conftest import Desk
from webapp.desk import mail_servers, options
from webapp.desk.jobs import TooManyJobs
from webapp.desk.mail_servers import Draft
from webapp.inbound.activation_counts import count_choices
from webapp.inbound.foresight import foresee
from webapp.inbound.preview import Preview, preview
from webapp.inbound.previews import PreviewJob, Previews
from webapp.inbound.verdict import verdict
from webapp.mailserver.base import ServerSettings
from webapp.mailserver.diagnosis import Foreseen
from webapp.mailserver.errors import AuthenticationFailed, Stage
from webapp.mailserver.memory import MemoryMailbox
from webapp.models import Inbound, Placement, Row, Setting

OLD = NOW - timedelta(days=3)


def draft_of(desk: Desk) -> Draft:
    with desk.instance.database.reading() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        assert stored is not None
        return mail_servers.stored_draft(desk.instance.vault, stored)


def look(desk: Desk, limit: int | None = None, stop_after: int | None = None) -> Preview:
    done: list[int] = [0]
    return preview(
        desk.instance,
        draft_of(desk),
        limit=limit,
        parser=desk.parser,
        connect=lambda _: MemoryMailbox(desk.server),
        progress=lambda now, total: done.append(now),
        cancelled=lambda: stop_after is not None and done[-1] >= stop_after,
    )


def test_an_empty_inbox(desk: Desk) -> None:
    seen = look(desk)
    assert (seen.rows, seen.unread, seen.oldest, seen.newest, seen.partial) == ((), 0, None, None, False)
    assert (seen.archive.path, seen.archive.exists, seen.ignored_folder) == (
        "Archive", False, "Archive/Ignored",
    )  # fmt: skip


def test_a_reply_is_added_to_the_ticket_of_the_message_before_it(desk: Desk) -> None:
    desk.deliver(make_raw(message_id="a@acme.test"))
    desk.deliver(make_raw(sender="amy@acme.test", headers={"In-Reply-To": "<a@acme.test>"}))
    desk.deliver(make_raw(sender="bob@binder.test", headers={"In-Reply-To": "<a@acme.test>"}))
    rows = look(desk).rows
    assert [verdict(row) for row in rows] == [
        "New ticket",
        "Added to the ticket of message 1",
        "New ticket that claims to be about the ticket of message 1",
    ]
    assert rows[1].saw.startswith("In-Reply-To <a@acme.test> names the ticket of message 1 (open)")
    assert [row.planned_of for row in rows] == [None, 1, 1]


def test_old_mail_is_listed_by_its_header_and_never_fetched_whole(desk: Desk) -> None:
    set_incoming(desk.instance, cutoff_enabled="true", cutoff_at=NOW.isoformat())
    desk.deliver(make_raw(subject="long ago"), at=OLD)
    seen = look(desk)
    assert "fetch" not in desk.server.commands
    [row] = seen.rows
    assert (row.disposition, row.subject, row.from_addr) == (None, "long ago", "ann@acme.test")
    assert (seen.before_cutoff, seen.oldest, seen.folder_of(row)) == (1, OLD, None)
    assert verdict(row) == "Left alone: older than the date"


def test_the_limit_takes_the_newest_by_time_of_receipt_and_counts_all(desk: Desk) -> None:
    for days in (1, 5, 0, 3):
        desk.deliver(make_raw(subject=f"{days}"), at=NOW - timedelta(days=days))
    seen = look(desk, limit=2)
    assert [row.subject for row in seen.rows] == ["1", "0"]
    assert (seen.unread, seen.looked, seen.partial) == (4, 2, True)
    assert (seen.oldest, seen.newest) == (NOW - timedelta(days=5), NOW)
    assert [seen.newer_than(NOW - timedelta(days=days)) for days in (6, 5, 3, 0)] == [4, 4, 3, 1]
    assert seen.newer_than(NOW + timedelta(seconds=1)) == 0


def test_it_ends_after_the_batch_it_is_at(desk: Desk) -> None:
    for _ in range(120):
        desk.deliver()
    seen = look(desk, stop_after=50)
    assert (len(seen.rows), seen.looked, seen.unread, seen.partial) == (50, 50, 120, True)


@pytest.mark.parametrize(
    ("placement", "stays"),
    [(Placement.PENDING_MOVE, False), (Placement.ARCHIVED, False), (Placement.LEFT, True)],
)
def test_what_was_processed_before_is_only_moved(desk: Desk, placement: Placement, stays: bool) -> None:
    desk.deliver()
    desk.poll()
    with desk.instance.database.writing() as session:
        session.execute(sa.update(Inbound).values(placement=placement))
    [moved] = desk.server.folders["Archive"]
    moved.uid, moved.seen = int(desk.ledger()[0].remote_key), False
    desk.server.folders = {"INBOX": [moved], "Archive": []}
    seen = look(desk)
    [row] = seen.rows
    assert (row.placed, row.ticket_id, row.stays) == (placement, 1, stays)
    assert verdict(row) == f"Processed before (T-1): {'stays' if stays else 'moved'}"
    assert (seen.counts.processed, seen.counts.moved) == (0, int(not stays))
    desk.poll()
    desk.poll()
    assert len(desk.folder("INBOX")) == int(stays)
    assert len(desk.tickets()) == 1


def test_a_new_uidvalidity_moves_and_doubles_nothing(desk: Desk) -> None:
    desk.deliver()
    desk.server.lose_reply_of.add("move")
    desk.poll()
    desk.server.lose_reply_of.clear()
    [message] = desk.server.folders["Archive"]
    message.seen = False
    desk.server.folders = {"INBOX": [message], "Archive": []}
    desk.server.change_epoch()
    [row] = look(desk).rows
    assert (row.placed, row.ticket_id) == (Placement.PENDING_MOVE, 1)
    desk.poll()
    assert (len(desk.tickets()), desk.folder("INBOX")) == (1, [])


def test_ignored_mail_that_stays_in_the_inbox(desk: Desk) -> None:
    with desk.instance.database.writing() as session:
        session.add(Setting(name=options.IGNORED_MAIL, value=options.IgnoredMail.LEAVE.value))
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    seen = look(desk)
    assert (seen.ignored_folder, seen.folder_of(seen.rows[0]), seen.counts.moved) == (None, None, 0)


def test_it_writes_nothing_and_gives_no_command_that_does(desk: Desk) -> None:
    desk.deliver()
    look(desk)
    assert not {"create_folder", "mark_read", "move"} & set(desk.server.commands)
    assert (desk.ledger(), desk.tickets()) == ([], [])
    assert not desk.server.folders["INBOX"][0].seen


def test_a_failure_is_the_callers(desk: Desk) -> None:
    desk.server.fail_on["open"] = AuthenticationFailed("no", stage=Stage.SIGN_IN)
    with pytest.raises(AuthenticationFailed):
        look(desk)


def test_the_numbers_of_the_choices(desk: Desk) -> None:
    desk.deliver(at=OLD)
    desk.deliver(make_raw(message_id="x@acme.test"), at=NOW - timedelta(minutes=5))
    desk.deliver(make_raw(headers={"In-Reply-To": "<x@acme.test>"}), at=NOW - timedelta(minutes=2))
    counts = count_choices(look(desk), now=NOW)
    assert (counts.unread, counts.new_tickets, counts.all.update, counts.oldest) == (3, 2, 1, OLD)
    assert counts.from_now == NOW - timedelta(minutes=2) + timedelta(seconds=1)
    assert (counts.from_now_left_alone, counts.newer_than(NOW - timedelta(minutes=5))) == (3, 2)
    set_incoming(desk.instance, cutoff_enabled="true", cutoff_at=NOW.isoformat())
    with pytest.raises(ValueError, match="cut-off"):
        count_choices(look(desk), now=NOW)


def foreseen(desk: Desk) -> Foreseen:
    with MemoryMailbox(desk.server) as mailbox:
        mailbox.open(read_only=True)
        return foresee(desk.instance, draft_of(desk))(mailbox)


def test_what_is_foreseen_from_headers(desk: Desk) -> None:
    set_incoming(
        desk.instance,
        process_unknown="false",
        cutoff_enabled="true",
        cutoff_at=(NOW - timedelta(1)).isoformat(),
    )
    assert foreseen(desk).fact == "no unread messages"
    desk.deliver(make_raw(message_id="a@acme.test"))
    desk.deliver(make_raw(headers={"References": "<a@acme.test>"}))
    desk.deliver(make_raw(sender="bob@binder.test"))
    desk.deliver(at=OLD)
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    desk.deliver(make_raw(sender="no-reply@shop.test"))
    desk.deliver(make_raw(sender="carl@new.test"))
    desk.deliver(make_raw(sender="help@desk.test"))
    found = foreseen(desk)
    assert found.fact == (
        "8 unread: 2 new tickets · 1 update · 1 too old · 2 automatic · 1 unknown sender · 1 other"
    )
    assert (sum(found.counts.values()), found.looked, found.unread) == (8, 8, 8)
    assert "fetch" not in desk.server.commands


def test_only_the_newest_are_foreseen(desk: Desk) -> None:
    for _ in range(203):
        desk.deliver()
    found = foreseen(desk)
    assert (found.fact, found.looked) == ("203 unread, of the 200 newest: 200 new tickets", 200)


def previews_of(desk: Desk) -> Previews:
    return Previews(desk.instance, connect=lambda _: MemoryMailbox(desk.server))


def ended(job: PreviewJob) -> PreviewJob:
    job.wait(20)
    assert not job.running
    return job


def test_a_preview_as_a_job(desk: Desk) -> None:
    desk.deliver()
    previews = previews_of(desk)
    job = ended(previews.start(draft_of(desk)))
    assert job.result is not None
    assert (job.result.counts.ticket, job.done, job.total, job.sentence) == (1, 1, 1, "")
    assert previews.find(job.job_id) is job
    assert previews.find("other") is None


def test_a_job_that_fails_says_why_and_what_to_do(desk: Desk) -> None:
    desk.server.fail_on["open"] = AuthenticationFailed("no", stage=Stage.SIGN_IN)
    job = ended(previews_of(desk).start(draft_of(desk)))
    assert job.result is None
    assert "sign in" in job.sentence
    assert job.cure


def test_no_password_is_left_once_a_job_has_ended(desk: Desk) -> None:
    def start_failing() -> PreviewJob:
        wanted = replace(draft_of(desk), secret="canary-7391")
        return ended(Previews(desk.instance, connect=refuse).start(wanted))

    def refuse(settings: ServerSettings) -> MemoryMailbox:
        assert settings.password == "canary-7391"
        raise AuthenticationFailed("no", stage=Stage.SIGN_IN)

    job = start_failing()
    until = time.monotonic() + 5
    while held("canary-7391") and time.monotonic() < until:  # the thread's last steps
        time.sleep(0.02)
    assert job.remedy is not None
    assert held("canary-7391") == []


def held(password: str) -> list[object]:
    """What there is with this password in the memory of this process."""
    gc.collect()
    things = gc.get_objects()
    drafts = [thing for thing in things if isinstance(thing, Draft) and thing.secret == password]
    settings = [thing for thing in things if isinstance(thing, ServerSettings) and thing.password == password]
    return [*drafts, *settings]


def test_a_job_that_breaks_says_so(desk: Desk) -> None:
    def broken(_: object) -> MemoryMailbox:
        raise RuntimeError("broken")

    job = ended(Previews(desk.instance, connect=broken).start(draft_of(desk)))
    assert (job.crashed, job.sentence) == (True, "The preview itself broke. The log has the details.")


def test_another_job_stops_the_one_before_but_not_one_that_ended(desk: Desk) -> None:
    goes_on = threading.Event()

    def connect(_: ServerSettings) -> MemoryMailbox:
        goes_on.wait(10)
        return MemoryMailbox(desk.server)

    previews = Previews(desk.instance, a_minute=3, connect=connect)
    goes_on.set()
    first = ended(previews.start(draft_of(desk)))
    goes_on.clear()
    second, third = previews.start(draft_of(desk)), previews.start(draft_of(desk))
    assert (first.stopped, second.stopped, third.stopped) == (False, True, False)
    goes_on.set()
    with pytest.raises(TooManyJobs, match="At most 3 previews a minute"):
        previews.start(draft_of(desk))
    ended(second)
    ended(third)
