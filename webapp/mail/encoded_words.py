"""Encoded words (RFC 2047) decoded, wherever senders really put them and however they break them."""

from __future__ import annotations

import binascii
import re

from webapp.mail import limits
from webapp.mail.charset import TextDecoder, without_surrogates
from webapp.mail.charset_names import python_name

# The text may hold "?" (broken, but sent), never the beginning of another word. Nothing is tried twice, so
# that a row of openings stays linear. Blanks between the pieces come from folding in the wrong place.
_ENCODED_WORD = re.compile(
    r"=\?\s{0,3}([^?\s=]{1,80})\s{0,3}\?\s{0,3}([bBqQ])\s{0,3}\?"
    r"((?:[^?=]++|\?(?!=)|=(?!\?\s{0,3}[^?\s=]{1,80}\s{0,3}\?\s{0,3}[bBqQ]\s{0,3}\?))*+)(\?=|\Z)"
)
_CUT_TAIL = re.compile(r"(?:\?|=[0-9A-Fa-f]?)\Z")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


def decode_words(value: str) -> str:
    """RFC 2047 encoded words wherever they stand: also inside quotes, in comments and in file names."""
    if "=?" not in value:
        return value
    pieces: list[str] = []
    pending: list[tuple[str, str, str]] = []  # adjacent words of one charset: decoded together
    position = 0
    for count, found in enumerate(_ENCODED_WORD.finditer(value)):
        if count == limits.ENCODED_WORDS:
            break
        between = value[position : found.start()]
        word = (found[1].partition("*")[0].lower(), found[2].upper(), found[3])
        if found[4] != "?=":
            word = (*word[:2], _CUT_TAIL.sub("", word[2]))
        if found[4] != "?=" and not _is_cut_short(word, value[found.end(3) :]):
            break
        if pending and (between.strip() or pending[-1][0] != word[0]):
            pieces.append(_decode_run(pending))
            pending = []
        # White space between two encoded words is not part of the text (RFC 2047 section 6.2).
        if between.strip() or position == 0:
            pieces.append(between)
        pending.append(word)
        position = found.end()
    if pending:
        pieces.append(_decode_run(pending))
    pieces.append(value[position:])
    return without_surrogates("".join(pieces))


def _is_cut_short(word: tuple[str, str, str], behind: str) -> bool:
    """Whether an encoded word without its end is the tail that a limit cut off, and not just text."""
    charset, encoding, text = word
    if behind or not text or python_name(charset) is None:
        return False
    return encoding == "Q" or _NOT_BASE64.search(text.encode("utf-8", "replace").rstrip(b"=? ")) is None


def _decode_run(words: list[tuple[str, str, str]]) -> str:
    """Adjacent words of one charset: senders split characters, even base64 quanta, between them."""
    charset = words[0][0]
    decoder = TextDecoder(detections=0)
    text = decoder.decode(_octets(words, charset, joining=True), charset)
    if decoder.defects and len(words) > 1:
        # Words without padding that were whole each.
        decoder = TextDecoder(detections=0)
        apart = decoder.decode(_octets(words, charset, joining=False), charset)
        return text if decoder.defects else apart
    return text


def _octets(words: list[tuple[str, str, str]], charset: str, *, joining: bool) -> bytes:
    data = b""
    base64 = ""
    for _, encoding, text in words:
        if encoding == "Q":
            data += _base64(base64) + _q_encoding(text, charset)
            base64 = ""
            continue
        base64 += text
        pure = _NOT_BASE64.sub(b"", base64.encode("ascii", "ignore"))
        if not joining or "=" in text or len(pure) % 4 == 0:
            data += _base64(base64)
            base64 = ""
    return data + _base64(base64)


def _base64(text: str) -> bytes:
    pure = _NOT_BASE64.sub(b"", text.encode("ascii", "ignore"))
    pure = pure[: len(pure) - 1] if len(pure) % 4 == 1 else pure
    return binascii.a2b_base64(pure + b"=" * (-len(pure) % 4))


def _q_encoding(text: str, charset: str) -> bytes:
    """The octets of a Q word; letters that stand there raw go back to what they were in its charset."""
    text = text.replace("_", " ")
    if text.isascii():
        data = text.encode("ascii")
    else:
        try:
            data = text.encode(python_name(charset) or "utf-8")
        except (UnicodeError, LookupError, ValueError):
            data = text.encode("utf-8", "replace")
    return _HEX.sub(lambda found: bytes([int(found[1], 16)]), data)
