"""A mail server that is in no hurry: it waits with one answer until it is told to go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.rig.certificates import Authority
from tests.rig.scripted import Peer, ScriptedServer, imap

LONGEST_SECONDS = 20


@dataclass(frozen=True, slots=True)
class HeldServer:
    port: int
    go_on: threading.Event


@contextmanager
def held_imap(authority: Authority, command: str, answer: Sequence[str]) -> Iterator[HeldServer]:
    """An IMAP server with TLS that answers `command` only once `go_on` is set."""
    go_on = threading.Event()

    def hold(peer: Peer, line: str) -> None:
        go_on.wait(LONGEST_SECONDS)
        peer.say(*(text.replace("{tag}", line.split(" ")[0]) for text in answer))

    script = imap({command: hold})
    with ScriptedServer(script, tls=authority.good.server_context(), implicit=True) as server:
        try:
            yield HeldServer(server.port, go_on)
        finally:
            go_on.set()
