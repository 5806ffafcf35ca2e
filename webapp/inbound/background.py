"""A run that somebody asked for with a button: in a thread of its own, one at a time."""

from __future__ import annotations

import logging
import threading

from webapp.inbound.lease import LeaseBusy
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import NotPolled, poll
from webapp.instance import Instance
from webapp.vault import VaultError

logger = logging.getLogger(__name__)


class BackgroundPoll:
    """The runs by button of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._one_more = False

    def start(self, instance: Instance) -> None:
        """Begin a run; where one is still going it is followed by one more, however often this is asked.

        The one that is going may be past what this one is wanted for.
        """
        with self._lock:
            if self._thread is not None:
                self._one_more = True
                return
            self._thread = threading.Thread(target=self._work, args=(instance,), name="run-now", daemon=True)
            self._thread.start()

    def _work(self, instance: Instance) -> None:
        while True:
            _run(instance)
            with self._lock:
                if not self._one_more:
                    self._thread = None
                    return
                self._one_more = False

    def wait(self, seconds: float) -> None:
        """Until no run is going or wanted, at most so long."""
        if (thread := self._thread) is not None:
            thread.join(seconds)


def _run(instance: Instance) -> None:
    try:
        with ParserProcess() as parser:
            poll(instance, parser, trigger="button")
    except (NotPolled, LeaseBusy) as reason:
        logger.info("no run by button: %s", reason)
    except VaultError as error:
        logger.error("incoming mail is not polled: %s", error)
    except Exception:
        logger.exception("a run by button failed")
