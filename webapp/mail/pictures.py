"""Which content is a picture that browsers show: told by its first octets, never by its name or its label."""

from __future__ import annotations

PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_UNTOLD = frozenset({"application/octet-stream", "image/jpg", "image/pjpeg", "image/x-png"})


def picture_type(content: bytes) -> str | None:
    """The type its octets say, of the four that carry no script (SVG does); None for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    return None


def may_be_picture(content_type: str, filename: str) -> bool:
    """Whether it is worth a look: the label is enough, and where there is none the name is."""
    if content_type in PICTURE_TYPES:
        return True
    return content_type in _UNTOLD and filename.lower().endswith(_EXTENSIONS)
