"""The worker that sends what the outbox holds, with the mail server rows as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from webapp.desk import mail_servers
from webapp.instance import Instance
from webapp.mailserver.base import ServerSettings, Transport
from webapp.mailserver.connect import open_transport
from webapp.models import MailServer
from webapp.outbound.deliver import Deliverer


def make_deliverer(
    instance: Instance,
    *,
    connect: Callable[[ServerSettings], Transport] = open_transport,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Deliverer:
    def settings_of(stored: MailServer) -> ServerSettings:
        return mail_servers.server_settings(mail_servers.stored_draft(instance.vault, stored), instance)

    return Deliverer(instance, settings_of, connect=connect, clock=clock)
