"""The embedded mail servers together: one thread, one event loop, two loopback ports."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from .imap_server import ImapServer
from .smtp_server import OutsideWorld, SmtpServer

ANSWER_SECONDS = 10.0
STOP_SECONDS = 2.0

_Answer = TypeVar("_Answer")


class MailServers:
    """Running between `start` and `stop`, or as a context; methods may be called from any thread."""

    def __init__(self, account: str, password: str, outside: OutsideWorld) -> None:
        self.account, self.password, self.outside = account, password, outside
        self.imap_port = self.smtp_port = 0
        self.imap = ImapServer(account, password)
        self._smtp = SmtpServer(account, password, outside, self.imap.deliver)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo mail servers", daemon=True)

    def start(self, context: ssl.SSLContext, *, imap_port: int = 0, smtp_port: int = 0) -> Self:
        """Listen, on the ports asked for if they are free: the rows of the last start then stay good."""
        self._thread.start()
        self.imap_port = self.call(_listen(self.imap.start, context, imap_port))
        self.smtp_port = self.call(_listen(self._smtp.start, context, smtp_port))
        return self

    def deliver(self, raw: bytes, received_at: datetime) -> None:
        """A message of the outside world arrives in the desk's mailbox."""
        self.call(self.imap.deliver(raw, received_at))

    def call(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Run this in the servers' loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_SECONDS)

    def stop(self) -> None:
        """Close ports and connections; whatever does not end in time ends with the process."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _stop(self) -> None:
        self._smtp.stop()
        await self.imap.stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)  # connections that were cut close their sockets
        self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


async def _listen(
    start: Callable[[ssl.SSLContext, int], Awaitable[int]], context: ssl.SSLContext, port: int
) -> int:
    try:
        return await start(context, port)
    except OSError:  # somebody else has it now
        return await start(context, 0)
