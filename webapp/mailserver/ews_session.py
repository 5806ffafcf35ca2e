"""A conversation with an Exchange over EWS: from looking its name up to signing in, and each call after that.

exchangelib asks; the network below it is ours (`https.Wire`), so each call ends within its time and at once
when aborted. Every session has a protocol object of its own: those that exchangelib keeps for all of a
process would go on with an old password, an old timeout, or an old failure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import requests
from exchangelib.configuration import Configuration
from exchangelib.credentials import Credentials
from exchangelib.errors import EWSError, ResponseMessageError
from exchangelib.protocol import FailFast, Protocol
from exchangelib.transport import BASIC, DEFAULT_HEADERS
from exchangelib.util import is_xml
from exchangelib.version import EXCHANGE_2013_SP1, Version

from . import ews_address
from .base import ServerSettings
from .errors import (
    AccessDenied,
    AuthenticationFailed,
    AuthenticationNotOffered,
    ConnectionFailed,
    InvalidSettings,
    MailServerError,
    MessageRefused,
    ServerBusy,
    Stage,
    UnexpectedServer,
)
from .ews_calls import get_folders
from .ews_errors import UNFINISHED, code_of, translated
from .ews_sign_in import SignIn, schemes
from .ews_xml import Folder, FolderRef, is_xml_text
from .https import HttpsSession, Wire
from .session import Session
from .words import check_sendable, said

T = TypeVar("T")
Result: TypeAlias = list[Folder | EWSError]

USER_AGENT = "servicedesk-mail"
_RETRY_AT_MOST = 3600.0
# It logs whole requests, with the mail in them; what went wrong is told by our own errors.
logging.getLogger("exchangelib").setLevel(logging.CRITICAL)
logging.getLogger("spnego").setLevel(logging.WARNING)


@dataclass(slots=True)
class Account:
    """What exchangelib's services ask of theirs. Its own class asks the server before it is needed."""

    protocol: Any
    version: Version
    primary_smtp_address: str | None  # sent as X-AnchorMailbox, which leads to the right server of several
    access_type: str = "delegate"
    identity: None = None
    default_timezone: None = None  # times are written and read in UTC
    affinity_cookie: None = field(default=None, repr=False)


class Door(Session):
    """The way to the server, step by step, for Test Connection; nothing is said through it."""

    def greet(self) -> str:
        return ""

    def abilities(self) -> str:
        return ""

    def sign_in(self) -> str:
        return ""

    def close(self) -> None:
        self.line.close()

    def _ask_for_tls(self) -> None:
        raise AssertionError("EWS knows no STARTTLS")


