"""APScheduler wiring, and only that: which jobs run, and when. Started in one place, `webapp.wsgi`."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from webapp.inbound.lease import LeaseBusy
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import NotPolled, VaultError, poll

if TYPE_CHECKING:
    from flask import Flask

    from webapp.instance import Instance

logger = logging.getLogger(__name__)


class Scheduler:
    """The jobs of this process, until `shutdown`."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._parser = ParserProcess()
        self._stopping = threading.Event()
        # Runs that were missed are one run, however late; a run that is still going is not doubled.
        self._jobs = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(2)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._jobs.add_job(
            self._poll_incoming,
            "interval",
            seconds=instance.settings.poll_interval,
            id="poll-incoming",
            next_run_time=datetime.now(UTC),
        )

    def start(self) -> None:
        self._jobs.start()

    def shutdown(self) -> None:
        """Take no new run, let the one that is going finish its batch, and end the parser process."""
        self._stopping.set()
        self._jobs.shutdown(wait=True)
        self._parser.close()

    def _poll_incoming(self) -> None:
        try:
            poll(self._instance, self._parser, trigger="schedule", stop=self._stopping.is_set)
        except NotPolled as reason:
            logger.debug("not polled: %s", reason)
        except LeaseBusy:
            logger.debug("not polled: another process is polling this mailbox")
        except VaultError as error:
            logger.error("incoming mail is not polled: %s", error)
        self._parser.end_if_idle()


def start(app: Flask) -> Scheduler:
    """Start the jobs of this application's instance."""
    scheduler = Scheduler(app.extensions["instance"])
    scheduler.start()
    return scheduler
