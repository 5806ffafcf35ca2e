"""What becomes of a message: a table of named rules over values, and nothing else.

`decide` walks RULES from the top; the first rule that fires gives the disposition. Every rule that was
looked at is kept with what it saw, so that "why was this mail ignored" is one glance at the email log.
The order and the words follow the administrator's guide, "How a message is judged".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from webapp.inbound.threads import KnownSender, Permission, Proof, Relation, ThreadMatch, permission
from webapp.mail.authentication_results import dmarc_result
from webapp.mail.message import InboundMessage
from webapp.models.inbound import Disposition
from webapp.models.ticket import EntryFlag


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings that decide. Addresses are comparison keys (`fold_addr_spec`)."""

    cutoff: datetime | None = None
    process_unknown: bool = False
    own_addresses: frozenset[str] = frozenset()
    sending_addresses: frozenset[str] = frozenset()  # From of Outgoing and Invoice
    same_company: bool = True  # users of the ticket's company may write to it
    reopen_days: int = 0  # a closed ticket is opened again by mail within so many days of its last change
    authserv_id: str = ""  # the mail server whose Authentication-Results count (RFC 8601)
    do_not_reply: bool = False  # rule 5 knows do-not-reply and do_not_reply, too
    other_automated: bool = True  # rule 8


@dataclass(frozen=True, slots=True)
class Earlier:
    """The same message, processed before."""

    inbound_id: int
    ticket_id: int | None
    how: str  # what is equal


@dataclass(frozen=True, slots=True)
class Reported:
    """The message of ours, and the recipient, that a delivery report speaks of."""

    delivery_id: int
    recipient: str
    ticket_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the database knows about this message, read before anything is decided."""

    earlier: Earlier | None = None
    ours: str | None = None  # what shows that we sent it ourselves
    sender_key: str | None = None  # the sender as compared; None: From names nobody we may trust
    sender: KnownSender | None = None
    sender_note: str = "is unknown"  # why nobody is known by this address
    is_disabled_staff: bool = False  # the address of an account that may not sign in any more
    blocked_by: str | None = None  # the entry of the block list that matched
    allowed_by: str | None = None  # the entry of the allow list that matched
    reported: Reported | None = None
    thread: ThreadMatch | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One rule's look at one message; `disposition` where it is not always the rule's own."""

    fired: bool
    saw: str
    disposition: Disposition | None = None
    permission: Permission | None = None


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
    permission: Permission | None = None  # where the message belongs to a ticket: by what right

    @property
    def reopens(self) -> bool:
        """Whether what the customer wrote makes it a ticket to work on again."""
        return self.permission is not None and not self.permission.internal


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
            disposition = check.disposition or rule.disposition
            return Decision(disposition, rule.name, check.saw, tuple(trace), check.permission)
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
    key, policy = case.facts.sender_key, case.policy
    if case.facts.ours:
        return Check(True, case.facts.ours)
    if key in policy.own_addresses:
        return Check(True, f"sender {key} is the incoming mailbox")
    # A person may send under the address the desk sends with: small desks do.
    if key in policy.sending_addresses and case.facts.sender is None:
        return Check(True, f"sender {key} is the address this service desk sends with")
    return Check(False, "not sent by this service desk")


def _delivery_report(case: Case) -> Check:
    marks = [mark.saw for mark in case.message.automated if mark.rule == "delivery-report"]
    if not marks:
        return Check(False, "not a delivery report")
    if found := case.facts.reported:
        about = f", about {ticket_name(found.ticket_id)}" if found.ticket_id else ""
        return Check(True, f"{marks[0]}; our message to {found.recipient}{about}", Disposition.REPORT)
    return Check(True, f"{marks[0]}; names no message of ours (bounce_unmatched)")


def _automated(name: str, absent: str) -> Callable[[Case], Check]:
    """A rule whose marks were found when the message was read (`webapp.mail.auto_submitted`)."""

    def look(case: Case) -> Check:
        seen = next((mark.saw for mark in case.message.automated if mark.rule == name), None)
        if seen is None:
            return Check(False, absent)
        if case.facts.allowed_by:
            return Check(False, f"{seen}; accepted, as {case.facts.allowed_by} is on the allow list")
        return Check(True, seen)

    return look


_look_for_noreply = _automated("noreply-sender", "not a no-reply address")
_look_for_other_marks = _automated("other-automated", "no other automatic mark")
_DO_NOT_REPLY = re.compile(r"do-not-reply|do_not_reply", re.IGNORECASE | re.ASCII)


def _noreply_sender(case: Case) -> Check:
    check = _look_for_noreply(case)
    written = case.message.sender.addr_spec or ""
    if check.fired or not case.policy.do_not_reply or not _DO_NOT_REPLY.search(written):
        return check
    if case.facts.allowed_by:
        return Check(False, f"From: {written}; accepted, as {case.facts.allowed_by} is on the allow list")
    return Check(True, f"From: {written}")


