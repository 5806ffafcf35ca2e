"""The sender's words, known from the HTML of a message, found again in its plain text.

Both say the same in other layout. Letters and digits alone are compared, so that line breaks, quotation
marks, bullets and the ways to write a link or a picture make no difference.
"""

from __future__ import annotations

import re

# What only one of both forms has: addresses of links, places of pictures.
_DECORATION = re.compile(
    r"""<?(?:https?://|mailto:|tel:)[^\s<>]{1,2000}>?
    |\[(?:cid:|image:|inline\ image|description:)[^\]\n]{0,300}\]""",
    re.IGNORECASE | re.VERBOSE,
)
_TAIL = 40  # letters and digits that tell one place from another
_HEAD = 20


def cut_to(text: str, own_words: str) -> str | None:
    """The beginning of `text` that says what `own_words` says; None where it cannot be found."""
    bare = _bare(text)
    wanted, _ = _letters(_bare(own_words))
    present, positions = _letters(bare)
    if not wanted or len(wanted) > len(present):
        return None
    if present.startswith(wanted):
        end = len(wanted)
    else:
        # A word more or less in between, as an emoji or a number of a list: its end is found all the same.
        tail = wanted[-_TAIL:]
        if len(wanted) < 2 * _TAIL or not present.startswith(wanted[:_HEAD]) or present.count(tail) != 1:
            return None
        end = present.index(tail) + len(tail)
    last = positions[end - 1] + 1
    line_end = text.find("\n", last)
    line_end = len(text) if line_end < 0 else line_end
    # Punctuation and an address behind the last word, but no words of the next sentence.
    goes_on = any(char.isalnum() for char in bare[last:line_end])
    return text[: last if goes_on else line_end].rstrip()


def _bare(text: str) -> str:
    """`text` with blanks in place of what only one of both forms has."""
    return _DECORATION.sub(lambda found: " " * len(found[0]), text)


def _letters(bare: str) -> tuple[str, list[int]]:
    """The letters and digits, in lower case, and where each stands."""
    kept = [(char.lower(), position) for position, char in enumerate(bare) if char.isalnum()]
    # A letter that is two in lower case would shift what follows.
    return "".join(char[:1] for char, _ in kept), [position for _, position in kept]
