"""A parser that is made to be killed: `python -m tests.torture.poller` forks one for every line it reads.

The imports are done once, so that a kill costs a tenth of what a fresh `servicedesk mail poll` costs. A
line is a failpoint (or "-"); the answer is the pid of the child, which polls until the inbox is drained.
The parser process itself is started by exec, as always. `tests/inbound/test_accounting.py` kills the real
command.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from webapp import failpoints
from webapp.inbound.lease import LeaseBusy
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import open_instance
from webapp.mailserver import imap  # noqa: F401 - imported here once, not in every child


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who were killed
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(line.strip())
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _work(point: str) -> None:
    """Poll as one process, and end without the parent's clean-up."""
    failpoints.arm("" if point == "-" else point)
    status = 1
    try:
        instance = open_instance()
        with ParserProcess() as parser:
            while not (report := poll(instance, parser, trigger="command")).drained and not report.failure:
                pass
        status = 1 if report.failure else 0
    except LeaseBusy:
        status = 75
    finally:
        Path(os.environ["SERVICEDESK_INSTANCE"], f"ended-{os.getpid()}").touch()  # it was not killed
        os._exit(status)


if __name__ == "__main__":
    main()
