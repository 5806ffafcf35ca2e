"""Files of a message as a page lists them: name, type in words, size, and what can be done with each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from flask import url_for
from flask.sansio.app import App
from werkzeug.routing import BaseConverter

from webapp.inbound.received import RAW_MESSAGE
from webapp.mail.nested import MAX_NESTING, is_mail
from webapp.mail.pictures import may_be_picture

Path = tuple[int, ...]  # positions inside attached mails; () is the attachment itself
_TYPE_WORDS = {
    "application/pdf": "PDF",
    "application/zip": "ZIP archive",
    "application/x-zip-compressed": "ZIP archive",
    "application/msword": "Word document",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word document",
    "application/vnd.ms-excel": "Excel workbook",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel workbook",
    "application/vnd.ms-powerpoint": "PowerPoint presentation",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "PowerPoint presentation",
    "application/octet-stream": "file",
    "application/pgp-signature": "signature",
    "application/pkcs7-signature": "signature",
    "application/x-pkcs7-signature": "signature",
    "application/pkcs7-mime": "protected message",
    "application/x-pkcs7-mime": "protected message",
    "application/pgp-encrypted": "protected message",
    "image/jpeg": "JPEG picture",
    "image/jpg": "JPEG picture",
    "image/png": "PNG picture",
    "image/gif": "GIF picture",
    "image/webp": "WebP picture",
    "image/svg+xml": "SVG drawing",
    "message/rfc822": "mail",
    "message/global": "mail",
    "message/delivery-status": "delivery report",
    "text/calendar": "invitation",
    "text/csv": "CSV table",
    "text/html": "HTML page",
    "text/plain": "text",
    "text/vcard": "business card",
    "text/x-vcard": "business card",
}


class Described(Protocol):
    """What an attachment's row and the parser's AttachmentInfo both tell."""

    @property
    def filename(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def inline(self) -> bool: ...
    @property
    def content_id(self) -> str | None: ...
    @property
    def position(self) -> int: ...


@dataclass(frozen=True, slots=True)
class File:
    """One file on a page: `thumbnail` and `picture` where it may be one, `mail` where it can be read."""

    name: str
    type: str
    size: int
    in_text: bool  # shown where the sender put it, in the formatted view
    download: str
    thumbnail: str | None
    picture: str | None
    mail: str | None
    content_type: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is: a ticket's attachment, or inside one that is a mail."""

    number: int
    attachment_id: int
    path: Path = ()

    @property
    def way(self) -> list[Place]:
        """The attached mails this one is inside of, the outermost first."""
        if not self.path:
            return []
        return [Place(self.number, self.attachment_id, self.path[:depth]) for depth in range(len(self.path))]

    @property
    def may_be_opened(self) -> bool:
        """Whether what is inside of it still has an address."""
        return len(self.path) < MAX_NESTING - 1

    def inside(self, position: int) -> Place:
        return Place(self.number, self.attachment_id, (*self.path, position))

    def address(self, endpoint: str, **more: Any) -> str:
        """The address of `endpoint` for it; views that know files have two rules, with and without a path."""
        within: dict[str, Any] = {"path": self.path} if self.path else {}
        return url_for(endpoint, number=self.number, attachment_id=self.attachment_id, **within, **more)


class PathConverter(BaseConverter):
    """The <path> of an address: positions with points between them."""

    regex = rf"[0-9]{{1,5}}(?:\.[0-9]{{1,5}}){{0,{MAX_NESTING - 2}}}"
    part_isolating = True

    def to_python(self, value: str) -> Path:
        return tuple(int(position) for position in value.split("."))

    def to_url(self, value: Path) -> str:
        return ".".join(str(position) for position in value)


def add_converter(app: App) -> None:
    """Before the first address with a path in it."""
    app.url_map.converters["mail_path"] = PathConverter


def list_files(files: Iterable[tuple[Described, Place]], *, has_formatted: bool) -> list[File]:
    """The files with their addresses; those that say nothing to a reader by themselves come last."""
    return [_file(described, place, has_formatted) for described, place in files]


def _file(described: Described, place: Place, has_formatted: bool) -> File:
    whole = described.position == RAW_MESSAGE and not place.path
    is_picture = not whole and may_be_picture(described.content_type, described.filename)
    readable = not whole and place.may_be_opened
    download = place.address("tickets.attachment")  # the other addresses go on from it: a page has many
    return File(
        name=described.filename,
        type=_TYPE_WORDS.get(described.content_type, described.content_type),
        size=described.size,
        in_text=described.inline and is_picture and has_formatted,
        download=download,
        thumbnail=f"{download}/thumbnail" if is_picture else None,
        picture=f"{download}/picture" if is_picture else None,
        mail=f"{download}/mail" if readable and is_mail(described.content_type, described.filename) else None,
        content_type=described.content_type,
    )
