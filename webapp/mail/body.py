"""What a reader sees of a message: text and safe HTML out of any tree of parts (RFC 2046 section 5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from webapp.mail import limits
from webapp.mail.carry_over import cut_to
from webapp.mail.charset import TextDecoder, readable
from webapp.mail.flowed import unflow
from webapp.mail.forwarding import is_forward
from webapp.mail.history_html import (
    Span,
    find_history,
    may_be_cut_out,
    without_history,
    without_last_attribution,
)
from webapp.mail.html_safe import sanitise, text_as_html
from webapp.mail.html_sheet import sheet_of
from webapp.mail.html_text import html_to_text
from webapp.mail.html_tokens import up_to
from webapp.mail.mime import Part
from webapp.mail.pgp import without_armour

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_ENRICHED_COMMAND = re.compile(r"</?[A-Za-z][A-Za-z0-9-]{0,60}>")
# Text parts that are data, not something to read in the conversation.
_DATA_TEXTS = frozenset(
    """text/calendar text/vcard text/x-vcard text/directory text/rfc822-headers text/x-amp-html text/css
    text/csv text/xml text/javascript text/x-vcalendar""".split()  # noqa: SIM905
)
_FOLDED = "<details><summary>Earlier messages</summary>\n{}\n</details>"  # `html_safe` lets no mail use these
_STAND_IN_CHARS = 300  # "Your mail program does not show HTML.", in a sentence or two of any language
_CID_URL = re.compile(r"cid:([^\"'\s>)]{1,300})", re.IGNORECASE)


@dataclass(slots=True)
class Segment:
    """One piece of the conversation: as text, as HTML, or both from a multipart/alternative."""

    text: str | None = None
    html: str | None = None
    history: Span | None = None  # where the HTML quotes earlier messages
    is_cut: bool = False  # the HTML: no more of it is read


@dataclass(slots=True)
class Body:
    text: str = ""
    own_words: str | None = None  # the text without history, where the structure of the HTML tells it
    quotes_are_content: bool = False  # the HTML quotes, and nobody is named for it
    html: str | None = None
    defects: list[str] = field(default_factory=list)
    parts: set[int] = field(default_factory=set)  # id() of the parts that are shown, so not attachments
    content_ids: set[str] = field(default_factory=set)  # pictures the HTML shows
    protection: str = ""  # of OpenPGP armour in the text (`pgp`)


def read_body(root: Part) -> Body:
    reader = _Reader()
    segments = [segment for segment in reader.segments(root) if segment.text or segment.html]
    body = Body(parts=reader.parts, defects=reader.decoder.defects, protection=reader.protection)
    body.text = _joined_text(segments)
    if not is_forward(root.headers.decoded("subject"), body.text):
        for segment in segments:
            segment.history = find_history(segment.html) if segment.html else None
        body.own_words = _own_words(segments)
        body.quotes_are_content = all(
            segment.html and segment.text is None and not segment.history for segment in segments
        )
    if len(body.text) > limits.TEXT_CHARS:
        body.text = body.text[: limits.TEXT_CHARS]
        body.defects.append(f"text cut after {limits.TEXT_CHARS} characters")
    html_parts = [segment.html for segment in segments if segment.html]
    for html in html_parts:
        body.content_ids.update(found.lower() for found in _CID_URL.findall(html[: limits.TEXT_CHARS]))
    if html_parts:
        body.html = _joined_html(segments, body.defects)
        if body.html is None:
            body.parts -= reader.html_parts  # shown as text only, so the HTML is there to download
    return body


def is_body_text(part: Part) -> bool:
    """A text part without a file name is body, unless it says that it is an attachment."""
    if part.unsplit and part.start < part.end:
        return True
    if part.disposition == "attachment" or not part.content_type.startswith("text/"):
        return False
    return part.content_type not in _DATA_TEXTS and not has_filename(part)


def has_filename(part: Part) -> bool:
    return bool(part.disposition_parameters.get("filename") or part.parameters.get("name"))


class _Reader:
    """Walks the tree; decodes each text part once, within one budget for the whole message."""

    def __init__(self) -> None:
        self.decoder = TextDecoder()
        self.parts: set[int] = set()
        self.html_parts: set[int] = set()
        self.protection = ""
        self.octets_left = 4 * limits.TEXT_CHARS
        self.tags_left = limits.HTML_TAGS

    def segments(self, part: Part) -> list[Segment]:
        if part.inside:
            return [segment for inner in part.inside for segment in self.segments(inner)]
        if not part.children:
            return [self._leaf(part)] if is_body_text(part) else []
        if part.content_type == "multipart/alternative":
            return self._alternative(part)
        return [segment for child in part.children for segment in self.segments(child)]

    def _alternative(self, part: Part) -> list[Segment]:
        """One content in several forms: the text form for reading, the richest form for showing."""
        forms = [form for child in part.children if (form := self.segments(child))]
        text_forms = [form for form in forms if not any(segment.html for segment in form)]
        html_forms = [form for form in forms if any(segment.html for segment in form)]
        if not html_forms:
            # Two different plain texts are no alternatives, whatever the sender says.
            texts = dict.fromkeys(text for form in text_forms if (text := _joined_text(form)))
            return [Segment(text) for text in texts]
        html_form = html_forms[-1]
        plain = next((text for form in text_forms if (text := _joined_text(form))), None)
        if plain is None or (_is_stand_in(plain) and _joined_text(html_form)):
            return html_form
        first, *others = [segment for segment in html_form if segment.html]
        first.text = plain
        for other in others:
            other.text = ""
        return [first, *others]

    def _leaf(self, part: Part) -> Segment:
        is_html = part.content_type == "text/html"
        if self.octets_left <= 0 or (is_html and self.tags_left <= 0):
            return Segment()
        self.parts.add(id(part))
        data = part.content(most=self.octets_left)
        self.octets_left -= len(data)
        if is_html:
            self.html_parts.add(id(part))
            whole = self._html(data, part.charset)
            html, count = up_to(whole, self.tags_left)
            self.tags_left -= count
            return Segment(html=html, is_cut=html is not whole)
        text = readable(self.decoder.decode(data, part.charset))
        if part.parameters.get("format", "").lower() == "flowed":
            text = unflow(text, delete_space=part.parameters.get("delsp", "").lower() == "yes")
        if part.content_type in ("text/enriched", "text/richtext"):
            text = _ENRICHED_COMMAND.sub("", text)
        text, protection = without_armour(text)
        self.protection = self.protection or protection
        return Segment(text=text.strip("\n"))

    def _html(self, data: bytes, charset: str | None) -> str:
        if charset is None and not data.isascii():
            found = _META_CHARSET.search(data[:4096])
            charset = found[1].decode("ascii") if found else None
        return readable(self.decoder.decode(data, charset))


def _is_stand_in(text: str) -> bool:
    """Whether a text may only say that the message is in HTML, and not what it says."""
    return len(text) <= _STAND_IN_CHARS and "html" in text.lower()


def _joined_text(segments: Iterable[Segment]) -> str:
    return "\n\n".join(text.strip("\n") for segment in segments if (text := _text_of(segment)).strip())


def _text_of(segment: Segment) -> str:
    if segment.text is None or (segment.html and segment.text and not segment.text.strip()):
        html = segment.html or ""
        return html_to_text(html) or html_to_text(html, with_unseen=True)
    return segment.text


def _own_words(segments: list[Segment]) -> str | None:
    """The text without what the HTML marks as history; None where it marks none, or the text differs."""
    if not any(segment.history for segment in segments):
        return None
    kept = []
    for segment in segments:
        text = _text_of(segment)
        if segment.html and segment.history:
            own = without_last_attribution(html_to_text(without_history(segment.html, segment.history)))
            found = cut_to(text, own) if segment.text is not None and own else own
            if found is None:
                return None
            text = found
        kept.append(text.strip("\n"))
    return "\n\n".join(text for text in kept if text.strip())


def _joined_html(segments: Iterable[Segment], defects: list[str]) -> str | None:
    """The safe HTML of all segments, None as soon as one of them is beyond the limits."""
    pieces = []
    for segment in segments:
        if segment.html:
            safe, defect = _safe_html(segment)
            if safe is None:
                defects.append(defect or "HTML left out")
                return None
            pieces.append(safe)
        elif segment.text:
            pieces.append(text_as_html(segment.text))
    joined = "\n".join(pieces)
    return joined if len(joined) <= 2 * limits.HTML_CHARS else None


def _safe_html(segment: Segment) -> tuple[str | None, str | None]:
    """The safe HTML with the history in it folded, or None and the defect that says why there is none.

    Each piece is made safe by itself, so that nothing in the mail can open or close the fold.
    """
    html, history = segment.html or "", segment.history
    if segment.is_cut:
        return None, f"HTML of more than {limits.HTML_TAGS} tags"
    if history is None or not may_be_cut_out(html, history):
        return sanitise(html)
    sheet = sheet_of(html)
    pieces = []
    for piece in (html[: history.start], html[history.start : history.end], html[history.end :]):
        safe, defect = sanitise(piece, sheet)
        if safe is None:
            return None, defect
        pieces.append(safe)
    pieces[1] = _FOLDED.format(pieces[1]) if pieces[1].strip() else ""
    return "\n".join(piece for piece in pieces if piece), None
