"""What the parser tells those who are told by mail what became of a message."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from webapp.desk.notice_rules import Arrived
from webapp.desk.notifications import Notices, safely
from webapp.inbound.apply import Applied
from webapp.inbound.judging import Judged
from webapp.models import Disposition

_MADE_TICKET = (Disposition.TICKET, Disposition.CLAIM, Disposition.QUARANTINED)


def tell(session: Session, notices: Notices, judged: Judged, applied: Applied, now: datetime) -> None:
    """In the transaction that wrote the effect. Raises where the database fails."""
    arrived = arrived_from(judged, applied)
    if arrived is not None and notices.concern(arrived):
        safely(session, lambda: notices.mail_arrived(arrived, now))


def arrived_from(judged: Judged, applied: Applied) -> Arrived | None:
    """None where the message neither opened a ticket nor was added to one."""
    is_new = applied.disposition in _MADE_TICKET
    if applied.ticket_id is None or not (is_new or applied.disposition is Disposition.UPDATE):
        return None
    facts, decision = judged.facts, judged.decision
    right = decision.permission
    return Arrived(
        message=judged.received.message,
        received_at=judged.received.identity.received_at,
        inbound_id=applied.inbound_id,
        ticket_id=applied.ticket_id,
        is_new_ticket=is_new,
        is_known=facts.sender is not None,
        is_doubted=(
            applied.disposition in (Disposition.CLAIM, Disposition.QUARANTINED)
            or decision.rule == "spoofed-sender"
            or facts.is_disabled_staff
            or (right is not None and right.flag is not None)
        ),
        is_internal=right is not None and right.internal,
        sender_key=facts.sender_key,
        sender_list=facts.blocked_by or facts.allowed_by,
    )
