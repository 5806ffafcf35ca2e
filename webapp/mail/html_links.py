"""The address of a link as it stands in text: readable, usable, and not where the words say it already."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urljoin, urlsplit

_SHOWN_SCHEMES = ("http:", "https:", "mailto:", "ftp:", "tel:")
_MOST = 1_000  # characters of an address; of a longer one what follows "?" is left out
_LONGEST = 8_000  # looked at
# Parameters that only count visitors; the page is the same without them.
_COUNTING = re.compile(
    r"(?:utm_\w{1,20}|fbclid|gclid|dclid|msclkid|yclid|mc_[ce]id|_hs(?:enc|mi)|mkt_tok|igshid|vero_\w{1,10})="
    r"[^&#]*",
    re.IGNORECASE,
)
# Services that stand before the address that was written (host ends with, parameter that holds it).
_WRAPPERS = (
    (".safelinks.protection.outlook.com", "url"),
    ("www.google.com", "q"),
    ("l.facebook.com", "u"),
    ("l.instagram.com", "u"),
)
_URLDEFENSE_3 = re.compile(
    r"https://urldefense\.(?:com|us)/v3/__(https?://?[^\s*]{1,2000}?)__;", re.IGNORECASE
)
# Only whole references: in an address "&copy=1" is a parameter (HTML 13.2.5.73).
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_IN_ADDRESS = re.compile(r"[\s\x00-\x1f<>]+")
_LEADING = re.compile(r"^(?:https?:/*|ftp:/*|mailto:|tel:)(?:www\.)?", re.IGNORECASE)


def address_of(href: str, base: str = "") -> str | None:
    """The address to show for a link, None where it leads to no other page. `base` is of `<base href>`."""
    url = _IN_ADDRESS.sub("", _REFERENCE.sub(lambda found: unescape(found[0]), href[:_LONGEST]))
    if not url or url.startswith("#"):
        return None
    try:
        if base and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url):
            url = urljoin(base, url)
        if not url.lower().startswith(_SHOWN_SCHEMES):
            return None
        return _shortened(_unwrapped(url))
    except ValueError:  # no address by the rules, but the browser may go there
        return url[:_MOST] if url.lower().startswith(_SHOWN_SCHEMES) else None


def written(url: str) -> str:
    """The address as it stands behind the words."""
    scheme, _, rest = url.partition(":")
    return f"<{rest if scheme.lower() in ('mailto', 'tel') else url}>"


def says_the_same(shown: str, url: str) -> bool:
    """Whether the words of a link are, or hold, its address."""
    bare = _bare(url)
    if url[:4].lower() == "tel:":
        return _digits(bare).lstrip("0") in _digits(shown) and bool(_digits(bare).strip("0"))
    if url[:7].lower() == "mailto:":
        bare = bare.partition("?")[0]
    return not bare or any(_bare(word.strip("<>()[].,;:\"'")) == bare for word in shown.split()[:100])


def _bare(url: str) -> str:
    return _LEADING.sub("", url).rstrip("/").lower()


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdecimal())


def _unwrapped(url: str) -> str:
    if url[:4].lower() != "http":
        return url
    if found := _URLDEFENSE_3.match(url):
        return re.sub(r"^(https?:)/+", r"\1//", found[1])
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    for ending, parameter in _WRAPPERS:
        if host.endswith(ending) and (ending[0] != "w" or parts.path == "/url"):
            inner = parse_qs(parts.query, max_num_fields=50).get(parameter, [""])[0]
            if inner.lower().startswith(("http://", "https://")):
                return _IN_ADDRESS.sub("", inner)
    return url


def _shortened(url: str) -> str:
    if "?" in url:
        page, _, query = url.partition("?")
        query, mark, place = query.partition("#")
        query = re.sub(r"&{2,}", "&", _COUNTING.sub("", query)).strip("&") if "=" in query else query
        url = page + (f"?{query}" if query else "") + mark + place
    if len(url) > _MOST:
        url = re.split(r"[?#]", url, maxsplit=1)[0][:_MOST] + "…"
    return url
