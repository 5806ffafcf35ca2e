"""HTML of a stranger made safe to show (nh3), within bounds that nh3 itself does not have."""

from __future__ import annotations

import re
from html import escape

import nh3

from webapp.mail import limits
from webapp.mail.charset import readable
from webapp.mail.html_tokens import attributes, tokens

_START_TAG = re.compile(r"<[A-Za-z]")
_VOID = frozenset(
    """area base basefont bgsound br col embed frame hr img input keygen link meta param source track
    wbr""".split()  # noqa: SIM905
)
# An end tag that may be left out: the next one closes it, so that a row of them nests nothing.
_CLOSED_BY_THE_NEXT = frozenset("p li dt dd option optgroup tr td th thead tbody tfoot colgroup".split())  # noqa: SIM905
# Elements of another namespace, where HTML's rules end and the parsers' surprises begin.
_FOREIGN = frozenset({"svg", "math"})
_TAGS = frozenset(
    """a abbr acronym address b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn
    div dl dt em figcaption figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small
    span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr""".split()  # noqa: SIM905
)
_CELL_ATTRIBUTES = frozenset({"align", "valign", "bgcolor", "colspan", "rowspan", "width", "height"})
_ATTRIBUTES: dict[str, set[str]] = {
    "*": {"style", "dir", "lang", "title", "align"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "font": {"color", "size", "face"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing", "width", "bgcolor"},
    "td": set(_CELL_ATTRIBUTES),
    "th": set(_CELL_ATTRIBUTES),
    "tr": {"valign", "bgcolor"},
    "col": {"span", "width"},
    "colgroup": {"span", "width"},
}
# No property that can load anything, cover the page or hide what was written.
_STYLES = {
    "color", "background-color", "font-weight", "font-style", "font-family", "font-size", "text-align",
    "text-decoration", "vertical-align", "white-space", "line-height", "margin-left", "padding-left",
    "margin-right", "margin-top", "margin-bottom", "padding", "padding-right", "padding-top",
    "padding-bottom",
    "list-style-type", "text-transform", "letter-spacing", "max-width", "border-radius",
    "border", "border-collapse", "border-left", "border-top", "border-bottom", "border-right", "width",
}  # fmt: skip
_SCHEMES = {"http", "https", "mailto", "tel", "cid", "data"}
# Pictures within the HTML: what begins as one of these formats does, and nothing that could be a document.
_PICTURE = re.compile(
    r"data:image/(?:png;base64,iVBORw0KGgo|jpe?g;base64,/9j/|gif;base64,R0lGOD|webp;base64,UklGR)[A-Za-z0-9+/=\s]*",
    re.IGNORECASE,
)
REMOTE = "remote:"  # before the address of a picture from elsewhere: no browser loads that (`html_show`)
_GROWTH = 4
_SMALL_HTML = 64 * 1024


def sanitise(html: str) -> tuple[str | None, str | None]:
    """The safe HTML, or None and the defect that says why only the text is shown."""
    if len(html) > limits.HTML_CHARS:
        return None, f"HTML larger than {limits.HTML_CHARS} characters"
    # With fewer start tags than the limit nothing can nest deeper than it.
    if len(_START_TAG.findall(html)) > limits.HTML_DEPTH:
        html, depth = _written_anew(html)
        if depth > limits.HTML_DEPTH:
            return None, f"HTML nested deeper than {limits.HTML_DEPTH}"
    clean = nh3.clean(
        html,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        attribute_filter=_filter,
        filter_style_properties=_STYLES,
        url_schemes=_SCHEMES,
        url_relative="deny",  # "/logout" would be an address of ours
        link_rel="noopener noreferrer nofollow",
    )
    # Formatting elements that are never closed are opened again in every block: output of any size.
    if len(clean) > _GROWTH * len(html) + _SMALL_HTML:
        return None, "HTML that grows without bound"
    return readable(clean).strip("\n"), None


def text_as_html(text: str) -> str:
    return f"<pre>{escape(text, quote=False)}</pre>"


def _filter(tag: str, attribute: str, value: str) -> str | None:
    """Pictures only from the message itself: nothing is loaded from elsewhere until it is asked for.

    Those within the HTML are part of its size, so `limits.HTML_CHARS` bounds them.
    """
    if attribute == "src":
        address = value.strip()
        if address.lower().startswith(("https://", "http://")):
            return f"{REMOTE}{address}"
        if _PICTURE.fullmatch(address):
            return address
        return value if address.lower().startswith("cid:") else None
    if attribute == "href" and value.strip().lower().startswith(("cid:", "data:")):
        return None
    return value


def _written_anew(html: str) -> tuple[str, int]:
    """`html` from its tokens, and how deep it can nest at most.

    What nh3 gets has one reading only: no comments, no raw text, every value quoted. So its depth cannot
    be hidden from the count. Stops as soon as the limit is passed.
    """
    out: list[str] = []
    open_tags: dict[str, int] = {}
    depth = deepest = 0
    for kind, name, rest in tokens(html):
        if kind == "text":
            out.append(name.replace("<", "&lt;"))
        elif name in _FOREIGN or not name.isalnum():
            continue
        elif kind == "close":
            if open_tags.get(name):
                open_tags[name] -= 1
                depth -= 1
            out.append(f"</{name}>")
        else:
            out.append(_start_tag(name, rest))
            if name not in _VOID and name not in _CLOSED_BY_THE_NEXT:
                open_tags[name] = open_tags.get(name, 0) + 1
                depth += 1
                deepest = max(deepest, depth)
                if deepest > limits.HTML_DEPTH:
                    break
    return "".join(out), deepest


def _start_tag(name: str, written: str) -> str:
    if not written:
        return f"<{name}>"
    allowed = _ATTRIBUTES.get(name, set())
    kept = [
        f'{key}="{value.replace(chr(34), "&quot;").replace("<", "&lt;")}"'
        for key, value in attributes(written).items()
        if key in allowed or key in _ATTRIBUTES["*"]
    ]
    return f"<{' '.join([name, *kept])}>"
