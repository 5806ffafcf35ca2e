"""What a person is told about a failure, and the words that its makers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .base import MailProtocol, TlsMode
from .errors import MailServerError, Stage

LABELS: dict[Stage, str] = {
    Stage.SETTINGS: "Settings complete",
    Stage.DNS: "Host name",
    Stage.CONNECT: "Connection",
    Stage.TLS: "Encryption",
    Stage.GREETING: "Mail server",
    Stage.TOKEN: "Microsoft sign-in",
    Stage.SIGN_IN: "Sign-in",
    Stage.ACCOUNT: "Account",
    Stage.INBOX: "Inbox",
    Stage.MOVE: "Moving messages",
    Stage.ARCHIVE: "Archive folder",
    Stage.FORESEE: "What will happen",
    Stage.FETCH: "Messages",
    Stage.FROM: "From accepted",
    Stage.SEND: "Sending",
}
MODES = {TlsMode.IMPLICIT: "SSL/TLS", TlsMode.STARTTLS: "STARTTLS", TlsMode.NONE: "no encryption"}
IMPLICIT_PORT = {MailProtocol.IMAP: 993, MailProtocol.SMTP: 465}
STARTTLS_PORT = {MailProtocol.IMAP: 143, MailProtocol.SMTP: 587}
# A stored password is used only while host, port, security and user are the saved ones.
_ENDPOINT = frozenset({"protocol", "host", "port", "use_ssl", "tls_mode", "username"})
ENTER_AGAIN = "A saved password has to be entered again then."


@dataclass(frozen=True, slots=True)
class QuickFix:
    """A cure that is one click: what to change, by the names and in the texts of the form's fields."""

    label: str
    changes: Mapping[str, str]

    @property
    def needs_password(self) -> bool:
        """Whether the change leads elsewhere than the saved password may go."""
        return not _ENDPOINT.isdisjoint(self.changes)


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a person is told. `field` is the form's field to go to, or empty."""

    sentence: str
    cure: str
    field: str = ""
    quick_fix: QuickFix | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about the server besides the error; each only where it matters."""

    starts_with_tls: bool = False  # a port that sent no greeting answered a TLS hello
    verified_port: int = 0  # the usual SSL/TLS port, found to answer with a valid certificate
    offers_starttls: bool = False  # said so on this connection


def secured(mode: TlsMode, port: int) -> dict[str, str]:
    """The form's fields for a way to connect. The port is always named: left out it would follow the mode."""
    return {"use_ssl": "true", "tls_mode": mode.value, "port": str(port)}


def said_by(error: MailServerError) -> str:
    """The server's own words, to follow a sentence."""
    return f' It said: "{error.server_said}"' if error.server_said else ""


def day(moment: datetime) -> str:
    """4 Mar 2027, whatever the locale."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{moment.day} {months[moment.month - 1]} {moment.year}"


def plural(number: int, one: str) -> str:
    """1 message, 2 messages."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
