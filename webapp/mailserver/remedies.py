"""What went wrong, in words for the administrator, and what to do about it.

A table, and nothing but: an error is told by its class, its stage, its numbers (errno, X509_V_ERR, SMTP
and enhanced status codes) and the host. A server's words alone never decide; they are only quoted.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable

from .base import MailProtocol, ServerSettings, TlsMode
from .errors import (
    AddressRefused,
    AuthenticationFailed,
    AuthenticationNotOffered,
    CertificateRefused,
    ConnectionFailed,
    FolderRefused,
    HostNotFound,
    InvalidSettings,
    MailServerError,
    MoveNotSupported,
    NameLookupFailed,
    PasswordsNotAccepted,
    PlainTextPort,
    QuotaExceeded,
    SenderRefused,
    ServerBusy,
    ServerTimeout,
    SignInRequired,
    Stage,
    StartTlsNotOffered,
    WrongProtocol,
)
from .remedies_tls import certificate, no_handshake, no_starttls, plain_text_port
from .remedy import IMPLICIT_PORT, LABELS, STARTTLS_PORT, QuickFix, Remedy


def explain(error: MailServerError, settings: ServerSettings, *, expects_tls: bool = False) -> Remedy:
    """The first line of the table that knows this error.

    `expects_tls`: a port that sent no greeting was found to start with TLS.
    """
    for kind, stages, words in _TABLE:
        if isinstance(error, kind) and (not stages or error.stage in stages):
            remedy = words(error, settings)
            if remedy is not None:
                return _with_probe(remedy, settings) if expects_tls else remedy
    return _anything_else(error, settings)


Words = Callable[[MailServerError, ServerSettings], Remedy | None]


def _said(error: MailServerError) -> str:
    return f' It said: "{error.server_said}"' if error.server_said else ""


# Settings and names.


def _invalid_settings(error: MailServerError, settings: ServerSettings) -> Remedy:
    assert isinstance(error, InvalidSettings)
    return Remedy(f"The settings cannot be used: {error}.", "Correct this field.", error.field)


def _host_not_found(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f'The host name "{settings.host}" does not exist.',
        'Check the spelling. Enter only the name, without "https://" or a port.',
        "host",
    )


def _no_dns(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        "This server cannot look up names right now.", "Check the server's DNS and internet connection."
    )


# Connecting.


def _address_refused(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"{settings.host} leads to an address that is never a mail server's.",
        "Enter the mail server's own name.",
        "host",
    )


def _nothing_answers(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    if not isinstance(error, ConnectionFailed) or error.errno != errno.ECONNREFUSED:
        return None
    return Remedy(
        f"{settings.host} is there, but nothing answers on port {settings.port}.",
        f"{settings.protocol.upper()} normally uses {IMPLICIT_PORT[settings.protocol]} (SSL/TLS) or "
        f"{STARTTLS_PORT[settings.protocol]} (STARTTLS). Check that the service is on.",
        "port",
    )


def _no_answer(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"{settings.host} did not answer on port {settings.port} within {settings.timeout:g} s.",
        "A firewall probably blocks the port. "
        f"Ask whether outgoing port {settings.port} is open on this server.",
        "port",
    )


# The greeting.


def _no_greeting(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"The server on port {settings.port} sent no greeting.",
        "Check the host and the port.",
        "port",
    )


def _with_probe(remedy: Remedy, settings: ServerSettings) -> Remedy:
    fix = QuickFix("Switch to SSL/TLS", {"tls_mode": TlsMode.IMPLICIT.value})
    return Remedy(remedy.sentence, "This port expects SSL/TLS from the start.", "tls_mode", fix)


def _wrong_protocol(error: MailServerError, settings: ServerSettings) -> Remedy:
    assert isinstance(error, WrongProtocol)
    kinds = {"SMTP": "a mail sending (SMTP)", "IMAP": "a mail receiving (IMAP)", "HTTP": "a web"}
    usual = {MailProtocol.IMAP: "993", MailProtocol.SMTP: "465 or 587"}
    return Remedy(
        f"This is {kinds.get(error.speaks, f'a {error.speaks}')} server.",
        f"Enter the {settings.protocol.upper()} host and port, usually {usual[settings.protocol]}.",
        "host",
    )


# Signing in.

_GOOGLE_CURE = (
    "Google needs an app password: turn on 2-Step Verification, create one at "
    "myaccount.google.com/apppasswords, paste the 16 letters."
)


def _no_passwords(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"Microsoft 365 no longer accepts passwords for {settings.protocol.upper()}.",
        "Choose protocol Office365 and connect the account.",
        "protocol",
    )


def _no_sign_in_offered(error: MailServerError, settings: ServerSettings) -> Remedy:
    if settings.protocol is MailProtocol.SMTP:
        return Remedy(
            "This server does not ask for a password on this port.",
            "Untick Requires Authentication, or use port 587.",
            "requires_auth",
        )
    if settings.tls_mode is TlsMode.NONE:
        return Remedy(
            "The server takes no password without encryption.",
            "Enable SSL: use SSL/TLS with 993, or STARTTLS with 143.",
            "use_ssl",
        )
    return Remedy("The server takes no passwords.", "Ask its owner to allow password sign-in.", "protocol")


def _microsoft_smtp(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    """5.7.30 says just this; 5.7.139 says it for a wrong password as well, so its words have to help."""
    code = _enhanced_code(error)
    switched_off = re.search(
        r"SmtpClientAuthentication|basic authentication", error.server_said, re.IGNORECASE
    )
    if code != "5.7.30" and not (code == "5.7.139" and switched_off):
        return None
    return Remedy(
        "Your Microsoft 365 organisation has turned off password sign-in for SMTP.",
        "Choose Office365.",
        "protocol",
    )


def _google(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    if not _is_google(settings.host):
        return None
    if _enhanced_code(error) == "5.7.9" or "application-specific" in error.server_said.lower():
        return Remedy("Google wants an app password.", _GOOGLE_CURE, "password")
    return Remedy(f"The server rejected the user name or password.{_said(error)}", _GOOGLE_CURE, "password")


def _password_rejected(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"The server rejected the user name or password.{_said(error)}",
        "Some servers want the full address as the user name.",
        "password",
    )


def _is_google(host: str) -> bool:
    host = host.strip().rstrip(".").lower()
    return any(host == name or host.endswith(f".{name}") for name in ("gmail.com", "googlemail.com"))


def _enhanced_code(error: MailServerError) -> str:
    """The enhanced status code (RFC 3463) behind the reply's three digits."""
    match = re.match(r"\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b", error.server_said)
    return match[1] if match else ""


