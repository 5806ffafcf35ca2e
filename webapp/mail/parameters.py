"""Parameters of Content-Type and Content-Disposition (RFC 2045 section 5.1, RFC 2231), broken ones too."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from webapp.mail.charset import TextDecoder, one_line
from webapp.mail.headers import decode_words

_PARAMETER = re.compile(
    r"""[;\s]*([^\s=;"]{1,100})[ \t\r\n]*=[ \t\r\n]*("(?:[^"\\]|\\.)*"|"?[^;"]*)""",
    re.DOTALL,
)
_SECTION = re.compile(r"^([^*]+)(?:\*(\d{1,3}))?(\*)?$")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MAX_PARAMETERS = 100

Sections = dict[str, dict[int, tuple[str, bool]]]


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """What stands in front of the first ";" (lower case, no blanks), and the parameters by lower name."""
    main, _, rest = value.partition(";")
    if "=" in main and "/" not in main:
        main, rest = "", value
    plain: dict[str, str] = {}
    sections: Sections = {}
    for count, found in enumerate(_PARAMETER.finditer(rest)):
        if count == _MAX_PARAMETERS:
            break
        _collect(found[1].lower(), _unquoted(found[2]), plain, sections)
    parameters = {name: one_line(decode_words(text)) for name, text in plain.items()}
    # RFC 2231 wins over a plain twin, which senders add for old readers.
    parameters.update({name: one_line(_joined(parts)) for name, parts in sections.items()})
    return "".join(main.split()).lower(), parameters


def _collect(name: str, text: str, plain: dict[str, str], sections: Sections) -> None:
    found = _SECTION.match(name)
    if found is None or "*" not in name:
        plain.setdefault(name, text)
        return
    number = int(found[2] or 0)
    sections.setdefault(found[1], {}).setdefault(number, (text, found[3] is not None))


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        inner = text[1:-1]
        # Windows paths in file names (C:\dir\x.txt) are no escapes.
        return _ESCAPE.sub(r"\1", inner) if '\\"' in inner or "\\\\" in inner else inner
    return text.strip().strip("'\"")


def _joined(parts: dict[int, tuple[str, bool]]) -> str:
    """RFC 2231 sections 3 and 4: the sections in order, percent-decoded as one run of octets."""
    ordered = [parts[number] for number in sorted(parts)]
    first, encoded = ordered[0]
    charset: str | None = None
    if encoded and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
        ordered[0] = (first, encoded)
    if not any(encoded for _, encoded in ordered):
        return decode_words("".join(text for text, _ in ordered))
    octets = b"".join(
        unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace") for text, encoded in ordered
    )
    text = TextDecoder(detections=0).decode(octets, charset or None)
    return decode_words(text)
