"""Files inside mails that are attached to a mail: found by the positions on the way to them."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.mail.attachments import attachment_content
from webapp.mail.message import AttachmentInfo

MAX_NESTING = 6  # positions on the way to a file, the outermost one counted too
_MAIL_TYPES = frozenset({"message/rfc822", "message/global"})
_UNTOLD = frozenset({"application/octet-stream", "text/plain"})


def content_at(raw: bytes, path: Sequence[int]) -> tuple[AttachmentInfo, bytes]:
    """The attachment at the end of `path`: each position is one in the mail found so far.

    LookupError where there is none, or the path is longer than MAX_NESTING.
    """
    if not 0 < len(path) <= MAX_NESTING:
        raise LookupError(f"no attachment {len(path)} mails deep")
    for position in path:
        info, raw = attachment_content(raw, position)
    return info, raw


def is_mail(content_type: str, filename: str) -> bool:
    """Whether an attachment is a mail that can be read as one (RFC 2046 section 5.2.1, RFC 6532)."""
    if content_type in _MAIL_TYPES:
        return True
    return content_type in _UNTOLD and filename.lower().endswith(".eml")