# Folders, sender, and the rest.


def _no_move(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        "This server cannot move messages (RFC 6851), which the email parser needs.",
        "Use a mailbox on a server that supports MOVE.",
        "host",
    )


def _archive_refused(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(f"The archive folder cannot be used: {error}.", "Enter another folder.", "archive_folder")


def _inbox_refused(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(f"The inbox cannot be used: {error}.", "Check the account's rights on the server.")


def _no_room(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(f"The mailbox is full.{_said(error)}", "Make room in it, or have its quota raised.")


def _sign_in_first(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy("The server wants you to sign in first.", "Tick Requires Authentication.", "requires_auth")


def _sender_refused(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"The server does not let this account send as {settings.from_address}.",
        "Use the account's own address or an alias of it.",
        "from_address",
    )


def _busy(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(f"The server asked to be tried again later.{_said(error)}", "Try again in a few minutes.")


def _stopped_answering(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"{LABELS[error.stage]}: the server did not answer within {settings.timeout:g} s.",
        "Try again. If it happens again, raise the timeout.",
        "timeout",
    )


def _anything_else(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"{LABELS[error.stage]} failed: {type(error).__name__}.{_said(error)}",
        "Copy the details for support.",
    )


_TABLE: tuple[tuple[type[MailServerError], frozenset[Stage], Words], ...] = tuple(
    (kind, frozenset(stages), words)
    for kind, stages, words in (
        (InvalidSettings, (), _invalid_settings),
        (HostNotFound, (), _host_not_found),
        (NameLookupFailed, (), _no_dns),
        (AddressRefused, (), _address_refused),
        (ConnectionFailed, (Stage.CONNECT,), _nothing_answers),
        (ServerTimeout, (Stage.CONNECT,), _no_answer),
        (PlainTextPort, (), plain_text_port),
        (CertificateRefused, (), certificate),
        (StartTlsNotOffered, (), no_starttls),
        (ServerTimeout, (Stage.TLS,), no_handshake),
        (ServerTimeout, (Stage.GREETING,), _no_greeting),
        (WrongProtocol, (), _wrong_protocol),
        (PasswordsNotAccepted, (), _no_passwords),
        (AuthenticationNotOffered, (), _no_sign_in_offered),
        (AuthenticationFailed, (), _microsoft_smtp),
        (AuthenticationFailed, (), _google),
        (AuthenticationFailed, (), _password_rejected),
        (SignInRequired, (), _sign_in_first),
        (SenderRefused, (), _sender_refused),
        (MoveNotSupported, (), _no_move),
        (FolderRefused, (Stage.ARCHIVE, Stage.MOVE), _archive_refused),
        (FolderRefused, (Stage.INBOX,), _inbox_refused),
        (QuotaExceeded, (), _no_room),
        (ServerBusy, (), _busy),
        (ServerTimeout, (), _stopped_answering),
    )
)
