"""The document of a formatted mail: no script, nothing from elsewhere, an origin of its own.

Shown in `<iframe sandbox>`; the sandbox of its own policy holds even where somebody opens it by its address.
"""

from __future__ import annotations

from collections.abc import Iterable

from flask import Response, make_response, request, url_for
from markupsafe import Markup

from webapp.mail.html_show import prepare
from webapp.mail.pictures import may_be_picture
from webapp.views.mail_files import Described, Place
from webapp.views.pictures import signed_address

# A link opens a tab of its own that knows nothing of us (noopener, no referrer): a normal page there.
SANDBOX = "allow-popups allow-popups-to-escape-sandbox"

# The style is part of the document: from an origin of its own it may load none of ours. Always light, because
# mail brings dark words for a white page.
_DOCUMENT = Markup("""\
<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<meta name="referrer" content="no-referrer">
<base target="_blank">
<title>Message from {sender}</title>
<style>
html {{ background: #fff; color: #1a1d21; font: 15px/1.4 system-ui, sans-serif; overflow-wrap: break-word; }}
body {{ margin: 12px 14px; }}
img {{ max-width: 100% !important; height: auto; }}
pre {{ white-space: pre-wrap !important; overflow-wrap: anywhere; font: inherit; }}
blockquote {{ margin: 0 0 0 4px; padding-left: 10px; border-left: 3px solid #d5dae1; }}
table {{ max-width: 100%; }}
a {{ color: #0a5aa6; }}
h1 {{ font-size: min(1.8em, 40px); }}
big {{ font-size: min(1.2em, 40px); }}
summary {{ cursor: pointer; margin: 8px 0; color: #0a5aa6; }}
@media (max-width: 640px) {{
table:not([width="100%"]), td, th, div, p, hr {{ width: auto !important; }}
table, td, th, div, p, hr {{ max-width: 100% !important; white-space: normal !important; }}
body, td, th {{ overflow-wrap: anywhere; }}
img:not([src]) {{ width: auto !important; height: auto !important; }}
}}
:focus-visible {{ outline: 3px solid #0a5aa6; outline-offset: 2px; }}
</style>
</head>
<body>
{body}
</body>
</html>
""")


def mail_document(
    html: str, *, sender: str, files: Iterable[tuple[Described, Place]], remote: bool
) -> Response:
    """`html` is a message's sanitised HTML; `files` are those its cid: pictures may be among."""
    pictures = {
        described.content_id.lower(): signed_address(place)
        for described, place in files
        if described.content_id and may_be_picture(described.content_type, described.filename)
    }
    body = Markup(prepare(html, pictures=pictures, remote=remote))  # noqa: S704 - sanitised, and in a sandbox
    response = make_response(_DOCUMENT.format(sender=sender, body=body))
    response.headers["Content-Security-Policy"] = _policy(remote)
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _policy(remote: bool) -> str:
    own = f"{request.host_url.rstrip('/')}{url_for('pictures.signed', token='')}"
    pictures = f"img-src {own} data:{' https:' if remote else ''}"
    return "; ".join(
        (
            f"sandbox {SANDBOX}",
            "default-src 'none'",
            pictures,
            "style-src 'unsafe-inline'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )
