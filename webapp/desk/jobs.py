"""Work that a page starts, asks about and may stop: Test Connection, the preview, the search for settings.

Each job has a daemon thread, so that none keeps the process from ending, and is kept here under an id nobody
can guess, so that a page can ask how far it is. Only so many begin a minute: what connects to a server that
somebody typed in is a port scanner in the wrong hands. Kept is what a page shows; what the work needs
besides, a password above all, belongs to the work and goes with it.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MINUTE = 60.0

logger = logging.getLogger(__name__)


class TooManyJobs(Exception):
    """More within a minute than are allowed. Its text is for people."""

    def __init__(self, a_minute: int, what: str) -> None:
        super().__init__(f"At most {a_minute} {what} a minute. Wait a moment and try again.")


@dataclass(slots=True, eq=False)
class Job:
    """One job, running or ended; what it found out is for a subclass to hold."""

    job_id: str = field(default_factory=lambda: secrets.token_urlsafe(12), init=False)
    crashed: bool = field(default=False, init=False)
    _started: float = field(default_factory=time.monotonic, init=False)
    _took: float | None = field(default=None, init=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _ended: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop; the work asks for this as it goes."""
        return self._stopping.is_set()

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return time.monotonic() - self._started if self._took is None else self._took

    def stop(self) -> None:
        """Tell it to stop, which may take a moment; nothing happens to one that has ended."""
        if self.running:
            self._stopping.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, at the latest after so many seconds."""
        return self._ended.wait(seconds)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            logger.exception("%s broke", threading.current_thread().name)
            self.crashed = True
        finally:
            self._took = time.monotonic() - self._started
            self._ended.set()


J = TypeVar("J", bound=Job)


class Jobs(Generic[J]):
    """The jobs of one kind in this process: the newest `kept` of them, at most `a_minute` begun a minute.

    `what` names several of them ("tests"), for the sentence of a refusal and for the threads.
    """

    def __init__(self, what: str, *, a_minute: int, kept: int) -> None:
        self._what, self._a_minute, self._most = what, a_minute, kept
        self._jobs: OrderedDict[str, J] = OrderedDict()
        self._begun: deque[float] = deque(maxlen=a_minute)
        self._lock = threading.Lock()

    def begin(
        self, job: J, work: Callable[[], None], *, replaces: Callable[[J], bool] = lambda other: False
    ) -> J:
        """Run `work` for `job` in a thread; those that it `replaces` are stopped. Raises TooManyJobs.

        What `work` raises is logged and makes the job one that `crashed`.
        """
        thread = threading.Thread(target=job._run, args=(work,), name=f"mail-{self._what}", daemon=True)
        with self._lock:
            self._count(time.monotonic())
            for other in filter(replaces, self._jobs.values()):
                other.stop()
            thread.start()
            self._jobs[job.job_id] = job
            while len(self._jobs) > self._most:
                self._jobs.popitem(last=False)
        return job

    def find(self, job_id: str) -> J | None:
        """None: there was none, or newer ones have taken its place."""
        with self._lock:
            return self._jobs.get(job_id)

    def running(self) -> list[J]:
        with self._lock:
            return [job for job in self._jobs.values() if job.running]

    def _count(self, now: float) -> None:
        if len(self._begun) == self._a_minute and now - self._begun[0] < MINUTE:
            raise TooManyJobs(self._a_minute, self._what)
        self._begun.append(now)
