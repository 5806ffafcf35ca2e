"""The test message of *Test Connection*: sent at once, to the address the administrator typed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from webapp.mail import compose
from webapp.mail.loop_token import loop_token
from webapp.mailserver.base import ServerSettings, Transport
from webapp.mailserver.connect import open_transport


def send_test_message(
    settings: ServerSettings,
    recipient: str,
    *,
    row_label: str,
    loop_key: bytes,
    now: datetime,
    connect: Callable[[ServerSettings], Transport] = open_transport,
) -> str:
    """Send it and return its Message-ID once the server has accepted it. Raises MailServerError.

    It carries our loop mark, so that it makes no ticket when somebody sends it to the desk itself.
    """
    domain = settings.from_address.rpartition("@")[2]
    message_id = f"test.{secrets.token_hex(12)}@{domain}"
    raw = compose.test_message(
        settings.from_address,
        recipient,
        message_id=message_id,
        loop_token=loop_token(loop_key, message_id),
        now=now,
        row_label=row_label,
    )
    with connect(settings) as transport:
        transport.open()
        transport.send(raw, sender=settings.from_address, recipients=[recipient])
    return message_id
