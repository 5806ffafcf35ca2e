"""An SmtpTransport that is about to meet a script."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.mailserver.contract import DESK
from tests.rig.dovecot import PASSWORD
from tests.rig.scripted import Script, ScriptedServer
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.smtp import SmtpTransport


def scripted(server: ScriptedServer, **changes: Any) -> ServerSettings:
    """Settings for a scripted server in clear text."""
    values: dict[str, Any] = {
        "protocol": MailProtocol.SMTP,
        "host": "localhost",
        "port": server.port,
        "tls_mode": TlsMode.NONE,
        "timeout": 5.0,
        "username": DESK,
        "password": PASSWORD,
        "from_address": DESK,
        **changes,
    }
    return ServerSettings(**values)


@contextmanager
def against(
    script: Script, *, tls: ssl.SSLContext | None = None, **changes: Any
) -> Iterator[tuple[ScriptedServer, SmtpTransport]]:
    """A transport that is about to meet a script."""
    with (
        ScriptedServer(script, tls=tls) as server,
        SmtpTransport(scripted(server, **changes)) as transport,
    ):
        yield server, transport
