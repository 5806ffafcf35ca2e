"""Ports for processes that take a number and not a socket, and ports at which nobody answers."""

from __future__ import annotations

import contextlib
import os
import random
import socket

# Below the ports a system gives out by itself (from 32768 on Linux, 49152 elsewhere): one of those may be
# given to any other test between our look and its use.
_FIRST, _END = 12_000, 32_000
_next = random.Random(os.getpid()).randrange(_FIRST, _END)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on; a process hands out none of them twice.

    Each process of pytest starts at a place of its own, so that several of them do not meet.
    """
    global _next
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            port = _next
            _next = port + 1 if port + 1 < _END else _FIRST
            sock = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", port))
                found.append(port)
    return found
