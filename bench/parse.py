"""CPU time of parsing: `python bench/parse.py [FOLDER] [RUNS]`.

Every *.eml of FOLDER's folders is parsed once a run, in this process and one thread; the short letters of
the tests, each of one oddity, stand deeper and do not count. Two figures: CPU seconds for 1,000 messages
(median of the runs), and the CPU milliseconds of the median message (each at its fastest).
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from webapp.mail.parse import parse

TESTS = Path(__file__).parent.parent / "tests" / "messages"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TESTS
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    messages = [path.read_bytes() for path in sorted(folder.glob("*/*.eml"))]
    for raw in messages:  # imports and caches
        parse(raw)
    times = [[_cpu_seconds(raw) for raw in messages] for _ in range(runs)]
    seconds = [sum(run) * 1000 / len(messages) for run in times]
    each = sorted(min(run) * 1000 for run in zip(*times, strict=True))
    mean_kb = sum(map(len, messages)) / len(messages) / 1024
    print(
        f"{len(messages)} messages, {mean_kb:.0f} KB mean: {statistics.median(seconds):.2f} CPU s per 1,000 "
        f"(fastest {min(seconds):.2f}, slowest {max(seconds):.2f})"
    )
    print(f"median {statistics.median(each):.2f} ms, 95 of 100 below {each[len(each) * 95 // 100]:.2f} ms")


def _cpu_seconds(raw: bytes) -> float:
    begin = time.process_time()
    parse(raw)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
