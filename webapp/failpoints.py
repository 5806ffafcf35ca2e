"""Named points at which a test may kill the process, so that no claim about crashes goes unproven.

SERVICEDESK_FAILPOINT=NAME[:NTH] sends SIGKILL to this very process when NAME is reached the NTH time.
Without the variable a call is one dictionary look-up.
"""

from __future__ import annotations

import os
import signal

_left: dict[str, int] = {}


def arm(wanted: str) -> None:
    """Only the point named (NAME[:NTH]) counts from now on; none where `wanted` is empty."""
    name, _, nth = wanted.partition(":")
    _left.clear()
    if name:
        _left[name] = int(nth or 1)


arm(os.environ.get("SERVICEDESK_FAILPOINT", ""))


def failpoint(name: str) -> None:
    if name not in _left:
        return
    _left[name] -= 1
    if _left[name] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