def _other_automated(case: Case) -> Check:
    check = _look_for_other_marks(case)
    if check.fired and not case.policy.other_automated:
        return Check(False, f"{check.saw}; such mail is taken in by the settings")
    return check


def _blocked_sender(case: Case) -> Check:
    if case.facts.blocked_by:
        saw = case.facts.sender_key or case.message.sender.written
        return Check(True, f"{saw} is blocked by {case.facts.blocked_by}")
    return Check(False, "on no block list")


def _unknown_sender(case: Case) -> Check:
    sender = case.facts.sender
    if sender is not None:
        return Check(False, f"{case.facts.sender_key} is {sender.name}")
    saw = case.facts.sender_key or case.message.sender.doubt or "no sender"
    note = f"{saw} {case.facts.sender_note}"
    if case.policy.process_unknown:
        return Check(False, f"{note}; messages from unknown users are processed")
    return Check(True, note)


def _spoofed_sender(case: Case) -> Check:
    proof = _proof(case)
    if proof is Proof.NOT_ASKED:
        return Check(False, "not asked: the settings name no server that checks senders")
    thread = case.facts.thread
    # Of a stranger nothing is believed anyway, except that they are who opened or joined the ticket.
    is_somebody = case.facts.sender is not None or (thread and thread.relation is not Relation.NONE)
    if not is_somebody or proof is not Proof.FAILED:
        return Check(False, f"DMARC: {proof}")
    saw = f"DMARC: failed for {case.facts.sender_key}; sender not verified"
    if thread:
        return Check(True, f"{saw}; says it belongs to {ticket_name(thread.ticket_id)}", Disposition.CLAIM)
    return Check(True, saw)


def _thread(case: Case) -> Check:
    thread = case.facts.thread
    if thread is None:
        return Check(False, "names no ticket")
    state = "closed" if thread.closed else "open"
    right = _permission(case, thread)
    saw = f"{thread.how} names {ticket_name(thread.ticket_id)} ({state}); {right.why}"
    if not thread.closed or right.internal:
        return Check(right.granted, saw, permission=right)
    if _is_reopened(case, thread):
        return Check(right.granted, f"{saw}; reopened within the days set", permission=right)
    # A closed ticket stays closed: what comes in late is a ticket of its own, linked to it. There its sender
    # is the requester, and nobody new.
    flag = None if right.flag is EntryFlag.NEW_SENDER else right.flag
    return Check(right.granted, saw, Disposition.TICKET, replace(right, flag=flag))


def _is_reopened(case: Case, thread: ThreadMatch) -> bool:
    days = timedelta(days=case.policy.reopen_days)
    return thread.changed_at is not None and bool(days) and case.received_at - thread.changed_at <= days


def _thread_claim(case: Case) -> Check:
    thread = case.facts.thread
    if thread is None:
        return Check(False, "names no ticket")
    why = _permission(case, thread).why
    return Check(True, f"says it belongs to {ticket_name(thread.ticket_id)} ({thread.how}); {why}")


def _permission(case: Case, thread: ThreadMatch) -> Permission:
    return permission(
        thread,
        case.facts.sender,
        is_disabled_staff=case.facts.is_disabled_staff,
        same_company=case.policy.same_company,
        proof=_proof(case),
    )


def _proof(case: Case) -> Proof:
    if not case.policy.authserv_id:
        return Proof.NOT_ASKED
    result = dmarc_result(case.message.headers, case.policy.authserv_id)
    return {"pass": Proof.PASSED, "fail": Proof.FAILED}.get(result or "", Proof.NONE)


def _new_ticket(case: Case) -> Check:
    return Check(True, case.facts.sender.name if case.facts.sender else "unknown sender")


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


RULES: tuple[Rule, ...] = (
    Rule("before-cutoff", _before_cutoff, None),
    Rule("duplicate", _duplicate, Disposition.DUPLICATE),
    Rule("own-message", _own_message, Disposition.IGNORED),
    Rule("delivery-report", _delivery_report, Disposition.IGNORED),
    Rule("noreply-sender", _noreply_sender, Disposition.IGNORED),
    Rule("auto-submitted", _automated("auto-submitted", "no Auto-Submitted, or no"), Disposition.IGNORED),
    Rule(
        "auto-response-suppress",
        _automated("auto-response-suppress", "no X-Auto-Response-Suppress with All, DR or AutoReply"),
        Disposition.IGNORED,
    ),
    Rule("other-automated", _other_automated, Disposition.IGNORED),
    Rule("blocked-sender", _blocked_sender, Disposition.IGNORED),
    Rule("unknown-sender", _unknown_sender, Disposition.IGNORED),
    Rule("spoofed-sender", _spoofed_sender, Disposition.TICKET),
    Rule("thread", _thread, Disposition.UPDATE),
    Rule("thread-claim", _thread_claim, Disposition.CLAIM),
    Rule("new-ticket", _new_ticket, Disposition.TICKET),
)
