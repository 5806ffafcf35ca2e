"""Bounces from before RFC 3464: a mail system's letter without a part that a program could read.

Read as one only when the mail is from a mail system by its marks; a person who quotes a bounce, forwards
one or writes about one never is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from webapp.mail.bounce_phrases import DELAYED, OPENING, RECIPIENTS, SEPARATOR, SUBJECT, meaning_of
from webapp.mail.message import RecipientOutcome, Report
from webapp.mail.references import message_id
from webapp.mail.report import MAX_RECIPIENTS, SYSTEMS

_LOOKED_AT = 64 * 1024
_OPENING_CHARS = 2_000  # a mail system comes to the point
_FIRST_CHARS = 400
_DAEMONS = re.compile(
    r"mailer[-_.]?daemon|mail[-_.]?daemon|mdaemon|microsoftexchange[0-9a-f]{32}", re.IGNORECASE
)
_ADDRESS = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])"
    r"([A-Za-z0-9_][\w.!#$%&'*+/=?^`{|}~-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})"
)
_LINE_ADDRESS = re.compile(
    r"(?m)^[ \t>*]{0,20}(?:(?:to|recipient|failed recipient|rcpt to|an|für|address)[ :]{1,5})?[<\"'(]{0,2}"
    + _ADDRESS.pattern,
    re.IGNORECASE,
)
# One that stands alone on its line, or before a colon, as the lists of qmail, Postfix, Exim and Sendmail do.
_LISTED = re.compile(
    r"(?m)^[ \t]{0,20}<?" + _ADDRESS.pattern + r">?:?[ \t]*(?:\r?$|(?<=:)[ \t])", re.IGNORECASE
)
_CODE_AND_STATUS = re.compile(r"\b[45]\d\d[ -]{1,3}[<(#]{0,2}([45]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_STATUS = re.compile(r"(?<![\d.])[#(]{0,2}([45]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_CODE = re.compile(r"(?<![\d.])([45])[0-5]\d(?![\d.]*\d)(?=[ \-,:;)]|\.?\s|\.?$)")
_RETURNED_ID = re.compile(r"(?im)^[ \t>]{0,8}message-id:[ \t]{0,8}(?:\r?\n[ \t]{1,8})?(<[^<>\s]{1,900}>)")
_RETURNED_TO = re.compile(r"(?im)^[ \t>]{0,8}to:[ \t]{0,8}([^\r\n]{1,500})")
_X400 = re.compile(r"(?i)^.*smtp[=:]")  # "c=US;a= ;p=IKON;dda:SMTP=bob@example.org"
_MOST_QUOTES = 3

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Letter:
    """What there is to judge by. `fields` are MIME and transport headers together (name, unfolded value)."""

    fields: Fields
    senders: tuple[str, ...]  # every addr-spec of From
    sender_name: str
    subject: str
    text: str
    content_type: str
    returned_id: str | None  # the Message-ID in a part that holds the returned message


def read_bounce(letter: Letter) -> Report | None:
    """What the bounce says, None where it is none."""
    text = letter.text[:_LOOKED_AT]
    failed = [
        address
        for value in _values(letter.fields, "x-failed-recipients")
        for address in _ADDRESS.findall(value)
    ]
    if not failed and not _is_bounce(letter, text):
        return None
    said, returned = _parted(text)
    recipient = failed[0] if failed else _recipient(said, returned, letter)
    if not recipient and letter.content_type != "multipart/report" and not _is_null_sender(letter.fields):
        return None
    action = "delayed" if DELAYED.search(said) else "failed"
    own = _told_of_each(said, action)
    others = tuple(
        RecipientOutcome(address, action, own.get(address.lower(), ("", ""))[1])
        for address in _others(failed, own, recipient, letter)
    )
    # Of several the first reason in the text may be another's.
    status = own.get(recipient.lower(), ("", ""))[1] if others else _status(said, action)
    original = _original_id(letter, returned)
    return Report("delivery-status", recipient, action, status, original, others)


def _others(failed: list[str], own: dict[str, tuple[str, str]], recipient: str, letter: Letter) -> list[str]:
    """Who did not get it besides: named in the header, or listed with a reason of their own.

    To an address without one it may have been delivered.
    """
    listed = failed or [address for address, status in own.values() if status]
    first = {recipient.lower()} if failed else {recipient.lower(), *_ours(letter)}
    unique = {address.lower(): address for address in reversed(listed) if address.lower() not in first}
    return list(reversed(unique.values()))[: MAX_RECIPIENTS - 1] if recipient else []


def _told_of_each(said: str, action: str) -> dict[str, tuple[str, str]]:
    """The addresses that begin a line of the list, by their small letters, with the status told of each."""
    behind = RECIPIENTS.search(said)
    listed = said[behind.end() :] if behind else said
    found = list(islice(_LISTED.finditer(listed), MAX_RECIPIENTS))
    ends = [one.start() for one in found[1:]] + [len(listed)]
    told: dict[str, tuple[str, str]] = {}
    for one, end in zip(found, ends, strict=False):
        address = _X400.sub("", one[1])
        told.setdefault(address.lower(), (address, _status(listed[one.end() : end], action)))
    return told


def _is_bounce(letter: Letter, text: str) -> bool:
    opening = OPENING.search(text[:_OPENING_CHARS])
    if opening is not None and _is_quoted(text, opening.start()):
        return False
    has_shape = SUBJECT.match(letter.subject) is not None
    if letter.content_type == "multipart/report":
        return opening is not None or has_shape
    if _is_null_sender(letter.fields) or any(map(_is_daemon, letter.senders)):
        return opening is not None or (has_shape and _ADDRESS.search(text) is not None)
    named = (letter.sender_name, *(sender.partition("@")[0] for sender in letter.senders))
    if not has_shape or not any(SYSTEMS.search(name) for name in named):
        return False
    if opening is not None and opening.start() < _FIRST_CHARS:
        return True
    returns_it = letter.returned_id is not None or SEPARATOR.search(text) is not None
    return returns_it and _ADDRESS.search(text[:_FIRST_CHARS]) is not None


def _is_daemon(sender: str) -> bool:
    return _DAEMONS.fullmatch(sender.partition("@")[0]) is not None


def _is_quoted(text: str, position: int) -> bool:
    """Whether somebody's quotation begins before: then the words there are about a bounce."""
    return re.search(r"(?m)^[ \t]{0,4}>", text[:position]) is not None


