"""S/MIME objects come from OpenSSL, or are written octet by octet where it does not make them."""

from __future__ import annotations

import base64
import subprocess
import time
import zlib
from pathlib import Path

import pytest

from webapp.mail.attachments import attachment_content
from webapp.mail.cms import COMPRESSED, ENCRYPTED, SIGNED, CmsError, read_cms
from webapp.mail.message import InboundMessage
from webapp.mail.parse import parse

ENTITY = (
    b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    b"Gr\xc3\xbc\xc3\x9fe, signed\r\n--in\r\n"
    b"Content-Type: application/pdf; name=plan.pdf\r\n\r\n%PDF\r\n--in--\r\n"
)
MIME = b"From: ann@acme.test\r\nSubject: Hi\r\nMIME-Version: 1.0\r\n"


def openssl(folder: Path, *arguments: str, data: bytes = ENTITY) -> bytes:
    certificate, key = folder / "c.pem", folder / "k.pem"
    if not certificate.exists():
        made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ann", "-days", "9"]
        subprocess.run(
            ["openssl", *made, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
    names = {"CERT": str(certificate), "KEY": str(key)}
    run = ["openssl", "cms", "-outform", "DER", "-binary", *(names.get(one, one) for one in arguments)]
    return subprocess.run(run, input=data, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


def tlv(tag: int, *content: bytes) -> bytes:
    data = b"".join(content)
    size = len(data).to_bytes(4, "big")
    return bytes([tag, 0x84]) + size + data


def compressed(content: bytes) -> bytes:
    octets = tlv(0xA0, tlv(0x04, zlib.compress(content)))
    encapsulated = tlv(0x30, tlv(0x06, bytes.fromhex("2a864886f70d010701")), octets)
    inner = tlv(0x30, tlv(0x02, b"\0"), tlv(0x30), encapsulated)
    return tlv(0x30, tlv(0x06, bytes.fromhex("2a864886f70d0109100109")), tlv(0xA0, inner))


def mail(cms: bytes, header: str = "application/pkcs7-mime; name=smime.p7m", text: bytes = b"") -> bytes:
    part = (
        f"Content-Type: {header}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
        + base64.encodebytes(cms)
    )
    if not text:
        return MIME + part
    outer = b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\n" + text + b"\r\n--o\r\n"
    return MIME + outer + part + b"\r\n--o--\r\n"


def files(message: InboundMessage) -> list[str]:
    return [one.filename for one in message.attachments]


@pytest.mark.parametrize("form", [[], ["-stream", "-indef"], ["-nocerts"]])
@pytest.mark.parametrize(
    "header", ["application/pkcs7-mime; smime-type=signed-data", "application/x-pkcs7-mime"]
)
def test_opaque_signed_mail_is_shown(folder: Path, form: list[str], header: str) -> None:
    raw = mail(openssl(folder, "-sign", "-nodetach", *form, "-signer", "CERT", "-inkey", "KEY"), header)
    message = parse(raw)
    assert message.body_text == "Grüße, signed"
    assert message.protection == "smime-signed"
    assert files(message) == ["plan.pdf"]
    assert attachment_content(raw, message.attachments[0].position)[1] == b"%PDF"
    assert message.defects == ()


@pytest.mark.parametrize("form", [[], ["-stream", "-indef"]])
@pytest.mark.parametrize("cipher", ["-aes256", "-aes-256-gcm"])
def test_encrypted_mail_says_so(folder: Path, form: list[str], cipher: str) -> None:
    message = parse(mail(openssl(folder, "-encrypt", *form, cipher, "CERT"), "application/pkcs7-mime"))
    assert message.protection == "smime-encrypted"
    assert message.body_text.startswith("This message is encrypted (S/MIME).")
    assert files(message) == ["smime.p7m"]


def test_signed_within_signed(folder: Path) -> None:
    header = b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    sign = ("-sign", "-nodetach", "-signer", "CERT", "-inkey", "KEY")
    message = parse(mail(openssl(folder, *sign, data=header + openssl(folder, *sign))))
    assert message.body_text == "Grüße, signed"
    assert files(message) == ["plan.pdf"]


def test_compressed_mail_is_shown() -> None:
    assert parse(mail(compressed(ENTITY))).body_text == "Grüße, signed"
    assert read_cms(compressed(b"x")).kind == COMPRESSED


def test_a_signed_file_is_listed_with_its_content(folder: Path) -> None:
    cms = openssl(folder, "-sign", "-nodetach", "-signer", "CERT", "-inkey", "KEY", data=b"<invoice/>")
    message = parse(mail(cms, 'application/pkcs7-mime; name="IT01.xml.p7m"', b"The invoice"))
    assert files(message) == ["IT01.xml.p7m", "IT01.xml"]
    assert message.protection == ""
    assert message.body_text == "The invoice"


def test_an_encrypted_file_beside_a_text_does_not_make_the_mail_encrypted(folder: Path) -> None:
    message = parse(mail(openssl(folder, "-encrypt", "-aes256", "CERT"), text=b"See the file"))
    assert (message.body_text, message.protection) == ("See the file", "")


def test_armoured_and_twice_encoded(folder: Path) -> None:
    cms = openssl(folder, "-sign", "-nodetach", "-signer", "CERT", "-inkey", "KEY")
    for written in (
        base64.encodebytes(cms),
        b"-----BEGIN PKCS7-----\n" + base64.encodebytes(cms) + b"-----END PKCS7-----",
    ):
        assert read_cms(written).kind == SIGNED


@pytest.mark.parametrize("step", range(1, 60, 3))
def test_what_is_broken_stays_a_file(folder: Path, step: int) -> None:
    cms = openssl(folder, "-sign", "-nodetach", "-stream", "-indef", "-signer", "CERT", "-inkey", "KEY")
    message = parse(mail(cms[: len(cms) * step // 60]))
    assert files(message) == ["smime.p7m"]
    assert not [defect for defect in message.defects if "not understood" in defect]


HOSTILE = {
    "nothing": b"",
    "one octet": b"0",
    "a length of 2^63": b"\x30\x88\x7f" + b"\xff" * 7,
    "nested indefinite": b"\x30\x80" * 500_000,
    "many empty values": tlv(0x30, b"\x05\x00" * 2_000_000),
    "a bomb": compressed(b"Content-Type: text/plain\r\n\r\n" + b"\0" * (200 << 20)),
    "high tags": b"\x3f\xff" * 100_000,
    "pem without an end": b"-----BEGIN PKCS7-----" * 200_000,
}


@pytest.mark.parametrize("cms", HOSTILE.values(), ids=HOSTILE)
def test_hostile_objects_cost_bounded_time(cms: bytes) -> None:
    begun = time.process_time()
    message = parse(mail(cms))
    assert time.process_time() - begun < 4
    assert files(message) == ["smime.p7m"]
    assert [defect for defect in message.defects if "could not be opened" in defect]


def test_enveloped_data_has_no_content(folder: Path) -> None:
    assert read_cms(openssl(folder, "-encrypt", "-aes256", "CERT")).kind == ENCRYPTED
    with pytest.raises(CmsError):
        read_cms(b"0\x03\x02\x01\x05")


CLEAR = """Before.
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

- -- dashed
Text that is signed.

- -----BEGIN is not one
-----BEGIN PGP SIGNATURE-----
Version: GnuPG v2

iQEzBAEBCAAdFiEE
-----END PGP SIGNATURE-----
After."""
ENCRYPTED_TEXT = "-----BEGIN PGP MESSAGE-----\n\nhQEMA1\n-----END PGP MESSAGE-----"


def plain(text: str) -> InboundMessage:
    return parse(MIME + b"\r\n" + text.replace("\n", "\r\n").encode())


def test_a_clear_signed_text_without_its_armour() -> None:
    message = plain(CLEAR)
    assert message.body_text == "Before.\n-- dashed\nText that is signed.\n\n-----BEGIN is not one\nAfter."
    assert message.protection == "pgp-signed"


def test_a_quoted_signed_text_is_somebody_elses() -> None:
    quoted = "\n".join(f"> {line}" for line in CLEAR.splitlines())
    message = plain(f"Look at this:\n{quoted}")
    assert "> -----BEGIN PGP SIGNED MESSAGE-----" in message.body_text
    assert message.protection == ""


def test_encrypted_text_stays_to_be_copied() -> None:
    message = plain(f"Hi\n{ENCRYPTED_TEXT}")
    assert message.protection == "pgp-encrypted"
    assert ENCRYPTED_TEXT in message.body_text


@pytest.mark.parametrize(
    ("kind", "last", "protection"),
    [
        ('signed; protocol="application/pgp-signature"', "application/pgp-signature", "pgp-signed"),
        ("signed", "application/pkcs7-signature", "smime-signed"),
        ('signed; protocol="application/x-pkcs7-signature"', "application/octet-stream", "smime-signed"),
    ],
)
def test_multipart_signed(kind: str, last: str, protection: str) -> None:
    message = parse(
        MIME
        + f"Content-Type: multipart/{kind}; boundary=b\r\n\r\n--b\r\n\r\nSigned text\r\n--b\r\n".encode()
        + f"Content-Type: {last}; name=s.sig\r\n\r\nxx\r\n--b--\r\n".encode()
    )
    assert (message.body_text, message.protection, files(message)) == ("Signed text", protection, ["s.sig"])


def test_pgp_mime_encrypted() -> None:
    message = parse(
        MIME + b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b\r\n\r\n'
        b"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\n"
        b"Content-Type: application/octet-stream; name=encrypted.asc\r\n\r\n"
        b"-----BEGIN PGP MESSAGE-----\r\n--b--\r\n"
    )
    assert message.protection == "pgp-encrypted"
    assert message.body_text.startswith("This message is encrypted (PGP).")
    assert "encrypted.asc" in files(message)
