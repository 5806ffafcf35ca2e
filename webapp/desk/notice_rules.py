"""Whom no automatic mail is sent to, and why: values in, a reason out.

A machine that is answered answers. So everything that may be one is left alone (RFC 3834 section 2), and an
address that only a From header names is written to where the desk knows it, or was told to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from webapp.mail.auto_submitted import without_comments
from webapp.mail.message import InboundMessage

TOO_OLD = timedelta(hours=24)
CLOCKS_DIFFER = timedelta(hours=1)
NOREPLY = re.compile(r"no-?_?reply|notreply|do-?_?not-?_?reply|mailer-daemon|postmaster|bounces?[+@-]", re.I)
# How the holiday notices of common mail programs begin; some of them carry no mark at all.
_AWAY = re.compile(
    r"(?:automatic reply|auto(?:matic)?[ -]?(?:reply|response|responder)|out of (?:the )?office|ooo\b"
    r"|automatische antwort|abwesenheit|abwesend|réponse automatique|absence du bureau|absent\b"
    r"|respuesta automática|fuera de (?:la )?oficina|risposta automatica|fuori ufficio|resposta automática"
    r"|automatisch antwoord|afwezig|autosvar|automaattinen vastaus|automatická odpověď|automatikus válasz"
    r"|autoodpowiedź|odpowiedź automatyczna|автоматичен отговор|автоответ|自動応答|自动回复)",
    re.IGNORECASE,
)
_ANSWER_PREFIX = re.compile(r"^(?:\s*(?:re|aw|sv|antw)\s*:)+\s*", re.IGNORECASE)
_BULK = frozenset({"bulk", "list", "junk", "auto_reply"})
_LISTS = ("list-", "mailing-list", "x-mailing-list", "x-list", "feedback-id", "x-campaign", "x-loop")
_ANSWERS = frozenset({"REPLY", "COUNTER", "REFRESH", "DECLINECOUNTER"})  # iTIP: a calendar program's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message that opened a ticket or was added to one. Addresses are compared by `sender_key`."""

    message: InboundMessage
    received_at: datetime
    inbound_id: int
    ticket_id: int
    is_new_ticket: bool
    is_known: bool = False  # the sender is a user of the directory or an account of the desk
    is_doubted: bool = False  # a claim, a flagged entry, a message nobody could read, a sender not verified
    is_internal: bool = False  # staff wrote it
    sender_key: str | None = None  # None: From names nobody who could be written to
    sender_list: str | None = None  # the entry of the block list or allow list that the sender meets


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the desk knows besides the message."""

    own_keys: frozenset[str] = frozenset()  # addresses it receives at and sends with
    unknown_senders: bool = False  # those the directory does not know may be written to


def why_not_acknowledged(mail: Arrived, desk: Desk, now: datetime) -> str:
    """The first reason, "" where the sender is to hear that the message has come."""
    message = mail.message
    if not mail.is_new_ticket:
        return "it opened no ticket"
    if reason := why_not_now(mail.received_at, now):
        return reason
    if mail.sender_key is None:
        return "From names nobody"
    if mail.is_doubted:
        return "the sender is in doubt"
    if message.automated or message.report or message.loop_header:
        return "no person wrote it"
    if mark := mass_mail_mark(message):
        return mark
    if message.invitation and message.invitation.method in _ANSWERS:
        return "a calendar program answers"
    if _AWAY.match(_ANSWER_PREFIX.sub("", message.subject)):
        return "its subject is a holiday notice's"
    return why_no_mail_to(
        mail.sender_key, desk, is_known=mail.is_known, is_listed=mail.sender_list is not None
    )


def why_no_mail_to(key: str, desk: Desk, *, is_known: bool, is_listed: bool) -> str:
    """Why a customer's address gets nothing by itself, "" where it may."""
    if key in desk.own_keys:
        return "it is the desk's own address"
    if NOREPLY.search(key):
        return "nobody reads mail there"
    if is_listed:
        return "the sender is on the block list or the allow list"
    if not is_known and not desk.unknown_senders:
        return "the sender is unknown"
    return ""


def why_not_now(received_at: datetime, now: datetime) -> str:
    """A first run over a full mailbox tells nobody anything; nor does mail whose time is not known."""
    if now - received_at > TOO_OLD:
        return "it is older than 24 hours"
    return "the time it came is not known" if received_at - now > CLOCKS_DIFFER else ""


def mass_mail_mark(message: InboundMessage) -> str:
    """The header field by which this went to many, or asks for no answer; "" where there is none."""
    for name, value in message.headers:
        key, first = name.lower(), without_comments(value).strip().lower()
        if key == "precedence" and first in _BULK:
            return f"Precedence: {first}"
        if key.startswith(_LISTS):
            return f"{name} is there"
        if key == "x-auto-response-suppress" and first not in ("", "none"):
            return f"{name} is there"
        if key == "auto-submitted" and first.partition(";")[0].strip() != "no":
            return f"{name} is there"
    return ""
