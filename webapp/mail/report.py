"""Delivery status notifications (RFC 3464) and message disposition notifications (RFC 8098)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from webapp.mail.charset import one_line
from webapp.mail.headers import Headers, split_headers
from webapp.mail.message import RecipientOutcome, Report
from webapp.mail.mime import Part
from webapp.mail.references import message_id

_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
SYSTEMS = re.compile(
    r"postmaster|daemon|mail ?delivery|delivery (?:sub)?system|mail ?system|system ?admin"
    r"|microsoft (?:exchange|outlook)|exchange|bounce|mta\b|\bndr\b",
    re.IGNORECASE,
)
_REPORT_CHARS = 256 * 1024
MAX_RECIPIENTS = 200
_MAX_BLOCKS = MAX_RECIPIENTS + 1  # the group about the message stands before those about recipients
_KINDS = {
    "message/delivery-status": "delivery-status",
    "message/global-delivery-status": "delivery-status",
    "message/disposition-notification": "disposition-notification",
    "message/global-disposition-notification": "disposition-notification",
}
_RETURNED = frozenset({"message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global"})
# Of several recipients the one that went worst is reported.
_ACTIONS = ("failed", "delayed", "relayed", "expanded", "delivered")


def report_type(root: Part) -> str:
    """The report-type of a multipart/report, from its parts where the parameter is missing."""
    declared = root.parameters.get("report-type", "").lower()
    if declared or root.content_type != "multipart/report":
        return declared
    return next((_KINDS[part.content_type] for part in root.leaves() if part.content_type in _KINDS), "")


def is_report(root: Part) -> bool:
    """Whether the message is a report itself, maybe signed or with a list's footer below.

    Whoever forwards one attaches it behind words of their own, and that is a person's mail.
    """
    part = root
    while part.content_type != "multipart/report" and (inner := part.children or part.inside):
        part = inner[0]
    return part.content_type == "multipart/report" or part.content_type in _KINDS


def read_report(root: Part) -> Report | None:
    """What the first report in this message says, None where there is none."""
    leaves = list(root.leaves())
    part = next((part for part in leaves if part.content_type in _KINDS), None)
    if part is None:
        return None
    blocks = _blocks(part)
    original = _original_message_id(blocks, leaves)
    if _KINDS[part.content_type] == "disposition-notification":
        return _disposition(blocks, original)
    recipients = [block for block in blocks if block.first("final-recipient") or block.first("action")]
    if not recipients:
        recipients = blocks[:1] or [Headers()]
    return _delivery(recipients[:MAX_RECIPIENTS], original)


# Message classes of reports in TNEF (MS-OXOMSG section 2.2.2): what happened to the message.
_CLASSES = {
    ".ipnrn": ("disposition-notification", "displayed"),
    ".ipnnrn": ("disposition-notification", "deleted"),
    ".ndr": ("delivery-status", "failed"),
    ".dr": ("delivery-status", "delivered"),
}


def read_class(message_class: str, sender: str, answered: str | None) -> Report | None:
    """What a report says that Outlook sent as TNEF alone; `sender` is the one who got the message."""
    message_class = message_class.strip().lower()
    if not message_class.startswith("report."):
        return None
    for ending, (kind, action) in _CLASSES.items():
        if message_class.endswith(ending):
            recipient = sender if kind == "disposition-notification" else ""
            return Report(kind, recipient, action, "", answered)
    return None


def comes_from_a_system(fields: Sequence[tuple[str, str]], named: Iterable[str], content_type: str) -> bool:
    """Whether a message may be a bounce that is not written for programs (`bounces` looks at its text then).

    `named` are the display name and the local parts of From.
    """
    if content_type == "multipart/report" or any(name.lower() == "x-failed-recipients" for name, _ in fields):
        return True
    path = next((value for name, value in fields if name.lower() == "return-path"), None)
    if path is not None and path.replace(" ", "") == "<>":  # RFC 5321 section 4.5.5
        return True
    return any(SYSTEMS.search(name) for name in named)


def returned_message_id(root: Part) -> str | None:
    """The Message-ID in a part that holds the returned message or its header."""
    return _original_message_id([], list(root.leaves()))


def _blocks(part: Part) -> list[Headers]:
    """Groups of fields with empty lines between them (RFC 3464 section 2.1)."""
    content = part.content(most=_REPORT_CHARS).replace(b"\r\n", b"\n")
    blocks: list[Headers] = []
    position = 0
    while position < len(content) and len(blocks) < _MAX_BLOCKS:
        block, following = split_headers(content, position, len(content))
        position = max(following, position + 1)
        if block.fields:
            blocks.append(block)
    return blocks


def by_severity(outcomes: Iterable[RecipientOutcome]) -> list[RecipientOutcome]:
    """What went worst first: of a recipient that a report names twice, that is what counts."""
    return sorted(outcomes, key=lambda one: _severity(one.action))


def _severity(action: str) -> int:
    return _ACTIONS.index(action) if action in _ACTIONS else len(_ACTIONS)


def _action(block: Headers) -> str:
    return one_line(block.first("action") or "").lower().partition(" ")[0]


def _delivery(recipients: list[Headers], original: str | None) -> Report:
    worst = min(recipients, key=lambda block: _severity(_action(block)))
    others = tuple(
        RecipientOutcome(_recipient(block), _action(block), _status(block))
        for block in recipients
        if block is not worst
    )
    return Report("delivery-status", _recipient(worst), _action(worst), _status(worst), original, others)


def _status(block: Headers) -> str:
    """The status; where it says nothing but "failed", as many systems write, what the other server said."""
    found = _STATUS.search(block.first("status") or "")
    status = found[1] if found else ""
    if status and not status.endswith(".0.0"):
        return status
    said = block.first("diagnostic-code") or ""
    for one in _STATUS.findall(said):
        if not one.endswith(".0.0") and one[0] == (status or one)[0]:
            return str(one)
    from webapp.mail.bounce_phrases import meaning_of

    if status and (meant := meaning_of(said)) and "sender" not in said.lower():
        return f"{status[0]}{meant[1:]}"
    return status


def _disposition(blocks: list[Headers], original: str | None) -> Report:
    block = next((block for block in blocks if block.first("disposition")), Headers())
    # "automatic-action/MDN-sent-automatically; displayed": the type behind the mode is what happened.
    disposition = one_line(block.first("disposition") or "").lower()
    action = disposition.rpartition(";")[2].partition("/")[0].strip()
    return Report("disposition-notification", _recipient(block), action, "", original)


def _recipient(block: Headers) -> str:
    """The address as we sent to it: the original recipient, where the reporter gives it."""
    for name in ("original-recipient", "final-recipient", "x-actual-recipient"):
        value = block.first(name)
        address = one_line((value or "").rpartition(";")[2]).strip("<> ")
        if "@" in address:
            return address
    return ""


def _original_message_id(blocks: list[Headers], leaves: list[Part]) -> str | None:
    for block in blocks:
        if found := message_id(block.all("original-message-id")):
            return found
    for part in leaves:
        if part.content_type in _RETURNED:
            returned, _ = split_headers(part.source, part.start, part.end)
            if part.encoding in ("base64", "quoted-printable"):
                content = part.content(most=_REPORT_CHARS)
                returned, _ = split_headers(content, 0, len(content))
            if found := message_id(returned.all("message-id")):
                return found
    return None
