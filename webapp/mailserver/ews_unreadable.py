"""A message that an Exchange cannot hand out: what is left of it, so that somebody hears of it."""

from __future__ import annotations

import re

_FIELD = re.compile(rb"[^\r\n]+(?:\r\n[ \t][^\r\n]*)*\r\n")
# They describe a body that is not there.
_OF_THE_BODY = (b"content-", b"mime-version")
_NOTE = (
    "The Exchange server could not hand out the content of this message ({code}).\r\n"
    "Only its header came through. Open the message itself in the mailbox, where it is kept.\r\n"
)


def header_with_note(header: bytes, code: str) -> bytes:
    """A message of the header (with CRLF line ends) and a note in place of the body.

    `code` is the EWS response code.
    """
    fields = _FIELD.findall(header)
    kept = [one for one in fields if not one.lower().startswith(_OF_THE_BODY)]
    about = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
    return b"".join(kept) + about + b"\r\n" + _NOTE.format(code=code).encode("ascii")
