"""Which messages a message names: Message-IDs (RFC 5322 section 3.6.4)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from webapp.mail import limits
from webapp.mail.charset import one_line
from webapp.mail.encoded_words import decode_words

_BRACKETED = re.compile(r"<([^<>]*)(>?)")
_BLANKS = re.compile(r"\s+")
_COMMENT = re.compile(r"\([^()]*\)")


def message_ids(value: str) -> tuple[str, ...]:
    """The ids in a Message-ID, In-Reply-To or References value, without angle brackets, each once.

    Outside brackets only words with "@" count: In-Reply-To of old mailers is prose around an id.
    """
    if "=?" in value:
        value = decode_words(value)  # some libraries encode what is too long for a line
    if "&lt;" in value:
        value = value.replace("&lt;", "<").replace("&gt;", ">")
    # The last bracket may be missing where a gateway cut the field.
    found = [_clean(inner) for inner, closed in _BRACKETED.findall(value) if closed or "@" in inner]
    ids = [one for one in found if one and not one.isspace()]
    if not ids:
        words = re.split(r"[\s,;<>\"]+", _COMMENT.sub(" ", value))
        ids = [_clean(word) for word in words if "@" in word.strip("@")]
    return tuple(dict.fromkeys(ids))


def message_id(values: Sequence[str]) -> str | None:
    """The message's own id; of several fields the first that holds one."""
    for value in values:
        if found := message_ids(value):
            return found[0]
    for value in values:
        # An id without "@" is still one, as long as it is one word.
        if (word := _clean(value)) and " " not in value.strip():
            return word
    return None


def reference_chain(values: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The newest ids of the References fields, oldest first, and whether older ones were left out."""
    ids = tuple(dict.fromkeys(one for value in values for one in message_ids(value)))
    return ids[-limits.REFERENCES :], len(ids) > limits.REFERENCES


def _clean(text: str) -> str:
    """White space inside an id comes from folding in the wrong place."""
    bare = _BLANKS.sub("", text).strip('<>,;"').removeprefix("mid:").removeprefix("MID:")
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    return one_line(bare)[: limits.MESSAGE_ID_CHARS]
