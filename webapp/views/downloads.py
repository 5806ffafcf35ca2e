"""Files out of mail: hostile content that must never run as a part of this site."""

from __future__ import annotations

import io

from flask import Response, send_file

HARMLESS_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
CONTENT_SECURITY_POLICY = "sandbox; default-src 'none'"
_SEPARATORS = str.maketrans({"/": "_", "\\": "_"})


def download(content: bytes, *, filename: str, content_type: str = "") -> Response:
    """Always a download, named in both the plain and the RFC 5987 way; only pictures keep their type."""
    response = send_file(
        io.BytesIO(content),
        mimetype=content_type if content_type in HARMLESS_TYPES else "application/octet-stream",
        as_attachment=True,
        download_name=_safe_name(filename),
        conditional=False,
        etag=False,
        max_age=0,
    )
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


def _safe_name(filename: str) -> str:
    kept = "".join(filter(str.isprintable, filename)).translate(_SEPARATORS).strip(". ")
    return kept[:200] or "attachment"
