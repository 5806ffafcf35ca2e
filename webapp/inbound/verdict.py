"""What would become of a message, in a few words."""

from __future__ import annotations

from webapp.inbound.case import ticket_name
from webapp.inbound.dry_run import PreviewRow
from webapp.inbound.runs import Counts
from webapp.mailserver.remedy import plural
from webapp.models import Disposition, Placement


def verdict(row: PreviewRow) -> str:
    """Of a dry run's row: "New ticket", "Added to the ticket of message 3", "Ignored" ..."""
    if row.disposition is None:
        return "Left alone: older than the date"
    about = _about(row)
    if row.placed is not None:
        known = f"Processed before ({about})" if about else "Processed before"
        return f"{known}: stays" if row.placed is Placement.LEFT else f"{known}: moved"
    match row.disposition:
        case Disposition.UPDATE:
            return f"Added to {about}"
        case Disposition.CLAIM:
            return f"New ticket that claims to be about {about}"
        case Disposition.HELD:
            return f"Held: claims to be about {about}"
        case Disposition.TICKET if about:
            return f"New ticket that follows {about}"
        case Disposition.TICKET:
            return "New ticket"
        case Disposition.QUARANTINED:
            return "New ticket: the message cannot be read"
        case Disposition.DUPLICATE:
            return f"Skipped: already in {about}" if about else "Skipped: processed before"
        case Disposition.REPORT:
            return f"Delivery report about {about}" if about else "Delivery report"
        case Disposition.IGNORED:
            return "Ignored"


def counts_in_words(counts: Counts) -> str:
    """2 new tickets, 31 updates, 3 ignored ...; what there is none of is not said."""
    tickets = counts.ticket + counts.claim + counts.quarantined
    told = [plural(tickets, "new ticket")] if tickets else []
    told += [plural(counts.update, "update")] if counts.update else []
    named = {
        "held for a decision": counts.held,
        "ignored": counts.ignored,
        "delivery reports": counts.report,
        "seen before": counts.duplicate,
        "older than the date": counts.before_cutoff,
    }
    told += [f"{number} {words}" for words, number in named.items() if number]
    return ", ".join(told) or "nothing to do"


def _about(row: PreviewRow) -> str:
    number = row.ticket_id or (-row.planned_of if row.planned_of else None)
    return ticket_name(number) if number else ""
