"""What went wrong with an Exchange, in words for the administrator, and what to do about it.

A table like that of `remedies`, which answers for whatever is not said here.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from dataclasses import replace

from . import ews_address
from .base import ServerSettings
from .errors import (
    AccessDenied,
    AuthenticationFailed,
    AuthenticationNotOffered,
    CertificateRefused,
    ConnectionFailed,
    InvalidSettings,
    MailboxUnavailable,
    MailServerError,
    MessageRefused,
    PlainTextPort,
    SenderRefused,
    ServerBusy,
    Stage,
    StartTlsNotOffered,
    UnexpectedServer,
)
from .providers import EXCHANGE_ONLINE
from .remedies_tls import certificate
from .remedy import LABELS, Findings, Remedy, plural, said_by

Words = Callable[[MailServerError, ServerSettings], Remedy | None]

_EXAMPLE = "https://mail.example.com/EWS/Exchange.asmx"
_CHOOSE = "Choose Office365."
_TOO_LARGE = {
    "ErrorMessageSizeExceeded", "ErrorAttachmentSizeLimitExceeded", "ErrorDataSizeLimitExceeded",
    "ErrorRequestStreamTooBig", "HTTP 413",
}  # fmt: skip


def explain(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    """The first line of the table that knows this error; None: the general table answers."""
    if error.uncertain:
        return None
    for kind, stages, words in _TABLE:
        if isinstance(error, kind) and (not stages or error.stage in stages):
            remedy = words(error, settings)
            if remedy is not None:
                return remedy
    return None


# Settings, and the way to the server.


def _invalid_settings(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    assert isinstance(error, InvalidSettings)
    if error.field == "mailbox":
        return Remedy(
            "This account has no mailbox of its own.",
            "Enter the address of the mailbox it works for as Mailbox address.",
            "mailbox",
        )
    if error.field == "protocol":
        return Remedy(EXCHANGE_ONLINE.removesuffix(_CHOOSE).strip(), _CHOOSE, "protocol")
    if error.field == "ews_url":
        return Remedy(
            f"The EWS address cannot be used: {error}.",
            f"Enter a web address that starts with https://, for example {_EXAMPLE}.",
            "ews_url",
        )
    if error.field == "use_ssl":
        return Remedy("Exchange is only connected to with SSL/TLS.", "Tick Enable SSL.", "use_ssl")
    return None


def _nothing_answers(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    if not isinstance(error, ConnectionFailed) or error.errno != errno.ECONNREFUSED:
        return None
    host, port = _where(settings)
    return Remedy(
        f"{host} is there, but nothing answers on port {port}.",
        "Exchange normally answers on port 443. Check the port, and that the server's web services are on.",
        "ews_url" if settings.ews_url.strip() else "port",
    )


def _plain_text(error: MailServerError, settings: ServerSettings) -> Remedy:
    _, port = _where(settings)
    return Remedy(
        f"Port {port} does not start with SSL/TLS.",
        "Exchange is only connected to over https, normally on port 443.",
        "ews_url" if settings.ews_url.strip() else "port",
    )


def _certificate(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    """Where the whole address was entered, it is there that another name has to go."""
    if not settings.ews_url.strip():
        return None
    remedy = certificate(error, ews_address.at_endpoint(settings), Findings())
    return replace(remedy, field="ews_url" if remedy.field else "", quick_fix=None)


def _not_ews(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"What answers at {_endpoint(settings)} is not Exchange Web Services: {error}.",
        f"Enter the EWS address of the server itself, usually {_EXAMPLE}. Redirects are not followed.",
        "ews_url",
    )


# Signing in.


def _no_way_in(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"This Exchange takes neither NTLM nor Basic sign-in ({error}).",
        "Have Windows authentication (NTLM) turned on for its EWS virtual directory. If the mailbox is in "
        "Microsoft 365, choose Office365.",
        "protocol",
    )


def _account_state(error: MailServerError, settings: ServerSettings) -> Remedy | None:
    told = {
        "ErrorPasswordExpired": (
            "The password of this account has expired.",
            "Set a new one and enter it here.",
        ),
        "ErrorPasswordChangeRequired": (
            "This account has to change its password first.",
            "Sign in to Windows or Outlook on the web with it, change the password, and enter the new one.",
        ),
        "ErrorAccountDisabled": (
            "This account is disabled.",
            "Have it enabled in Active Directory, or use another account.",
        ),
    }.get(str(error))
    return Remedy(*told, "username" if "disabled" in told[0] else "password") if told else None


def _wrong_password(error: MailServerError, settings: ServerSettings) -> Remedy:
    sentence = "The Exchange server rejected the user name or password."
    if "\\" not in settings.username and "@" not in settings.username:
        return Remedy(sentence, "Enter the user name as DOMAIN\\user or as the full address.", "username")
    return Remedy(
        sentence,
        "Enter the password again, and check that the account is not locked. Some servers want the user name "
        "as DOMAIN\\user, some the full address.",
        "password",
    )


def _ews_off(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        "The Exchange server does not let this account use its web services (EWS).",
        "Have EWS turned on for it (Set-CASMailbox -EwsEnabled $true). If the mailbox is in Microsoft 365, "
        "choose Office365.",
        "username",
    )


# Mailbox, rights, sending.


def _no_right(error: MailServerError, settings: ServerSettings) -> Remedy:
    mailbox = settings.mailbox.strip()
    which = f"the mailbox {mailbox}" if mailbox else "its own mailbox"
    return Remedy(
        f"The account {settings.username} has no right to open {which}.",
        "Give it Full Access to that mailbox in the Exchange admin center, or correct the mailbox address.",
        "mailbox",
    )


def _no_right_to_change(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"{LABELS[error.stage]}: the account may open the mailbox, but not do this.{said_by(error)}",
        "Give it Full Access to the mailbox in the Exchange admin center.",
        "mailbox",
    )


def _no_mailbox(error: MailServerError, settings: ServerSettings) -> Remedy:
    mailbox = settings.mailbox.strip()
    which = f"knows no mailbox {mailbox}" if mailbox else "has no mailbox for this account"
    return Remedy(
        f"The Exchange server {which}.",
        "Check the mailbox address. If the mailbox was moved to Microsoft 365, choose Office365.",
        "mailbox",
    )


def _not_our_address(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"The account may not send as {settings.from_address}.",
        "Use an address of its own mailbox as From. To send for another mailbox, enter that one as Mailbox "
        "address; the account needs Full Access and Send As there.",
        "from_address",
    )


def _message_refused(error: MailServerError, settings: ServerSettings) -> Remedy:
    if str(error) in _TOO_LARGE:
        return Remedy(
            "The message is larger than the Exchange server takes.",
            "Send it with smaller attachments, or have the server's limits raised.",
        )
    return Remedy(
        f"The Exchange server did not take the message.{said_by(error)}",
        "Check the addresses of the recipients, then send it again.",
    )


def _busy(error: MailServerError, settings: ServerSettings) -> Remedy:
    assert isinstance(error, ServerBusy)
    minutes = math.ceil(error.retry_after / 60)
    when = f"in {plural(minutes, 'minute')}" if minutes else "in a few minutes"
    return Remedy(
        f"The Exchange server is busy and asked to be tried again later.{said_by(error)}",
        f"Try again {when}. If it happens often, have the account's EWS throttling policy raised.",
    )


def _odd_answer(error: MailServerError, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"{LABELS[error.stage]}: the Exchange server gave an answer that cannot be used: {error}.",
        "Try again. If it happens again, copy the details for support.",
    )


def _where(settings: ServerSettings) -> tuple[str, int]:
    try:
        at = ews_address.at_endpoint(settings)
    except InvalidSettings:
        return settings.host, settings.port
    return at.host, at.port


def _endpoint(settings: ServerSettings) -> str:
    try:
        return ews_address.endpoint(settings)
    except MailServerError:
        return settings.ews_url or settings.host


_TABLE: tuple[tuple[type[MailServerError], frozenset[Stage], Words], ...] = tuple(
    (kind, frozenset(stages), words)
    for kind, stages, words in (
        (InvalidSettings, (), _invalid_settings),
        (ConnectionFailed, (Stage.CONNECT,), _nothing_answers),
        (PlainTextPort, (), _plain_text),
        (StartTlsNotOffered, (), _plain_text),
        (CertificateRefused, (), _certificate),
        (AuthenticationNotOffered, (), _no_way_in),
        (AuthenticationFailed, (), _account_state),
        (AuthenticationFailed, (), _wrong_password),
        (AccessDenied, (Stage.SIGN_IN,), _ews_off),
        (AccessDenied, (Stage.INBOX,), _no_right),
        (AccessDenied, (), _no_right_to_change),
        (MailboxUnavailable, (), _no_mailbox),
        (SenderRefused, (), _not_our_address),
        (MessageRefused, (), _message_refused),
        (ServerBusy, (), _busy),
        (UnexpectedServer, (Stage.SIGN_IN,), _not_ews),
        (UnexpectedServer, (), _odd_answer),
    )
)
