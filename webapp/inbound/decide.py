"""What becomes of a message: a table of named rules over values, and nothing else.

`decide` walks RULES from the top; the first rule that fires gives the disposition. Every rule that was
looked at is kept with what it saw, so that "why was this mail ignored" is one glance at the email log.
The order and the words follow the administrator's guide, "How a message is judged".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from webapp.mail.message import InboundMessage
from webapp.models.inbound import Disposition


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings that decide. Addresses are comparison keys (`fold_addr_spec`)."""

    cutoff: datetime | None = None
    process_unknown: bool = False
    own_addresses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KnownSender:
    """Whose address the sender's is: a user of the directory, or an enabled account of the desk."""

    name: str
    user_id: int | None = None
    company_id: int | None = None
    account_id: int | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The same message, processed before."""

    inbound_id: int
    ticket_id: int | None
    how: str  # what is equal


@dataclass(frozen=True, slots=True)
class ThreadMatch:
    """A ticket this message says it belongs to: a claim, and whether its sender may write there."""

    ticket_id: int
    closed: bool
    how: str  # what named the ticket
    may_write: bool
    why: str  # why the sender may or may not


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the database knows about this message, read before anything is decided."""

    earlier: Earlier | None = None
    ours: str | None = None  # what shows that we sent it ourselves
    sender_key: str | None = None  # the sender as compared; None: From names nobody we may trust
    sender: KnownSender | None = None
    sender_note: str = "is unknown"  # why nobody is known by this address
    thread: ThreadMatch | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One rule's look at one message; `disposition` where it is not always the rule's own."""

    fired: bool
    saw: str
    disposition: Disposition | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the trace: which rule looked, whether it fired, what it saw."""

    rule: str
    fired: bool
    saw: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome. `disposition` None: left untouched, with no trace in the ledger."""

    disposition: Disposition | None
    rule: str
    saw: str
    trace: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One message before the rules."""

    message: InboundMessage
    received_at: datetime
    policy: Policy
    facts: Facts


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    look: Callable[[Case], Check]
    disposition: Disposition | None


def decide(
    message: InboundMessage,
    received_at: datetime,
    policy: Policy,
    facts: Facts,
    *,
    unreadable: bool = False,
) -> Decision:
    """The first rule that fires, and every rule looked at on the way.

    A message that is `unreadable` (its last defect says why) is shown to a person, whatever the rules make
    of its header; only one that was processed before stays a duplicate.
    """
    decision = _walk(Case(message, received_at, policy, facts))
    if unreadable and decision.disposition not in (None, Disposition.DUPLICATE):
        return quarantine(message.defects[-1], decision.trace)
    return decision


def quarantine(saw: str, trace: tuple[Step, ...] = ()) -> Decision:
    """A ticket with the raw mail attached, after the rules in `trace` were looked at."""
    return Decision(Disposition.QUARANTINED, "quarantine", saw, (*trace, Step("quarantine", True, saw)))


def ticket_name(ticket_id: int) -> str:
    """T-12; a ticket that is only planned has minus the position of the message that would open it."""
    return f"T-{ticket_id}" if ticket_id > 0 else f"the ticket of message {-ticket_id}"


def _walk(case: Case) -> Decision:
    trace: list[Step] = []
    for rule in RULES:
        check = rule.look(case)
        trace.append(Step(rule.name, check.fired, check.saw))
        if check.fired:
            return Decision(check.disposition or rule.disposition, rule.name, check.saw, tuple(trace))
    raise AssertionError("the last rule always fires")


def _before_cutoff(case: Case) -> Check:
    """By the server's time of receipt, never the Date header, which the sender writes."""
    cutoff = case.policy.cutoff
    if cutoff is None:
        return Check(False, "no date is set")
    saw = f"received {_utc(case.received_at)}, date set {_utc(cutoff)}"
    return Check(case.received_at < cutoff, saw)


def _duplicate(case: Case) -> Check:
    earlier = case.facts.earlier
    if earlier is None:
        return Check(False, "not seen before")
    ticket = f", already {ticket_name(earlier.ticket_id)}" if earlier.ticket_id else ""
    return Check(True, f"{earlier.how}{ticket}")


def _own_message(case: Case) -> Check:
    if case.facts.ours:
        return Check(True, case.facts.ours)
    if case.facts.sender_key in case.policy.own_addresses:
        return Check(True, f"sender {case.facts.sender_key} is the incoming mailbox")
    return Check(False, "not sent by this service desk")


def _automated(name: str, absent: str) -> Callable[[Case], Check]:
    """A rule whose marks were found when the message was read (`webapp.mail.auto_submitted`)."""

    def look(case: Case) -> Check:
        for mark in case.message.automated:
            if mark.rule == name:
                return Check(True, mark.saw)
        return Check(False, absent)

    return look


def _unknown_sender(case: Case) -> Check:
    sender = case.facts.sender
    if sender is not None:
        return Check(False, f"{case.facts.sender_key} is {sender.name}")
    saw = case.facts.sender_key or case.message.sender.doubt or "no sender"
    note = f"{saw} {case.facts.sender_note}"
    if case.policy.process_unknown:
        return Check(False, f"{note}; messages from unknown users are processed")
    return Check(True, note)


def _thread(case: Case) -> Check:
    thread = case.facts.thread
    if thread is None:
        return Check(False, "names no ticket")
    state = "closed" if thread.closed else "open"
    saw = f"{thread.how} names {ticket_name(thread.ticket_id)} ({state}); {thread.why}"
    # A closed ticket stays closed: what comes in late is a ticket of its own, linked to it.
    return Check(thread.may_write, saw, Disposition.TICKET if thread.closed else None)


def _thread_claim(case: Case) -> Check:
    thread = case.facts.thread
    if thread is None:
        return Check(False, "names no ticket")
    return Check(True, f"says it belongs to {ticket_name(thread.ticket_id)} ({thread.how}); {thread.why}")


def _new_ticket(case: Case) -> Check:
    return Check(True, case.facts.sender.name if case.facts.sender else "unknown sender")


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


RULES: tuple[Rule, ...] = (
    Rule("before-cutoff", _before_cutoff, None),
    Rule("duplicate", _duplicate, Disposition.DUPLICATE),
    Rule("own-message", _own_message, Disposition.IGNORED),
    Rule("delivery-report", _automated("delivery-report", "not a delivery report"), Disposition.IGNORED),
    Rule("noreply-sender", _automated("noreply-sender", "not a no-reply address"), Disposition.IGNORED),
    Rule("auto-submitted", _automated("auto-submitted", "no Auto-Submitted, or no"), Disposition.IGNORED),
    Rule(
        "auto-response-suppress",
        _automated("auto-response-suppress", "no X-Auto-Response-Suppress with All, DR or AutoReply"),
        Disposition.IGNORED,
    ),
    Rule("other-automated", _automated("other-automated", "no other automatic mark"), Disposition.IGNORED),
    Rule("unknown-sender", _unknown_sender, Disposition.IGNORED),
    Rule("thread", _thread, Disposition.UPDATE),
    Rule("thread-claim", _thread_claim, Disposition.CLAIM),
    Rule("new-ticket", _new_ticket, Disposition.TICKET),
)
