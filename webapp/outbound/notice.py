"""A notice from the service desk itself, sent at once: no person wrote it, and nobody should answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime

from webapp.mail import compose
from webapp.mail.loop_token import loop_token
from webapp.mailserver.base import ServerSettings, Transport
from webapp.mailserver.connect import open_transport
from webapp.mailserver.errors import MailServerError, MessageRefused, RecipientsRefused


def send_notice(
    settings: ServerSettings,
    recipients: Sequence[str],
    *,
    subject: str,
    text: str,
    loop_key: bytes,
    now: datetime,
    connect: Callable[[ServerSettings], Transport] = open_transport,
) -> int:
    """One message to each, over one connection where all goes well; how many the server took.

    An address that is refused, or is none, keeps nobody else from theirs: the next has a connection of its
    own. Where the server itself fails it is over. Raises MailServerError or ValueError when none was taken;
    it is `uncertain` where one may have been. Otherwise a failure is not raised: those who have the notice
    must not get it again because of another's address.
    """
    taken, failures = 0, list[MailServerError | ValueError]()
    with ExitStack() as stack:
        transport: Transport | None = None
        for recipient in recipients:
            try:
                raw = _compose(settings, recipient, subject, text, loop_key, now)
                if transport is None:
                    transport = stack.enter_context(connect(settings))
                    transport.open()
                transport.send(raw, sender=settings.from_address, recipients=[recipient])
                taken += 1
            except ValueError as error:
                failures.append(error)
            except MailServerError as error:
                failures.append(error)
                transport = None  # after a failure it is closed
                if not (isinstance(error, RecipientsRefused | MessageRefused) or error.uncertain):
                    break
    if failures and not taken:
        raise next((error for error in failures if getattr(error, "uncertain", False)), failures[-1])
    return taken


def _compose(
    settings: ServerSettings, recipient: str, subject: str, text: str, loop_key: bytes, now: datetime
) -> bytes:
    """The message. Raises ValueError for an address that no message can be written to."""
    message_id = f"notice.{secrets.token_hex(12)}@{settings.from_address.rpartition('@')[2]}"
    return compose.automatic_message(
        settings.from_address,
        recipient,
        message_id=message_id,
        loop_token=loop_token(loop_key, message_id),
        now=now,
        subject=subject,
        text=text,
    )
