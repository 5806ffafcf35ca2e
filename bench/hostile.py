"""CPU time and memory of hostile mail, each in a process of its own: `python -m bench.hostile [WORD]`.

With WORD only the messages whose name has it. The memory is what parsing adds at its peak.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from multiprocessing.connection import Connection

from tests.mail.hostile import HOSTILE
from webapp.mail.parse import parse

TARGET_MS = 1_000


def main() -> None:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    kinds = [kind for kind in HOSTILE if word.lower() in kind.lower()]
    over = 0
    worst = 0.0
    for kind in kinds:
        size, milliseconds, memory = _measured(kind)
        worst = max(worst, milliseconds)
        over += milliseconds > TARGET_MS
        mark = "  over the target" if milliseconds > TARGET_MS else ""
        print(f"{milliseconds:8.1f} ms {memory:7.1f} MB  {size / 1e6:6.1f} MB mail  {kind}{mark}", flush=True)
    print(f"{len(kinds)} messages, slowest {worst:.0f} ms of CPU, {over} over {TARGET_MS} ms")


def _measured(kind: str) -> tuple[int, float, float]:
    """Octets of the message, CPU milliseconds and the megabytes that parsing added at its peak."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(kind, theirs))
    child.start()
    theirs.close()
    try:
        size, milliseconds, memory = ours.recv()
    finally:
        child.join()
    return size, milliseconds, memory


def _child(kind: str, answer: Connection) -> None:
    raw = HOSTILE[kind]()
    parse(b"From: a@b.org\r\nContent-Type: text/html\r\n\r\n<p>hello</p>")  # imports and caches
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    parse(raw)
    milliseconds = (time.process_time() - begin) * 1000
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer.send((len(raw), milliseconds, (after - before) / 1024))


if __name__ == "__main__":
    main()
