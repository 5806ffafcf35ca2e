"""Characters that nobody sees: what newsletters fill the preview line of a mailbox with, and odd blanks."""

from __future__ import annotations

import re

_UNSEEN = "\u00ad\u034f\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_ANY = re.compile(f"[{_UNSEEN}\xa0\u2007]")
# Joiners and direction marks do something between letters; the others never do where lines are not broken.
_RUN = re.compile(f"[ \t\xa0\u2007{_UNSEEN}]+")
_USELESS = re.compile("[\u00ad\u034f\u200b\u2060\ufeff]+")
_INDENT = 40  # blanks at the beginning of a line that are kept


def without_fillers(text: str) -> str:
    """`text` without them, no-break spaces as plain ones; runs of those keep their width only at the
    beginning of a line."""
    return _RUN.sub(_run, text) if _ANY.search(text) else text


def _run(found: re.Match[str]) -> str:
    run = found[0]
    if not _ANY.search(run):
        return run  # as it was written, in <pre> too
    blanks = sum(char in " \t\xa0\u2007" for char in run)
    if not blanks:
        return _USELESS.sub("", run)
    begin = found.start()
    if begin and found.string[begin - 1] != "\n":
        return " "
    return " " * min(blanks, _INDENT) if blanks == len(run) else ""
