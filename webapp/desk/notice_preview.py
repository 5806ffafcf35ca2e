"""What a wording makes of a real ticket, the newest, or of one that was made up."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import notice_wording, reply_settings, thread_marks
from webapp.desk.notice_wording import Said
from webapp.desk.notification_settings import Checked
from webapp.models import Company, Ticket, TicketStatus

SAMPLE_NUMBER = 1042


def preview(session: Session, wording: Checked, *, public_url: str) -> Said:
    """As it would be sent about the newest ticket."""
    ticket = session.scalar(sa.select(Ticket).order_by(Ticket.id.desc()).limit(1))
    if ticket is None:
        ticket, sender = _sample(), "Ann Lee"
        text = "Hello,\n\nour printer is offline since this morning.\n\nAnn"
    else:
        sender, text = notice_wording.newest_mail(session, ticket)
    desk, tags = reply_settings.load(session).desk_name, thread_marks.load(session).tags
    values = notice_wording.values_of(
        ticket, desk=desk, public_url=public_url, sender=sender, text=text, tags=tags
    )
    return notice_wording.fill(wording, values, ticket_id=ticket.id, tags=tags)


def _sample() -> Ticket:
    return Ticket(
        id=SAMPLE_NUMBER,
        subject="Printer offline",
        status=TicketStatus.OPEN,
        requester_name="Ann Lee",
        company=Company(name="Acme Ltd"),
    )
