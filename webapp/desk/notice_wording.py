"""What an automatic mail says: the variables' values of a ticket, and the filled-in wording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk.notification_settings import Checked
from webapp.mail import template, written_text
from webapp.mail.field_lines import one_line
from webapp.mail.notification import FIRST_TAGS, bare_subject, tagged_subject
from webapp.mail.ticket_tag import TicketTags
from webapp.models import Entry, EntryKind, Ticket, TicketStatus

QUOTED_CHARACTERS, QUOTED_LINES = 2_000, 40
LOOKED_AT = 10 * QUOTED_CHARACTERS  # characters, of which tidying leaves enough
STRANGERS_SUBJECT = "Your message"
STATUS_WORDS = {status: status.value.capitalize() for status in TicketStatus}


@dataclass(frozen=True, slots=True)
class Said:
    """What one mail says; `body` is what stands inside of the HTML part's <body>."""

    subject: str
    text: str
    body: str

    @property
    def html(self) -> str:
        return written_text.document(self.body)


def values_of(
    ticket: Ticket,
    *,
    desk: str,
    public_url: str,
    sender: str = "",
    text: str = "",
    is_stranger: bool = False,
    tags: TicketTags = FIRST_TAGS,
) -> dict[str, str]:
    """The value of every variable. To a stranger nothing is said in words a stranger wrote: what is sent to a
    forged address must be of no use to who forged it."""
    requester = ticket.requester.name if ticket.requester else ticket.requester_name
    return {
        "ticket": f"T-{ticket.id}",
        "subject": STRANGERS_SUBJECT if is_stranger else bare_subject(ticket.subject, tags),
        "requester": "" if is_stranger else one_line(requester)[:200],
        "company": one_line(ticket.company.name) if ticket.company else "",
        "status": STATUS_WORDS[ticket.status],
        "assignee": one_line(ticket.assignee.name) if ticket.assignee else "",
        "desk": one_line(desk),
        "sender": one_line(sender)[:320],
        "text": shortened(text),
        "link": f"{public_url.rstrip('/')}/tickets/{ticket.id}" if public_url else "",
    }


def fill(
    wording: Checked, values: Mapping[str, str], *, ticket_id: int, tags: TicketTags = FIRST_TAGS
) -> Said:
    """The mail's own words; every value is escaped in HTML."""
    text = written_text.tidy(wording.text.fill(values)).strip()
    body = (
        wording.html.fill(values, quote=template.quote_html) if wording.html else written_text.as_html(text)
    )
    return Said(
        subject=tagged_subject(wording.subject.fill(values), ticket_id, tags),
        text=text,
        body=written_text.tidy(body),
    )


def newest_mail(session: Session, ticket: Ticket) -> tuple[str, str]:
    """Who wrote the ticket's newest message, and what."""
    query = sa.select(Entry).where(Entry.ticket_id == ticket.id, Entry.kind == EntryKind.MAIL)
    entry = session.scalar(query.order_by(Entry.id.desc()).limit(1))
    return (
        (entry.from_name or entry.from_addr or "", entry.reply_text or entry.body_text) if entry else ("", "")
    )


def shortened(text: str) -> str:
    """The beginning of a message, as much as a notice quotes."""
    begin = text[:LOOKED_AT]  # tidying a megabyte takes half a second, for each who is told, under the lock
    tidy = written_text.tidy(begin).strip()
    lines = tidy[:QUOTED_CHARACTERS].split("\n")
    short = "\n".join(lines[:QUOTED_LINES]).rstrip()
    return f"{short}\n[...]" if len(short) < len(tidy) or text[LOOKED_AT:].strip() else short
