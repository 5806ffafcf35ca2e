"""The top of the email log: the last day hour by hour, the last runs, what needs attention."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.instance import Instance
from webapp.models import ActionKind, Disposition, InboundAction, TicketNotice, TicketStatus
from webapp.views import charts
from webapp.views.queries import mail_activity

SOFIA, UTC_ZONE = ZoneInfo("Europe/Sofia"), ZoneInfo("UTC")
HTMX = {"HX-Request": "true"}


def plain(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)).strip()


def hours_of(instance: Instance, now: datetime, zone: ZoneInfo = UTC_ZONE) -> list[mail_activity.HourCounts]:
    with instance.database.reading() as session:
        return mail_activity.last_24_hours(session, now, zone)


def add(instance: Instance, *rows: tuple[datetime, Disposition]) -> None:
    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session)
        for at, disposition in rows:
            make.make_inbound(session, mailbox, recorded_at=at, disposition=disposition)


def test_each_message_is_counted_in_its_hour_and_none_outside_of_the_day(instance: Instance) -> None:
    now = datetime(2026, 11, 23, 11, 30, tzinfo=UTC)
    day = timedelta(days=1)
    add(
        instance,
        (now - day - timedelta(microseconds=1), Disposition.TICKET),
        (now - day, Disposition.TICKET),
        (datetime(2026, 11, 22, 11, 59, 59, tzinfo=UTC), Disposition.UPDATE),
        (datetime(2026, 11, 22, 12, 0, tzinfo=UTC), Disposition.IGNORED),
        (now - timedelta(microseconds=1), Disposition.QUARANTINED),
        (now, Disposition.TICKET),
    )
    hours = hours_of(instance, now)
    assert len(hours) == 25
    assert (hours[0].counts, hours[1].counts, hours[-1].counts) == (
        {Disposition.TICKET: 1, Disposition.UPDATE: 1},
        {Disposition.IGNORED: 1}, {Disposition.QUARANTINED: 1},
    )  # fmt: skip
    assert sum(hour.total for hour in hours) == 4
    assert mail_activity.totals(hours)[Disposition.CLAIM] == 0


@pytest.mark.parametrize(
    ("now", "offsets", "names"),
    [
        (
            datetime(2026, 10, 25, 9, 0, tzinfo=UTC),
            (3, 2),
            ("03:00 EEST to 03:00 EET", "03:00 EET to 04:00 EET"),
        ),
        (
            datetime(2026, 3, 29, 9, 0, tzinfo=UTC),
            (2, 3),
            ("02:00 EET to 04:00 EEST", "04:00 EEST to 05:00 EEST"),
        ),
    ],
    ids=["25 hours", "23 hours"],
)
def test_days_on_which_the_clocks_are_changed(
    instance: Instance, now: datetime, offsets: tuple[int, int], names: tuple[str, str]
) -> None:
    """24 hours stay 24 hours, and no hour is told twice by the same name."""
    rows = [(now - timedelta(hours=n, minutes=30), Disposition.TICKET) for n in range(24)]
    add(instance, *rows)
    hours = hours_of(instance, now, SOFIA)
    assert [hour.total for hour in hours] == [1] * 24
    assert (hours[0].begin.utcoffset(), hours[-1].end.utcoffset()) == tuple(
        timedelta(hours=n) for n in offsets
    )
    told = [name for name, _ in charts.activity(hours).rows]
    assert len(set(told)) == 24
    assert set(names) <= set(told)


def test_clocks_changed_by_half_an_hour(instance: Instance) -> None:
    now = datetime(2026, 4, 5, 3, 0, tzinfo=UTC)
    hours = hours_of(instance, now, ZoneInfo("Australia/Lord_Howe"))
    assert hours[-1].end.astimezone(UTC) - hours[0].begin.astimezone(UTC) == timedelta(days=1)
    assert all(one.end == other.begin for one, other in pairwise(hours))


def test_bars_stand_on_each_other_and_failures_are_marked_by_place(app: Flask) -> None:
    begin = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
    counts = {
        Disposition.TICKET: 400,
        Disposition.CLAIM: 1,
        Disposition.UPDATE: 2,
        Disposition.QUARANTINED: 1,
    }
    hours = [
        mail_activity.HourCounts(begin, begin + timedelta(hours=1), counts),
        mail_activity.HourCounts(begin + timedelta(hours=1), begin + timedelta(hours=2)),
    ]
    chart = charts.activity(hours)
    assert chart.totals == "401 new tickets, 2 updates, 0 ignored, 1 failed"
    assert (chart.top, chart.width, chart.bars[1].rects) == (404, 20.0, ())
    ticket, update, failed, mark = chart.bars[0].rects
    assert [ticket.kind, update.kind, failed.kind, mark.kind] == ["ticket", "update", "failed", "failed mark"]
    assert ticket.y + ticket.height == chart.height
    for lower, upper in ((ticket, update), (update, failed)):
        assert upper.y + upper.height < lower.y
        assert upper.height >= charts.SMALLEST
    assert failed.y >= charts.HEAD > mark.y + mark.height
    assert chart.bars[0].title.startswith("00:00 to 01:00: 401 new tickets")
    assert chart.bars[1].title.endswith("no messages")


def test_runs_differ_in_shape_and_word(instance: Instance, app: Flask) -> None:
    slow = make.NOW - charts.SLOW - timedelta(seconds=1)
    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session)
        make.make_run(session, mailbox)
        make.make_run(session, mailbox, started_at=slow)
        make.make_run(session, mailbox, error="Wrong password.")
        make.make_run(session, mailbox, finished_at=None)
    with instance.database.reading() as session, app.test_request_context():
        strip = charts.run_strip(mail_activity.last_runs(session, mailbox.id))
    assert [mark.state for mark in strip.marks] == ["ok", "slow", "failed", "running"]
    shapes = {tuple((rect.y, rect.height) for rect in mark.bar.rects) for mark in strip.marks}
    assert len(shapes) == 4
    assert strip.summary == "Last 4 runs: 1 ok, 1 slow, 1 failed, 1 running."
    assert "Wrong password." in strip.marks[2].bar.title


def test_the_last_60_runs_of_this_mailbox(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        mailbox, other = make.make_mailbox(session), make.make_mailbox(session, host="other.example.com")
        for _ in range(70):
            make.make_run(session, mailbox)
        make.make_run(session, other, error="Wrong password.")
    page = vera.get("/email-log").text
    assert "Last 60 runs: 60 ok." in plain(page)
    assert page.count('<rect class="ok"') == 60


def test_the_chart_says_in_words_what_it_shows(vera: Browser, instance: Instance) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    add(instance, (now, Disposition.TICKET), (now, Disposition.TICKET), (now, Disposition.QUARANTINED))
    page = vera.get("/email-log").text
    assert 'role="img" aria-labelledby="activity-title activity-desc"' in page
    assert "2 new tickets, 0 updates, 0 ignored, 1 failed. Most in one hour: 3." in page
    assert "Show as table" in page
    assert "style=" not in page
    assert "Last 24 hours: 2 new tickets · 0 updates · 0 ignored · 1 failed ." in plain(page)
    assert 'href="/email-log?outcome=quarantined&amp;period=day"' in page
    assert 'href="/email-log?outcome=claim' not in page


def test_nothing_new_is_not_sent_again(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        make.make_run(session, make.make_mailbox(session))
    part = vera.get("/email-log/state", headers=HTMX).text
    address = re.search(r'hx-get="([^"]+)"', part)
    assert address
    seen = address[1].replace("&amp;", "&")
    assert vera.get(seen, headers=HTMX).status_code == 204


def make_claim(instance: Instance, **ticket: Any) -> None:
    with instance.database.writing() as session:
        made = make.make_ticket(session, **({"notice": TicketNotice.CLAIM} | ticket))
        make.make_inbound(
            session, make.make_mailbox(session), disposition=Disposition.CLAIM, rule="thread-claim",
            ticket_id=made.id, subject="claim",
        )  # fmt: skip


def test_what_needs_attention(vera: Browser, instance: Instance) -> None:
    make_claim(instance)
    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session, host="other.example.com")
        make.make_inbound(session, mailbox, subject="fine")
        make.make_inbound(session, mailbox, subject="odd", disposition=Disposition.QUARANTINED)
        done = make.make_inbound(session, mailbox, subject="done", disposition=Disposition.QUARANTINED)
        session.add(
            InboundAction(inbound_id=done.id, kind=ActionKind.DISMISS, at=make.NOW, actor="bob", trace=[])
        )
    page = vera.get("/email-log?outcome=attention").text
    assert re.findall(r'class="subject"><a [^>]*>([^<]*)</a>', page) == ["odd", "claim"]
    assert "2 need attention" in plain(page)
    assert '<option value="attention" selected>' in page


@pytest.mark.parametrize("ticket", [{"status": TicketStatus.CLOSED}, {"notice": None}])
def test_a_claim_that_is_settled_needs_none(
    vera: Browser, instance: Instance, ticket: dict[str, Any]
) -> None:
    make_claim(instance, **ticket)
    assert "attention</strong>" not in vera.get("/email-log").text
    assert "No message matches." in plain(vera.get("/email-log?outcome=attention").text)
