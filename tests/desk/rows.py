"""Mail server rows for tests: drafts, what refuses them, and what is stored."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.desk import mail_servers
from webapp.desk.mail_form import FormErrors
from webapp.desk.mail_servers import Draft
from webapp.instance import Instance
from webapp.models import MailServer, Row

CANARY = "canary-Passwort-7391"
INCOMING: dict[str, Any] = {"host": "imap.example.com", "username": "help@example.com"}
OUTGOING: dict[str, Any] = {"host": "smtp.example.com", "username": "help@example.com"}


def draft(instance: Instance, row: Row = Row.INCOMING, password: str | None = None, **changes: str) -> Draft:
    with instance.database.reading() as session:
        return mail_servers.draft(session, instance, row, changes, password)


def refused(
    instance: Instance, row: Row = Row.INCOMING, password: str | None = None, **changes: str
) -> dict[str, str]:
    with pytest.raises(FormErrors) as caught:
        draft(instance, row, password, **changes)
    return caught.value.errors


def stored(instance: Instance, row: Row = Row.INCOMING) -> MailServer:
    with instance.database.reading() as session:
        found = mail_servers.load(session, row)
    assert found is not None
    return found


def saved_password(instance: Instance, row: Row = Row.INCOMING) -> str | None:
    return mail_servers.stored_draft(instance.vault, stored(instance, row)).secret
