"""Test Connection as a job: started, watched stage by stage, stopped.

A test runs in a thread of its own and keeps its results here until it is forgotten, so that a page can ask
how far it is. One test a row at a time; six a minute in all, for a test is a port scanner in the wrong
hands.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from webapp.mailserver.base import ServerSettings
from webapp.mailserver.diagnosis import StageResult, StageState, diagnose, stages
from webapp.mailserver.remedy import LABELS, Remedy
from webapp.models import Row

TESTS_A_MINUTE = 6
KEPT_TESTS = 30

logger = logging.getLogger(__name__)


class TooManyTests(Exception):
    """More tests within a minute than are allowed."""

    def __init__(self) -> None:
        super().__init__(f"At most {TESTS_A_MINUTE} tests a minute. Wait a moment and try again.")


@dataclass(frozen=True, slots=True)
class Line:
    """One stage as shown. `state`: waiting, running, ok, warning, failed or skipped."""

    label: str
    state: str
    elapsed_ms: int | None = None
    fact: str = ""


@dataclass(slots=True)
class ConnectionTest:
    """One test, running or ended."""

    test_id: str
    row: Row
    settings: ServerSettings
    started: float = field(default_factory=time.monotonic)
    results: list[StageResult] = field(default_factory=list)
    took: float | None = None  # seconds, once it ended
    crashed: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def running(self) -> bool:
        return not self.ended.is_set()

    @property
    def stopped(self) -> bool:
        return self.stopping.is_set()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started if self.took is None else self.took

    @property
    def failure(self) -> StageResult | None:
        return next((result for result in self.results if result.state is StageState.FAILED), None)

    @property
    def remedy(self) -> Remedy | None:
        return self.failure.remedy if self.failure else None

    @property
    def passed(self) -> bool:
        return self.took is not None and not (self.stopped or self.crashed or self.failure)

    @property
    def sentence(self) -> str:
        """How it ended, in one line."""
        if self.crashed:
            return "The test itself broke. The log has the details."
        return self.remedy.sentence if self.remedy else ""

    def lines(self) -> list[Line]:
        """Every stage the test has, done or not."""
        done = list(self.results)
        lines = [Line(result.label, result.state.value, result.elapsed_ms, result.fact) for result in done]
        left = [LABELS[stage] for stage in stages(self.settings.protocol)[len(done) :]]
        first = "running" if self.running else "skipped"
        rest = "waiting" if self.running else "skipped"
        return lines + [Line(label, first if number == 0 else rest) for number, label in enumerate(left)]

    def wait(self, seconds: float) -> None:
        self.ended.wait(seconds)


class ConnectionTests:
    """The tests of this process."""

    def __init__(self, *, a_minute: int = TESTS_A_MINUTE) -> None:
        self._tests: OrderedDict[str, ConnectionTest] = OrderedDict()
        self._started: deque[float] = deque(maxlen=a_minute)
        self._lock = threading.Lock()

    def start(
        self, row: Row, settings: ServerSettings, at_end: Callable[[ConnectionTest], None]
    ) -> ConnectionTest:
        """Begin a test; one still running on the same row is stopped. Raises TooManyTests."""
        test = ConnectionTest(secrets.token_urlsafe(12), row, settings)
        with self._lock:
            self._count(test.started)
            for other in self._tests.values():
                if other.row is row:
                    other.stopping.set()
            self._tests[test.test_id] = test
            while len(self._tests) > KEPT_TESTS:
                self._tests.popitem(last=False)
        threading.Thread(target=_run, args=(test, at_end), name="mail-test", daemon=True).start()
        return test

    def find(self, test_id: str) -> ConnectionTest | None:
        with self._lock:
            return self._tests.get(test_id)

    def _count(self, now: float) -> None:
        if len(self._started) == self._started.maxlen and now - self._started[0] < 60:
            raise TooManyTests
        self._started.append(now)


def _run(test: ConnectionTest, at_end: Callable[[ConnectionTest], None]) -> None:
    """`at_end` is done before anybody is told that the test ended."""
    try:
        for result in diagnose(test.settings, cancelled=test.stopping.is_set):
            test.results.append(result)
        test.took = time.monotonic() - test.started
        if not test.stopped:
            at_end(test)
    except Exception:
        logger.exception("a connection test broke")
        test.crashed = True
    finally:
        test.took = test.took or time.monotonic() - test.started
        test.ended.set()
