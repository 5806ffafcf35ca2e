"""The elements of HTML by what they do to the text around them."""

from __future__ import annotations

import re

PARAGRAPHS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "blockquote", "pre", "table"}
)
BLOCKS = frozenset(
    """address article aside body center dd details div dt fieldset figure figcaption footer form header html
    legend li main nav option section summary caption o:p""".split()  # noqa: SIM905
)
CELLS = frozenset({"td", "th"})
TABLE_PARTS = frozenset({"table", "tr", "thead", "tbody", "tfoot"})
NO_CONTENT = frozenset(
    """area base basefont bgsound br col embed frame hr img input keygen link meta param source track
    wbr""".split()  # noqa: SIM905
)
HIDDEN = frozenset({"select", "object", "svg", "math", "xml", "datalist", "audio", "video"})
SPECIAL = HIDDEN | {"base", "head"}
IN_A_HEAD = frozenset({"meta", "link", "base", "noscript", "head", "object", "xml"})
# Attributes, or a style, of a paragraph that stands close to the next.
NO_MARGINS = re.compile(
    r"\bx?_?Mso(?:Normal|PlainText|NoSpacing|ListParagraph)|(?<![\w-])margin\s*:\s*0(?:\.0*)?(?:\s*[a-z]{2})?"
    r"(?:\s+\S+)?\s*(?:[;\"'!]|$)|(?<![\w-])margin-bottom\s*:\s*0",
    re.IGNORECASE,
)
