"""A received message as values: what `parse` makes of raw bytes.

Everything here is a frozen value that survives a trip through JSON, because parsing happens in a
process of its own (`webapp.inbound.parser_process`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Address:
    """RFC 5322 mailbox: a display name and an addr-spec, as written (not case-folded)."""

    display_name: str
    addr_spec: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a message is from: its single From mailbox, or the reason why that cannot be said.

    `addr_spec` is None where From names nobody we may trust: two From headers, two mailboxes, group
    syntax, control or invisible characters, a missing header. Such mail is from an unknown sender, never
    from a known user. `display_name` and `written` stay for showing.
    """

    addr_spec: str | None
    display_name: str
    written: str
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class AttachmentInfo:
    """One attachment without its content; `position` finds the content again in the raw message."""

    position: int
    filename: str
    content_type: str
    size: int  # octets, decoded
    inline: bool
    content_id: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class AutomatedMark:
    """A header (or address) that says no person wrote this message, and what was seen there."""

    rule: str  # the rule's name in mail-rules: "auto-submitted", "auto-response-suppress", ...
    saw: str


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """What a report says became of a message for one recipient (RFC 3464 section 2.3)."""

    recipient: str
    action: str
    status: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a delivery-status (RFC 3464) or disposition-notification (RFC 8098) report says.

    Of several recipients the first of those it went worst for, and the `others` in the report's order.
    """

    kind: str  # "delivery-status" | "disposition-notification"
    recipient: str
    action: str
    status: str
    original_message_id: str | None
    others: tuple[RecipientOutcome, ...] = ()  # at most 199

    @property
    def outcomes(self) -> tuple[RecipientOutcome, ...]:
        """Every recipient the report tells of."""
        return (RecipientOutcome(self.recipient, self.action, self.status), *self.others)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A calendar object (RFC 5545, iTIP RFC 5546) as a person reads it; times as ISO 8601.

    `start` and `end` are dates ("2026-11-24") for a whole day, times with offset where the zone is known,
    and times without one ("floating", RFC 5545 section 3.3.5) where it is not; `time_zone` as written.
    """

    method: str  # REQUEST, CANCEL, REPLY, COUNTER, PUBLISH, ...; "" where none is given
    summary: str
    start: str | None
    end: str | None
    time_zone: str | None
    location: str
    organizer: str  # "Ann Lee <ann@acme.test>"
    attendees: tuple[str, ...]  # the first 50, e.g. "Bob <bob@acme.test> (accepted)"
    attendee_count: int
    repeats: str  # the recurrence rule in words; "" where it happens once
    description: str
    status: str  # CONFIRMED, CANCELLED, ...; of a REPLY the attendee's answer


# How a message is signed or encrypted (RFC 8551, RFC 3156, RFC 4880 in-line); "" is neither.
PROTECTIONS = ("", "smime-signed", "smime-encrypted", "pgp-signed", "pgp-encrypted")


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One received message, understood. `parse` never raises: what was odd stands in `defects`."""

    subject: str
    sender: Sender
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    date: datetime | None = None  # the Date header; untrusted, for showing only
    message_id: str | None = None  # without angle brackets
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()  # oldest first, as in the header; the newest 50
    automated: tuple[AutomatedMark, ...] = ()  # every mark found, in the order of the rules
    report: Report | None = None
    loop_header: str | None = None  # value of our own loop header (RFC 5322 field of our namespace)
    body_text: str = ""
    reply_text: str = ""
    body_html: str | None = None  # sanitised
    attachments: tuple[AttachmentInfo, ...] = ()
    invitation: Invitation | None = None
    protection: str = ""  # one of PROTECTIONS
    defects: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # decoded, bounded, for showing
