"""A message that is too large for one request: a draft without its large files, the files, then `send`.

The draft is made of the message's own MIME, so that every header field stays as it is (Message-ID,
References, Auto-Submitted); only attached files are taken out and added one by one. This needs the
permission Mail.ReadWrite, which sending alone does not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email import policy
from email.message import Message
from email.parser import BytesParser
from urllib.parse import quote

from .errors import AccessDenied, MailServerError, MessageRefused, Stage, UnexpectedServer
from .graph_errors import NO_PERMISSION, TOO_LARGE
from .graph_session import GraphSession

LARGEST_FILE_AT_ONCE = 3_000_000  # from 3 MB on Graph wants an upload session
LARGEST_FILE = 150_000_000
PIECE = 12 * 320 * 1024  # a piece may be up to 4 MB
_AS_IT_IS = policy.compat32.clone(linesep="\r\n", max_line_length=0)


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file that was taken out of a message."""

    name: str
    content_type: str
    octets: bytes = field(repr=False)


def send_in_parts(session: GraphSession, raw: bytes, limit: int, commit: Callable[[], None]) -> None:
    """Send a message of any size; `limit` is what may be in the draft's own request.

    Raises MailServerError; before `commit` was called nothing is on its way. A draft that could not be
    sent is removed, as far as Graph still answers.
    """
    small, files = take_files_out(raw, limit)
    if len(small) > limit or any(len(one.octets) > LARGEST_FILE for one in files):
        session.close()
        raise MessageRefused(TOO_LARGE, stage=Stage.SEND)
    draft = _make_draft(session, small)
    try:
        for one in files:
            _attach(session, draft, one)
        answer = session.call(
            "POST", f"{draft}/send", Stage.SEND, expect=range(200, 300), commit=commit, stays_open=True
        )
    except MailServerError as error:
        if not error.uncertain:
            _remove(session, draft)
        session.close()
        raise
    from .graph_send import check_accepted

    check_accepted(session, answer.status)


def take_files_out(raw: bytes, limit: int) -> tuple[bytes, list[AttachedFile]]:
    """The message without its largest attached files, as few as let it fit, and these in their order."""
    message: Message = BytesParser(policy=_AS_IT_IS).parsebytes(raw)
    parts = message.get_payload()
    if message.get_content_type() != "multipart/mixed" or not isinstance(parts, list):
        return raw, []
    files = [part for part in parts[1:] if isinstance(part, Message) and _is_file(part)]
    excess = len(raw) - limit
    taken = []
    for part in sorted(files, key=_encoded_size, reverse=True):
        if excess <= 0:
            break
        excess -= _encoded_size(part)
        taken.append(part)
    message.set_payload([part for part in parts if part not in taken])
    return message.as_bytes(policy=_AS_IT_IS), [_file(part) for part in files if part in taken]


def _is_file(part: Message) -> bool:
    return not part.is_multipart() and part.get_content_disposition() == "attachment"


def _encoded_size(part: Message) -> int:
    return len(str(part.get_payload()))


def _file(part: Message) -> AttachedFile:
    octets = part.get_payload(decode=True)
    name = part.get_filename() or "attachment"
    return AttachedFile(name, part.get_content_type(), octets if isinstance(octets, bytes) else b"")


def _make_draft(session: GraphSession, small: bytes) -> str:
    """The draft's path."""
    try:
        answer = session.call(
            "POST",
            f"{session.root}/messages",
            Stage.SEND,
            body=base64.b64encode(small),
            expect=(201,),
        )
    except AccessDenied as exc:
        raise MessageRefused(NO_PERMISSION, stage=Stage.SEND) from exc
    key = answer.json(Stage.SEND).get("id")
    if not isinstance(key, str) or not key:
        session.close()
        raise UnexpectedServer("a draft without an id", stage=Stage.SEND)
    return f"{session.root}/messages/{quote(key, safe='')}"


def _attach(session: GraphSession, draft: str, one: AttachedFile) -> None:
    if len(one.octets) < LARGEST_FILE_AT_ONCE:
        body = {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": one.name,
            "contentType": one.content_type,
            "contentBytes": base64.b64encode(one.octets).decode("ascii"),
        }
        session.call("POST", f"{draft}/attachments", Stage.SEND, body=body, expect=(201,), stays_open=True)
        return
    item = {
        "attachmentType": "file",
        "name": one.name,
        "size": len(one.octets),
        "contentType": one.content_type,
    }
    path = f"{draft}/attachments/createUploadSession"
    answer = session.call(
        "POST", path, Stage.SEND, body={"AttachmentItem": item}, expect=(200, 201), stays_open=True
    )
    _upload(session, str(answer.json(Stage.SEND).get("uploadUrl") or ""), one.octets)


def _upload(session: GraphSession, url: str, octets: bytes) -> None:
    size = len(octets)
    status = 0
    for start in range(0, size, PIECE):
        piece = octets[start : start + PIECE]
        where = f"bytes {start}-{start + len(piece) - 1}/{size}"
        status = session.upload(url, piece, where, Stage.SEND).status
    if status != 201:
        raise UnexpectedServer("an upload that did not end", stage=Stage.SEND)


def _remove(session: GraphSession, draft: str) -> None:
    """Into the deleted items: it would lie among the drafts for ever."""
    with suppress(MailServerError):
        session.call("DELETE", draft, Stage.SEND, expect=(204,), missing_is_fine=True)
