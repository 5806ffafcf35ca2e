"""What becomes of a message: a table of named rules over values, and nothing else.

`decide` walks RULES (`webapp.inbound.rules`) from the top; the first rule that fires gives the disposition.
Every rule that was looked at is kept with what it saw, so that "why was this mail ignored" is one glance at
the email log.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from webapp.inbound.case import Case, Decision, Facts, Policy, Step
from webapp.inbound.rules import RULES
from webapp.mail.message import InboundMessage
from webapp.models.inbound import Disposition


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


def _walk(case: Case) -> Decision:
    trace: list[Step] = []
    for rule in RULES:
        check = rule.look(case)
        trace.append(Step(rule.name, check.fired, check.saw))
        if check.fired:
            disposition = check.disposition or rule.disposition
            decision = Decision(disposition, rule.name, check.saw, tuple(trace), check.permission)
            return replace(decision, brings_colleagues=_brings_colleagues(case, decision))
    raise AssertionError("the last rule always fires")


def _brings_colleagues(case: Case, decision: Decision) -> bool:
    """Only where a user wrote whose word counts on this ticket."""
    if not case.policy.cc_colleagues or case.facts.sender is None or case.facts.sender.company_id is None:
        return False
    right = decision.permission
    if decision.rule == "spoofed-sender" or (right is not None and (right.internal or right.flag)):
        return False
    return decision.disposition in (Disposition.TICKET, Disposition.UPDATE)
