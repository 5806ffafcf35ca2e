"""What went wrong, in words for the administrator, and what to do about it.

A table, and nothing but: an error is told by its class, its stage, its numbers (errno, X509_V_ERR, SMTP
and enhanced status codes) and the host. A server's words alone never decide; they are only quoted.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace

from .base import MailProtocol, ServerSettings
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
    MessageRefused,
    MoveNotSupported,
    NameLookupFailed,
    PasswordsNotAccepted,
    PlainTextPort,
    QuotaExceeded,
    RecipientsRefused,
    SenderRefused,
    ServerBusy,
    ServerTimeout,
    SignInRequired,
    Stage,
    StartTlsNotOffered,
    WrongProtocol,
)
from .remedies_sign_in import (
    encryption_first,
    microsoft_smtp,
    no_passwords,
    no_sign_in_offered,
    password_rejected,
    sign_in_first,
)
from .remedies_tls import certificate, no_handshake, no_starttls, plain_text_port, switch_to_implicit
from .remedy import ENTER_AGAIN, IMPLICIT_PORT, LABELS, STARTTLS_PORT, Findings, Remedy, said_by

NOTHING_ELSE = Findings()


def explain(error: MailServerError, settings: ServerSettings, found: Findings = NOTHING_ELSE) -> Remedy:
    """What the protocol itself says about this error, else the first line of the table that knows it."""
    if own := _own_words(error, settings):
        return own
    for kind, stages, words in _TABLE:
        if isinstance(error, kind) and (not stages or error.stage in stages):
            remedy = words(error, settings, found)
            if remedy is not None:
                return _with_reminder(remedy)
    return _anything_else(error, settings, found)


def _own_words(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    match settings.protocol:
        case MailProtocol.EXCHANGE:
            from . import remedies_exchange

            return remedies_exchange.explain(error, settings)
        case MailProtocol.OFFICE365:
            from . import remedies_office365

            return remedies_office365.explain(error, settings)
    return None


Words = Callable[[MailServerError, ServerSettings, Findings], Remedy | None]


def _with_reminder(remedy: Remedy) -> Remedy:
    """One click may lead elsewhere than the saved password may go."""
    if remedy.quick_fix is None or not remedy.quick_fix.needs_password:
        return remedy
    return replace(remedy, cure=f"{remedy.cure} {ENTER_AGAIN}")


# Settings and names.


def _invalid_settings(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    assert isinstance(error, InvalidSettings)
    missing = _MISSING.get(error.field)
    if missing and not str(getattr(settings, error.field)).strip():
        return Remedy(*missing, error.field)
    field = {"timeout": "timeout_ms", "ca_file": ""}.get(error.field, error.field)
    return Remedy(f"The settings cannot be used: {error}.", "Correct this field.", field)


_MISSING = {
    "host": ("The host name is missing.", "Enter the name of the mail server, for example imap.example.com."),
    "username": ("The user name is missing.", "Enter the user name of the mailbox."),
    "password": ("The password is missing.", "Enter the password."),
    "from_address": (
        "The From address is missing.",
        "Enter one email address, for example help@example.com.",
    ),
}


def _host_not_found(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f'The host name "{settings.host}" does not exist.',
        'Check the spelling. Enter only the name, without "https://" or a port.',
        "host",
    )


def _no_dns(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        "This server cannot look up names right now.", "Check the server's DNS and internet connection."
    )


# Connecting.


def _address_refused(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f"{settings.host} leads to an address that is never a mail server's.",
        "Enter the mail server's own name.",
        "host",
    )


def _nothing_answers(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy | None:
    if not isinstance(error, ConnectionFailed) or error.errno != errno.ECONNREFUSED:
        return None
    usual = "HTTPS normally uses 443."
    if settings.protocol in IMPLICIT_PORT:
        usual = (
            f"{settings.protocol.upper()} normally uses {IMPLICIT_PORT[settings.protocol]} (SSL/TLS) or "
            f"{STARTTLS_PORT[settings.protocol]} (STARTTLS)."
        )
    return Remedy(
        f"{settings.host} is there, but nothing answers on port {settings.port}.",
        f"{usual} Check that the service is on.",
        "port",
        switch_to_implicit(found.verified_port) if found.verified_port else None,
    )


def _no_way_there(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f"{settings.host} cannot be reached on port {settings.port}.",
        "Check the host name, and this server's internet connection and firewall.",
        "host",
    )


def _no_answer(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f"{settings.host} did not answer on port {settings.port} within {settings.timeout:g} s.",
        "A firewall probably blocks the port. "
        f"Ask whether outgoing port {settings.port} is open on this server.",
        "port",
    )


# The greeting.


def _no_greeting(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    sentence = f"The server on port {settings.port} sent no greeting."
    if not found.starts_with_tls:
        return Remedy(sentence, "Check the host and the port.", "port")
    fix = switch_to_implicit(settings.port, label="Switch to SSL/TLS and test again")
    return Remedy(sentence, "This port expects SSL/TLS from the start.", "tls_mode", fix)


def _wrong_protocol(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    assert isinstance(error, WrongProtocol)
    kinds = {"SMTP": "a mail sending (SMTP)", "IMAP": "a mail receiving (IMAP)", "HTTP": "a web"}
    usual = {"imap": "993", "smtp": "465 or 587", "exchange": "443", "office365": "443"}
    kind = kinds.get(error.speaks, f"{'an' if error.speaks == 'SSH' else 'a'} {error.speaks}")
    return Remedy(
        f"This is {kind} server.",
        f"Enter the {settings.protocol.upper()} host and port, usually {usual[settings.protocol]}.",
        "host",
    )


# Folders, sender, and the rest.


def _no_move(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        "This server cannot move messages (RFC 6851), which the email parser needs.",
        "Use a mailbox on a server that supports MOVE.",
        "host",
    )


def _archive_refused(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(f"The archive folder cannot be used: {error}.", "Enter another folder.", "archive_folder")


def _inbox_refused(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(f"The inbox cannot be used: {error}.", "Check the account's rights on the server.")


def _no_room(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(f"The mailbox is full.{said_by(error)}", "Make room in it, or have its quota raised.")


def _sender_refused(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f"The server does not let this account send as {settings.from_address}.",
        "Use the account's own address or an alias of it.",
        "from_address",
    )


def _recipient_refused(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    assert isinstance(error, RecipientsRefused)
    refused = " and ".join(error.refused) or "the recipient"
    return Remedy(
        f"The server does not take mail for {refused}.{said_by(error)}",
        "Check the address of the recipient, and whether this account may send to other domains.",
    )


def _message_refused(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(f"The server did not take the message.{said_by(error)}", "Ask the mail server's owner why.")


def _never_confirmed(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy | None:
    if not error.uncertain:
        return None
    return Remedy(
        "The message was handed over, but the server did not confirm it: it may arrive all the same.",
        "Look into the recipient's mailbox before you try again.",
    )


def _busy(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(f"The server asked to be tried again later.{said_by(error)}", "Try again in a few minutes.")


def _stopped_answering(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f"{LABELS[error.stage]}: the server did not answer within {settings.timeout:g} s.",
        "Try again. If it happens again, raise the timeout.",
        "timeout_ms",
    )


def _hung_up(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f"{LABELS[error.stage]}: the server ended the connection.{said_by(error)}",
        "Try again. If it happens again, ask the mail server's owner.",
    )


def _anything_else(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f"{LABELS[error.stage]} failed: {type(error).__name__}.{said_by(error)}",
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
        (ConnectionFailed, (Stage.CONNECT,), _no_way_there),
        (ServerTimeout, (Stage.CONNECT,), _no_answer),
        (PlainTextPort, (), plain_text_port),
        (CertificateRefused, (), certificate),
        (StartTlsNotOffered, (), no_starttls),
        (ServerTimeout, (Stage.TLS,), no_handshake),
        (ServerTimeout, (Stage.GREETING,), _no_greeting),
        (WrongProtocol, (), _wrong_protocol),
        (PasswordsNotAccepted, (), no_passwords),
        (AuthenticationFailed, (), encryption_first),
        (SignInRequired, (), encryption_first),
        (AuthenticationNotOffered, (), no_sign_in_offered),
        (AuthenticationFailed, (), microsoft_smtp),
        (AuthenticationFailed, (), password_rejected),
        (SignInRequired, (), sign_in_first),
        (SenderRefused, (), _sender_refused),
        (MoveNotSupported, (), _no_move),
        (FolderRefused, (Stage.ARCHIVE, Stage.MOVE), _archive_refused),
        (FolderRefused, (Stage.INBOX,), _inbox_refused),
        (QuotaExceeded, (), _no_room),
        (RecipientsRefused, (), _recipient_refused),
        (MailServerError, (Stage.SEND,), _never_confirmed),
        (MessageRefused, (), _message_refused),
        (ServerBusy, (), _busy),
        (ServerTimeout, (), _stopped_answering),
        (ConnectionFailed, (), _hung_up),
    )
)
