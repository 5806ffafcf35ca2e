"""An ImapMailbox that is about to meet a script."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.rig.scripted import Script, ScriptedServer
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.imap import ImapMailbox

USER = "help@example.com"
PASSWORD = "canary-7f3b-äö"


def settings(port: int, **changes: Any) -> ServerSettings:
    """Clear text on loopback, unless changed."""
    values: dict[str, Any] = {
        "protocol": MailProtocol.IMAP,
        "host": "localhost",
        "port": port,
        "tls_mode": TlsMode.NONE,
        "timeout": 5.0,
        "username": USER,
        "password": PASSWORD,
        **changes,
    }
    return ServerSettings(**values)


@contextmanager
def against(
    script: Script, *, tls: ssl.SSLContext | None = None, **changes: Any
) -> Iterator[tuple[ScriptedServer, ImapMailbox]]:
    """The server and the mailbox, which is not open yet."""
    with (
        ScriptedServer(script, tls=tls) as server,
        ImapMailbox(settings(server.port, **changes)) as mailbox,
    ):
        yield server, mailbox
