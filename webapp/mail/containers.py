"""Parts that hold a message of their own, opened: TNEF (winmail.dat) and S/MIME (RFC 8551).

What is found goes into `Part.inside` of the container, so that the numbers of all other parts, by which
their files are found again, stay what they are. Nothing here raises: what cannot be opened stays a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webapp.mail import limits
from webapp.mail.body import is_body_text
from webapp.mail.headers import Headers, split_headers
from webapp.mail.message import Invitation
from webapp.mail.mime import Part, split_message

if TYPE_CHECKING:
    from webapp.mail.rtf import Allowance

_TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef", "application/x-ms-tnef"})
_TNEF_NAME = re.compile(r"(?i)win(?:mail)?\d{0,4}\.dat\Z")
_CMS_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_CMS_NAME = re.compile(r"(?i).{1,200}\.p7[mz]\Z")
_UNTOLD = frozenset({"application/octet-stream", "application/x-unknown", "binary/octet-stream"})
# "contract.pdf.p7m": a file somebody signed, not a message.
_SIGNED_FILE = re.compile(r"(?i)(.{1,200}\.[a-z0-9]{1,8})\.p7[mz]\Z")
_CALENDAR_TYPES = frozenset(
    {"text/calendar", "text/x-vcalendar", "text/ics", "application/ics", "application/calendar"}
)
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,100}")


@dataclass(slots=True, eq=False)
class FoundPart(Part):
    """A file or text out of a container: its octets are what they are, encoded in no way."""

    def content(self, *, most: int | None = None) -> bytes:
        return self.source[: len(self.source) if most is None else most]


@dataclass(slots=True)
class Opened:
    """A message's tree with its containers opened, and what they said of the message as a whole."""

    root: Part
    defects: list[str] = field(default_factory=list)
    smime: str = ""  # "smime-signed", "smime-encrypted" or ""
    message_class: str = ""  # of the TNEF part (MS-OXCMSG section 2.2.1.3)
    invitation: Invitation | None = None  # a meeting that only the TNEF part tells of


def open_message(raw: bytes) -> Opened:
    """The tree of `raw` as `split_message` cuts it, every container in it opened."""
    root, defects = split_message(raw)
    opened = Opened(root, defects)
    _Opener(opened).open_all(root, 0)
    return opened


def file_part(content: bytes, filename: str, content_type: str, content_id: str = "") -> Part:
    """A part for a file that no MIME header describes."""
    headers = Headers()
    if content_id:
        headers.fields.append(("Content-ID", f"<{content_id}>".encode("utf-8", "replace")))
    if not _MEDIA_TYPE.fullmatch(content_type):
        content_type = "application/octet-stream"
    names = {"filename": filename} if filename else {}
    return FoundPart(content, 0, len(content), headers, content_type, {}, "attachment", names)


def text_part(content: bytes, subtype: str, charset: str) -> Part:
    """A part for message text out of a container."""
    parameters = {"charset": charset}
    return FoundPart(content, 0, len(content), Headers(), f"text/{subtype}", parameters, "", {})


def alternatives(parts: list[Part]) -> list[Part]:
    """One part for one content in several forms."""
    if len(parts) < 2:
        return parts
    together = FoundPart(b"", 0, 0, Headers(), "multipart/alternative", {}, "", {})
    together.children = parts
    return [together]


