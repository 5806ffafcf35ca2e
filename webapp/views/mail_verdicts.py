"""A dry run in words: what would become of a message, why, and of all of them together."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.inbound.dry_run import PreviewRow
from webapp.inbound.foresight import WORDS
from webapp.inbound.preview import Preview
from webapp.mailserver.checks import Foreseen
from webapp.models import Disposition, Placement
from webapp.views.filters import count
from webapp.views.words import OUTCOME_WORDS, RULE_WORDS

_REASONED = (Disposition.IGNORED, Disposition.REPORT)
COUNTED = (
    ("ticket", "new ticket", "new tickets"),
    ("update", "update", "updates"),
    ("claim", "new ticket that names another", "new tickets that name another"),
    ("held", "held for a decision", "held for a decision"),
    ("ignored", "ignored", "ignored"),
    ("report", "delivery report", "delivery reports"),
    ("duplicate", "skipped, already processed", "skipped, already processed"),
    ("quarantined", "could not be read", "could not be read"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ticket` is one that exists, `message` the position of the one whose ticket does not exist yet."""

    word: str
    icon: str
    tone: str
    reason: str = ""
    ticket: int | None = None
    message: int | None = None


def verdict_of(row: PreviewRow) -> Verdict:
    if row.placed is not None:
        where = "stays in the inbox" if row.placed is Placement.LEFT else "only moved"
        return Verdict("Already processed", "copy-check", "quiet", where, row.ticket_id)
    if row.disposition is None:
        return Verdict("Left alone", "circle-slash", "quiet", "received before the date")
    word, icon, tone = OUTCOME_WORDS[row.disposition]
    return Verdict(word, icon, tone, _reason(row), row.ticket_id, row.planned_of)


def counts_sentence(preview: Preview) -> str:
    """2 new tickets, 31 updates, 3 ignored."""
    found = [(getattr(preview.counts, name), one, many) for name, one, many in COUNTED]
    parts = [count(number, one, many) for number, one, many in found if number]
    if preview.before_cutoff:
        parts.append(f"{preview.before_cutoff:,} older than the date, left alone")
    return ", ".join(parts) or "nothing to do"


def foreseen_sentence(foreseen: Foreseen) -> str:
    """When you turn this on now: 2 new tickets · 31 too old (of the 200 newest of 412 unread messages)."""
    if not foreseen.unread:
        return "There are no unread messages now."
    parts = [count(number, *WORDS[kind]) for kind, number in foreseen.counts.items() if number]
    few = f" (of the {foreseen.looked:,} newest of {count(foreseen.unread, 'unread message')})"
    told = " · ".join(parts) or "nothing to do"
    return f"When you turn this on now: {told}{few if foreseen.looked < foreseen.unread else ''}."


def _reason(row: PreviewRow) -> str:
    if row.disposition in _REASONED:
        words, _, field = RULE_WORDS.get(row.rule, row.rule).partition(": ")
        if field and not row.saw.startswith(field):
            words = f"{words}: {field}"
        saw = "" if row.rule == "unknown-sender" else row.saw  # who that is stands beside it
        return f"{words[:1].lower()}{words[1:]}" + (f" ({saw})" if saw else "")
    if row.disposition in (Disposition.CLAIM, Disposition.HELD):
        return "names another ticket, where the sender may not write"
    if row.disposition is Disposition.TICKET and row.rule == "thread":
        return "follow-up of a closed ticket"
    if row.disposition is Disposition.QUARANTINED:
        return "could not be read; kept for inspection"
    return ""
