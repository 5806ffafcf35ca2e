"""What to tell about a sign-in that failed; `remedies` says when."""

from __future__ import annotations

import re

from . import providers
from .base import MailProtocol, ServerSettings, TlsMode
from .errors import MailServerError
from .remedies_tls import switch_to_starttls
from .remedy import Findings, QuickFix, Remedy, said_by

# 538: encryption required for this mechanism (RFC 4954 section 6). 530 wants STARTTLS (RFC 3207 section 4)
# or a sign-in (RFC 4954 section 6), which only the words tell apart.
_ENCRYPT_FIRST = 538
_SOMETHING_FIRST = 530
_NAME_IS_NONE = "Some servers want the full address as the user name."
_NAME_IS_ADDRESS = (  # the name is an address already
    "Enter the password again. Some providers want an app password instead, made in the account's "
    "security settings."
)


def no_passwords(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        f"Microsoft 365 no longer accepts passwords for {settings.protocol.upper()}.",
        "Choose protocol Office365 and connect the account.",
        "protocol",
    )


def no_sign_in_offered(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    if settings.tls_mode is TlsMode.NONE and found.offers_starttls:
        return encryption_needed(settings)
    if settings.protocol is MailProtocol.SMTP:
        return Remedy(
            "This server does not ask for a password on this port.",
            "Untick Requires Authentication, or use port 587.",
            "requires_auth",
            QuickFix("Untick Requires Authentication and test again", {"requires_auth": "false"}),
        )
    if settings.tls_mode is TlsMode.NONE:
        return Remedy(
            "The server takes no password without encryption.",
            "Enable SSL: use SSL/TLS with 993, or STARTTLS with 143.",
            "use_ssl",
        )
    return Remedy("The server takes no passwords.", "Ask its owner to allow password sign-in.", "protocol")


def encryption_first(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy | None:
    """The server wants STARTTLS before it goes on. Only ever said to a connection in clear."""
    wants_it = error.reply_code == _ENCRYPT_FIRST or (
        error.reply_code == _SOMETHING_FIRST and "starttls" in error.server_said.lower()
    )
    if settings.tls_mode is not TlsMode.NONE or not wants_it:
        return None
    return encryption_needed(settings) if found.offers_starttls else None


def encryption_needed(settings: ServerSettings) -> Remedy:
    return Remedy(
        "The server takes no password without encryption.",
        f"Enable SSL and choose STARTTLS: the server offers it on port {settings.port}.",
        "use_ssl",
        switch_to_starttls(settings.port),
    )


def microsoft_smtp(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy | None:
    """5.7.30 says just this; 5.7.139 says it for a wrong password as well, so its words have to help."""
    code = _enhanced_code(error)
    switched_off = re.search(
        r"SmtpClientAuthentication|basic authentication", error.server_said, re.IGNORECASE
    )
    if code != "5.7.30" and not (code == "5.7.139" and switched_off):
        return None
    return Remedy(
        "Your Microsoft 365 organisation has turned off password sign-in for SMTP.",
        "Choose Office365. Or an administrator there turns it on again (Authenticated SMTP).",
        "protocol",
    )


def password_rejected(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    if not error.server_said and not error.reply_code:  # nothing was tried
        return Remedy(
            "The server offers no way to sign in with a password.",
            "Ask its owner to allow password sign-in (PLAIN or LOGIN).",
            "host",
        )
    provider = providers.of_host(settings.host)
    elsewhere = _NAME_IS_ADDRESS if "@" in settings.username else _NAME_IS_NONE
    cure = (provider.note if provider else "") or elsewhere
    if provider is providers.GOOGLE and _wants_app_password(error):
        return Remedy("Google wants an app password.", cure, "password")
    return Remedy(f"The server rejected the user name or password.{said_by(error)}", cure, "password")


def sign_in_first(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    fix = QuickFix("Tick Requires Authentication", {"requires_auth": "true"})
    return Remedy(
        "The server wants you to sign in first.",
        "Tick Requires Authentication.",
        "requires_auth",
        None if settings.requires_auth else fix,
    )


def _wants_app_password(error: MailServerError) -> bool:
    return _enhanced_code(error) == "5.7.9" or "application-specific" in error.server_said.lower()


def _enhanced_code(error: MailServerError) -> str:
    """The enhanced status code (RFC 3463) behind the reply's three digits."""
    match = re.match(r"\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b", error.server_said)
    return match[1] if match else ""
