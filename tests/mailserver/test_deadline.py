"""Alarms: never early, never lost, cheap."""

from __future__ import annotations

import threading
import time

from webapp.mailserver.deadline import Alarm


class Bell:
    """Notes when it rang."""

    def __init__(self) -> None:
        self.alarm = Alarm(self.ring)
        self.rang_at: float | None = None
        self._rang = threading.Event()

    def ring(self) -> None:
        self.rang_at = time.monotonic()
        self._rang.set()

    def wait(self, seconds: float = 5) -> bool:
        return self._rang.wait(seconds)


def test_goes_off_not_early_and_soon() -> None:
    bell = Bell()
    started = time.monotonic()
    bell.alarm.set(0.2)
    assert bell.wait()
    assert bell.rang_at is not None
    assert 0.2 <= bell.rang_at - started < 0.4
    assert bell.alarm.expired


def test_cleared_in_time() -> None:
    bell = Bell()
    bell.alarm.set(0.1)
    bell.alarm.clear()
    assert not bell.wait(0.3)
    assert not bell.alarm.expired


def test_a_shorter_one_after_a_longer_one() -> None:
    bell, other = Bell(), Bell()
    bell.alarm.set(60)
    other.alarm.set(60)
    bell.alarm.clear()
    started = time.monotonic()
    bell.alarm.set(0.2)
    assert bell.wait()
    assert 0.2 <= (bell.rang_at or 0) - started < 0.4
    other.alarm.clear()


def test_progress_moves_it_on_but_saves_nothing_up() -> None:
    bell = Bell()
    started = time.monotonic()
    bell.alarm.set(0.3)
    bell.alarm.progress(1_000_000_000)  # at once: the deadline is as far off as it was
    time.sleep(0.2)
    bell.alarm.progress(64 * 1024)  # worth a second; no more than 0.3 s from now
    assert bell.wait()
    assert 0.5 <= (bell.rang_at or 0) - started < 0.7


def test_a_drip_hardly_moves_it() -> None:
    bell = Bell()
    started = time.monotonic()
    bell.alarm.set(0.3)
    while not bell.wait(0.01):
        bell.alarm.progress(1)
    assert 0.3 <= (bell.rang_at or 0) - started < 0.5


def test_many() -> None:
    bells = [Bell() for _ in range(200)]
    started = time.monotonic()
    for n, bell in enumerate(bells):
        bell.alarm.set(0.3 if n % 2 else 30)
    assert all(bell.wait() for bell in bells[1::2])
    assert time.monotonic() - started < 1
    assert not any(bell.rang_at for bell in bells[::2])
    for bell in bells:
        bell.alarm.clear()


def test_thousands_of_operations_are_cheap() -> None:
    bell = Bell()
    started = time.process_time()
    for _ in range(20_000):
        bell.alarm.set(30)
        bell.alarm.progress(1000)
        bell.alarm.clear()
    assert time.process_time() - started < 2
    assert threading.active_count() < 50
