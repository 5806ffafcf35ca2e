"""Text with OpenPGP armour in it (RFC 9580 sections 6 and 7): the signed text without its wrapping."""

from __future__ import annotations

import re

SIGNED, ENCRYPTED = "pgp-signed", "pgp-encrypted"

_MARK = "-----BEGIN PGP "
_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_SIGNATURE_END = "-----END PGP SIGNATURE-----"
_MESSAGE = "-----BEGIN PGP MESSAGE"
_MESSAGE_END = "-----END PGP MESSAGE"
_ARMOUR_FIELD = re.compile(r"[A-Za-z-]{1,40}:[ \t]?[^\n]*\Z")
_MOST_BLOCKS = 20


def without_armour(text: str) -> tuple[str, str]:
    """`text` with the wrapping of signed blocks taken off, and how it is protected ("" for not at all).

    A quoted block ("> -----BEGIN") is somebody else's and stays; encrypted blocks stay as they are.
    """
    if _MARK not in text:
        return text, ""
    protection = ""
    if _line_at(text, _MESSAGE, 0) >= 0 and _line_at(text, _MESSAGE_END, 0) >= 0:
        protection = ENCRYPTED
    pieces: list[str] = []
    position = 0
    for _ in range(_MOST_BLOCKS):
        block = _signed_block(text, position)
        if block is None:
            break
        begin, content_begin, content_end, behind = block
        pieces += [text[position:begin], _unescaped(text[content_begin:content_end])]
        position = behind
        protection = protection or SIGNED
    pieces.append(text[position:])
    return "".join(pieces), protection


def _signed_block(text: str, position: int) -> tuple[int, int, int, int] | None:
    """Where the block begins, its text begins and ends, and what is behind it begins."""
    begin = _line_at(text, _SIGNED, position)
    signature = _line_at(text, _SIGNATURE, begin) if begin >= 0 else -1
    if signature < 0:
        return None
    content = _behind_line(text, begin)
    while content < signature:  # "Hash: SHA256", and an empty line behind
        following = _behind_line(text, content)
        line = text[content : following - 1].strip()
        if line and not _ARMOUR_FIELD.match(line):
            break
        content = following
        if not line:
            break
    end = _line_at(text, _SIGNATURE_END, signature)
    behind = _behind_line(text, end if end >= 0 else signature)
    return begin, min(content, signature), signature, behind if end >= 0 else len(text)


def _line_at(text: str, mark: str, position: int) -> int:
    """Where a line begins with `mark`; -1 for nowhere."""
    while (found := text.find(mark, position)) > 0 and text[found - 1] != "\n":
        position = found + len(mark)
    return found


def _behind_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _unescaped(text: str) -> str:
    """Dash-escaping undone (RFC 9580 section 7.2)."""
    return re.sub(r"(?m)^- (?=.)", "", text)
