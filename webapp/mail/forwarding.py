"""Whether a message hands on what somebody else wrote: then that is what its sender wants to say."""

from __future__ import annotations

import re

from webapp.mail.quotes_words import FORWARD_SUBJECT

# Behind the tags of tickets and lists.
_FORWARD = re.compile(
    rf"(?:\[[^\]]{{1,40}}\]\s*){{0,5}}(?P<prefix>{FORWARD_SUBJECT})\s?(?:\[\d{{1,3}}\])?\s?[:：]",
    re.IGNORECASE,
)


def is_forward(subject: str, text: str) -> bool:
    """By the first prefix: "Re: Fwd: printer" answers a forward and is none.

    "VS:" is Danish and Norwegian for a forward and Finnish for an answer; the `text` tells which.
    """
    found = _FORWARD.match(subject[:300].strip())
    return found is not None and (found["prefix"].lower() != "vs" or "lähettäjä" not in text.lower())
