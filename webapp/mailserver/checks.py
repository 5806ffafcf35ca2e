"""What each stage of Test Connection does, and the one line it tells when it passed.

Strictly read-only. On IMAP: STATUS, EXAMINE, LIST, and whatever `foresee` reads of an inbox that was opened
so; no SELECT, no flags, no CREATE. On SMTP: MAIL and RSET, so nothing is sent unless `send` is given.
"""

from __future__ import annotations

import abc
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from .base import Mailbox, MailProtocol, ServerSettings, Transport
from .errors import CertificateFacts, InvalidSettings, MailServerError, ServerTimeout, Stage
from .imap import ImapMailbox
from .providers import microsoft_notice
from .remedy import MODES, day, plural
from .session import Session
from .smtp import SmtpTransport
from .tls import TlsFacts

CERTIFICATE_WARNING_DAYS = 14
# What an administrator can make something of; a server may name fifty more.
_TELLING = ("LOGINDISABLED", "STARTTLS", "MOVE", "IDLE", "UIDPLUS", "SPECIAL-USE")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would become of the unread messages if the row were turned on now.

    `fact` is one line for people; `counts` has a number an outcome; `looked` of the `unread` were looked at.
    """

    fact: str
    counts: dict[str, int]
    looked: int
    unread: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """A test message the server has accepted."""

    recipient: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Takes:
    """What a server says of the messages it takes: octets of the largest, None where it names no limit."""

    largest_octets: int | None


Foresee = Callable[[Mailbox], Foreseen]
Send = Callable[[Transport], Delivered]


@dataclass(frozen=True, slots=True)
class Found:
    """What a stage that passed found out."""

    fact: str
    warning: bool = False
    detail: Foreseen | Delivered | Takes | None = None


Check = Callable[[], Found]


class Closing(Protocol):
    """What a test talks through."""

    def abort(self) -> None:
        """End what is going on, from any thread; never raises."""

    def close(self) -> None:
        """End the session; never raises."""


class TestPlan(Protocol):
    """The stages of one test, over one session."""

    @property
    def settings(self) -> ServerSettings: ...

    @property
    def session(self) -> Closing: ...

    def plan(self) -> dict[Stage, Check]:
        """The stages in order, as `diagnosis.stages` names them."""


class Checks(abc.ABC):
    """The stages of one test over one session; `ends_at` (monotonic) caps them all together."""

    def __init__(self, settings: ServerSettings, session: Session, ends_at: float) -> None:
        self.settings = settings
        self.session = session
        self.ends_at = ends_at
        self.addresses: list[str] = []

    def plan(self) -> dict[Stage, Check]:
        """The stages in order."""
        return {
            Stage.SETTINGS: self._check_settings,
            Stage.DNS: self._look_up,
            Stage.CONNECT: self._connect,
            Stage.TLS: self._encrypt,
            Stage.GREETING: self._greet,
            Stage.SIGN_IN: self._sign_in,
        }

    @property
    @abc.abstractmethod
    def offers_starttls(self) -> bool:
        """Whether the server said so on this connection."""

    @abc.abstractmethod
    def _abilities(self) -> list[str]:
        """What the server says it can do, as far as it matters."""

    def _check_settings(self) -> Found:
        settings = self.settings
        self.session.check_settings()
        where = f"{settings.host} port {settings.port}"
        return Found(f"{settings.protocol.upper()}, {where}, {MODES[settings.tls_mode]}")

    def _look_up(self) -> Found:
        self.addresses = self.session.resolve()
        return Found("found " + ", ".join(self.addresses))

    def _connect(self) -> Found:
        return Found(f"{self.session.connect()} port {self.settings.port}")

    def _encrypt(self) -> Found:
        self.session.secure()
        return encryption(self.session.tls_facts())

    def _greet(self) -> Found:
        greeting = self.session.greet()
        return Found(" · ".join(filter(None, [greeting, ", ".join(self._abilities())])))

    def _sign_in(self) -> Found:
        mechanism = self.session.sign_in()
        if not mechanism:
            return Found("not required")
        notice = microsoft_notice(self.settings.protocol, self.settings.host)
        return Found(f"signed in ({mechanism})" + (f". {notice}" if notice else ""), warning=bool(notice))


class ImapChecks(Checks):
    """The stages of a mailbox. Without `foresee` the last one is absent."""

    def __init__(
        self,
        settings: ServerSettings,
        ends_at: float,
        foresee: Foresee | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._mailbox = ImapMailbox(settings, ends_at=ends_at)
        self._callback, self._cancelled = foresee, cancelled
        super().__init__(settings, self._mailbox.session, ends_at)

    def plan(self) -> dict[Stage, Check]:
        own = {Stage.INBOX: self._inbox, Stage.MOVE: self._move, Stage.ARCHIVE: self._archive}
        last = {Stage.FORESEE: self._foresee} if self._callback else {}
        return super().plan() | own | last

    @property
    def offers_starttls(self) -> bool:
        return "STARTTLS" in self._mailbox.session.capabilities

    def _abilities(self) -> list[str]:
        capabilities = self._mailbox.session.capabilities
        mechanisms = sorted(name for name in capabilities if name.startswith("AUTH="))
        return [*(name for name in _TELLING if name in capabilities), *mechanisms]

    def _inbox(self) -> Found:
        state = self._mailbox.open_inbox(read_only=True)
        unread = len(self._mailbox.list_unread()) if state.unread is None else state.unread
        return Found(f"{plural(state.total, 'message')}, {unread} unread")

    def _move(self) -> Found:
        self._mailbox.check_move()
        tells = "IDLE" in self._mailbox.session.capabilities
        when = " and tells when mail comes (IDLE)" if tells else ", but not tell when mail comes (no IDLE)"
        return Found(f"the server can move messages (MOVE){when}")

    def _archive(self) -> Found:
        archive = self._mailbox.find_archive()
        if archive.exists:
            return Found(f'folder "{archive.path}" exists')
        wanted = self.settings.archive_folder.strip() or archive.path
        renamed = f' as "{archive.path}"' if wanted != archive.path else ""
        return Found(f'folder "{wanted}" will be created{renamed}')

    def _foresee(self) -> Found:
        assert self._callback is not None
        return look_ahead(self._callback, self._mailbox, self.ends_at, self._cancelled)


def encryption(facts: TlsFacts | None) -> Found:
    """What was agreed on, whose certificate it is, and a warning before it expires."""
    if facts is None:
        return Found("not encrypted: the password travels in clear", warning=True)
    certificate = facts.certificate
    days = (certificate.not_after - datetime.now(UTC)).days
    return Found(
        f"{facts.version.replace('TLSv', 'TLS ')} ({facts.cipher}), {_described(certificate)}, "
        f"valid until {day(certificate.not_after)} ({plural(days, 'day')})",
        warning=days < CERTIFICATE_WARNING_DAYS,
    )


def look_ahead(foresee: Foresee, mailbox: Mailbox, ends_at: float, cancelled: Callable[[], bool]) -> Found:
    """What will happen, told by the callback. Whatever goes wrong in it, everything the parser needs was
    found before.

    Once cancelled, what it raises is for the caller to pass over.
    """
    try:
        foreseen = foresee(mailbox)
    except MailServerError as error:
        if isinstance(error, ServerTimeout) and time.monotonic() >= ends_at:
            return Found("not looked at: the time for this test is over", warning=True)
        raise
    except Exception:
        if cancelled():  # its connection was cut under it
            raise
        logger.exception("what will happen could not be foreseen")
        return Found("could not be worked out; the log has the details", warning=True)
    return Found(foreseen.fact, detail=foreseen)


class SmtpChecks(Checks):
    """The stages of a submission server. Without `send` nothing is sent."""

    def __init__(self, settings: ServerSettings, ends_at: float, send: Send | None) -> None:
        self._transport = SmtpTransport(settings, ends_at=ends_at)
        self._callback = send
        super().__init__(settings, self._transport.session, ends_at)

    def plan(self) -> dict[Stage, Check]:
        last = {Stage.SEND: self._send} if self._callback else {}
        return super().plan() | {Stage.FROM: self._sender} | last

    @property
    def offers_starttls(self) -> bool:
        return "starttls" in self._transport.session.extensions

    def _abilities(self) -> list[str]:
        return _smtp_abilities(self._transport.session.extensions)

    def _check_settings(self) -> Found:
        found = super()._check_settings()
        if not self.settings.from_address:
            raise InvalidSettings("from_address is missing", stage=Stage.SETTINGS, field="from_address")
        return found

    def _sender(self) -> Found:
        self._transport.check_sender(self.settings.from_address)
        takes = Takes(self._transport.largest_octets)
        return Found(f"may send as {self.settings.from_address}", detail=takes)

    def _send(self) -> Found:
        assert self._callback is not None
        delivered = self._callback(self._transport)
        return Found(f"the server accepted a test message for {delivered.recipient}", detail=delivered)


def checks_for(
    settings: ServerSettings,
    ends_at: float,
    *,
    foresee: Foresee | None = None,
    send: Send | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> TestPlan:
    """The checks of the protocol; Exchange's and Office365's are imported only for a row of that kind."""
    match settings.protocol:
        case MailProtocol.IMAP:
            return ImapChecks(settings, ends_at, foresee, cancelled)
        case MailProtocol.SMTP:
            return SmtpChecks(settings, ends_at, send)
        case MailProtocol.EXCHANGE:
            from .checks_exchange import ExchangeChecks

            return ExchangeChecks(settings, ends_at, foresee, send, cancelled)
        case MailProtocol.OFFICE365:
            from .checks_office365 import Office365Checks

            return Office365Checks(settings, ends_at, foresee, send, cancelled)


def _described(certificate: CertificateFacts) -> str:
    others = [name for name in certificate.names if name != certificate.subject]
    also = f" (also {', '.join(others[:2])}" if others else ""
    more = f" and {len(others) - 2} more" if len(others) > 2 else ""
    return f"certificate for {certificate.subject}{also}{more}{')' if also else ''} from {certificate.issuer}"


def _smtp_abilities(extensions: Mapping[str, str]) -> list[str]:
    abilities = []
    size = extensions.get("size", "").strip()
    if size.isdigit() and int(size):
        abilities.append(f"messages up to {int(size) / 1e6:.1f} MB (SIZE)".replace(".0 MB", " MB"))
    if mechanisms := extensions.get("auth", "").split():
        abilities.append(f"AUTH {' '.join(mechanisms)}")
    return abilities + ["STARTTLS"] * ("starttls" in extensions)
