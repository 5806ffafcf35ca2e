"""Defects of a message in the words of a page: what was odd, and what it means for the reader."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOT_LISTED = re.compile(r"([0-9]+) attachments, ([0-9]+) listed")
# How a defect begins -> what it means. Those that are plain words already are shown as they are.
_MEANINGS = {
    r"multipart without its closing boundary": "Its last part is not closed: the message may be cut off.",
    r"multipart without its boundary": "The mark between the parts of the message was not found as "
    "announced.",
    r"parts nested deeper than (.+)": "Parts inside parts, over {0} deep: "
    "what lies deeper is only in the original.",
    r"more than ([0-9]+) parts": "More than {0} parts: the others are only in the original.",
    r"multipart without its first boundary": "The mark before its first part is missing; the part is shown.",
    r"multipart labelled as text": "It calls itself plain text but has parts; the parts are shown.",
    r"more than one Content-Type": "A part says more than once what it is; what fits was taken.",
    r"malformed Content-Type": "A part does not say properly what it is; its type was guessed.",
    r"unknown charset (.+)": "The character set “{0}” is not known; it was guessed.",
    r"text is not in its charset (.+)": "The text is not in the character set it claims ({0}); it was "
    "guessed.",
    r"no empty line between header and body": "The header of the message runs into its text.",
    r"header line without a colon": "A line among the header fields is none; it was skipped.",
    r"header cut after (.+)": "The header is too long; it was read up to {0}.",
    r"header field cut after (.+)": "A header field is too long; it was read up to {0}.",
    r"text cut after (.+) characters": "The text is too long; {0} characters are shown.",
    r"HTML larger than (.+) characters": "The formatted version is too large to show; the text is shown, "
    "the rest is attached.",
    r"HTML of more than (.+) tags": "The formatted version is too large to show; its beginning is shown as "
    "text, all of it is attached.",
    r"HTML nested deeper than (.+)": "The formatted version is nested too deeply to show; the text is shown "
    "instead.",
    r"HTML that grows without bound": "The formatted version cannot be shown safely; the text is shown "
    "instead.",
    r"HTML left out": "The formatted version cannot be shown; the text is shown instead.",
    r"more than ([0-9]+) addresses in (.+)": "More than {0} addresses in {1}; the first are listed.",
    r"more than ([0-9]+) References": "Names more than {0} earlier messages; the newest are used.",
    r"sender in doubt: (.+)": "Who sent it cannot be said for sure: {0}.",
    r"too large: (.+)": "Too large: {0}.",
    r"(.+) not understood: .+": "The {0} of this message could not be understood.",
}
_COMPILED = tuple((re.compile(pattern), words) for pattern, words in _MEANINGS.items())


def oddities(defects: Iterable[str]) -> tuple[str, ...]:
    """One sentence each, in the order they were noted, none twice."""
    return tuple(dict.fromkeys(_meaning(defect) for defect in defects if not _NOT_LISTED.fullmatch(defect)))


def files_not_listed(defects: Iterable[str]) -> int:
    """How many attachments a message has beyond those that are listed."""
    for defect in defects:
        if found := _NOT_LISTED.fullmatch(defect):
            return max(0, int(found[1]) - int(found[2]))
    return 0


def _meaning(defect: str) -> str:
    for pattern, words in _COMPILED:
        if found := pattern.fullmatch(defect):
            return words.format(*found.groups())
    return f"{defect[:1].upper()}{defect[1:]}{'' if defect.endswith('.') else '.'}"
