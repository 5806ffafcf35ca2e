"""How one message is understood, as a plain object for the command line, scorers and scripts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from webapp.mail.message import Address, InboundMessage, Report
from webapp.mail.parse import parse


def describe(raw: bytes) -> dict[str, Any]:
    """Plain values only; `invitation` has the fields of `Invitation`, `protection` is one of PROTECTIONS."""
    message = parse(raw)
    return {
        "subject": message.subject,
        "from_addr": message.sender.addr_spec,
        "from_name": message.sender.display_name or None,
        "to": _addr_specs(message.to),
        "cc": _addr_specs(message.cc),
        "reply_to": _addr_specs(message.reply_to),
        "date": message.date.isoformat() if message.date else None,
        "message_id": message.message_id,
        "in_reply_to": list(message.in_reply_to),
        "references": list(message.references),
        "is_auto": bool(message.automated),
        "auto_reason": _reason(message),
        "report": _report(message.report) if message.report else None,
        "attachments": [
            {
                "filename": attachment.filename,
                "content_type": attachment.content_type,
                "size": attachment.size,
                "inline": attachment.inline,
                "content_id": attachment.content_id,
                "sha256": attachment.sha256,
            }
            for attachment in message.attachments
        ],
        "body_text": message.body_text,
        "reply_text": message.reply_text,
        "body_html": message.body_html,
        "invitation": asdict(message.invitation) if message.invitation else None,
        "protection": message.protection or None,
        "defects": list(message.defects),
    }


def _addr_specs(addresses: tuple[Address, ...]) -> list[str]:
    return [address.addr_spec for address in addresses]


def _report(report: Report) -> dict[str, Any]:
    """The one recipient it went worst for: the shape of this object is fixed."""
    return {name: value for name, value in asdict(report).items() if name != "others"}


def _reason(message: InboundMessage) -> str | None:
    if not message.automated:
        return None
    mark = message.automated[0]
    return f"{mark.rule}: {mark.saw}"
