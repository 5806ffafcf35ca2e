"""File names of parts: safe for every file system, made up where there is none, each once a message."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from webapp.mail import limits
from webapp.mail.charset import one_line
from webapp.mail.headers import split_headers
from webapp.mail.mime import Part

# What a file system or a browser may take for a path, a device, a format or a direction mark.
_PATH = re.compile(r"^.*[/\\]", re.DOTALL)
_FORBIDDEN = re.compile(r"[<>:\"|?*]")
_BAD_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_DEVICES = re.compile(
    r"^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[\d¹²³])(?=\s*(?:\.|$))", re.IGNORECASE
)
_EXTENSION_CHARS = 20
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
# Outlook names a picture in its Content-ID: image001.png@01DA6F1B.5C8E2D40
_NAME_IN_ID = re.compile(r"<?([\w.-]{1,60}\.(?:png|jpe?g|gif|bmp|webp))@", re.IGNORECASE)
_OFFICE = "application/vnd.openxmlformats-officedocument."
_EXTENSIONS = {
    "message/rfc822": ".eml",
    "message/global": ".eml",
    "message/partial": ".eml",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "message/external-body": ".txt",
    "text/rfc822-headers": ".txt",
    "text/calendar": ".ics",
    "text/x-vcalendar": ".ics",
    "application/ics": ".ics",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/directory": ".vcf",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/xml": ".xml",
    "application/xml": ".xml",
    "application/json": ".json",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/pjpeg": ".jpg",
    "image/png": ".png",
    "image/x-png": ".png",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "image/heic": ".heic",
    "image/svg+xml": ".svg",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/amr": ".amr",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/gzip": ".gz",
    "application/rtf": ".rtf",
    "application/msword": ".doc",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.ms-outlook": ".msg",
    f"{_OFFICE}wordprocessingml.document": ".docx",
    f"{_OFFICE}spreadsheetml.sheet": ".xlsx",
    f"{_OFFICE}presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/pgp-signature": ".asc",
    "application/pgp-keys": ".asc",
    "application/pkcs7-signature": ".p7s",
    "application/x-pkcs7-signature": ".p7s",
    "application/pkcs7-mime": ".p7m",
    "application/x-pkcs7-mime": ".p7m",
    "application/ms-tnef": ".dat",
}
# What there is one of in a message: the whole name. Of the rest the word, numbered.
_ONLY_ONE = {
    "text/calendar": "invite.ics",
    "application/ics": "invite.ics",
    "text/vcard": "contact.vcf",
    "text/x-vcard": "contact.vcf",
    "text/rfc822-headers": "headers.txt",
    "message/delivery-status": "delivery-status.txt",
    "message/disposition-notification": "receipt.txt",
    "message/rfc822": "message.eml",
    "message/global": "message.eml",
    "application/pgp-signature": "signature.asc",
    "application/pkcs7-mime": "smime.p7m",
    "application/x-pkcs7-mime": "smime.p7m",
    "application/pkcs7-signature": "smime.p7s",
    "application/x-pkcs7-signature": "smime.p7s",
    "application/ms-tnef": "winmail.dat",
}
_WORDS = {"image": "picture", "audio": "sound", "video": "film"}


class FileNames:
    """Gives the parts of one message their names, in the order the parts stand in."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}  # case-folded name -> how often it was asked for
        self._numbers: dict[str, int] = {}

    def of(self, part: Part, position: int) -> str:
        """The name to show and to save under. `position` is the part's number among the leaves."""
        written = _written(part)
        if not written and part.content_type in ("message/rfc822", "message/global"):
            written = _subject_as_name(part)
        name = safe_filename(written, default="") if written else ""
        return self._once(name or self._made_up(part, position))

    def _made_up(self, part: Part, position: int) -> str:
        if (name := _ONLY_ONE.get(part.content_type)) is not None:
            return name
        extension = _EXTENSIONS.get(part.content_type, "")
        word = _WORDS.get(part.content_type.partition("/")[0])
        if word is None:
            return f"part-{position + 1}{extension}"
        self._numbers[word] = self._numbers.get(word, 0) + 1
        return f"{word}-{self._numbers[word]}{extension}"

    def _once(self, name: str) -> str:
        """`name`, or `name (2)` where an earlier part has it: Windows tells no upper from lower case."""
        key = name.casefold()
        count = self._taken.get(key, 0) + 1
        self._taken[key] = count
        if count == 1:
            return name
        stem, extension = _split(name)
        while True:
            number = f" ({count})"
            numbered = f"{stem[: limits.FILENAME_CHARS - len(number) - len(extension)]}{number}{extension}"
            if numbered.casefold() not in self._taken:
                self._taken[numbered.casefold()] = 1
                self._taken[key] = count
                return numbered
            count += 1


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


def type_by_name(name: str) -> str:
    """The media type a file's extension stands for, "" where we know none; asks no file of the system."""
    extension = _split(name)[1].lower()
    return next((kind for kind, known in _EXTENSIONS.items() if known == extension and extension), "")


def _written(part: Part) -> str:
    """What the sender calls the file, or a picture in its Content-ID or Content-Location."""
    for name in (part.disposition_parameters.get("filename"), part.parameters.get("name")):
        if name and name.strip():
            return _percent_decoded(name)
    if part.content_type.startswith("image/"):
        found = _NAME_IN_ID.match((part.headers.first("content-id") or "").strip())
        if found is not None:
            return found[1]
    location = one_line(part.headers.first("content-location") or "")
    return location if re.fullmatch(r"[\w .-]{1,100}\.[A-Za-z0-9]{2,5}", location) else ""


def _percent_decoded(name: str) -> str:
    """RFC 2231 without its star: "J%C3%B6rg%20a.pdf". A name with one odd percent sign stays as it is."""
    if "%" not in name or " " in name or not name.isascii():
        return name
    if len(_PERCENT.findall(name)) != name.count("%"):
        return name
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name


def _subject_as_name(part: Part) -> str:
    content = part.content(most=limits.HEADER_BLOCK)
    nested, _ = split_headers(content, 0, len(content))
    subject = nested.decoded("subject").replace("/", "-").replace("\\", "-")
    return f"{subject[: limits.FILENAME_CHARS - 4]}.eml" if safe_filename(subject, default="") else ""


def _is_invisible(char: str) -> bool:
    if char < "\x7f":
        return char < " "
    return (
        unicodedata.category(char) in _BAD_CATEGORIES
        or char in _BLANK_LETTERS
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > _EXTENSION_CHARS:
        return name, ""
    return stem, f".{extension}"


def _shortened(name: str) -> str:
    if len(name) <= limits.FILENAME_CHARS:
        return name
    stem, extension = _split(name)
    return f"{stem[: limits.FILENAME_CHARS - len(extension)].rstrip('. ')}{extension}"
