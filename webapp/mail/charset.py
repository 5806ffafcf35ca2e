"""Bytes to text, whatever the label says (RFC 2045 section 2.2, and fifty years of not reading it).

Declared charset, its aliases, UTF-8 if valid, detection, cp1252: in this order, so that the worst outcome
is a few odd letters and never an exception.
"""

from __future__ import annotations

import codecs
import re

from webapp.mail.charset_names import is_ascii_based, python_name, shown_label

DETECTION_SAMPLE = 4_096
DETECTION_OCTETS = 8  # with fewer beyond ASCII a guess is worse than cp1252

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_JIS_X_0208 = re.compile(rb"\x1b\$[@B]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class TextDecoder:
    """Decodes the texts of one message; counts the costly detections and collects the defects."""

    def __init__(self, detections: int = 4) -> None:
        self.defects: list[str] = []
        self._detections = detections

    def decode(self, data: bytes, label: str | None) -> str:
        name = python_name(label) if label else "utf-8"
        if data.isascii() and name is not None and is_ascii_based(name):
            return data.decode("ascii")
        if name is None:
            self._note(f"unknown charset {shown_label(label)}")
        text = _strictly(data, name) if name else None
        if text is not None:
            return without_surrogates(text)
        return without_surrogates(self._fall_back(data, name, label))

    def _fall_back(self, data: bytes, name: str | None, label: str | None) -> str:
        if name is not None and label:
            self._note(f"text is not in its charset {shown_label(label)}")
        if (text := _strictly(data, "utf-8")) is not None:
            return text
        if name == "utf-8" and _is_mostly_utf8(data):
            return data.decode("utf-8", "replace")
        if name not in (None, "utf-8", "cp1252"):
            text = data.decode(name or "utf-8", "replace")
            if text.count("\ufffd") * 20 <= len(text):
                return text
        guess = self._detect(data)
        return data.decode(guess or "cp1252", "replace")

    def _detect(self, data: bytes) -> str | None:
        for bom, name in _BOMS:
            if data.startswith(bom):
                return name
        if self._detections <= 0:
            return None
        self._detections -= 1
        return _detect(data)

    def _note(self, defect: str) -> None:
        if defect not in self.defects:
            self.defects.append(defect)


def without_surrogates(text: str) -> str:
    """`text` as every database and UTF-8 encoder takes it: no lone surrogates, no NUL."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if text.isascii():
        return text
    return _SURROGATES.sub("\ufffd", text)


def one_line(text: str) -> str:
    """`text` as a header value may be shown: control characters (a decoded CR LF above all) become blanks."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return without_surrogates(_CONTROLS.sub(" ", text)).strip()


def readable(text: str) -> str:
    """`text` as a body: newlines are LF, other control characters are gone."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return without_surrogates(_UNPRINTABLE.sub("", text))


def _strictly(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeError, LookupError, ValueError):
        if name == "iso2022_jp_ext":
            return _with_vendor_characters(data)
        if name == "cp1252":
            # Five octets are undefined in cp1252; browsers map them to the C1 controls, and so do we.
            return data.decode("cp1252", "replace") if not _UTF8_SEQUENCE.search(data) else None
        return None


def _with_vendor_characters(data: bytes) -> str | None:
    """ISO-2022-JP with the NEC row (circled digits, roman numerals), which only JIS X 0213 assigns."""
    try:
        return _JIS_X_0208.sub(b"\x1b$(O", data).decode("iso2022_jp_3")
    except UnicodeError:
        return None


def _is_mostly_utf8(data: bytes) -> bool:
    """Broken UTF-8 (cut, one bad octet) as against a single-octet charset under a wrong label."""
    good = sum(len(found) for found in _UTF8_SEQUENCE.findall(data))
    high = len(data) - len(data.translate(None, bytes(range(0x80, 0x100))))
    return good * 2 > high


def _detect(data: bytes) -> str | None:
    sample = b"\n".join(line for line in data[:65_536].splitlines() if not line.isascii())
    if sum(octet > 0x7F for octet in sample[:DETECTION_SAMPLE]) < DETECTION_OCTETS:
        return None
    from charset_normalizer import from_bytes  # 30 ms to import, and rarely needed

    try:
        best = from_bytes(sample[:DETECTION_SAMPLE], steps=3).best()
    except (ValueError, LookupError, ArithmeticError):
        return None
    return python_name(best.encoding) if best is not None else None