class _Opener:
    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._containers_left = limits.CONTAINERS
        self._octets_left = limits.CONTAINER_OCTETS
        self._rtf: Allowance | None = None

    def open_all(self, root: Part, depth: int) -> None:
        for leaf in list(root.leaves()):
            if (opener := self._opener_for(leaf)) is None:
                continue
            if self._containers_left <= 0 or depth >= limits.CONTAINER_DEPTH:
                self._note("more winmail.dat or S/MIME parts than are opened")
                return
            self._containers_left -= 1
            try:
                opener(leaf)
            except MemoryError:
                raise
            except Exception as exc:  # noqa: BLE001 - the rest of the message must not go with it
                leaf.inside, leaf.opened = [], False
                self._note(f"{leaf.content_type} part could not be opened: {exc}"[:200])
                continue
            for part in leaf.inside:
                self.open_all(part, depth + 1)

    def _opener_for(self, leaf: Part) -> Callable[[Part], None] | None:
        kind = leaf.content_type
        if kind in _CMS_TYPES:
            return self._open_cms
        if kind in _TNEF_TYPES:
            return self._open_tnef
        if kind in _UNTOLD:
            name = filename_of(leaf)
            if _TNEF_NAME.fullmatch(name):
                return self._open_tnef
            if _CMS_NAME.fullmatch(name):
                return self._open_cms
        return None

    def _open_tnef(self, leaf: Part) -> None:
        from webapp.mail.rtf import Allowance
        from webapp.mail.tnef import read_tnef
        from webapp.mail.tnef_parts import invitation_of, parts_of

        self._rtf = self._rtf or Allowance()
        tnef = read_tnef(self._content(leaf))
        opened = self._opened
        opened.message_class = opened.message_class or tnef.message_class
        opened.invitation = opened.invitation or invitation_of(tnef)
        found = parts_of(tnef, with_text=not self._has_text(), allowance=self._rtf)
        leaf.inside = found
        leaf.opened = tnef.whole
        if not tnef.whole:
            self._note("winmail.dat could not be unpacked as a whole")

    def _open_cms(self, leaf: Part) -> None:
        from webapp.mail import cms

        name = filename_of(leaf)
        object_ = cms.read_cms(self._content(leaf))
        if object_.kind == cms.ENCRYPTED:
            if not self._has_text():
                self._opened.smime = "smime-encrypted"
        elif object_.content is not None:
            self._spend(len(object_.content))
            signed_file = _SIGNED_FILE.fullmatch(name)
            if _is_entity(object_.content):
                entity, defects = split_message(object_.content)
                self._opened.defects.extend(defects)
                leaf.inside, leaf.opened = [entity], True
                if object_.kind == cms.SIGNED:
                    self._opened.smime = self._opened.smime or "smime-signed"
            elif signed_file:
                leaf.inside = [file_part(object_.content, signed_file[1], "")]
            else:
                leaf.inside = [text_part(object_.content, "plain", "utf-8")]
                self._note("signed content without a MIME header")

    def _content(self, leaf: Part) -> bytes:
        content = leaf.content()
        self._spend(len(content))
        return content

    def _spend(self, octets: int) -> None:
        self._octets_left -= octets
        if self._octets_left < 0:
            raise ValueError(f"more than {limits.CONTAINER_OCTETS >> 20} MB in containers")

    def _has_text(self) -> bool:
        """Whether the message says something in a text part of its own."""
        leaves = self._opened.root.all_leaves()
        return any(is_body_text(leaf) and leaf.content(most=4_096).strip() for leaf in leaves)

    def _note(self, defect: str) -> None:
        if defect not in self._opened.defects and len(self._opened.defects) < limits.DEFECTS:
            self._opened.defects.append(defect)


def filename_of(part: Part) -> str:
    return (part.disposition_parameters.get("filename") or part.parameters.get("name") or "").strip()


def may_be_calendar(part: Part) -> bool:
    if part.content_type in _CALENDAR_TYPES:
        return True
    named = filename_of(part).lower().endswith((".ics", ".vcs"))
    return named and (part.content_type in _UNTOLD or part.content_type == "text/plain")


def _is_entity(content: bytes) -> bool:
    """Whether signed content is a MIME entity (RFC 8551 section 3.1) and not a bare file."""
    headers, _ = split_headers(content[:65_536], 0, min(len(content), 65_536))
    return any(name.lower().startswith(("content-", "mime-version")) for name, _ in headers.fields)