def _is_null_sender(fields: Fields) -> bool:
    """RFC 5321 section 4.5.5; the topmost Return-Path is the one our own server wrote."""
    value = next(iter(_values(fields, "return-path")), None)
    return value is not None and value.replace(" ", "") == "<>"


def _parted(text: str) -> tuple[str, str]:
    """What the mail system says, and what it quotes of the message."""
    opening = OPENING.search(text[:_OPENING_CHARS])
    found = SEPARATOR.search(text, opening.end() if opening else 0)
    return (text[: found.start()], text[found.start() :]) if found else (text, text)


def _recipient(said: str, returned: str, letter: Letter) -> str:
    ours = _ours(letter)
    behind = RECIPIENTS.search(said)
    listed = said[behind.end() :] if behind else ""
    places = (
        _LINE_ADDRESS.findall(listed),
        _ADDRESS.findall(listed),
        _LINE_ADDRESS.findall(said),
        _ADDRESS.findall(said),
    )
    told: list[str] = [_X400.sub("", address) for place in places for address in place]
    named: list[str] = [
        address for value in _RETURNED_TO.findall(returned) for address in _ADDRESS.findall(value)
    ]
    for address in (*told, *named[:1]):
        if address.lower() not in ours:
            return address
    return (told or named or [""])[0]  # somebody wrote to the address written from


def _ours(letter: Letter) -> set[str]:
    """Who reads this and who wrote it: none of those whom a message did not reach."""
    ours = {value.lower() for name in ("to", "delivered-to") for field in _values(letter.fields, name)
            for value in _ADDRESS.findall(field)}  # fmt: skip
    return ours | {sender.lower() for sender in letter.senders}


def _status(said: str, action: str) -> str:
    """The enhanced status that is written there, or what code and words amount to; "" for neither."""
    written = _CODE_AND_STATUS.search(said) or _STATUS.search(said)
    if written is not None:
        return written[1]
    code = _CODE.search(said)
    permanent = action == "failed" and (code is None or code[1] == "5")
    if meant := meaning_of(said):
        return meant if permanent else f"4{meant[1:]}"
    if code is None:
        return ""
    return "5.0.0" if permanent else "4.0.0"


def _original_id(letter: Letter, returned: str) -> str | None:
    if letter.returned_id:
        return letter.returned_id
    if found := _RETURNED_ID.search(returned):
        return message_id([found[1]])
    for name in ("in-reply-to", "references"):
        if answered := message_id(_values(letter.fields, name)[:_MOST_QUOTES]):
            return answered
    return None


def _values(fields: Iterable[tuple[str, str]], wanted: str) -> list[str]:
    return [value for name, value in fields if name.lower() == wanted]
