"""The brake on guessing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from webapp.views import throttle
from webapp.views.throttle import Throttle

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
NOTHING = timedelta(0)


def fail(brake: Throttle, times: int, client: str = "192.0.2.1", subject: str = "alice") -> None:
    for _ in range(times):
        brake.failed(client, subject, NOW)


def test_the_first_tries_are_free() -> None:
    brake = Throttle()
    fail(brake, 4)
    assert brake.wait("192.0.2.1", "alice", NOW) == NOTHING


def test_the_wait_doubles_up_to_five_minutes() -> None:
    brake = Throttle()
    waits = []
    for times in (5, 1, 1, 1, 20):
        fail(brake, times)
        waits.append(brake.wait("192.0.2.1", "alice", NOW).total_seconds())
    assert waits == [1, 2, 4, 8, 300]


def test_waiting_is_enough() -> None:
    brake = Throttle()
    fail(brake, 6)
    assert brake.wait("192.0.2.1", "alice", NOW + timedelta(seconds=2)) == NOTHING


def test_other_addresses_are_free() -> None:
    brake = Throttle()
    fail(brake, 100)
    assert brake.wait("192.0.2.2", "alice", NOW) == NOTHING


def test_one_address_trying_many_accounts_is_slowed_down() -> None:
    brake = Throttle()
    for number in range(20):
        fail(brake, 1, subject=f"account {number}")
    assert brake.wait("192.0.2.1", "another", NOW) > NOTHING


def test_success_forgets_that_account_only() -> None:
    brake = Throttle()
    fail(brake, 5)
    fail(brake, 5, subject="bob")
    brake.succeeded("192.0.2.1", "alice")
    assert brake.wait("192.0.2.1", "alice", NOW) == NOTHING
    assert brake.wait("192.0.2.1", "bob", NOW) > NOTHING


def test_old_failures_are_forgotten() -> None:
    brake = Throttle()
    fail(brake, 9)
    brake.failed("192.0.2.1", "alice", NOW + timedelta(hours=2))
    assert brake.wait("192.0.2.1", "alice", NOW + timedelta(hours=2)) == NOTHING


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "192.0.2.1", False),
        ("unix:", "unix:", True),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:
    brake = Throttle()
    fail(brake, 9, client=one)
    assert (brake.wait(other, "alice", NOW) > NOTHING) is same


def test_it_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MAX_KEYS", 10)
    brake = Throttle()
    for number in range(50):
        fail(brake, 1, subject=f"account {number}")
    assert len(brake._failures) == 10
