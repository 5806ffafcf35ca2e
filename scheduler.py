"""APScheduler wiring, and only that: which jobs run, and when. Started in one place, `webapp.wsgi`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from webapp.desk.sending import make_deliverer
from webapp.inbound.alerts import Alerts
from webapp.inbound.lease import LeaseBusy
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import NotPolled, VaultError, poll
from webapp.inbound.watch import Watcher
from webapp.outbound import wake

if TYPE_CHECKING:
    from flask import Flask

    from webapp.instance import Instance

TELL_SECONDS = 60
DELIVER_SECONDS = 15  # what this process writes leaves at once; this is for what others wrote
CLOCK_SECONDS, CLOCK_STEP = 5.0, 2.0
PULSE_SECONDS, PULSELESS_SECONDS = 10, 60.0

logger = logging.getLogger(__name__)


class Scheduler:
    """The jobs of this process, until `shutdown`."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._parser = ParserProcess()
        self._alerts = Alerts(instance)
        self._watcher = Watcher(instance, self.wake)
        self._deliverer = make_deliverer(instance)
        self._deaf: Callable[[], None] | None = None  # ends listening for mail that was written
        self._stopping = threading.Event()
        self._turn, self._news = threading.Lock(), threading.Event()
        self._delivery, self._mail = threading.Lock(), threading.Event()
        # Runs that were missed are one run, however late; a run that is still going is not doubled.
        self._jobs = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(4)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._add("poll-incoming", self._poll_incoming, instance.settings.poll_interval)
        self._add("tell-administrators", self._tell, TELL_SECONDS)
        self._add("deliver-outbox", self._deliver, DELIVER_SECONDS)
        self._add("pulse", self._beat, PULSE_SECONDS)
        self._pulse = time.monotonic()
        self._clock = ClockGuard(self._clock_moved)

    @property
    def is_alive(self) -> bool:
        """Whether jobs still run when they are due; one that takes long does not keep the others waiting."""
        return time.monotonic() - self._pulse < PULSELESS_SECONDS

    def start(self) -> None:
        self._jobs.start()
        self._clock.start()
        self._watcher.start()
        self._deaf = wake.listen(self.mail_written)

    def wake(self) -> None:
        """There may be news: poll now, or once more as soon as the run that is going has ended."""
        self._news.set()
        self._jobs.add_job(self._poll_incoming, id="poll-news", replace_existing=True, max_instances=8)

    def mail_written(self) -> None:
        """There is something to deliver: now, or as soon as the delivery that is going has ended."""
        self._mail.set()
        self._jobs.add_job(self._deliver, id="deliver-news", replace_existing=True, max_instances=8)

    def shutdown(self) -> None:
        """Take no new run, let the one that is going finish its batch, and end the parser process."""
        self._stopping.set()
        if self._deaf is not None:
            self._deaf()
        self._clock.stop()
        self._deliverer.stop()
        self._watcher.stop()
        self._jobs.shutdown(wait=True)
        self._parser.close()

    def _add(self, name: str, job: Callable[[], None], seconds: float) -> None:
        self._jobs.add_job(job, "interval", seconds=seconds, id=name, next_run_time=datetime.now(UTC))

    def _clock_moved(self) -> None:
        self._instance.uptime.since = datetime.now(UTC)  # nobody polled while the machine slept
        for job in self._jobs.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))

    def _poll_incoming(self) -> None:
        """One run; whoever comes meanwhile leaves word and goes, and the run is followed by another."""
        self._news.set()
        while self._news.is_set() and not self._stopping.is_set() and self._turn.acquire(blocking=False):
            try:
                self._news.clear()
                self._poll_once()
            finally:
                self._turn.release()

    def _poll_once(self) -> None:
        try:
            report = poll(self._instance, self._parser, trigger="schedule", stop=self._stopping.is_set)
            if not report.drained and report.failure is None and report.counts.processed:
                self._news.set()  # a bounded run had to leave some
        except NotPolled as reason:
            logger.debug("not polled: %s", reason)
        except LeaseBusy:
            logger.debug("not polled: another process is polling this mailbox")
        except VaultError as error:
            logger.error("incoming mail is not polled: %s", error)
        self._parser.end_if_idle()

    def _deliver(self) -> None:
        """One delivery; whoever comes meanwhile leaves word and goes, as with `_poll_incoming`."""
        self._mail.set()
        while self._mail.is_set() and not self._stopping.is_set() and self._delivery.acquire(blocking=False):
            try:
                self._mail.clear()
                self._deliverer.run()
            finally:
                self._delivery.release()

    def _beat(self) -> None:
        self._pulse = time.monotonic()

    def _tell(self) -> None:
        self._clock.look()  # a job that is due after a sleep may be quicker than the guard's own look
        self._alerts.look(datetime.now(UTC))


class ClockGuard:
    """Notices that the clock was set, or the machine slept: jobs are due by the clock of the wall.

    Put back by two hours, the next run would be two hours off; put forward, or after a sleep, it is late.
    Either way all jobs run once, now.
    """

    def __init__(
        self,
        act: Callable[[], None],
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._act, self._wall, self._steady = act, wall, steady
        self._difference = wall() - steady()
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="clock-guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        with self._looking:
            difference = self._wall() - self._steady()
            step, self._difference = difference - self._difference, difference
        if abs(step) > CLOCK_STEP:
            logger.warning("the clock moved by %+.0f s: every job runs now", step)
            self._act()

    def _work(self) -> None:
        while not self._stopping.wait(CLOCK_SECONDS):
            self.look()


def start(app: Flask) -> Scheduler:
    """Start the jobs of this application's instance."""
    scheduler = Scheduler(app.extensions["instance"])
    scheduler.start()
    return scheduler
