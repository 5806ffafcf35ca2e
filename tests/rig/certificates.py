"""Certificates for the rig: one private authority, and every way in which a certificate is refused."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OUR_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Certificate chain and key of a server, in one PEM file each."""

    chain_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        return context


class Authority:
    """A certificate authority nobody but the tests trusts; `ca_file` is what a setting would name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)
        self.good = self._issue("good", *OUR_NAMES)
        self.other_name = self._issue("other-name", "mail.example.net", "imap.example.net")
        self.expired = self._issue(
            "expired", *OUR_NAMES, not_after=datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
        )
        self.soon = self._issue(
            "soon",
            *OUR_NAMES,
            not_after=datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=5, hours=1),
        )
        self.self_signed = _self_signed(folder)

    def _issue(
        self, label: str, *names: str, not_after: datetime.datetime | None = None
    ) -> ServerCertificate:
        leaf = self._ca.issue_cert(*names, common_name=names[0], not_after=not_after)
        files = ServerCertificate(self._folder / f"{label}.pem", self._folder / f"{label}.key")
        files.chain_file.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        files.key_file.write_bytes(leaf.private_key_pem.bytes())
        return files


def _self_signed(folder: Path) -> ServerCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = ServerCertificate(folder / "self-signed.pem", folder / "self-signed.key")
    files.chain_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
