"""CPU seconds to parse 1,000 messages: `python bench/parse.py [FOLDER] [RUNS]` (median of the runs).

Every *.eml below FOLDER is parsed once a run, in this process and one thread.
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
    messages = [path.read_bytes() for path in sorted(folder.rglob("*.eml"))]
    for raw in messages:  # imports and caches
        parse(raw)
    seconds = [_cpu_seconds(messages) * 1000 / len(messages) for _ in range(runs)]
    mean_kb = sum(map(len, messages)) / len(messages) / 1024
    print(
        f"{len(messages)} messages, {mean_kb:.0f} KB mean: {statistics.median(seconds):.2f} CPU s per 1,000 "
        f"(fastest {min(seconds):.2f}, slowest {max(seconds):.2f})"
    )


def _cpu_seconds(messages: list[bytes]) -> float:
    begin = time.process_time()
    for raw in messages:
        parse(raw)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
