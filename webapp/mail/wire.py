"""`InboundMessage` to plain JSON values and back: how it leaves the parser process."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from webapp.mail.message import (
    Address,
    AttachmentInfo,
    AutomatedMark,
    InboundMessage,
    Invitation,
    RecipientOutcome,
    Report,
    Sender,
)


def to_json(message: InboundMessage) -> dict[str, Any]:
    plain = asdict(message)
    plain["date"] = message.date.isoformat() if message.date else None
    return plain


def from_json(plain: dict[str, Any]) -> InboundMessage:
    values = dict(plain)
    values["sender"] = Sender(**plain["sender"])
    for name in ("to", "cc", "reply_to"):
        values[name] = tuple(Address(**one) for one in plain[name])
    values["date"] = datetime.fromisoformat(plain["date"]) if plain["date"] else None
    for name in ("in_reply_to", "references", "defects"):
        values[name] = tuple(plain[name])
    values["automated"] = tuple(AutomatedMark(**one) for one in plain["automated"])
    if report := plain["report"]:
        others = tuple(RecipientOutcome(**one) for one in report["others"])
        values["report"] = Report(**report | {"others": others})
    values["attachments"] = tuple(AttachmentInfo(**one) for one in plain["attachments"])
    if invitation := plain["invitation"]:
        values["invitation"] = Invitation(**invitation | {"attendees": tuple(invitation["attendees"])})
    values["headers"] = tuple((name, value) for name, value in plain["headers"])
    return InboundMessage(**values)
