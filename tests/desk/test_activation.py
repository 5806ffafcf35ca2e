"""Turning a row on: what is asked, and the cut-off each answer means."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import NOW
from webapp.desk.activation import (
    Choice,
    Confirmation,
    apply_choice,
    changes_of,
    choose_cutoff,
    from_now,
    needs_confirmation,
    preselected,
    without_cutoff,
)
from webapp.desk.mail_form import FormErrors, MailServerValues, check, texts_of
from webapp.desk.mail_servers import Draft
from webapp.models import Row

SOFIA = ZoneInfo("Europe/Sofia")
ASKED = "The last test failed. Turn on anyway?"


def values(row: Row = Row.INCOMING, **changes: str) -> MailServerValues:
    told = {"host": "imap.desk.test", "username": "help@desk.test"}
    return check(row, texts_of(row, None) | told | changes, has_password=True, zone=SOFIA)


ON, OFF = values(active="true"), values()
DATED = replace(ON, cutoff_enabled=True, cutoff_at=NOW)


def chosen(choice: str, moment: str = "", newest: datetime | None = None) -> datetime | None:
    return choose_cutoff(choice, moment, zone=SOFIA, newest=newest, inbox_seen=True, now=NOW)


@pytest.mark.parametrize(
    ("before", "wanted", "passed", "expected"),
    [
        (None, OFF, None, Confirmation(step=False)),
        (ON, OFF, False, Confirmation(step=False)),
        (ON, ON, False, Confirmation(step=False)),
        (None, ON, True, Confirmation(step=True)),
        (OFF, ON, True, Confirmation(step=True)),
        (OFF, ON, False, Confirmation(step=True, question=ASKED)),
        (OFF, ON, None, Confirmation(step=True, hint="Not tested yet.")),
        (ON, replace(ON, host="other.test"), True, Confirmation(step=True)),
        (ON, replace(ON, username="sales@desk.test"), True, Confirmation(step=True)),
        (ON, replace(ON, timeout_ms=5000), None, Confirmation(step=False)),
        (DATED, replace(DATED, cutoff_enabled=False), True, Confirmation(step=True)),
        (DATED, replace(DATED, cutoff_at=NOW - timedelta(seconds=1)), True, Confirmation(step=True)),
        (DATED, replace(DATED, cutoff_at=NOW + timedelta(days=1)), True, Confirmation(step=False)),
        (DATED, replace(DATED, archive_folder="Done"), True, Confirmation(step=False)),
        (ON, DATED, True, Confirmation(step=False)),
    ],
)
def test_what_incoming_asks(
    before: MailServerValues | None, wanted: MailServerValues, passed: bool | None, expected: Confirmation
) -> None:
    assert needs_confirmation(before, wanted, last_test_passed=passed) == expected
    assert expected.needed == bool(expected.step or expected.question)


@pytest.mark.parametrize("row", [Row.OUTGOING, Row.INVOICE])
def test_rows_that_send_never_have_the_step(row: Row) -> None:
    on, off = values(row, active="true"), values(row)
    assert needs_confirmation(off, on, last_test_passed=True) == Confirmation(step=False)
    assert needs_confirmation(None, on, last_test_passed=False) == Confirmation(step=False, question=ASKED)
    assert needs_confirmation(off, on, last_test_passed=None).hint == "Not tested yet."
    assert not needs_confirmation(on, replace(on, host="b.test"), last_test_passed=False).needed


def test_only_a_date_that_is_set_is_chosen_beforehand() -> None:
    dated = values(cutoff_enabled="true", cutoff_at="2026-11-23T12:00")
    assert preselected(dated) is Choice.FROM_DATE
    assert preselected(OFF) is None
    assert preselected(replace(dated, cutoff_enabled=False)) is None


def test_nothing_chosen_is_refused() -> None:
    for choice in ("", "everything"):
        with pytest.raises(FormErrors) as refused:
            chosen(choice)
        assert refused.value.errors == {"choice": "Choose which messages become tickets."}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-23T12:00", datetime(2026, 11, 23, 10, 0, tzinfo=UTC)),
        ("2026-10-25T03:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # comes twice: the first
        ("2027-03-28T02:59", datetime(2027, 3, 28, 0, 59, tzinfo=UTC)),
        ("2027-03-28T04:00", datetime(2027, 3, 28, 1, 0, tzinfo=UTC)),
        (" 2026-11-23T12:00:07 ", datetime(2026, 11, 23, 10, 0, 7, tzinfo=UTC)),
    ],
)
def test_a_date_is_the_desks_own_time(moment: str, expected: datetime) -> None:
    assert chosen(Choice.FROM_DATE, moment) == expected


@pytest.mark.parametrize(
    ("moment", "sentence"),
    [
        ("", "Enter a date and a time."),
        ("yesterday", "Enter a date and a time, such as 2026-11-23T12:00."),
        (
            "2027-03-28T03:30",
            "03:30 on 28 March 2027 does not exist in Europe/Sofia (clocks go forward). "
            "Choose 04:00 or later.",
        ),
    ],
)
def test_a_date_that_is_none_is_refused(moment: str, sentence: str) -> None:
    with pytest.raises(FormErrors) as refused:
        chosen(Choice.FROM_DATE, moment)
    assert refused.value.errors == {"cutoff_at": sentence}


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.mark.parametrize(
    ("newest", "cutoff"),
    [
        (None, -timedelta(days=1)),
        (-timedelta(days=400), -timedelta(days=1)),
        (-timedelta(days=1), -timedelta(days=1) + timedelta(seconds=1)),
        (-minutes(10), -minutes(10) + timedelta(seconds=1)),  # quiet, or a server that is behind
        (timedelta(0), timedelta(0)),
        (timedelta(seconds=1), -minutes(15)),  # a server that is ahead
        (minutes(14), -minutes(15)),  # an invented time, or ahead by hours
        (timedelta(days=2000), -minutes(15)),
    ],
)
def test_from_now(newest: timedelta | None, cutoff: timedelta) -> None:
    seen = NOW + newest if newest is not None else None
    assert chosen(Choice.FROM_NOW, newest=seen) == NOW + cutoff


def test_from_now_without_a_look_into_the_inbox() -> None:
    late = NOW + timedelta(microseconds=999_999)
    assert from_now(None, inbox_seen=False, now=late) == NOW - minutes(15)


@given(
    wrong_by=st.integers(-80_000, -1),  # seconds the server's clock is ahead of ours
    ages=st.lists(st.integers(0, 10**7), max_size=5),  # of the messages seen, seconds
    wait=st.integers(1, 3600),  # until the next message, seconds
)
def test_from_now_takes_what_comes_and_nothing_that_was_seen(
    wrong_by: int, ages: list[int], wait: int
) -> None:
    """However far the server's clock is behind ours, most of a day behind."""
    server_now = NOW + timedelta(seconds=wrong_by)
    seen = [server_now - timedelta(seconds=age) for age in ages]
    cutoff = from_now(max(seen, default=None), inbox_seen=True, now=NOW)
    assert all(received_at < cutoff for received_at in seen)
    assert server_now + timedelta(seconds=wait) >= cutoff


