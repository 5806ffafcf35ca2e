"""Where the history of a conversation stands in HTML: by the marks mail programs leave, in no language.

Only what is sure counts. Where the sender's words stand between two quotations nothing is history, and what
stands below the last one is the sender's too. A mark that a sender forges folds the sender's own words:
they are one click away, as all history is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from webapp.mail import limits
from webapp.mail.html_text import html_to_text

# An element that holds the attribution and the quotation: Gmail and its kind, Proton, Zoho, Spark.
_AROUND = re.compile(
    r"""class\s*=\s*["']?(?:[^"'>]*\s)?(?:x_)*(?:gmail_quote|gmail_extra|protonmail_quote|zmail_extra
    |freshdesk_quote|moz-cite-prefix)(?:_container)?[\s"'>]|name\s*=\s*["']?messageReplySection""",
    re.IGNORECASE | re.VERBOSE,
)
# An element that is history as a whole: Yahoo, new Outlook, GMX and web.de.
_WHOLE = re.compile(
    r"""(?:id|class)\s*=\s*["']?(?:[^"'>]*\s)?(?:x_)*\w{0,12}yahoo_quoted|name\s*=\s*["']?quote["'\s]
    |id\s*=\s*["']?(?:x_)*(?:mail-editor-reference-message-container|ms-outlook-mobile-reference-message)""",
    re.IGNORECASE | re.VERBOSE,
)
# A mark with the history behind it: Outlook on the web and for mobiles, Zimbra, the line of Outlook's block.
_BEHIND = re.compile(
    r"""id\s*=\s*["']?(?:x_)*(?:appendonsend|divRplyFwdMsg|stopSpelling|zwchr|OLK_SRC_BODY_SECTION)\b
    |\btabindex\s*=\s*["']?-1
    |border-top:\s*(?:solid\s+\#[0-9a-f]{6}\s+1(?:\.0)?pt|\#[0-9a-f]{6}\s+1(?:\.0)?pt\s+solid)
    |border:\s*none;\s*border-top:\s*solid""",
    re.IGNORECASE | re.VERBOSE,
)
_CITE = re.compile(r"""type\s*=\s*["']?cite\b|class\s*=\s*["']?[^"'>]*_quote""", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"""<(?:div|span)\b[^<>]{0,400}?class\s*=\s*["']?[^"'>]{0,80}\b(?:gmail_signature(?:_prefix)?|moz-signature
    |protonmail_signature_block)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_HINT = re.compile(
    r"quote|appendonsend|divRplyFwdMsg|reference-message|messageReplySection|tabindex|border-top|zwchr",
    re.IGNORECASE,
)
# "<" ends the look, so that a row of tags that never end costs one pass.
_TAG = re.compile(r"<(div|blockquote|p|table|hr|span|section)\b([^<>]{0,1500})>", re.IGNORECASE)
_QUOTE_TAG = re.compile(r"<(/?)blockquote\b[^<>]*>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_OPEN_AROUND = re.compile(r"<(/?)(?:table|ul|ol|dl|pre)\b", re.IGNORECASE)
_FIELD = re.compile(r"^\W{0,3}[^\W\d_][^:：\n]{0,30}[:：][ \t\xa0]*\S", re.MULTILINE)
_DASHED_WORDS = re.compile(r"^[\s>]*-{2,}\s*[^\d\n@]{2,60}?\s*-{2,}\s*$", re.MULTILINE)
_ATTRIBUTION_CHARS = 400
_HEAD_HTML_CHARS = 8_000
_HEAD_TEXT_CHARS = 1_500
_MARKS_LOOKED_AT = 20  # each costs a look at the text around it
_QUOTES_LOOKED_AT = 200
_FIELDS_OF_A_BLOCK = 8
_DIGITS_OF_A_DATE = 6
_DIGIT = re.compile(r"\d")
_DATE_OR_ADDRESS = re.compile(r"[@\d]")


class Span(NamedTuple):
    """Part of a text: the positions of its first character and of the one behind its last."""

    start: int
    end: int


def find_history(html: str) -> Span | None:
    """The part of `html` that is quoted history, None where there is none or it is not sure."""
    if len(html) > limits.HTML_CHARS or not _HINT.search(html):
        return None
    # Comments keep their length, so that positions stay what they are.
    bare = _COMMENT.sub(lambda comment: " " * len(comment[0]), html)
    looked_at = 0
    for tag in _TAG.finditer(bare):
        look = _look_for(tag[1].lower(), tag[2])
        if look is None:
            continue
        looked_at += 1
        if looked_at > _MARKS_LOOKED_AT:
            return None
        is_mark, span = look(bare, tag)
        if is_mark:
            return span
    return None


def may_be_cut_out(html: str, span: Span) -> bool:
    """Whether what stands around the span is whole without it: no table or list is open where it begins."""
    depth = 0
    for found in _OPEN_AROUND.finditer(html, 0, span.start):
        depth += -1 if found[1] else 1
    return depth <= 0


def without_history(html: str, span: Span) -> str:
    """The HTML of the sender's own words, without the signature that a mail program marked as one."""
    own = f"{html[: span.start]}<br>{html[span.end :]}"
    signature = _SIGNATURE.search(own)
    if signature is None:
        return own
    end = _end_of_element(own, signature.start(), "div")
    return own if html_to_text(own[end:]).strip() else own[: signature.start()]


def without_last_attribution(text: str) -> str:
    """`text` without the lines that introduced the history: "On ..., Ann wrote:", or a block of fields."""
    lines = text.rstrip().split("\n")
    kept = _without_last_fields(lines) or _without_last_wrote(lines)
    return "\n".join(kept).rstrip() if kept else text


def _without_last_fields(lines: list[str]) -> list[str] | None:
    count = 0
    while count < min(len(lines), _FIELDS_OF_A_BLOCK) and _FIELD.match(lines[-count - 1]):
        count += 1
    if count < 3:
        return None
    kept = lines[:-count]
    while kept and (not kept[-1].strip() or _DASHED_WORDS.match(kept[-1])):
        kept.pop()
    return kept


def _without_last_wrote(lines: list[str]) -> list[str] | None:
    for length in (1, 2, 3):
        begin = len(lines) - length
        if begin <= 0 or not lines[begin].strip():
            return None
        last = " ".join(lines[begin:])
        is_certain = "@" in last or len(_DIGIT.findall(last)) >= _DIGITS_OF_A_DATE
        if _is_attribution(last) and is_certain and not lines[begin - 1].strip():
            return lines[:begin]
    return None


# What a look at one tag says: whether it is a mark of history, and the history if it is sure.
_Found = tuple[bool, Span | None]


def _look_for(name: str, written: str) -> Callable[[str, re.Match[str]], _Found] | None:
    """How a tag with these attributes is to be looked at; None for most."""
    if name == "blockquote":
        return _at_quotation
    if _AROUND.search(f"{written}>"):
        return _at_element_around
    if _WHOLE.search(f"{written} "):
        return _at_whole_element
    return _at_block if _BEHIND.search(written) else None


def _at_quotation(html: str, tag: re.Match[str]) -> _Found:
    """A quotation that somebody is named for, above it or in its first line; others are part of the text."""
    before = _last_lines(html[: tag.start()])
    if _CITE.search(tag[2]):
        first = (
            html_to_text(html[tag.start() : tag.end() + _HEAD_HTML_CHARS]).lstrip("> \n").partition("\n")[0]
        )
        is_introduced = _is_attribution(before[-1]) or _is_attribution(first) or _is_header_block(before)
    else:
        is_introduced = _is_attribution(before[-1]) and "@" in before[-1]
    if not is_introduced:
        return False, None
    return True, _quotations(html, Span(tag.start(), len(html)))


def _at_element_around(html: str, tag: re.Match[str]) -> _Found:
    """An element around attribution and quotation. One that holds neither is layout, or a forward."""
    name, written, start = tag[1], tag[2], tag.start()
    end = len(html) if "moz-cite-prefix" in written else _end_of_element(html, start, name)
    first = _QUOTE_TAG.search(html, start, end)
    head = html_to_text(html[start : first.start() if first else end][:_HEAD_HTML_CHARS]).strip()
    if "gmail" in written and _DASHED_WORDS.search(head[:_ATTRIBUTION_CHARS]):
        return True, None  # Gmail draws such a line above what it forwards, never above what is answered
    if not _DATE_OR_ADDRESS.search(head) or len(head) > _ATTRIBUTION_CHARS:
        return False, None
    return True, _quotations(html, Span(start, end)) if first else None


def _at_whole_element(html: str, tag: re.Match[str]) -> _Found:
    return True, Span(tag.start(), _end_of_element(html, tag.start(), tag[1]))


def _at_block(html: str, tag: re.Match[str]) -> _Found:
    """From, Sent, To and Subject, whatever they are called: three fields at once."""
    text = html_to_text(html[tag.start() : tag.start() + _HEAD_HTML_CHARS]).lstrip("\n -_")
    if len(_FIELD.findall("\n".join(text[:_HEAD_TEXT_CHARS].split("\n")[:12]))) < 3:
        return False, None
    return True, Span(tag.start(), len(html))


def _quotations(html: str, element: Span) -> Span | None:
    """From the begin of `element` to the end of its last quotation; None where words stand between them.

    What stands behind the last one is the sender's.
    """
    quotes = list(itertools.islice(_top_level_quotes(html, element), _QUOTES_LOOKED_AT))
    if not quotes or len(quotes) == _QUOTES_LOOKED_AT:
        return None
    for before, after in itertools.pairwise(quotes):
        if html_to_text(html[before.end : after.start]).strip():
            return None
    return Span(element.start, quotes[-1].end)


def _top_level_quotes(html: str, element: Span) -> Iterator[Span]:
    depth = start = 0
    for found in _QUOTE_TAG.finditer(html, element.start, element.end):
        if not found[1]:
            start = start if depth else found.start()
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                yield Span(start, found.end())
    if depth:
        yield Span(start, element.end)


def _end_of_element(html: str, start: int, name: str) -> int:
    """The position behind the end tag of the element that begins at `start`."""
    depth = 0
    for found in re.finditer(rf"<(/?){name}\b[^<>]*>", html[start:], re.IGNORECASE):
        depth += -1 if found[1] else 1
        if depth <= 0:
            return start + found.end()
    return len(html)


def _last_lines(html: str) -> list[str]:
    """The last lines of text that `html` shows."""
    return [line for line in html_to_text(html[-_HEAD_HTML_CHARS:]).split("\n") if line.strip()][-8:] or [""]


def _is_header_block(lines: list[str]) -> bool:
    """Fields above a quotation, as eM Client writes them."""
    return len(_FIELD.findall("\n".join(lines))) >= 3


def _is_attribution(line: str) -> bool:
    """A line that says whose words follow, in any language: with a date or an address, and a colon last."""
    line = line.strip()
    return (
        len(line) <= _ATTRIBUTION_CHARS and line.endswith((":", "：")) and bool(_DATE_OR_ADDRESS.search(line))
    )
