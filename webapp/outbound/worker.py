"""Who sends a message right now, so that others can tell whether he still lives.

A worker's name says where it runs: the system as booted and its process namespace, the process with its
time of start, and one number of its own. Seen from the same place, a process that is gone is gone; from any
other place only time tells. Both may be wrong at times (a name that cannot be read, a machine that slept):
they save waiting, and nothing depends on them. What keeps a message from being sent twice is that a worker
whose claim was taken away cannot mark the final dot any more (`claims.mark_final_dot`).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def make_worker_name(pid: int | None = None) -> str:
    """At most 50 characters, unlike any other's."""
    pid = pid or os.getpid()
    return f"{_place()}.{pid}.{_started(pid) or 0}.{secrets.token_hex(4)}"


def is_gone(claimed_by: str) -> bool:
    """Whether the process that claimed so has certainly ended, as far as can be told from here."""
    place, _, rest = claimed_by.partition(".")
    pid, _, rest = rest.partition(".")
    started = rest.partition(".")[0]
    if not _place() or place != _place() or not pid.isdigit():
        return False
    return str(_started(int(pid)) or 0) != started


def _place() -> str:
    """Empty where the system does not tell (no /proc)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        told = f"{boot} {os.readlink('/proc/self/ns/pid')} {os.uname().nodename}"
    except OSError:
        return ""
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _started(pid: int) -> int | None:
    """When the process was started, in ticks since boot; None where there is none (or a dead one)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