@given(ahead=st.integers(0, 50_000), ages=st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_a_server_ahead_loses_nothing_either(ahead: int, ages: list[int]) -> None:
    server_now = NOW + timedelta(seconds=ahead)
    newest = max(server_now - timedelta(seconds=age) for age in ages)
    assert server_now + timedelta(seconds=1) >= from_now(newest, inbox_seen=True, now=NOW)


@given(st.none() | st.integers(-(10**7), 10**7), st.booleans())
def test_the_line_is_never_later_than_our_clock(newest: int | None, seen: bool) -> None:
    at = None if newest is None else NOW + timedelta(seconds=newest)
    assert from_now(at, inbox_seen=seen, now=NOW) <= NOW


def test_the_choice_is_put_into_the_draft() -> None:
    dated = replace(OFF, cutoff_enabled=True, cutoff_at=NOW - timedelta(days=3))
    draft = Draft(dated, "secret", typed=False)
    taken = apply_choice(draft, NOW).values
    assert (taken.active, taken.cutoff_enabled, taken.cutoff_at) == (True, True, NOW)
    everything = apply_choice(draft, None).values
    assert (everything.active, everything.cutoff_enabled, everything.cutoff_at) == (
        True, False, dated.cutoff_at,
    )  # fmt: skip
    assert apply_choice(draft, None).secret == "secret"
    assert without_cutoff(draft).values == replace(dated, cutoff_enabled=False)


@pytest.mark.parametrize("cutoff", [None, NOW])
def test_as_fields_of_the_form_it_says_the_same(cutoff: datetime | None) -> None:
    draft = Draft(OFF, "secret", typed=False)
    assert values(Row.INCOMING, **changes_of(cutoff)) == apply_choice(draft, cutoff).values
