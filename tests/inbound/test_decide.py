"""The rules, one table: which fires, what becomes of the message, and what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.factories import NOW
from webapp.inbound.case import Earlier, Facts, Policy, Reported, ReportedDelivery
from webapp.inbound.decide import decide
from webapp.inbound.rules import RULES
from webapp.inbound.threads import KnownSender, Proof, Relation, ThreadMatch, permission
from webapp.mail.message import AutomatedMark, InboundMessage, RecipientOutcome, Report, Sender
from webapp.models import Disposition

ANN = KnownSender("Ann Lee", user_id=1, company_id=1)
MESSAGE = InboundMessage(subject="Printer", sender=Sender("ann@acme.test", "Ann", "Ann <ann@acme.test>"))
KNOWN = Facts(sender_key="ann@acme.test", sender=ANN)
UNKNOWN = Facts(sender_key="carl@new.test")
TECH = KnownSender("Tom", account_id=5, is_staff=True)
OPEN = ThreadMatch(7, False, "subject tag [T-7]", Relation.REQUESTER, changed_at=NOW - timedelta(days=3))
CLOSED = replace(OPEN, closed=True)
FOREIGN = replace(OPEN, relation=Relation.NONE)
KEYED = replace(FOREIGN, keyed=True)
COLLEAGUE = replace(OPEN, relation=Relation.COLLEAGUE)

SEEN = replace(KNOWN, earlier=Earlier(3, 9, "same"))
OURS = Policy(own_addresses=frozenset({"ann@acme.test"}))


BLOCKED, ALLOWED = replace(KNOWN, blocked_by="acme.test"), replace(KNOWN, allowed_by="acme.test")
REPORTED = Reported(7, (ReportedDelivery(1, "a@b.test", RecipientOutcome("a@b.test", "failed", "5.1.1")),))
CHECKED = Policy(authserv_id="mx.desk.test")


def judged_by_server(result: str) -> InboundMessage:
    field = ("Authentication-Results", f"mx.desk.test; dmarc={result} header.from=acme.test")
    return replace(MESSAGE, headers=(field,))


def marked(rule: str) -> InboundMessage:
    return replace(MESSAGE, automated=(AutomatedMark(rule, f"seen by {rule}"),))


NULL_PATH = replace(MESSAGE, automated=(AutomatedMark("delivery-report", "Return-Path: <>"),))
BOUNCE = replace(NULL_PATH, report=Report("delivery-status", "a@b.test", "failed", "5.1.1", None))
DAEMON = replace(
    NULL_PATH,
    automated=(*NULL_PATH.automated, AutomatedMark("delivery-report", "From: mailer-daemon@acme.test")),
)
OTHER_REPORT = replace(NULL_PATH, headers=(("Content-Type", 'Multipart/Report; boundary="b"'),))
HIDDEN = replace(
    MESSAGE,
    headers=(
        ("Authentication-Results", "mx.desk.test; spf=none smtp.mailfrom=(x@evil.test; dmarc=fail"),
        ("Authentication-Results", "mx.desk.test; dmarc=pass"),
    ),
)

CASES = [
    ("null path", NULL_PATH, Policy(), KNOWN, "delivery-report", "ignored"),
    ("null path of an allowed one", NULL_PATH, Policy(), ALLOWED, "new-ticket", "ticket"),
    ("null path of one blocked and allowed", NULL_PATH, Policy(), replace(BLOCKED, allowed_by="acme.test"),
     "blocked-sender", "ignored"),
    ("a bounce of an allowed one", BOUNCE, Policy(), ALLOWED, "delivery-report", "ignored"),
    ("a matched bounce of an allowed one", BOUNCE, Policy(), replace(ALLOWED, reported=REPORTED),
     "delivery-report", "report"),
    ("a daemon of an allowed domain", DAEMON, Policy(), ALLOWED, "delivery-report", "ignored"),
    ("another report of an allowed one", OTHER_REPORT, Policy(), ALLOWED, "delivery-report", "ignored"),
    ("DMARC failure hidden in a comment", HIDDEN, CHECKED, KNOWN, "spoofed-sender", "ticket"),
    ("DMARC failure hidden, in a thread", HIDDEN, CHECKED, replace(KNOWN, thread=OPEN), "spoofed-sender",
     "claim"),
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
    ("reported", marked("delivery-report"), Policy(), replace(KNOWN, reported=REPORTED),
     "delivery-report", "report"),
    ("allowed no-reply", marked("noreply-sender"), Policy(), ALLOWED, "new-ticket", "ticket"),
    ("allowed automatic", marked("auto-submitted"), Policy(), ALLOWED, "new-ticket", "ticket"),
    ("allowed suppress", marked("auto-response-suppress"), Policy(), ALLOWED, "new-ticket", "ticket"),
    ("allowed other mark", marked("other-automated"), Policy(), ALLOWED, "new-ticket", "ticket"),
    ("a report of an allowed one", marked("delivery-report"), Policy(), ALLOWED, "delivery-report",
     "ignored"),
    ("blocked", MESSAGE, Policy(), BLOCKED, "blocked-sender", "ignored"),
    ("blocked in a thread", MESSAGE, Policy(), replace(BLOCKED, thread=OPEN), "blocked-sender", "ignored"),
    ("blocked and allowed", marked("auto-submitted"), Policy(), replace(BLOCKED, allowed_by="acme.test"),
     "blocked-sender", "ignored"),
    ("other mark, wanted", marked("other-automated"), Policy(other_automated=False), KNOWN, "new-ticket",
     "ticket"),
    ("do-not-reply", replace(MESSAGE, sender=Sender("Do-Not-Reply@a.test", "", "")),
     Policy(do_not_reply=True),
     KNOWN, "noreply-sender", "ignored"),
    ("do-not-reply, not set", replace(MESSAGE, sender=Sender("do-not-reply@a.test", "", "")), Policy(), KNOWN,
     "new-ticket", "ticket"),
    ("from the sending address", MESSAGE, Policy(sending_addresses=frozenset({"carl@new.test"})), UNKNOWN,
     "own-message", "ignored"),
    ("a person who has the sending address", MESSAGE, Policy(sending_addresses=frozenset({"ann@acme.test"})),
     KNOWN, "new-ticket", "ticket"),
    ("DMARC failed", judged_by_server("fail"), CHECKED, KNOWN, "spoofed-sender", "ticket"),
    ("DMARC failed in a thread", judged_by_server("fail"), CHECKED, replace(KNOWN, thread=replace(OPEN,
     keyed=True)),
     "spoofed-sender", "claim"),
    ("DMARC failed, nobody we know", judged_by_server("fail"), replace(CHECKED, process_unknown=True),
     UNKNOWN,
     "new-ticket", "ticket"),
    ("DMARC failed, not asked", judged_by_server("fail"), Policy(), KNOWN, "new-ticket", "ticket"),
    ("DMARC passed", judged_by_server("pass"), CHECKED, replace(KNOWN, thread=OPEN), "thread", "update"),
    ("a participant", MESSAGE, Policy(), replace(KNOWN, thread=replace(OPEN, relation=Relation.PARTICIPANT)),
     "thread", "update"),
    ("a colleague", MESSAGE, Policy(), replace(KNOWN, thread=COLLEAGUE), "thread", "update"),
    ("a colleague, not enough", MESSAGE, Policy(same_company=False), replace(KNOWN, thread=COLLEAGUE),
     "thread-claim", "claim"),
    ("a stranger with a token", MESSAGE, Policy(), replace(KNOWN, thread=KEYED), "thread", "update"),
    ("an unknown stranger with a token", MESSAGE, Policy(), replace(UNKNOWN, thread=KEYED), "unknown-sender",
     "ignored"),
    ("a technician's address", MESSAGE, Policy(), replace(KNOWN, sender=TECH, thread=FOREIGN), "thread-claim",
     "claim"),
    ("a technician's address with a token", MESSAGE, Policy(), replace(KNOWN, sender=TECH, thread=KEYED),
     "thread", "update"),
    ("a technician on a closed ticket", MESSAGE, Policy(),
     replace(KNOWN, sender=TECH, thread=replace(KEYED, closed=True)), "thread", "update"),
    ("closed, reopened", MESSAGE, Policy(reopen_days=3), replace(KNOWN, thread=CLOSED), "thread", "update"),
    ("closed too long ago", MESSAGE, Policy(reopen_days=2), replace(KNOWN, thread=CLOSED), "thread",
     "ticket"),
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


def test_accepted_mail_with_a_null_return_path_says_why_it_is_no_report() -> None:
    [step] = [s for s in decide(NULL_PATH, NOW, Policy(), ALLOWED).trace if s.rule == "delivery-report"]
    assert step.saw == (
        "Return-Path: <>, but no report by its form; accepted, as acme.test is on the allow list"
    )


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
        "auto-response-suppress", "other-automated", "blocked-sender", "unknown-sender", "spoofed-sender",
        "thread", "thread-claim", "new-ticket",
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


@pytest.mark.parametrize("relation", Relation)
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("staff", [None, ANN, TECH])
@pytest.mark.parametrize("same_company", [False, True])
@pytest.mark.parametrize("is_disabled", [False, True])
def test_nobody_writes_to_a_ticket_without_one_of_the_named_permissions(
    relation: Relation, keyed: bool, staff: KnownSender | None, same_company: bool, is_disabled: bool
) -> None:
    thread = replace(OPEN, relation=relation, keyed=keyed)
    right = permission(
        thread, staff, is_disabled_staff=is_disabled, same_company=same_company, proof=Proof.NOT_ASKED
    )
    takes_part = relation in (Relation.REQUESTER, Relation.PARTICIPANT) or (
        relation is Relation.COLLEAGUE and same_company
    )
    assert right.granted is (takes_part or keyed)
    assert right.account_id is None  # nobody speaks for an account without that account's own token
    if right.granted and not takes_part:
        assert right.flag is not None


@pytest.mark.parametrize(
    ("sent_to", "proof", "account_id", "flag"),
    [
        (5, Proof.NOT_ASKED, 5, None),
        (5, Proof.PASSED, 5, None),
        (5, Proof.FAILED, None, "unproven-staff"),
        (5, Proof.NONE, None, "unproven-staff"),
        (6, Proof.PASSED, None, "unproven-staff"),
        (None, Proof.PASSED, None, "unproven-staff"),
    ],
)
def test_only_what_was_sent_to_the_technician_alone_proves_who_wrote(
    sent_to: int | None, proof: Proof, account_id: int | None, flag: str | None
) -> None:
    thread = replace(KEYED, token_account_id=sent_to)
    right = permission(thread, TECH, is_disabled_staff=False, same_company=True, proof=proof)
    assert (right.granted, right.internal, right.account_id, right.flag) == (True, True, account_id, flag)
