"""TLS as a mail client must do it (RFC 8314): the certificate is always verified, TLS 1.2 at least."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from .errors import (
    CertificateFacts,
    CertificateRefused,
    InvalidSettings,
    MailServerError,
    PlainTextPort,
    Stage,
    TlsFailed,
)

# What OpenSSL says when the peer's first octets are no TLS record: a server that greets in clear text.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What was agreed with the server."""

    version: str
    cipher: str
    certificate: CertificateFacts


def verifying_context(ca_file: str | None) -> ssl.SSLContext:
    """The one context a password may travel through."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise InvalidSettings(
            f"cannot use the CA file {ca_file}", stage=Stage.SETTINGS, field="ca_file"
        ) from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def looking_context() -> ssl.SSLContext:
    """Verifies nothing: only to read a refused certificate, on a connection used for nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def facts_of(sock: ssl.SSLSocket) -> TlsFacts:
    """The version, the cipher and the certificate of an established connection."""
    from .certificate import read_certificate  # cryptography's x509 takes 40 ms, and a poll shows nobody

    der = sock.getpeercert(binary_form=True)
    cipher = sock.cipher()
    assert der is not None
    return TlsFacts(sock.version() or "", cipher[0] if cipher else "", read_certificate(der))


def handshake_failure(exc: ssl.SSLError, host: str) -> MailServerError:
    """What an ssl exception of the handshake means, told by its code and never by its text."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return CertificateRefused(
            f"{host}: {exc.verify_message}", stage=Stage.TLS, verify_code=exc.verify_code
        )
    failure = PlainTextPort if exc.reason in _NOT_TLS else TlsFailed
    return failure(f"{host}: {exc.reason or type(exc).__name__}", stage=Stage.TLS)
