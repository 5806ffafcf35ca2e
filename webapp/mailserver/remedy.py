"""What a person is told about a failure, and the words that its makers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .base import MailProtocol
from .errors import Stage

LABELS: dict[Stage, str] = {
    Stage.SETTINGS: "Settings complete",
    Stage.DNS: "Host name",
    Stage.CONNECT: "Connection",
    Stage.TLS: "Encryption",
    Stage.GREETING: "Mail server",
    Stage.SIGN_IN: "Sign-in",
    Stage.INBOX: "Inbox",
    Stage.MOVE: "Moving messages",
    Stage.ARCHIVE: "Archive folder",
    Stage.FETCH: "Messages",
    Stage.FROM: "From accepted",
    Stage.SEND: "Sending",
}
IMPLICIT_PORT = {MailProtocol.IMAP: 993, MailProtocol.SMTP: 465}
STARTTLS_PORT = {MailProtocol.IMAP: 143, MailProtocol.SMTP: 587}


@dataclass(frozen=True, slots=True)
class QuickFix:
    """A cure that is one click: the settings to change, by their names in ServerSettings."""

    label: str
    changes: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a person is told. `field` is the setting to go to, or empty."""

    sentence: str
    cure: str
    field: str = ""
    quick_fix: QuickFix | None = None


def day(moment: datetime) -> str:
    """4 Mar 2027, whatever the locale."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{moment.day} {months[moment.month - 1]} {moment.year}"
