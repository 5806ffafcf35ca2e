"""The test message of *Test Connection*: sent at once, to the address the administrator typed."""

from __future__ import annotations

import secrets
from datetime import datetime

from webapp.mail import compose
from webapp.mail.loop_token import loop_token
from webapp.mailserver.base import ServerSettings, Transport
from webapp.mailserver.checks import Delivered, Send
from webapp.mailserver.errors import InvalidSettings, Stage


def test_message_to(
    recipient: str, settings: ServerSettings, *, row_label: str, loop_key: bytes, now: datetime
) -> Send:
    """What `diagnose(send=...)` takes: it sends the message over the open transport.

    The message carries our loop mark, so that it makes no ticket when somebody sends it to the desk itself.
    """

    def send(transport: Transport) -> Delivered:
        domain = settings.from_address.rpartition("@")[2]
        message_id = f"test.{secrets.token_hex(12)}@{domain}"
        try:
            raw = compose.test_message(
                settings.from_address,
                recipient,
                message_id=message_id,
                loop_token=loop_token(loop_key, message_id),
                now=now,
                row_label=row_label,
            )
        except ValueError as error:  # an address that no ordinary mail server can take
            raise InvalidSettings(str(error), stage=Stage.SEND, field="from_address") from error
        transport.send(raw, sender=settings.from_address, recipients=[recipient])
        return Delivered(recipient, message_id)

    return send


# pytest collects names that begin with "test"; this one is no test.
test_message_to.__test__ = False  # type: ignore[attr-defined]
