"""How a message is signed or encrypted, said in words; nothing is verified here."""

from __future__ import annotations

from webapp.mail.mime import Part

_ENCRYPTED_TEXTS = {
    "smime-encrypted": "This message is encrypted (S/MIME). "
    "It can be read in a mail program that has the key; the file is attached.",
    "pgp-encrypted": "This message is encrypted (PGP). "
    "It can be read in a mail program that has the key; the file is attached.",
}
_SIGNATURES = {
    "application/pkcs7-signature": "smime-signed",
    "application/x-pkcs7-signature": "smime-signed",
    "application/pgp-signature": "pgp-signed",
}


def protection_of(root: Part, smime: str, in_text: str) -> str:
    """One of `message.PROTECTIONS`: of the parts, of S/MIME that was opened, of armour in the text.

    What is encrypted counts before what is signed, because nobody can read it here.
    """
    found = [smime, *_of_parts(root), in_text]
    encrypted = [one for one in found if one.endswith("-encrypted")]
    return next(iter(encrypted), "") or next(filter(None, found), "")


def encrypted_text(protection: str) -> str:
    """What stands where the text would, "" for a message that can be read."""
    return _ENCRYPTED_TEXTS.get(protection, "")


def _of_parts(part: Part) -> list[str]:
    found = []
    if part.content_type == "multipart/encrypted" and part.children:
        kinds = {
            part.parameters.get("protocol", "").lower(),
            *(child.content_type for child in part.children),
        }
        found.append("pgp-encrypted" if "application/pgp-encrypted" in kinds else "")
    if part.content_type == "multipart/signed":
        protocol = part.parameters.get("protocol", "").lower()
        last = part.children[-1].content_type if part.children else ""
        found.append(_SIGNATURES.get(last) or _SIGNATURES.get(protocol, ""))
    for inner in (*part.children, *part.inside):
        found += _of_parts(inner)
    return found
