"""Parameters of Content-Type and Content-Disposition (RFC 2045 section 5.1, RFC 2231), broken ones too."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from webapp.mail.charset import TextDecoder, one_line
from webapp.mail.charset_names import python_name
from webapp.mail.encoded_words import decode_words

# A value is quoted, or goes on to the next ";" that a parameter follows: file names with blanks and
# semicolons are sent without quotes. No name begins within a word, so that a long word is tried once.
_PARAMETER = re.compile(
    r"""(?<![^\s=;"])([^\s=;"]{1,100})[ \t\r\n]*+=[ \t\r\n]*
        ("(?:[^"\\]|\\.)*"(?=\s*(?:;|\(|\Z|[\w*-]{1,40}=))|[^;]*(?:;(?![^;=]*=)[^;]*)*)""",
    re.DOTALL | re.VERBOSE,
)
_MAIN = re.compile(
    r"\s*(?:content-(?:type|disposition)\s*:)?[\s\"']*([^\s;,\"'=]+)(?=[\s;,\"']|\Z)", re.IGNORECASE
)
_COMMENT = re.compile(r"\([^()]*\)")
_SECTION = re.compile(r"^([^*]+)(?:\*(\d{1,3}))?(\*)?$")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MAX_PARAMETERS = 100
_NAMES = ("filename", "name")

Sections = dict[str, dict[int, tuple[str, bool]]]


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """What stands in front of the first ";" (lower case, no blanks), and the parameters by lower name."""
    main, rest = _main(value)
    plain: dict[str, str] = {}
    sections: Sections = {}
    for count, found in enumerate(_PARAMETER.finditer(rest)):
        if count == _MAX_PARAMETERS:
            break
        name = found[1].lower()
        _collect(name, _unquoted(found[2], is_name=name.partition("*")[0] in _NAMES), plain, sections)
    parameters = {name: one_line(decode_words(text)) for name, text in plain.items()}
    # RFC 2231 wins over a plain twin, which senders add for old readers.
    parameters.update({name: one_line(_joined(parts)) for name, parts in sections.items()})
    return main, parameters


def _main(value: str) -> tuple[str, str]:
    """The type without comments, and the rest: also behind a blank or a comma where ";" is missing."""
    head, semicolon, rest = value.partition(";")
    if "(" in head:
        head = _COMMENT.sub(" ", head)
    plain = head.strip()
    if semicolon and plain.isascii() and "=" not in plain and not any(char in plain for char in " \t,:\"'"):
        return plain.lower(), rest
    found = _MAIN.match(head)
    if found is None:
        return ("", value) if "=" in head else ("".join(head.split()).lower(), rest)
    behind = head[found.end() :].strip(" \t\r\n,\"'")
    if "=" in behind:
        return found[1].lower(), f"{behind};{rest}"
    main = found[1] if "/" in found[1].strip("/") else "".join(f"{found[1]}{behind}".split())
    return main.lower(), rest


def _collect(name: str, text: str, plain: dict[str, str], sections: Sections) -> None:
    found = _SECTION.match(name)
    if found is None or "*" not in name:
        if not plain.get(name):
            plain[name] = text
        return
    number = int(found[2] or 0)
    sections.setdefault(found[1], {}).setdefault(number, (text, found[3] is not None))


def _unquoted(text: str, *, is_name: bool) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        inner = text[1:-1]
        # Windows paths in file names (C:\dir\x.txt) are no escapes.
        return _ESCAPE.sub(r"\1", inner) if '\\"' in inner or "\\\\" in inner else inner
    text = text.strip().rstrip("; \t\r\n")
    if not is_name:
        # Beside file names a value is one word; "utf-8 (plain text)" has a comment behind it.
        text = text.partition(";")[0].partition("(")[0] or text
    return text.strip().strip("'\"")


def _joined(parts: dict[int, tuple[str, bool]]) -> str:
    """RFC 2231 sections 3 and 4: the sections in order, percent-decoded as one run of octets."""
    ordered = [parts[number] for number in sorted(parts)]
    first, encoded = ordered[0]
    charset: str | None = None
    if encoded and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
        ordered[0] = (first, encoded)
    elif encoded and (label := first.partition("'"))[1] and python_name(label[0]) is not None:
        charset, _, first = label  # one of the two quotes is missing
        ordered[0] = (first, encoded)
    if not any(encoded for _, encoded in ordered):
        return decode_words("".join(text for text, _ in ordered))
    octets = b"".join(
        unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace") for text, encoded in ordered
    )
    text = TextDecoder(detections=0).decode(octets, charset or None)
    return decode_words(text)
