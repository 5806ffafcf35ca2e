"""Deadlines that really end an operation.

The libraries below us time out per socket read: a server that sends one octet a second holds them for
ever. An `Alarm` belongs to one connection; while it is set, one shared thread waits for it and calls
`on_expiry`, which shuts the socket down, so that whatever is reading or writing returns at once.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

# Every octet that arrives moves the deadline on by this much: a slow line that keeps moving is let be.
SECONDS_PER_OCTET = 1 / (64 * 1024)


class Alarm:
    """A deadline that can be set again and again; at most a few entries of it wait in the queue."""

    __slots__ = ("_at", "_on_expiry", "_queued_at", "_slack", "expired")

    def __init__(self, on_expiry: Callable[[], None]) -> None:
        self._on_expiry = on_expiry
        self._at: float | None = None
        self._queued_at: float | None = None
        self._slack = 0.0
        self.expired = False

    def set(self, seconds: float) -> None:
        """Go off in `seconds` unless cleared before."""
        self._slack = seconds
        _watchdog.set(self, time.monotonic() + seconds)

    def progress(self, octets: int) -> None:
        """`octets` came or went: move on a little, but never further off than when it was set."""
        if self._at is not None:
            latest = time.monotonic() + self._slack
            self._at = min(self._at + octets * SECONDS_PER_OCTET, latest)

    def clear(self) -> None:
        """The operation ended. After this `expired` does not change any more."""
        _watchdog.clear(self)


class _Watchdog:
    """One daemon thread for all alarms of the process, started by the first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, Alarm]] = []
        self._number = itertools.count()
        self._thread: threading.Thread | None = None

    def set(self, alarm: Alarm, at: float) -> None:
        with self._changed:
            alarm._at = at
            if alarm._queued_at is None or at < alarm._queued_at:
                self._push(alarm, at)
                self._start()
                if self._queue[0][2] is alarm:
                    self._changed.notify()

    def clear(self, alarm: Alarm) -> None:
        with self._changed:
            alarm._at = None

    def _push(self, alarm: Alarm, at: float) -> None:
        alarm._queued_at = at
        heapq.heappush(self._queue, (at, next(self._number), alarm))

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="mail-deadlines", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            alarm = self._wait_for_one()
            alarm._on_expiry()

    def _wait_for_one(self) -> Alarm:
        with self._changed:
            while True:
                now = time.monotonic()
                if not self._queue:
                    self._changed.wait()
                elif self._queue[0][0] > now:
                    self._changed.wait(self._queue[0][0] - now)
                elif (alarm := self._pop(now)) is not None:
                    return alarm

    def _pop(self, now: float) -> Alarm | None:
        """Take the first entry: it is due, or was cleared, or has moved on and is queued again."""
        queued_at, _, alarm = heapq.heappop(self._queue)
        if alarm._queued_at == queued_at:
            alarm._queued_at = None
        if alarm._at is None:
            return None
        if alarm._at > now:
            if alarm._queued_at is None:
                self._push(alarm, alarm._at)
            return None
        alarm._at = None
        alarm.expired = True
        return alarm


_watchdog = _Watchdog()
