"""Attachments (RFC 2183): their list, and the content of one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from webapp.mail import limits
from webapp.mail.body import Body, has_filename
from webapp.mail.charset import one_line
from webapp.mail.filenames import FileNames
from webapp.mail.message import AttachmentInfo
from webapp.mail.mime import Part


def list_attachments(root: Part, body: Body) -> tuple[tuple[AttachmentInfo, ...], list[str]]:
    """Every part that is not shown as body, up to the limit; and the defects met."""
    found = list(_attached(root, body))
    defects = []
    if len(found) > limits.ATTACHMENTS:
        defects.append(f"{len(found)} attachments, {limits.ATTACHMENTS} listed")
    kept = found[: limits.ATTACHMENTS]
    names = FileNames()
    return tuple(
        _describe(part, position, body, names.of(part, position))[0] for position, part in kept
    ), defects


def attachment_content(raw: bytes, position: int) -> tuple[AttachmentInfo, bytes]:
    """One attachment of a raw message with its decoded content; LookupError where there is none."""
    from webapp.mail.body import read_body
    from webapp.mail.containers import open_message

    root = open_message(raw).root
    body = read_body(root)
    names = FileNames()
    for number, part in _attached(root, body):
        name = names.of(part, number)
        if number == position:
            return _describe(part, position, body, name)
    for number, part in enumerate(root.leaves()):
        if number == position and part.opened:  # a container, listed before containers were opened
            return _describe(part, position, body, FileNames().of(part, number))
    raise LookupError(f"no attachment at position {position}")


def _attached(root: Part, body: Body) -> Iterator[tuple[int, Part]]:
    for position, part in enumerate(root.all_leaves()):
        if id(part) in body.parts or part.opened:
            continue
        if part.start >= part.end and not has_filename(part) and _is_text_or_multipart(part, root):
            continue  # nothing, called text or multipart
        if part.content_type == "application/applefile" and part.is_half:
            continue  # the Finder's half of a multipart/appledouble (RFC 1740): nothing to read elsewhere
        yield position, part


def _is_text_or_multipart(part: Part, root: Part) -> bool:
    return part is root or part.content_type.startswith(("text/", "multipart/"))


def _describe(part: Part, position: int, body: Body, filename: str) -> tuple[AttachmentInfo, bytes]:
    content = part.content()
    content_id = _content_id(part)
    is_picture = part.content_type.startswith("image/")
    referenced = content_id is not None and content_id.lower() in body.content_ids
    info = AttachmentInfo(
        position=position,
        filename=filename,
        content_type=part.content_type,
        size=len(content),
        inline=referenced or (is_picture and part.disposition == "inline"),
        content_id=content_id,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return info, content


def _content_id(part: Part) -> str | None:
    value = part.headers.first("content-id")
    if value is None:
        return None
    return one_line(value).strip("<> ")[: limits.MESSAGE_ID_CHARS] or None
