"""Sanitised HTML made ready to show: its own pictures get addresses, remote ones only when somebody asks.

`html_safe` leaves both inert: `src="cid:..."` (RFC 2392) and `src="remote:https://..."`; no browser loads
either. Pictures within the HTML (`data:`) are shown as they are. What comes in here is nh3's output, so a
tag has one form: `<img name="value">`, no quote in a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape, unescape
from urllib.parse import unquote

from webapp.mail.html_safe import REMOTE

_IMG = re.compile(r'<img((?: [a-z-]+="[^"]*")*)>')
_ATTRIBUTE = re.compile(r' ([a-z-]+)="([^"]*)"')  # one after the other, so that no value is taken for a name


def prepare(html: str, *, pictures: Mapping[str, str], remote: bool) -> str:
    """`html` as it is shown. `pictures`: Content-ID, lower-cased and without brackets, to address.

    A picture that is not there, and a remote one nobody asked for, keeps its place and its words.
    """

    def attribute(found: re.Match[str]) -> str:
        if found[1] != "src":
            return found[0]
        shown = _address(unescape(found[2]), pictures, remote)
        return f' src="{escape(shown)}"' if shown else ""

    return _IMG.sub(lambda tag: f"<img{_ATTRIBUTE.sub(attribute, tag[1])}>", html)


def has_remote_pictures(html: str) -> bool:
    """Whether sanitised HTML has pictures that would be loaded from somewhere else."""
    return REMOTE in html and any(
        name == "src" and value.startswith(REMOTE)
        for tag in _IMG.finditer(html)
        for name, value in _ATTRIBUTE.findall(tag[1])
    )


def _address(inert: str, pictures: Mapping[str, str], remote: bool) -> str | None:
    if inert.startswith(REMOTE):
        return _by_tls(inert.removeprefix(REMOTE)) if remote else None
    if inert.startswith("data:"):
        return inert  # `html_safe` let pictures pass and nothing else
    content_id = inert.strip()[len("cid:") :]
    return pictures.get(content_id.lower()) or pictures.get(unquote(content_id).lower())


def _by_tls(address: str) -> str:
    """Nothing of a mail is loaded without TLS."""
    return f"https:{address[5:]}" if address[:5].lower() == "http:" else address
