"""The parser process: reads hostile mail where it can hurt nobody.

Started by exec with an empty environment and no inherited sockets, it has no secrets and no database, and
it closes itself off from the network, other programs and our files (`sandbox`) before the first message.
It answers one question at a time over its standard input and output (frames: see `frames`) and is killed
by its own alarm, by the parent's clock or by the kernel when a message makes it run wild.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from dataclasses import asdict
from typing import Any, BinaryIO

from webapp.inbound.frames import read_frame, write_frame
from webapp.inbound.sandbox import close_off
from webapp.mail.nested import content_at
from webapp.mail.parse import parse
from webapp.mail.wire import to_json

ADDRESS_SPACE = 1 << 30  # octets
NOTHING: dict[str, Any] = {}


def main() -> None:
    requests, answers = _take_pipes()
    _limit_resources()
    write_frame(answers, {"not_closed_off": close_off()})
    while (frame := read_frame(requests)) is not None:
        question, raw = frame
        signal.setitimer(signal.ITIMER_REAL, float(question["seconds"]))
        answer, content = _answer(question, raw)
        signal.setitimer(signal.ITIMER_REAL, 0)
        write_frame(answers, answer, content)


def _answer(question: dict[str, Any], raw: bytes) -> tuple[dict[str, Any], bytes]:
    if question["do"] != "parse":
        return _answer_about_file(question, raw)
    headers = tuple((str(name), str(value)) for name, value in question.get("transport_headers", ()))
    return to_json(parse(raw, transport_headers=headers)), b""


def _answer_about_file(question: dict[str, Any], raw: bytes) -> tuple[dict[str, Any], bytes]:
    """One attachment, perhaps of an attached mail: itself, read as a mail, or made small."""
    try:
        info, content = content_at(raw, [int(position) for position in question["path"]])
    except LookupError:
        return {"missing": True}, b""
    if question["do"] == "mail":
        return to_json(parse(content)), b""
    if question["do"] == "thumbnail":
        from webapp.inbound.thumbnails import thumbnail  # Pillow, for the few that need it

        return NOTHING, thumbnail(content) or b""
    return asdict(info), content


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to ourselves: a stray print in a library must not corrupt an answer."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    return requests, answers


def _limit_resources() -> None:
    """Memory and core files are limited, and the kernel takes this process first when memory runs out.

    The alarm's default action ends the process, even inside a loop in C and with the parent gone.
    """
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the parent, which closes the pipe
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass  # not Linux, or a container that forbids it: the other limits stand
    sys.setrecursionlimit(1000)


if __name__ == "__main__":
    main()
