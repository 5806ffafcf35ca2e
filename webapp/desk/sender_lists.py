"""The block list and the allow list: what an entry covers, and which entry a sender meets.

An entry is an address or a domain; a domain covers its subdomains. Both are kept as they are compared: local
part in lower case, domain as A-labels.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit
from webapp.desk.addresses import read_addr_spec
from webapp.desk.thread_marks import our_addresses
from webapp.mail.address import fold_addr_spec
from webapp.models import SenderList, SenderRule

MAX_NOTE_CHARACTERS = 500
# Where anybody has an address: a whole such domain on a list is hardly ever meant.
PUBLIC_MAIL_DOMAINS = frozenset(
    """
    abv.bg aol.com freemail.hu gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com
    hotmail.co.uk hotmail.com hotmail.de hotmail.fr hotmail.it icloud.com laposte.net libero.it live.com
    mac.com mail.bg mail.com mail.ru me.com msn.com naver.com orange.fr outlook.com outlook.de proton.me
    protonmail.com qq.com rambler.ru seznam.cz t-online.de web.de wp.pl yahoo.com yahoo.co.uk yahoo.de
    yandex.com yandex.ru 163.com
    """.split()  # noqa: SIM905 - forty quoted names read worse
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_REGISTRIES = frozenset({"ac", "co", "com", "edu", "gov", "net", "or", "org"})  # co.uk, com.au


class ListRefused(Exception):
    """Not put on the list; the message is a sentence for people."""


class NeedsConsent(ListRefused):
    """Possible, and hardly ever meant: put on the list once somebody has said so."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The entries a sender meets, as they are named to people."""

    blocked_by: str | None = None
    allowed_by: str | None = None


def read_value(text: str) -> str:
    """The comparison key of an address or a domain somebody typed. Raises ListRefused."""
    text = text.strip().removeprefix("*@").removeprefix("@").strip()
    if not text:
        raise ListRefused("Enter an address such as ann@example.com or a domain such as example.com.")
    if "@" in text:
        try:
            return fold_addr_spec(read_addr_spec(text))
        except ValueError as error:
            sentence = str(error)
            raise ListRefused(sentence[:1].upper() + sentence[1:]) from error
    return _read_domain(text.removeprefix("*.").rstrip("."))


def find(session: Session, which: SenderList, value_key: str) -> SenderRule | None:
    return session.scalar(sa.select(SenderRule).filter_by(list=which, value_key=value_key))


def add(
    session: Session,
    which: SenderList,
    text: str,
    *,
    note: str = "",
    now: datetime,
    actor: str,
    consent: bool = False,
) -> SenderRule:
    """The entry, old or new. Raises ListRefused; NeedsConsent where `consent` would do."""
    value_key = read_value(text)
    if found := find(session, which, value_key):
        return found
    note = " ".join(note.split())
    if len(note) > MAX_NOTE_CHARACTERS:
        raise ListRefused(f"The note has {len(note)} characters; at most {MAX_NOTE_CHARACTERS} fit.")
    _refuse_our_own(session, value_key)
    if value_key in PUBLIC_MAIL_DOMAINS and not consent:
        verb = "ignored" if which is SenderList.BLOCK else "accepted, automatic mail too"
        raise NeedsConsent(
            f"Anybody can have an address at {value_key}. Mail of everybody there would be {verb}. "
            "Enter one address instead, or confirm the whole domain."
        )
    rule = SenderRule(list=which, value_key=value_key, note=note, created_at=now, created_by=actor)
    session.add(rule)
    session.flush()
    audit.record(session, now, actor, f"senders.add-{which.value}", value_key, note=note)
    return rule


def remove(session: Session, rule: SenderRule, *, now: datetime, actor: str) -> None:
    """Off the list; the audit keeps what stood there."""
    audit.record(session, now, actor, f"senders.remove-{rule.list.value}", rule.value_key, note=rule.note)
    session.delete(rule)


def listed(session: Session, sender_keys: Collection[str]) -> dict[str, Listed]:
    """What each of these senders (comparison keys) meets; those that meet nothing are left out. One query."""
    wanted = {value for key in sender_keys for value in covering(key)}
    if not wanted:
        return {}
    rows = session.execute(
        sa.select(SenderRule.list, SenderRule.value_key).where(SenderRule.value_key.in_(wanted))
    )
    found = {(row.list, row.value_key) for row in rows}
    if not found:
        return {}
    return {key: one for key in sender_keys if (one := _meets(found, key)) != Listed()}


def covering(sender_key: str) -> list[str]:
    """Every entry that would cover this sender, the closest first: the address, its domain, those above."""
    labels = sender_key.rpartition("@")[2].split(".")[-10:]
    return [sender_key, *(".".join(labels[begin:]) for begin in range(len(labels)))]


def _meets(found: Collection[tuple[SenderList, str]], sender_key: str) -> Listed:
    def first(which: SenderList) -> str | None:
        return next((value for value in covering(sender_key) if (which, value) in found), None)

    return Listed(first(SenderList.BLOCK), first(SenderList.ALLOW))


def _read_domain(text: str) -> str:
    domain = fold_addr_spec(f"x@{text}").rpartition("@")[2]
    labels = domain.split(".")
    if len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ListRefused(
            f"“{text[:80]}” is neither an address nor a domain. "
            "Enter one such as ann@example.com or example.com."
        )
    if len(labels) == 1:
        raise ListRefused(
            f"“{domain}” is no domain of one sender. Enter the whole domain, such as example.{domain}."
        )
    if len(labels) == 2 and labels[0] in _REGISTRIES and len(labels[1]) == 2:
        raise ListRefused(
            f"“{domain}” is the end of many companies' domains. Enter one, such as example.{domain}."
        )
    return domain


def _refuse_our_own(session: Session, value_key: str) -> None:
    """The desk's own addresses are never on a list, nor a domain that covers them."""
    for own in own_addresses(session):
        if value_key in covering(own):
            raise ListRefused(
                f"{value_key} covers {own}, an address of this service desk. "
                "Its own addresses cannot be listed."
            )


def own_addresses(session: Session) -> frozenset[str]:
    """Comparison keys of the addresses this desk receives at and sends with."""
    return our_addresses(session)
