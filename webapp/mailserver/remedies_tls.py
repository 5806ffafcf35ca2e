"""What to tell about encryption that failed; `remedies` says when."""

from __future__ import annotations

import re
from collections.abc import Callable

from .base import MailProtocol, ServerSettings, TlsMode
from .errors import CertificateRefused, MailServerError
from .remedy import IMPLICIT_PORT, STARTTLS_PORT, Findings, QuickFix, Remedy, day, secured

_HOST_NAME = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", re.I
)
_FITTING = {
    MailProtocol.IMAP: ("imap.", "mail."),
    MailProtocol.SMTP: ("smtp.", "mail."),
    MailProtocol.EXCHANGE: ("mail.", "exchange.", "outlook."),
}


def switch_to_starttls(port: int, *, changed: bool = False) -> QuickFix:
    where = f" (port {port})" if changed else ""
    return QuickFix(f"Switch to STARTTLS{where} and test again", secured(TlsMode.STARTTLS, port))


def switch_to_implicit(port: int, *, label: str = "") -> QuickFix:
    label = label or f"Switch to SSL/TLS (port {port}) and test again"
    return QuickFix(label, secured(TlsMode.IMPLICIT, port))


def plain_text_port(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    """A server in clear text on the port of the other mode: the usual port of STARTTLS is meant."""
    is_odd = settings.port in IMPLICIT_PORT.values()
    port = STARTTLS_PORT[settings.protocol] if is_odd else settings.port
    return Remedy(
        f"Port {settings.port} does not start with SSL/TLS.",
        "Port and encryption do not match: use SSL/TLS with 993 (SMTP 465), or STARTTLS with 143 (SMTP 587).",
        "tls_mode",
        switch_to_starttls(port, changed=is_odd),
    )


def no_handshake(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        "The server accepted the connection but did not answer the encryption request.",
        "Often a plain-text port or a firewall that inspects traffic.",
        "port",
    )


def no_starttls(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    return Remedy(
        "The server offers no encryption on this port.",
        f"Use SSL/TLS with {IMPLICIT_PORT[settings.protocol]}.",
        "tls_mode",
        switch_to_implicit(found.verified_port) if found.verified_port else None,
    )


def certificate(error: MailServerError, settings: ServerSettings, found: Findings) -> Remedy:
    assert isinstance(error, CertificateRefused)
    words = _CERTIFICATE.get(error.verify_code, _certificate_otherwise)
    return words(error, settings)


def _self_signed(error: CertificateRefused, settings: ServerSettings) -> Remedy:
    return Remedy(
        "The server's certificate is self-signed, so its identity cannot be checked.",
        "Install a trusted certificate, or add your own CA file (setting SERVICEDESK_MAIL_CA_FILE).",
    )


def _other_name(error: CertificateRefused, settings: ServerSettings) -> Remedy:
    names = error.facts.names if error.facts else ()
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    usable = _usable_name(names, settings.protocol)
    return Remedy(
        f"The certificate belongs to {shown or 'another name'}, not to {settings.host}.",
        "Enter one of those names as host." if names else "Enter the name the certificate was made for.",
        "host",
        QuickFix(f"Use {usable}", {"host": usable}) if usable else None,
    )


def _usable_name(names: tuple[str, ...], protocol: MailProtocol) -> str:
    """The name to enter: one that can be a host, best one that sounds like this protocol's."""
    usable = [name.lower() for name in names if _HOST_NAME.fullmatch(name)]
    fitting = [name for start in _FITTING.get(protocol, ()) for name in usable if name.startswith(start)]
    return next(iter(fitting + usable), "")


def _expired(error: CertificateRefused, settings: ServerSettings) -> Remedy:
    when = f" on {day(error.facts.not_after)}" if error.facts else ""
    return Remedy(f"The certificate expired{when}.", "The mail server's owner must renew it.")


def _not_yet_valid(error: CertificateRefused, settings: ServerSettings) -> Remedy:
    when = f" before {day(error.facts.not_before)}" if error.facts else " yet"
    return Remedy(f"The certificate is not valid{when}.", "Check the clock of this server.")


def _unknown_issuer(error: CertificateRefused, settings: ServerSettings) -> Remedy:
    return Remedy(
        "The certificate's issuer is not known here.",
        "The server may not send its intermediate certificate, or uses a private CA.",
    )


def _certificate_otherwise(error: CertificateRefused, settings: ServerSettings) -> Remedy:
    return Remedy(
        f"The server's certificate was not accepted (check {error.verify_code} of OpenSSL).",
        "The mail server's owner must replace it.",
    )


# X509_V_ERR_*; a self-signed certificate inside a chain (19) is an authority nobody here knows.
_CERTIFICATE: dict[int, Callable[[CertificateRefused, ServerSettings], Remedy]] = {
    2: _unknown_issuer,
    9: _not_yet_valid,
    10: _expired,
    18: _self_signed,
    19: _unknown_issuer,
    20: _unknown_issuer,
    21: _unknown_issuer,
    62: _other_name,
    64: _other_name,
}
