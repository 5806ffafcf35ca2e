"""Authentication-Results (RFC 8601): what a mail server found out about who sent a message.

Anybody can write the field into a message. Only those count that carry the name of our own server, and of
them the topmost: servers add fields at the top (RFC 5321 section 4.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FIELD = "authentication-results"
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_FAIL = re.compile(r"\bdmarc\s*(?:/\s*[0-9]+\s*)?=\s*fail\b", re.IGNORECASE | re.ASCII)
_RESULT = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)(?:\s*/\s*[0-9]+)?\s*=\s*([A-Za-z]+)(?=\s|$)", re.ASCII)


def dmarc_result(fields: Iterable[tuple[str, str]], authserv_id: str) -> str | None:
    """The topmost field of that server: its DMARC result in lower case ("pass", "fail", "none"), or None.

    `fields` are name and unfolded value as written (no encoded word decoded), topmost first. None, too, where
    the field is malformed, has no DMARC result, or more than one that differ; unless "dmarc=fail" stands
    anywhere in it. A server that copies an open "(" or quote from MAIL FROM would otherwise let a sender put
    the server's own "fail" into a comment; to write "fail" there hurts only who writes it. A "pass" counts
    never where the field is not clear.
    """
    for name, value in fields:
        if name.lower() != FIELD:
            continue
        bare = _without_quotes_and_comments(value)
        if _server(bare if bare is not None else value) != _folded(authserv_id):
            continue
        found = _dmarc(bare) if bare is not None else set()
        if len(found) == 1:
            return found.pop()
        return "fail" if _FAIL.search(value) else None
    return None


def _server(bare: str) -> str:
    """The authserv-id; "" where the field is of a version we do not know (section 2.5)."""
    words = bare.partition(";")[0].split()
    known = bool(words) and (len(words) == 1 or words[1] == "1")
    return _folded(words[0]) if known else ""


def _dmarc(bare: str) -> set[str]:
    parts = (_RESULT.match(part) for part in bare.split(";")[1:])
    return {part[2].lower() for part in parts if part and part[1].lower() == "dmarc"}


def _without_quotes_and_comments(value: str) -> str | None:
    """Both may hold what a stranger chose, semicolons too. None where one is never closed."""
    kept: list[str] = []
    position = depth = 0
    while position < len(value):
        char = value[position]
        if depth and char == "\\":
            position += 1
        elif char == "(":
            depth += 1
        elif char == ")":
            if not depth:
                return None
            depth -= 1
            kept.append(" ")
        elif not depth and char == '"':
            quoted = _QUOTED.match(value, position)
            if quoted is None:
                return None
            kept.append('""')
            position = quoted.end() - 1
        elif not depth:
            kept.append(char)
        position += 1
    return None if depth else "".join(kept)


def _folded(server: str) -> str:
    return server.strip().rstrip(".").lower()
