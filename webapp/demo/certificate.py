"""A certificate for the embedded servers, so that the demonstration's rows use SSL as real ones do.

Self-signed, made at each start; its key is on disk only while the servers load it. The CA file that the
product is told to trust holds it beside the system's own authorities: a row pointed at a real server
for a try still works.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "127.0.0.1"
VALID_FOR = timedelta(days=365)


def make_server_context(ca_file: Path, trusted: Path | None) -> ssl.SSLContext:
    """What the servers show, and `ca_file` written so that it is believed along with those of `trusted`."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(key).public_bytes(serialization.Encoding.PEM)
    others = trusted.read_bytes() if trusted else b""
    _replace(ca_file, others.rstrip() + b"\n" + certificate if others else certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(dir=ca_file.parent, suffix=".pem") as file:  # 0600
        file.write(certificate + _pem(key))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def system_authorities() -> Path | None:
    """The file of certificate authorities that is trusted without a setting, where there is one."""
    path = ssl.get_default_verify_paths().cafile
    return Path(path) if path else None


def _sign(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Service desk demonstration")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))]
    usage = dict.fromkeys(_KEY_USAGES, False) | {"digital_signature": True}
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _replace(path: Path, content: bytes) -> None:
    """A whole file or the old one: another command may be reading it."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    os.replace(temporary, path)


_KEY_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
