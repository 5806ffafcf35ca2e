"""The rules by which mail is judged, each a look at one message, in the order in which they are asked.

The order and the words follow the administrator's guide, "How a message is judged".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from webapp.inbound.case import Case, Check, Rule, ticket_name
from webapp.inbound.threads import Permission, Proof, Relation, ThreadMatch, permission
from webapp.mail.authentication_results import dmarc_result
from webapp.mail.auto_submitted import NULL_RETURN_PATH
from webapp.mail.message import InboundMessage
from webapp.mail.reply_address import without_detail
from webapp.models.inbound import Disposition
from webapp.models.ticket import EntryFlag

_REPORT_TYPE = re.compile(r"\s*multipart/report\b", re.IGNORECASE)


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
    # With a detail behind a plus it is the same mailbox (RFC 5233): answers go to such addresses.
    if key and {key, without_detail(key)} & policy.own_addresses:
        return Check(True, f"sender {key} is the incoming mailbox")
    # A person may send under the address the desk sends with: small desks do.
    if key and {key, without_detail(key)} & policy.sending_addresses and case.facts.sender is None:
        return Check(True, f"sender {key} is the address this service desk sends with")
    return Check(False, "not sent by this service desk")


def _delivery_report(case: Case) -> Check:
    marks = [mark.saw for mark in case.message.automated if mark.rule == "delivery-report"]
    if not marks:
        return Check(False, "not a delivery report")
    if found := case.facts.reported:
        more = len(found.deliveries) - 1
        whom = f"{found.deliveries[0].recipient}{f' and {more} more' if more else ''}"
        about = f", about {ticket_name(found.ticket_id)}" if found.ticket_id else ""
        return Check(True, f"{marks[0]}; our message to {whom}{about}", Disposition.REPORT)
    if case.facts.allowed_by and set(marks) == {NULL_RETURN_PATH} and not _has_form_of_report(case.message):
        # Monitoring systems send with an empty return path, too, so that nothing comes back to them.
        why = f"accepted, as {case.facts.allowed_by} is on the allow list"
        return Check(False, f"{marks[0]}, but no report by its form; {why}")
    return Check(True, f"{marks[0]}; names no message of ours (bounce_unmatched)")


def _has_form_of_report(message: InboundMessage) -> bool:
    types = (value for name, value in message.headers if name.lower() == "content-type")
    return message.report is not None or any(_REPORT_TYPE.match(value) for value in types)


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
        return Check(True, f"{saw}; says it belongs to {ticket_name(thread.ticket_id)}", _of_claims(case))
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
    saw = f"says it belongs to {ticket_name(thread.ticket_id)} ({thread.how}); {why}"
    return Check(True, saw, _of_claims(case))


def _of_claims(case: Case) -> Disposition:
    return Disposition.HELD if case.policy.hold_claims else Disposition.CLAIM


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
