"""The parent's side of the parser process: ask, wait, and notice when it died."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from webapp.inbound.frames import read_frame, write_frame
from webapp.mail.message import AttachmentInfo, InboundMessage
from webapp.mail.wire import from_json

SECONDS_A_MESSAGE = 30.0
IDLE_SECONDS = 300.0

logger = logging.getLogger(__name__)
_said: set[str] = set()


class ParserDied(Exception):
    """The parser process ended or was ended while it looked at a message; says how."""


class ParserProcess:
    """A persistent child, started when first needed and again after it died. One question at a time."""

    def __init__(self, *, seconds: float = SECONDS_A_MESSAGE) -> None:
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._used_at = 0.0

    def parse(self, raw: bytes, transport_headers: tuple[tuple[str, str], ...] = ()) -> InboundMessage:
        """How the message is understood. Raises ParserDied."""
        answer, _ = self._ask({"do": "parse", "transport_headers": transport_headers}, raw)
        return from_json(answer)

    def file(self, raw: bytes, path: Sequence[int]) -> tuple[AttachmentInfo, bytes]:
        """One attachment with its decoded content; `path` as in `webapp.mail.nested`.

        Raises ParserDied, and LookupError where there is no such attachment.
        """
        answer, content = self._ask_about_file("file", raw, path)
        return AttachmentInfo(**answer), content

    def attached_mail(self, raw: bytes, path: Sequence[int]) -> InboundMessage:
        """How an attached mail is understood. Raises ParserDied, LookupError."""
        return from_json(self._ask_about_file("mail", raw, path)[0])

    def thumbnail(self, raw: bytes, path: Sequence[int]) -> bytes | None:
        """A small WebP of an attached picture, None where it is none. Raises ParserDied, LookupError."""
        return self._ask_about_file("thumbnail", raw, path)[1] or None

    def end_if_idle(self, seconds: float | None = None) -> None:
        """Give the memory back when nothing has come for a while (IDLE_SECONDS)."""
        seconds = IDLE_SECONDS if seconds is None else seconds
        with self._lock:
            if self._child is not None and time.monotonic() - self._used_at > seconds:
                self._end()

    def close(self) -> None:
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask_about_file(self, what: str, raw: bytes, path: Sequence[int]) -> tuple[dict[str, Any], bytes]:
        answer, content = self._ask({"do": what, "path": list(path)}, raw)
        if answer.get("missing"):
            raise LookupError(f"no attachment at {list(path)}")
        return answer, content

    def _ask(self, question: dict[str, Any], raw: bytes) -> tuple[dict[str, Any], bytes]:
        with self._lock:
            is_new = self._child is None
            child = self._child or self._start()
            assert child.stdin is not None
            assert child.stdout is not None
            question["seconds"] = self._seconds
            clock = threading.Timer(self._seconds + 1, child.kill)
            clock.daemon = True
            clock.start()
            try:
                hello = read_frame(child.stdout) if is_new else None
                write_frame(child.stdin, question, raw)
                frame = read_frame(child.stdout)
            except OSError:
                frame = None
            finally:
                clock.cancel()
                self._used_at = time.monotonic()
            if hello is not None:
                _say_once(hello[0]["not_closed_off"])
            if frame is None:
                raise ParserDied(self._end())
            return frame

    def _start(self) -> subprocess.Popen[bytes]:
        """By exec, never by fork alone: a forked child would keep our locks and sockets."""
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", "-m", "webapp.inbound.parser_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            close_fds=True,
        )
        return self._child

    def _end(self) -> str:
        """End the child and say how it ended."""
        child, self._child = self._child, None
        if child is None:
            return "not running"
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                _close_quietly(pipe)
        code = child.wait()
        return f"ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _say_once(not_closed_off: list[str]) -> None:
    """What the kernel did not grant the child; the rest of what holds it stands."""
    for what in set(not_closed_off) - _said:
        _said.add(what)
        logger.warning("the parser process is not closed off from %s", what)


def _close_quietly(pipe: Any) -> None:
    with contextlib.suppress(OSError):  # what was still buffered for a dead child
        pipe.close()
