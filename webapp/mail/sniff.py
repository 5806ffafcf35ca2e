"""What content is by its first octets, for parts whose Content-Type is missing, broken or says nothing.

Only formats that begin in a way nothing else does; a file name decides where the octets fit several.
"""

from __future__ import annotations

import re

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"{\\rtf", "application/rtf"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x78\x9f\x3e\x22", "application/ms-tnef"),
)
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
# Extension -> (what the octets must be, the type that is meant); an empty tuple fits any octets.
_TELLING = {
    "png": (("image/png",), "image/png"),
    "jpg": (("image/jpeg",), "image/jpeg"),
    "jpeg": (("image/jpeg",), "image/jpeg"),
    "gif": (("image/gif",), "image/gif"),
    "webp": (("image/webp",), "image/webp"),
    "heic": (("image/heic",), "image/heic"),
    "bmp": (("image/bmp",), "image/bmp"),
    "tif": (("image/tiff",), "image/tiff"),
    "tiff": (("image/tiff",), "image/tiff"),
    "pdf": (("application/pdf",), "application/pdf"),
    "zip": (("application/zip",), "application/zip"),
    "docx": (("application/zip",), f"{_OFFICE}wordprocessingml.document"),
    "xlsx": (("application/zip",), f"{_OFFICE}spreadsheetml.sheet"),
    "pptx": (("application/zip",), f"{_OFFICE}presentationml.presentation"),
    "odt": (("application/zip",), f"{_OPEN_DOCUMENT}text"),
    "ods": (("application/zip",), f"{_OPEN_DOCUMENT}spreadsheet"),
    "odp": (("application/zip",), f"{_OPEN_DOCUMENT}presentation"),
    "doc": (("application/x-ole-storage", "application/rtf"), "application/msword"),
    "xls": (("application/x-ole-storage",), "application/vnd.ms-excel"),
    "ppt": (("application/x-ole-storage",), "application/vnd.ms-powerpoint"),
    "msg": (("application/x-ole-storage",), "application/vnd.ms-outlook"),
    "rtf": (("application/rtf",), "application/rtf"),
    "ics": (("text/calendar",), "text/calendar"),
    "vcf": (("text/vcard",), "text/vcard"),
    "eml": (("message/rfc822",), "message/rfc822"),
    "html": (("text/html",), "text/html"),
    "htm": (("text/html",), "text/html"),
    "dat": (("application/ms-tnef",), "application/ms-tnef"),
}
_TELLING_ALONE = {"csv": "text/csv", "txt": "text/plain", "log": "text/plain"}
_BASED_ON_ZIP = re.compile(rb"(word|xl|ppt)/|mimetypeapplication/vnd\.oasis\.opendocument\.([a-z]{4,12})")
_ZIP_KINDS = {b"word": "docx", b"xl": "xlsx", b"ppt": "pptx"}
_MARKUP = re.compile(
    rb"(?:<!--[^>]{0,500}-->\s*)?<(?:!doctype\s+html|html|head|body|table|div|p|meta)[\s>]", re.IGNORECASE
)
_HEADER_LINE = re.compile(rb"(?:[A-Za-z][A-Za-z0-9-]{1,60}:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*){2}")
_MAIL_FIELD = re.compile(
    rb"(?im)^(?:received|return-path|from|message-id|mime-version|subject|date|delivered-to):"
)
_HEAD = 4_096


def sniffed_type(content: bytes) -> str | None:
    """The media type the octets tell, None where they tell none."""
    for magic, media_type in _MAGIC:
        if content.startswith(magic):
            return (
                _zip_type(content) if media_type == "application/zip" else _unless_text(media_type, content)
            )
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "image/heic"
    head = content[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:15].upper() == b"BEGIN:VCALENDAR":
        return "text/calendar"
    if head[:11].upper() == b"BEGIN:VCARD":
        return "text/vcard"
    if _MARKUP.match(head):
        return "text/html"
    return None


def is_mail(content: bytes) -> bool:
    """Whether the octets begin with a header as mail has it (RFC 5322): two fields, one of them known."""
    head = content[:_HEAD].lstrip(b"\r\n")
    found = _HEADER_LINE.match(head)
    return found is not None and _MAIL_FIELD.search(found[0]) is not None


def guessed_type(filename: str, content: bytes) -> str | None:
    """The type a telling file name means, if the octets are of that kind; else what the octets tell."""
    extension = filename.rpartition(".")[2].strip().lower()
    told = sniffed_type(content)
    if extension in _TELLING:
        kinds, media_type = _TELLING[extension]
        if told in kinds or (told is not None and told == media_type):
            return media_type
        if "application/zip" in kinds and content.startswith(b"PK\x03\x04"):
            return media_type
        if media_type == "message/rfc822" and is_mail(content):
            return media_type
        return told
    if told is None and extension in _TELLING_ALONE and b"\x00" not in content:
        return _TELLING_ALONE[extension]
    return told


def _zip_type(content: bytes) -> str:
    found = _BASED_ON_ZIP.search(content, 0, _HEAD)
    if found is None:
        return "application/zip"
    if found[2] is not None:
        return _OPEN_DOCUMENT + found[2].decode("ascii")
    return _TELLING[_ZIP_KINDS[found[1]]][1]


def _unless_text(media_type: str, content: bytes) -> str | None:
    """ "BM" begins many a text; a bitmap has a size, zeros and an offset behind it."""
    if media_type == "image/bmp" and content[6:10] != b"\x00\x00\x00\x00":
        return None
    return media_type
