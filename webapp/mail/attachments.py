"""Attachments (RFC 2183): their list, safe names for them, and the content of one."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator

from webapp.mail import limits
from webapp.mail.body import Body, has_filename
from webapp.mail.charset import one_line
from webapp.mail.headers import split_headers
from webapp.mail.message import AttachmentInfo
from webapp.mail.mime import Part, split_message

# What a file system or a browser may take for a path, a device, a format or a direction mark.
_PATH = re.compile(r"^.*[/\\]", re.DOTALL)
_FORBIDDEN = re.compile(r"[<>:\"|?*]")
_BAD_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_DEVICES = re.compile(r"^(?:con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)
_EXTENSION_CHARS = 20
_EXTENSIONS = {
    "message/rfc822": ".eml",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "text/rfc822-headers": ".txt",
    "text/calendar": ".ics",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "application/pdf": ".pdf",
    "application/pgp-signature": ".asc",
    "application/pkcs7-signature": ".p7s",
    "application/x-pkcs7-signature": ".p7s",
    "application/ms-tnef": ".dat",
}


def list_attachments(root: Part, body: Body) -> tuple[tuple[AttachmentInfo, ...], list[str]]:
    """Every part that is not shown as body, up to the limit; and the defects met."""
    found = list(_attached(root, body))
    defects = []
    if len(found) > limits.ATTACHMENTS:
        defects.append(f"{len(found)} attachments, {limits.ATTACHMENTS} listed")
    kept = found[: limits.ATTACHMENTS]
    return tuple(_describe(part, position, body)[0] for position, part in kept), defects


def attachment_content(raw: bytes, position: int) -> tuple[AttachmentInfo, bytes]:
    """One attachment of a raw message with its decoded content; LookupError where there is none."""
    from webapp.mail.body import read_body

    root, _ = split_message(raw)
    body = read_body(root)
    for number, part in _attached(root, body):
        if number == position:
            return _describe(part, position, body)
    raise LookupError(f"no attachment at position {position}")


def safe_filename(name: str, *, default: str = "attachment") -> str:
    """`name` as every file system and header takes it, at most 150 characters, extension kept.

    Invisible characters go first and everything else is judged afterwards, or ".<ZWSP>htaccess" passes.
    """
    name = unicodedata.normalize("NFC", name[:4_000])
    name = "".join(char for char in name if not _is_invisible(char))
    name = _FORBIDDEN.sub("_", _PATH.sub("", name))
    name = " ".join(name.split()).strip(". ")
    name = _DEVICES.sub(lambda found: f"_{found[0]}", name)
    return _shortened(name) or default


def _attached(root: Part, body: Body) -> Iterator[tuple[int, Part]]:
    for position, part in enumerate(root.leaves()):
        if id(part) in body.parts:
            continue
        if part.start >= part.end and not has_filename(part) and _is_text_or_multipart(part, root):
            continue  # nothing, called text or multipart
        yield position, part


def _is_text_or_multipart(part: Part, root: Part) -> bool:
    return part is root or part.content_type.startswith(("text/", "multipart/"))


def _describe(part: Part, position: int, body: Body) -> tuple[AttachmentInfo, bytes]:
    content = part.content()
    content_id = _content_id(part)
    is_picture = part.content_type.startswith("image/")
    referenced = content_id is not None and content_id.lower() in body.content_ids
    info = AttachmentInfo(
        position=position,
        filename=_filename(part, position),
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


def _filename(part: Part, position: int) -> str:
    written = part.disposition_parameters.get("filename") or part.parameters.get("name") or ""
    extension = _EXTENSIONS.get(part.content_type, "")
    if not written and part.content_type == "message/rfc822":
        nested, _ = split_headers(part.source, part.start, min(part.end, part.start + limits.HEADER_BLOCK))
        written = nested.decoded("subject").replace("/", "-").replace("\\", "-")
        written = f"{written[: limits.FILENAME_CHARS - len(extension)]}{extension}" if written else ""
    return safe_filename(written, default=f"part-{position + 1}{extension}")


def _is_invisible(char: str) -> bool:
    if char < "\x7f":
        return char < " "
    return (
        unicodedata.category(char) in _BAD_CATEGORIES
        or char in _BLANK_LETTERS
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def _shortened(name: str) -> str:
    if len(name) <= limits.FILENAME_CHARS:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > _EXTENSION_CHARS:
        return name[: limits.FILENAME_CHARS].rstrip(". ")
    return f"{stem[: limits.FILENAME_CHARS - len(extension) - 1].rstrip('. ')}.{extension}"
