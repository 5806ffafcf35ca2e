"""What went wrong with Office365, in words for the administrator, and what to do about it.

A table like that of `remedies`, which answers for whatever stands in neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from urllib.parse import urlsplit

from . import microsoft_errors
from .base import ServerSettings
from .errors import (
    AccessDenied,
    AddressRefused,
    AppMisconfigured,
    CertificateRefused,
    ConnectionFailed,
    FolderRefused,
    HostNotFound,
    InvalidSettings,
    MailboxUnavailable,
    MailServerError,
    MessageRefused,
    NameLookupFailed,
    QuotaExceeded,
    SenderRefused,
    ServerBusy,
    ServerTimeout,
    SignInNeeded,
    Stage,
    TlsFailed,
    UnexpectedServer,
)
from .graph_errors import NO_PERMISSION, TOO_LARGE
from .remedy import LABELS, Remedy, said_by

Words = Callable[[MailServerError, ServerSettings], Remedy | None]


def explain(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    """The first line of the table that knows this error; None: the general table answers."""
    if error.uncertain:
        return _never_confirmed(error, settings)
    for kind, stages, words in _TABLE:
        if isinstance(error, kind) and (not stages or error.stage in stages):
            remedy = words(error, settings)
            if remedy is not None:
                return remedy
    return None


# Signing in.


def _not_connected(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    if settings.tokens is not None:
        return None
    return Remedy(
        "No Microsoft account is connected to this row.",
        "Save the row, press Connect to Microsoft, and confirm the account that is found.",
        "connection",
    )


def _token(error: MailServerError, settings: ServerSettings) -> Remedy:
    sentence, cure = microsoft_errors.words_of(error)
    return Remedy(f"{sentence}{said_by(error)}", cure, microsoft_errors.field_of(error))


def _graph_host(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    if not isinstance(error, InvalidSettings) or error.field != "graph_base":
        return None
    return Remedy(
        "The address of Microsoft Graph is not a web address that starts with https://.",
        "Correct the setting SERVICEDESK_MS_GRAPH_BASE, or leave it out.",
    )


# Reaching Microsoft.


def _host(settings: ServerSettings) -> str:
    return urlsplit(settings.graph_base).hostname or "graph.microsoft.com"


def _no_name(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"The name {_host(settings)} could not be looked up.",
        "Check this server's DNS and internet connection.",
    )


def _address(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"{_host(settings)} leads to an address that is never Microsoft's.",
        "Check this server's DNS and its hosts file.",
    )


def _certificate(error: MailServerError, settings: ServerSettings) -> Remedy:
    assert isinstance(error, CertificateRefused)
    issuer = f" It was issued by {error.facts.issuer}." if error.facts else ""
    return Remedy(
        f"The certificate of {_host(settings)} is not trusted here, so the connection was not used.{issuer}",
        "If a firewall or proxy of yours opens encrypted traffic, exempt Microsoft's addresses from it, or "
        "add its CA file (setting SERVICEDESK_MAIL_CA_FILE). Otherwise check the clock of this server.",
    )


def _no_tls(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"No encrypted connection to {_host(settings)} could be made.",
        "Check whether a firewall or proxy of yours stands in between.",
    )


def _no_answer(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"{LABELS[error.stage]}: Microsoft did not answer within {settings.timeout:g} s.",
        "Try again. If it happens again, raise the timeout, and check this server's internet connection.",
        "timeout_ms",
    )


def _cut(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"The connection to {_host(settings)} could not be made, or ended before the answer came.",
        "Try again. If it happens again, check this server's internet connection, firewall and proxy.",
    )


def _not_graph(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"What answers at {_host(settings)} is not Microsoft Graph as it is documented.{said_by(error)}",
        "Check whether a proxy or a sign-in page of your network stands in between. If not, copy the details "
        "for support.",
    )


def _busy(error: MailServerError, settings: ServerSettings) -> Remedy:
    assert isinstance(error, ServerBusy)
    if error.retry_after:
        when = f"It asked to be left alone for {_duration(error.retry_after)}"
    else:
        when = "It did not say for how long"
    return Remedy(
        f"Microsoft is busy, or limits how much this mailbox may be asked. {when}.{said_by(error)}",
        "Nothing needs to be done: it is tried again by itself. Mail stays where it is meanwhile.",
    )


# Mailbox and folders.


def _no_rights(error: MailServerError, settings: ServerSettings) -> Remedy:
    if settings.mailbox:
        return Remedy(
            f"The connected account may not open the mailbox {settings.mailbox}.{said_by(error)}",
            "In the Exchange admin center give the account Full Access to it (and Send As, to send), wait "
            "an hour, and connect again so that the permission for shared mailboxes is asked for.",
            "mailbox",
        )
    return Remedy(
        f"The connected account has not allowed the service desk to do this.{said_by(error)}",
        "Connect the account again and accept the permissions; your Microsoft 365 administrator may have to "
        "approve them.",
        "connection",
    )


def _no_mailbox(error: MailServerError, settings: ServerSettings) -> Remedy:
    if settings.mailbox:
        return Remedy(
            f"Microsoft 365 knows no mailbox {settings.mailbox} that this account can open.{said_by(error)}",
            "Check the spelling, and that the account has Full Access to that shared mailbox.",
            "mailbox",
        )
    return Remedy(
        f"The connected account has no mailbox in Exchange Online.{said_by(error)}",
        "Give it a licence with Exchange Online, or connect the account the mailbox belongs to. A mailbox on "
        "an Exchange server of your own is reached with protocol Exchange.",
        "connection",
    )


def _archive(error: MailServerError, settings: ServerSettings) -> Remedy:
    name = settings.archive_folder or "Archive"
    return Remedy(
        f'The folder "{name}" cannot be the archive: {error}.{said_by(error)}',
        "Enter the name of a folder for processed mail only, for example Archive.",
        "archive_folder",
    )


def _full(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(f"The mailbox is full.{said_by(error)}", "Make room in it, or have its quota raised.")


# Sending.


def _sender(error: MailServerError, settings: ServerSettings) -> Remedy:
    if settings.mailbox:
        cure = f"Choose {settings.mailbox} as From, and give the connected account Send As for it."
    else:
        cure = "Choose the account's own address or one of its aliases as From."
    return Remedy(
        f"Microsoft 365 does not let this account send as {settings.from_address}.", cure, "from_address"
    )


def _message(error: MailServerError, settings: ServerSettings) -> Remedy:
    if str(error) == NO_PERMISSION:
        cure = (
            "Grant Mail.ReadWrite in the app registration (with admin consent) and connect the account "
            "again, or send smaller files."
        )
        return Remedy(NO_PERMISSION, cure, "connection")
    if str(error) == TOO_LARGE:
        return Remedy(TOO_LARGE, "Shorten the text, or attach the pictures in it as files.")
    return Remedy(
        f"Microsoft 365 did not take the message.{said_by(error)}",
        "Send it again with less or smaller attached files, or look into the details.",
    )


def _never_confirmed(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        "The message was handed over, but Microsoft did not confirm it: it may arrive all the same.",
        "Look into the Sent Items of the mailbox before you send it again.",
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} minutes"


_TABLE: tuple[tuple[type[MailServerError], frozenset[Stage], Words], ...] = tuple(
    (kind, frozenset(stages), words)
    for kind, stages, words in (
        (SignInNeeded, (), _not_connected),
        (SignInNeeded, (), _token),
        (AppMisconfigured, (), _token),
        (InvalidSettings, (), _graph_host),
        (MailServerError, (Stage.TOKEN,), _token),
        (HostNotFound, (), _no_name),
        (NameLookupFailed, (), _no_name),
        (AddressRefused, (), _address),
        (CertificateRefused, (), _certificate),
        (TlsFailed, (), _no_tls),
        (ServerTimeout, (), _no_answer),
        (ConnectionFailed, (), _cut),
        (ServerBusy, (), _busy),
        (AccessDenied, (), _no_rights),
        (MailboxUnavailable, (), _no_mailbox),
        (FolderRefused, (), _archive),
        (QuotaExceeded, (), _full),
        (SenderRefused, (), _sender),
        (MessageRefused, (), _message),
        (UnexpectedServer, (), _not_graph),
    )
)
