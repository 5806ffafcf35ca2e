"""Reading a certificate for a person; OpenSSL has decided on it already."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from .errors import CertificateFacts


def read_certificate(der: bytes) -> CertificateFacts:
    """Raises ValueError where the certificate is too odd to read."""
    certificate = x509.load_der_x509_certificate(der)
    return CertificateFacts(
        subject=_name(certificate.subject),
        names=_names(certificate),
        issuer=_name(certificate.issuer),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _name(name: x509.Name) -> str:
    """The common name, else the organisation, else the whole of it."""
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return str(attribute.value)
    return name.rfc4514_string()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return (_name(certificate.subject),)
    names = extension.value
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)