class EwsSession:
    """From `begin()` to `close()`; after a failure it is closed and not used again."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self._wanted, self._ends_at = settings, ends_at
        self.wire = Wire(settings.timeout, ends_at=ends_at)
        self._auth: SignIn | None = None
        self._http: HttpsSession | None = None
        self._account: Account | None = None
        self._door: Door | None = None
        self._aborted = False
        self._stage = Stage.SIGN_IN
        self.inbox_answer: Result = []  # what the call that signed in brought

    @property
    def settings(self) -> ServerSettings:
        """With the host and the port that are connected to. Raises InvalidSettings."""
        return ews_address.at_endpoint(self._wanted)

    def begin(self) -> None:
        """Check the settings and sign in."""
        self.check_settings()
        self.sign_in()

    def check_settings(self) -> None:
        """Refuse what is incomplete or must never reach a wire, before anything does."""
        ews_address.check(self._wanted)
        for name in ("username", "password"):
            if not getattr(self._wanted, name).strip():
                raise InvalidSettings(f"{name} is missing", stage=Stage.SETTINGS, field=name)
        check_sendable(self._wanted)
        for name in ("mailbox", "from_address"):
            if not is_xml_text(getattr(self._wanted, name)):
                raise InvalidSettings(f"{name} is not an address", stage=Stage.SETTINGS, field=name)

    def door(self) -> Door:
        """The first steps one by one; close it before signing in."""
        self._door = Door(self.settings, ends_at=self._ends_at)
        if self._aborted:
            self._door.abort()
        return self._door

    def sign_in(self) -> str:
        """Sign in by asking for the inbox; how it was done. What was answered stands in `inbox_answer`."""
        account = self._account = self._make_account()
        inbox = FolderRef(name="inbox", mailbox=self._wanted.mailbox.strip())
        self.inbox_answer = self.ask(Stage.SIGN_IN, lambda: get_folders(account, [inbox]))
        return self._auth.mechanism if self._auth else ""

    @property
    def build(self) -> str:
        """The server's own version, such as 15.2.1544.9; empty where it did not say."""
        version = self._account.version if self._account else None
        return "" if version is None or version.build is EXCHANGE_2013_SP1 else str(version.build)

    @property
    def account(self) -> Account:
        """For the calls. Raises ConnectionFailed unless it is open."""
        if self._account is None:
            raise ConnectionFailed("the session is not open", stage=Stage.CONNECT)
        return self._account

    def ask(self, stage: Stage, call: Callable[[], Iterable[T]]) -> list[T]:
        """All that a call brings. A refusal of one element is in the list as an EWSError."""
        self.check_open(stage)
        if self._http is not None:
            self._http.stage = stage
        self._stage = stage
        try:
            return list(call())
        except MailServerError:
            self.close()
            raise
        except EWSError as exc:
            raise self.failed(exc, stage) from None
        except (ValueError, LookupError, TypeError, AttributeError) as exc:
            # Not our arguments, those were checked: an answer that is not what its schema says.
            self.close()
            raise UnexpectedServer(f"not an EWS answer ({type(exc).__name__})", stage=stage) from None

    def check_open(self, stage: Stage) -> None:
        """Raise ConnectionFailed unless calls can be made."""
        if self._account is None or not self.wire.healthy:
            self.close()
            raise ConnectionFailed("the session is not open", stage=stage)

    def failed(self, exc: EWSError, stage: Stage) -> MailServerError:
        """What a refusal means, to be raised; the session is closed."""
        if isinstance(exc, ResponseMessageError) and code_of(exc) not in UNFINISHED:
            self.wire.handed_over = False  # a clear no
        self.close()
        return translated(exc, stage, self._wanted.password)

    def abort(self) -> None:
        """End what is going on, also from another thread: a call that waits raises at once."""
        self._aborted = True
        self.wire.abort()
        if self._door is not None:
            self._door.abort()

    def close(self) -> None:
        """Give the connections back; never raises."""
        self._account = None
        if self._http is not None:
            self._http.close()
        self.wire.close()
        if self._door is not None:
            self._door.close()

    def _make_account(self) -> Account:
        settings = self._wanted
        configuration = Configuration(
            credentials=Credentials(settings.username, settings.password),
            service_endpoint=ews_address.endpoint(settings),
            auth_type=BASIC,  # so that exchangelib does not try by itself; `SignIn` answers the server
            version=Version(build=EXCHANGE_2013_SP1),
            retry_policy=_Once(self),
            max_connections=1,
        )
        # Past the metaclass, which would put it into the cache of the process.
        protocol = type.__call__(_Protocol, config=configuration, open_session=self._open_session)
        address = settings.mailbox.strip() or settings.username
        anchor = address if "@" in address and address.isascii() else None
        return Account(protocol, configuration.version, anchor)

    def _open_session(self) -> requests.Session:
        self._http = HttpsSession(self.wire, self._wanted.ca_file, stage=self._stage, uses_proxies=False)
        self._auth = SignIn(self._wanted.username, self._wanted.password)
        self._http.auth = self._auth
        return self._http

    def check_response(self, response: requests.Response) -> None:
        """Raise what an answer means that is no SOAP."""
        status = response.status_code
        if status in (200, 500) and is_xml(response.content):
            return
        raise self._meaning(response)

    def _meaning(self, response: requests.Response) -> MailServerError:
        status = response.status_code
        if 400 <= status < 500 or status == 503:  # a clear no, not a server that broke off
            self.wire.handed_over = False
        words = said(f"HTTP {status} {response.reason or ''}", self._wanted.password)
        kind, why = self._kind(response)
        error = kind(why, stage=self._stage, server_said=words)
        error.reply_code = status
        if isinstance(error, ServerBusy):
            error.retry_after = _retry_after(response)
        return error

    def _kind(self, response: requests.Response) -> tuple[type[MailServerError], str]:
        status = response.status_code
        if status == 401:
            tried = self._auth is not None and self._auth.mechanism
            offered = ", ".join(sorted(schemes(response)))
            return (
                AuthenticationFailed if tried else AuthenticationNotOffered,
                f"HTTP 401, offered: {offered}",
            )
        if status == 429 or status >= 500:
            return ServerBusy, f"HTTP {status}"
        known: dict[int, type[MailServerError]] = {403: AccessDenied, 413: MessageRefused}
        if status in known:
            return known[status], f"HTTP {status}"
        return UnexpectedServer, f"HTTP {status} instead of EWS"


class _Once(FailFast):  # type: ignore[misc]
    """Nothing is tried twice, and an HTTP status is told by ours."""

    def __init__(self, session: EwsSession) -> None:
        self._session = session

    def raise_response_errors(self, response: requests.Response) -> None:
        self._session.check_response(response)


class _Protocol(Protocol):  # type: ignore[misc]
    """exchangelib's, with sessions of ours."""

    RETRY_WAIT = 0  # what a server that is busy did not say is not made up

    def __init__(self, *, config: Configuration, open_session: Callable[[], requests.Session]) -> None:
        super().__init__(config=config)
        self._open_session = open_session

    def create_session(self) -> requests.Session:
        session: Any = self._open_session()
        session.headers.update(DEFAULT_HEADERS)
        session.headers["User-Agent"] = USER_AGENT
        session.session_id, session.usage_count = 0, 0
        return session  # type: ignore[no-any-return]

    def retire_session(self, session: requests.Session) -> None:
        """After a failure there is no other."""
        session.close()


def _retry_after(response: requests.Response) -> float:
    """Retry-After in seconds (RFC 9110 section 10.2.3); as a date it is not read."""
    text = response.headers.get("Retry-After", "").strip()
    return min(float(text), _RETRY_AT_MOST) if text.isdigit() else 0.0
