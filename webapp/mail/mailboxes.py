"""An address field cut into mailboxes (RFC 5322 section 3.4), as they were written and however broken."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[^"()<>,;:\\]+|.', re.DOTALL)
_COMMENT_TOKEN = re.compile(r"\\.|[^()\\]+|.", re.DOTALL)
_ANGLE = re.compile(r'<((?:"(?:[^"\\]|\\.)*"|[^"<>])*)>')


@dataclass(slots=True, eq=False)
class Mailbox:
    """One mailbox as it was written, before anybody judges it."""

    phrase: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    angles: list[str] = field(default_factory=list)
    trailing: bool = False  # an address behind the <...>
    stray: bool = False  # brackets or quotes that do not match
    group: str | None = None  # the name of the RFC 5322 group it stands in
    group_closed: bool = False
    semicolon: bool = False  # it ends at one: no name goes on behind it

    def is_nameless(self) -> bool:
        """A piece such as `Doe` in `Doe, John <john@example.org>`: part of a name with a bare comma."""
        return not self.angles and "@" not in "".join(self.phrase)


def mailboxes(value: str) -> list[Mailbox]:
    """`value` cut at its commas and group marks. Linear in the length of `value`."""
    current = Mailbox()
    found = [current]
    first_of_group = 0
    position = 0
    while position < len(value):
        char = value[position]
        if char == "(":
            comment, position = _comment(value, position + 1)
            current.comments.append(comment)
            current.stray |= position > len(value)
        elif char == "<":
            position = _angle(value, position, current)
        elif char in ",;":
            position += 1
            current.semicolon = char == ";"
            group = current.group
            if char == ";" and group is not None:
                for mailbox in found[first_of_group:]:
                    mailbox.group_closed = True
                group = None
            current = Mailbox(group=group)
            found.append(current)
        elif char == ":" and current.group is None and not current.angles:
            current.group = "".join(current.phrase)
            current.phrase = []
            first_of_group = len(found) - 1
            position += 1
        else:
            token = _TOKEN.match(value, position)
            position = _word(token[0] if token else char, position, current)
    return found


def _comment(value: str, position: int) -> tuple[str, int]:
    """The text of a comment and the position behind it; beyond the end where it is never closed."""
    depth = 1
    start = position
    while position < len(value):
        token = _COMMENT_TOKEN.match(value, position)
        text = token[0] if token else value[position]
        depth += (text == "(") - (text == ")")
        position += len(text)
        if not depth:
            return value[start : position - 1], position
    return value[start:], len(value) + 1


def _angle(value: str, position: int, current: Mailbox) -> int:
    whole = _ANGLE.match(value, position)
    if whole is None:
        current.stray = True
        return position + 1
    current.angles.append(whole[1])
    return whole.end()


def _word(token: str, position: int, current: Mailbox) -> int:
    if token in (')"', ")", ">", '"'):
        current.stray = True
    if current.angles:
        current.trailing |= "@" in token
    else:
        current.phrase.append(token)
    return position + len(token)
