"""The rules, one table: which fires, what becomes of the message, and what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.factories import NOW
from webapp.inbound.decide import RULES, Earlier, Facts, KnownSender, Policy, ThreadMatch, decide
from webapp.mail.message import AutomatedMark, InboundMessage, Sender
from webapp.models import Disposition

ANN = KnownSender("Ann Lee", user_id=1, company_id=1)
MESSAGE = InboundMessage(subject="Printer", sender=Sender("ann@acme.test", "Ann", "Ann <ann@acme.test>"))
KNOWN = Facts(sender_key="ann@acme.test", sender=ANN)
UNKNOWN = Facts(sender_key="carl@new.test")
OPEN = ThreadMatch(7, False, "subject tag [T-7]", True, "sender is the requester")
CLOSED = replace(OPEN, closed=True)
FOREIGN = replace(OPEN, may_write=False, why="sender is neither the requester nor of the same company")

SEEN = replace(KNOWN, earlier=Earlier(3, 9, "same"))
OURS = Policy(own_addresses=frozenset({"ann@acme.test"}))


def marked(rule: str) -> InboundMessage:
    return replace(MESSAGE, automated=(AutomatedMark(rule, f"seen by {rule}"),))


CASES = [
    ("before the date", MESSAGE, Policy(cutoff=NOW + timedelta(seconds=1)), KNOWN, "before-cutoff", None),
    ("at the date", MESSAGE, Policy(cutoff=NOW), KNOWN, "new-ticket", Disposition.TICKET),
    ("after the date", MESSAGE, Policy(cutoff=NOW - timedelta(seconds=1)), KNOWN, "new-ticket", "ticket"),
    ("seen before", MESSAGE, Policy(), SEEN, "duplicate", "duplicate"),
    ("our loop mark", MESSAGE, Policy(), replace(KNOWN, ours="loop mark"), "own-message", "ignored"),
    ("from ourselves", MESSAGE, OURS, KNOWN, "own-message", "ignored"),
    ("bounce", marked("delivery-report"), Policy(), KNOWN, "delivery-report", "ignored"),
    ("no-reply", marked("noreply-sender"), Policy(), KNOWN, "noreply-sender", "ignored"),
    ("out of office", marked("auto-submitted"), Policy(), KNOWN, "auto-submitted", "ignored"),
    ("suppress", marked("auto-response-suppress"), Policy(), KNOWN, "auto-response-suppress", "ignored"),
    ("other mark", marked("other-automated"), Policy(), KNOWN, "other-automated", "ignored"),
    ("unknown", MESSAGE, Policy(), UNKNOWN, "unknown-sender", "ignored"),
    ("unknown, wanted", MESSAGE, Policy(process_unknown=True), UNKNOWN, "new-ticket", "ticket"),
    ("unknown in a thread", MESSAGE, Policy(), replace(UNKNOWN, thread=OPEN), "unknown-sender", "ignored"),
    ("reply", MESSAGE, Policy(), replace(KNOWN, thread=OPEN), "thread", "update"),
    ("reply to a closed ticket", MESSAGE, Policy(), replace(KNOWN, thread=CLOSED), "thread", "ticket"),
    ("reply of a stranger", MESSAGE, Policy(), replace(KNOWN, thread=FOREIGN), "thread-claim", "claim"),
    ("claim on a closed ticket", MESSAGE, Policy(), replace(KNOWN, thread=replace(FOREIGN, closed=True)),
     "thread-claim", "claim"),
    ("automatic reply in a thread", marked("auto-submitted"), Policy(), replace(KNOWN, thread=OPEN),
     "auto-submitted", "ignored"),
    ("plain", MESSAGE, Policy(), KNOWN, "new-ticket", "ticket"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "policy", "facts", "rule", "disposition"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_it_decides(
    message: InboundMessage, policy: Policy, facts: Facts, rule: str, disposition: Disposition | None
) -> None:
    decision = decide(message, NOW, policy, facts)
    assert (decision.rule, decision.disposition) == (rule, disposition)


def test_every_rule_looked_at_is_kept_in_order_and_only_the_last_one_fired() -> None:
    decision = decide(marked("other-automated"), NOW, Policy(), KNOWN)
    names = [step.rule for step in decision.trace]
    assert names == [rule.name for rule in RULES][: len(names)]
    assert names[-1] == "other-automated"
    assert [step.fired for step in decision.trace] == [False] * (len(names) - 1) + [True]
    assert all(step.saw for step in decision.trace)


def test_the_order_of_the_rules_is_the_documented_one() -> None:
    assert [rule.name for rule in RULES] == [
        "before-cutoff", "duplicate", "own-message", "delivery-report", "noreply-sender", "auto-submitted",
        "auto-response-suppress", "other-automated", "unknown-sender", "thread", "thread-claim", "new-ticket",
    ]  # fmt: skip


def test_the_date_header_decides_nothing() -> None:
    old = replace(MESSAGE, date=NOW - timedelta(days=9000))
    assert decide(old, NOW, Policy(cutoff=NOW), KNOWN).rule == "new-ticket"


@pytest.mark.parametrize(
    ("facts", "policy", "expected"),
    [
        (UNKNOWN, Policy(), "carl@new.test is unknown"),
        (replace(UNKNOWN, sender_note="is a user who was set inactive"), Policy(),
         "carl@new.test is a user who was set inactive"),
    ],
)  # fmt: skip
def test_an_unknown_sender_is_named(facts: Facts, policy: Policy, expected: str) -> None:
    assert decide(MESSAGE, NOW, policy, facts).saw == expected


def test_a_sender_that_cannot_be_trusted_is_shown_with_the_doubt() -> None:
    message = replace(MESSAGE, sender=Sender(None, "", "a@b, c@d", doubt="two mailboxes in From"))
    decision = decide(message, NOW, Policy(), Facts(sender_note="is unknown"))
    assert decision.rule == "unknown-sender"
    assert "two mailboxes in From" in decision.saw
