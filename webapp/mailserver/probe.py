"""Asking a port whether it starts with TLS: a hello goes out and nothing else, no command, no password."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from .errors import MailServerError
from .line import Line

LONGEST_SECONDS = 3.0

Watch = Callable[[Line], None]


def answers_tls(
    host: str,
    addresses: Sequence[str],
    port: int,
    context: ssl.SSLContext,
    *,
    seconds: float,
    watch: Watch = lambda line: None,
) -> bool:
    """Whether the port answers a TLS hello as `context` wants it: a verifying one, with a valid certificate.

    `host` is what the certificate must be for. `watch` is told the connection before it is opened, so that it
    can be aborted from elsewhere.
    """
    line = Line(host, port, min(seconds, LONGEST_SECONDS))
    watch(line)
    with closing(line), suppress(MailServerError):
        line.connect(list(addresses))
        line.start_tls(context)
        return True
    return False
