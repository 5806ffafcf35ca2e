"""The one exception family that leaves an adapter.

Adapters translate every library exception here (`raise AuthenticationFailed(...) from exc`). The words a
person reads are made from `stage`, the class and the facts by `remedies`, never from a library's text.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class Stage(enum.StrEnum):
    """Where in a conversation with a mail server something happened, in the order of things."""

    SETTINGS = "settings"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    GREETING = "greeting"
    TOKEN = "token"  # noqa: S105
    SIGN_IN = "sign_in"
    ACCOUNT = "account"
    INBOX = "inbox"
    MOVE = "move"
    ARCHIVE = "archive"
    FORESEE = "foresee"
    FETCH = "fetch"
    FROM = "from"
    SEND = "send"


class MailServerError(Exception):
    """Something about a mail server went wrong.

    `permanent`: trying again unchanged will not help; a person has to change something.
    `server_said`: the server's own words, already cut to 500 characters and free of credentials.
    """

    permanent = False
    # The message may be on its way all the same: its last octet went out, the answer never came back.
    uncertain = False
    # Who has got the message before this: some servers are handed it once more for each who is not named.
    delivered: frozenset[str] = frozenset()

    def __init__(self, message: str, *, stage: Stage, server_said: str = "", reply_code: int = 0) -> None:
        super().__init__(message)
        self.stage = stage
        self.server_said = server_said
        self.reply_code = reply_code  # SMTP's three digits, where there were some


class InvalidSettings(MailServerError):
    """The settings cannot be used as they are. `field` is the attribute of ServerSettings that is wrong."""

    permanent = True

    def __init__(self, message: str, *, stage: Stage, field: str = "") -> None:
        super().__init__(message, stage=stage)
        self.field = field


class AddressRefused(MailServerError):
    """The host name leads to an address that is never a mail server (link-local, cloud metadata)."""

    permanent = True


class HostNotFound(MailServerError):
    """The host name does not exist."""

    permanent = True


class NameLookupFailed(MailServerError):
    """Names cannot be looked up right now."""


class ConnectionFailed(MailServerError):
    """Refused, unreachable, reset, or closed by the server. `errno` as the system gave it, else 0."""

    def __init__(self, message: str, *, stage: Stage, server_said: str = "", errno: int = 0) -> None:
        super().__init__(message, stage=stage, server_said=server_said)
        self.errno = errno


class ServerTimeout(MailServerError):
    """The server did not answer within the deadline."""


class TlsFailed(MailServerError):
    """The connection could not be protected as the settings ask."""

    permanent = True


class PlainTextPort(TlsFailed):
    """The port does not start with TLS: what answered the handshake was no TLS record."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says, for a person to read; nothing is decided on it."""

    subject: str
    names: tuple[str, ...]  # subjectAltName, else the common name
    issuer: str
    not_before: datetime
    not_after: datetime


class CertificateRefused(TlsFailed):
    """The server's certificate does not prove who it is. `verify_code` is OpenSSL's X509_V_ERR number.

    `facts` were read over a second, unverified connection; None where that did not work.
    """

    def __init__(self, message: str, *, stage: Stage, verify_code: int, server_said: str = "") -> None:
        super().__init__(message, stage=stage, server_said=server_said)
        self.verify_code = verify_code
        self.facts: CertificateFacts | None = None


class StartTlsNotOffered(TlsFailed):
    """The server offers no STARTTLS; the connection is never continued in clear."""


class UnexpectedServer(MailServerError):
    """What answers speaks another protocol, or not as its standard says."""

    permanent = True


class WrongProtocol(UnexpectedServer):
    """The greeting is that of another kind of server: `speaks` is SMTP, IMAP, POP3 or HTTP."""

    def __init__(self, message: str, *, stage: Stage, speaks: str, server_said: str = "") -> None:
        super().__init__(message, stage=stage, server_said=server_said)
        self.speaks = speaks


class AuthenticationFailed(MailServerError):
    """The server refused the user name, the password or the way of signing in."""

    permanent = True


class AuthenticationNotOffered(AuthenticationFailed):
    """The server asks for no sign-in here (SMTP without AUTH)."""


class PasswordsNotAccepted(AuthenticationFailed):
    """This provider is known to take no passwords here; nothing was sent to it."""


class SignInNeeded(AuthenticationFailed):
    """Microsoft wants a person to sign in again: the consent or the refresh token is gone."""


class AppMisconfigured(AuthenticationFailed):
    """Microsoft does not know the app registration, or its client secret is wrong or has expired."""


class AccessDenied(MailServerError):
    """Signed in, but this account has no right to do that with this mailbox."""

    permanent = True


class MailboxUnavailable(MailServerError):
    """The account has no mailbox there (no licence, on-premises, deleted)."""

    permanent = True


class MoveNotSupported(MailServerError):
    """The server cannot move messages (RFC 6851)."""

    permanent = True


class IdleNotSupported(MailServerError):
    """The server cannot say by itself that mail has come (RFC 2177); it has to be asked again and again."""

    permanent = True


class FolderRefused(MailServerError):
    """A folder cannot be opened, created or used as the archive."""

    permanent = True


class QuotaExceeded(MailServerError):
    """The server has no room ([OVERQUOTA])."""


class SenderRefused(MailServerError):
    """The server does not let this account send as the From address."""

    permanent = True


class SignInRequired(SenderRefused):
    """The server takes mail only from those who signed in (530)."""


class MessageRefused(MailServerError):
    """The server does not take this message: too large, or refused for what is in it."""

    permanent = True


class RecipientsRefused(MailServerError):
    """Every recipient was refused. `refused` maps each to the server's words."""

    def __init__(self, message: str, *, refused: dict[str, str], permanent: bool) -> None:
        super().__init__(message, stage=Stage.SEND, server_said="; ".join(refused.values())[:500])
        self.refused = refused
        self.permanent = permanent


class ServerBusy(MailServerError):
    """The server asked us to come back later (4yz, [UNAVAILABLE], [INUSE], [LIMIT], HTTP 429).

    `retry_after`: in so many seconds, where it said when; else 0.
    """

    retry_after = 0.0

    def __init__(
        self,
        message: str,
        *,
        stage: Stage,
        server_said: str = "",
        reply_code: int = 0,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, stage=stage, server_said=server_said, reply_code=reply_code)
        self.retry_after = retry_after
