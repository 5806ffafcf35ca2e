"""HTML of a stranger made safe to show (nh3), within bounds that nh3 itself does not have."""

from __future__ import annotations

import re
from html import escape

import nh3

from webapp.mail import limits
from webapp.mail.charset import readable
from webapp.mail.html_elements import NO_CONTENT
from webapp.mail.html_sheet import Sheet, sheet_of
from webapp.mail.html_styles import PROPERTIES, bounded_attribute, safe_style
from webapp.mail.html_tokens import attributes, tokens

_START_TAG = re.compile(r"<[A-Za-z]")
# An end tag that may be left out: the next one closes it, so that a row of them nests nothing.
_CLOSED_BY_THE_NEXT = frozenset("p li dt dd option optgroup tr td th thead tbody tfoot colgroup".split())  # noqa: SIM905
# Elements of another namespace, where HTML's rules end and the parsers' surprises begin.
_FOREIGN = frozenset({"svg", "math"})
_TAGS = frozenset(
    """a abbr acronym address b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn
    div dl dt em figcaption figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small
    span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr""".split()  # noqa: SIM905
)
_MOST = {
    "width": 2_000, "height": 2_000, "border": 40, "cellpadding": 60, "cellspacing": 60, "colspan": 100,
    "rowspan": 1_000, "span": 100,
}  # fmt: skip
_NOTHING_TO_SHOW = frozenset({"script", "style", "title", "template", "noembed", "noframes"})
_CELL_ATTRIBUTES = frozenset({"align", "valign", "bgcolor", "colspan", "rowspan", "width", "height"})
_ATTRIBUTES: dict[str, set[str]] = {
    "*": {"style", "dir", "lang", "title", "align", "hidden"},
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
_SCHEMES = {"http", "https", "mailto", "tel", "cid", "data"}
# Pictures within the HTML: what begins as one of these formats does, and nothing that could be a document.
_PICTURE = re.compile(
    r"data:image/(?:png;base64,iVBORw0KGgo|jpe?g;base64,/9j/|gif;base64,R0lGOD|webp;base64,UklGR)[A-Za-z0-9+/=\s]*",
    re.IGNORECASE,
)
# What only writing anew can show: styles by class, and the colours of the page.
_LOOKS = re.compile(
    r"(?:\b|_)Mso[A-Z]|<body\b[^<>]{0,1000}?\b(?:style|bgcolor|text|class)\s*=", re.IGNORECASE
)
_OF_THE_PAGE = ("background-color:", "color:", "font", "line-height:", "text-align:", "direction:")
_UNSTYLED = frozenset({"html", "head", "style", "br", "title", "meta", "link"})
REMOTE = "remote:"  # before the address of a picture from elsewhere: no browser loads that (`html_show`)
_GROWTH = 4
_SMALL_HTML = 64 * 1024


def sanitise(html: str, sheet: Sheet | None = None) -> tuple[str | None, str | None]:
    """The safe HTML, or None and the defect that says why only the text is shown.

    `sheet` is what style sheets elsewhere in the document say; its own are read where none is given.
    """
    if len(html) > limits.HTML_CHARS:
        return None, f"HTML larger than {limits.HTML_CHARS} characters"
    if sheet is None:
        sheet = sheet_of(html)
    # With fewer start tags than the limit nothing can nest deeper than it.
    if sheet.rules or _LOOKS.search(html) or len(_START_TAG.findall(html)) > limits.HTML_DEPTH:
        html, depth = _written_anew(html, sheet)
        if depth > limits.HTML_DEPTH:
            return None, f"HTML nested deeper than {limits.HTML_DEPTH}"
    clean = nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags=set(_NOTHING_TO_SHOW),
        attributes=_ATTRIBUTES,
        attribute_filter=_filter,
        filter_style_properties=set(PROPERTIES),
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
    if attribute == "style":
        return safe_style(value) or None
    if attribute in _MOST:
        return bounded_attribute(value, _MOST[attribute])
    if attribute == "href" and value.strip().lower().startswith(("cid:", "data:")):
        return None
    return value


def _written_anew(html: str, sheet: Sheet) -> tuple[str, int]:
    """`html` from its tokens, with the styles of its sheets, and how deep it can nest at most.

    What nh3 gets has one reading only: no comments, no raw text, every value quoted. So its depth cannot
    be hidden from the count. Stops as soon as the limit is passed.
    """
    out: list[str] = []
    open_tags: dict[str, int] = {}
    depth = deepest = 0
    chars_left = limits.HTML_CHARS  # of styles
    for kind, name, rest in tokens(html):
        if kind == "text":
            out.append(name.replace("<", "&lt;"))
        elif name in _FOREIGN or not name.isalnum():
            continue
        elif kind == "close":
            is_open = open_tags.get(name, 0)
            if is_open:
                open_tags[name] -= 1
                depth -= 1
            if name != "body":
                out.append(f"</{name}>")
            elif is_open:
                out.append("</div>")
        else:
            found = attributes(rest) if rest else {}
            style = sheet.style_of(name, found) if chars_left > 0 and name not in _UNSTYLED else ""
            chars_left -= len(style)
            out.append(_start_tag(name, found, style))
            if name not in NO_CONTENT and name not in _CLOSED_BY_THE_NEXT:
                open_tags[name] = open_tags.get(name, 0) + 1
                depth += 1
                deepest = max(deepest, depth)
                if deepest > limits.HTML_DEPTH:
                    break
    return "".join(out), deepest


def _start_tag(name: str, found: dict[str, str], style: str) -> str:
    if name == "body":
        return _page(found, style)
    allowed = _ATTRIBUTES.get(name, set())
    kept = [
        f'{key}="{_quoted(value)}"'
        for key, value in found.items()
        if key != "style" and (key in allowed or key in _ATTRIBUTES["*"])
    ]
    if style:
        kept.append(f'style="{_quoted(style)}"')
    return f"<{' '.join([name, *kept])}>" if kept else f"<{name}>"


def _page(found: dict[str, str], style: str) -> str:
    """The body as an element of the page: light words need the dark ground they were written for."""
    colours = {"background-color": found.get("bgcolor", ""), "color": found.get("text", "")}
    written = ";".join(f"{name}:{value}" for name, value in colours.items() if value)
    kept = [part for part in safe_style(f"{written};{style}").split(";") if part.startswith(_OF_THE_PAGE)]
    if any(part.startswith("background-color:") for part in kept):
        kept.append("padding:10px 12px")  # no word at the very edge of the ground
    return f'<div style="{_quoted(";".join(kept))}">' if kept else "<div>"


def _quoted(value: str) -> str:
    return value.replace('"', "&quot;").replace("<", "&lt;")
