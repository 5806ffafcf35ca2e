"""What the names in the database are called on a page."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from webapp.models import ActionKind, DeliveryState, Disposition, Inbound, Placement, TicketStatus

STATUS_WORDS = {
    TicketStatus.OPEN: ("Open", "circle-dot"),
    TicketStatus.WAITING: ("Waiting", "clock"),
    TicketStatus.CLOSED: ("Closed", "circle-check"),
}
OUTCOME_WORDS = {
    Disposition.TICKET: ("New ticket", "circle-plus", "good"),
    Disposition.UPDATE: ("Added to", "reply", "good"),
    Disposition.CLAIM: ("New ticket", "mail-question", "doubt"),
    Disposition.HELD: ("Held", "mail-question", "doubt"),
    Disposition.IGNORED: ("Ignored", "circle-slash", "quiet"),
    Disposition.REPORT: ("Delivery report", "mail", "quiet"),
    Disposition.DUPLICATE: ("Skipped", "copy-check", "quiet"),
    Disposition.QUARANTINED: ("Failed", "file-warning", "bad"),
}
# What became of a message we sent, for one recipient: word, tone, icon.
DELIVERY_WORDS = {
    DeliveryState.QUEUED: ("Waiting", "quiet", "clock"),
    DeliveryState.SENDING: ("Sending", "quiet", "loader-circle"),
    DeliveryState.SENT: ("Sent", "good", "circle-check"),
    DeliveryState.DEFERRED: ("Waiting", "doubt", "clock"),
    DeliveryState.FAILED: ("Failed", "bad", "circle-x"),
    DeliveryState.UNCERTAIN: ("Uncertain", "doubt", "mail-question"),
    DeliveryState.NOT_SENT: ("Not sent", "quiet", "circle-slash"),
}
# The filter's words, where they need to be longer than the outcome's.
OUTCOME_CHOICES = {
    Disposition.TICKET: "New ticket",
    Disposition.UPDATE: "Added to a ticket",
    Disposition.CLAIM: "New ticket that names another",
    Disposition.HELD: "Held for a decision",
    Disposition.IGNORED: "Ignored",
    Disposition.REPORT: "Delivery report",
    Disposition.DUPLICATE: "Skipped, already processed",
    Disposition.QUARANTINED: "Failed, could not be read",
}
RULE_WORDS = {
    "before-cutoff": "Received before the specified date",
    "duplicate": "Already processed",
    "own-message": "Sent by this service desk",
    "delivery-report": "Delivery or read report",
    "noreply-sender": "Sender is a no-reply address",
    "auto-submitted": "Automatic message: Auto-Submitted",
    "auto-response-suppress": "Automatic message: X-Auto-Response-Suppress",
    "other-automated": "Automatic message: other marks",
    "blocked-sender": "Sender is blocked",
    "unknown-sender": "Unknown sender",
    "spoofed-sender": "Sender is not verified",
    "thread": "Belongs to a ticket, and the sender may write there",
    "thread-claim": "Names a ticket, but the sender may not write there",
    "new-ticket": "Everything else becomes a ticket",
    "quarantine": "Could not be read",
    "by-hand": "A person wanted a ticket",
}
ACTION_WORDS = {
    ActionKind.PROCESS_AGAIN: "Processed again",
    ActionKind.CREATE_TICKET: "Ticket made by hand",
    ActionKind.REPLAY: "Understood again",
    ActionKind.DISMISS: "Needs no attention any more",
    ActionKind.JOIN: "Joined to the ticket it names",
    ActionKind.REFUSE: "Refused",
    ActionKind.HOLD: "Undone: held again",
}
RUN_COUNTS = (
    ("ticket", "new"),
    ("update", "added"),
    ("claim", "naming another ticket"),
    ("held", "held"),
    ("ignored", "ignored"),
    ("report", "delivery reports"),
    ("duplicate", "skipped"),
    ("quarantined", "failed"),
    ("before_cutoff", "older than the specified date"),
)
MAX_TEXT = 100_000  # characters of one message on a page
_IGNORED_BECAUSE = {
    "own-message": "sent by this service desk",
    "delivery-report": "delivery report for a message this desk does not know",
    "noreply-sender": "sender is a no-reply address ({saw})",
    "auto-submitted": "automatic message ({saw})",
    "auto-response-suppress": "automatic message ({saw})",
    "other-automated": "automatic message ({saw})",
    "blocked-sender": "blocked sender ({saw})",
    "unknown-sender": "unknown sender",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One message's outcome: never told by its colour alone."""

    word: str
    icon: str
    tone: str
    reason: str


def init_app(app: Flask) -> None:
    app.jinja_env.globals |= {
        "action_words": ACTION_WORDS,
        "delivery_words": DELIVERY_WORDS,
        "outcome_of": outcome_of,
        "placement_of": placement_of,
        "rule_words": rule_words,
        "status_words": STATUS_WORDS,
        "run_counts": RUN_COUNTS,
        "max_text": MAX_TEXT,
    }


def outcome_of(inbound: Inbound) -> Outcome:
    word, icon, tone = OUTCOME_WORDS[inbound.disposition]
    return Outcome(word, icon, tone, _reason(inbound))


def placement_of(inbound: Inbound) -> str:
    folder = f"“{inbound.folder}”" if inbound.folder else "the archive folder"
    return {
        Placement.PENDING_MOVE: f"Not moved to {folder} yet; the next run tries again",
        Placement.ARCHIVED: f"Moved to {folder}",
        Placement.LEFT: "Left in the inbox",
        Placement.GONE: "No longer in the inbox",
    }[inbound.placement]


def rule_words(rule: str) -> str:
    return RULE_WORDS.get(rule, rule)


def reason_of(disposition: Disposition | None, rule: str, saw: str) -> str:
    """Why the rules came to this, where the outcome alone does not say it."""
    if disposition is Disposition.IGNORED:
        return _IGNORED_BECAUSE.get(rule, rule_words(rule)).format(saw=saw)
    return rule_words(rule)


def _reason(inbound: Inbound) -> str:
    match inbound.disposition:
        case Disposition.IGNORED:
            return reason_of(inbound.disposition, inbound.rule, inbound.saw)
        case Disposition.QUARANTINED:
            return "message could not be read; saved for inspection"
        case Disposition.CLAIM | Disposition.HELD:
            return "names another ticket, where the sender may not write"
        case Disposition.TICKET if inbound.rule == "spoofed-sender":
            return "sender is not verified"
        case Disposition.TICKET if inbound.rule == "thread":
            return "follow-up of a closed ticket"
        case Disposition.TICKET if any(defect.startswith("too large") for defect in inbound.defects):
            return "too large, only its header was taken in"
    return ""
