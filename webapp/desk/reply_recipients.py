"""Who gets a reply: whom the ticket suggests, and what a technician typed, read strictly.

A suggestion is only that. Nobody becomes a recipient by asking for it in a mail: a Reply-To that leads
elsewhere is offered, and the technician decides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk.addresses import is_among, read_addr_spec
from webapp.desk.participants import recipients_of
from webapp.desk.thread_marks import our_addresses
from webapp.desk.undeliverable import undeliverable
from webapp.mail.address import fold_addr_spec
from webapp.mail.field_lines import ascii_addr_spec, checked
from webapp.models import Entry, EntryKind, Ticket

MOST = 50  # To and Cc together: more is a circular, and servers refuse it
_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",;\n])+')
_NAMED = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^<>"]*))\s*<(?P<address>[^<>]*)>\s*')
_TYPED_MOST = 20_000  # characters of one field

Mailbox = tuple[str, str]  # display name, addr-spec


class RecipientsRefused(Exception):
    """Nothing was sent; the message is a sentence, `field` is "to" or "cc"."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Recipients:
    """Of one reply; everybody once, the domains as A-labels."""

    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...] = ()

    @property
    def addr_specs(self) -> list[str]:
        return [addr_spec for _, addr_spec in (*self.to, *self.cc)]


@dataclass(frozen=True, slots=True)
class Suggested:
    """What the form begins with."""

    to: str
    cc: str
    reply_to: str  # where the last message wants answers, if that is elsewhere; "" otherwise
    left_out: tuple[str, ...]  # addresses of the ticket that do not exist any more


def suggested(session: Session, ticket: Ticket) -> Suggested:
    """The requester, at the address they wrote from last; participants, and who else wrote last, as Cc."""
    last = last_message(session, ticket.id)
    keys = _requester_keys(ticket)
    to = _requester(ticket)
    cc = [(one.name, one.addr_spec) for one in recipients_of(session, ticket.id)]
    reply_to: list[Mailbox] = []
    if last is not None and last.from_addr and not last.flag:
        writer = (last.from_name, last.from_addr)
        if fold_addr_spec(last.from_addr) in keys:
            to = (to[0] or writer[0], last.from_addr) if to else writer
        elif to is None:
            to = writer
        else:
            cc.append(writer)
        reply_to = [(name, address) for name, address in (last.recipients or {}).get("reply_to", ())]
    own = our_addresses(session)
    gone = undeliverable(session, [address for _, address in ([to] if to else []) + cc])
    taken: set[str] = set()
    kept_to = _take([to] if to and not is_among(own, to[1]) else [], taken, gone)
    kept_cc = _take([one for one in cc if not is_among(own, one[1])], taken, gone)
    first = [one for one in reply_to if _is_address(one[1])][:1]
    elsewhere = _take([one for one in first if not is_among(own, one[1])], taken, gone)
    return Suggested(
        to=", ".join(map(written, kept_to)),
        cc=", ".join(map(written, kept_cc)),
        reply_to=", ".join(map(written, elsewhere)),
        left_out=tuple(row.addr_key for row in gone.values()),
    )


def read(session: Session, *, to: str, cc: str = "") -> Recipients:
    """What was typed: addresses with or without names, between commas. Raises RecipientsRefused."""
    pieces = {"to": _split(to, "to"), "cc": _split(cc, "cc")}
    number = sum(map(len, pieces.values()))
    if number > MOST:
        raise RecipientsRefused(
            f"These are {number:,} recipients; a reply goes to at most {MOST}. "
            "Use a mailing list for a circular.",
            field="to" if len(pieces["to"]) > len(pieces["cc"]) else "cc",
        )
    if not pieces["to"]:
        raise RecipientsRefused("Enter who gets this reply.", field="to")
    taken: set[str] = set()
    own = our_addresses(session)
    found = {}
    for field, items in pieces.items():
        mailboxes = [_mailbox(item, field) for item in items]
        _refuse_unreachable(session, mailboxes, own, field)
        found[field] = tuple(_take(mailboxes, taken, {}))
    return Recipients(found["to"], found["cc"])


def last_message(session: Session, ticket_id: int) -> Entry | None:
    """The customer's newest message; one that is to be read with care only where there is no other."""
    query = sa.select(Entry).where(Entry.ticket_id == ticket_id, Entry.kind == EntryKind.MAIL)
    query = query.order_by(Entry.flag.is_not(None), Entry.id.desc())
    return session.scalar(query.limit(1))


def written(mailbox: Mailbox) -> str:
    """As people type it: `Ann Lee <ann@acme.test>`, with quotes where a comma would cut the name."""
    name, address = mailbox
    name = " ".join("".join(filter(_is_harmless, name)).split())
    if not name or name == address:
        return address
    if re.search(r'[",;<>\\]', name):
        name = '"' + name.replace("\\", "").replace('"', "'") + '"'
    return f"{name} <{address}>"


def _requester(ticket: Ticket) -> Mailbox | None:
    name = ticket.requester.name if ticket.requester else ticket.requester_name
    address = ticket.requester_address or (ticket.requester.email if ticket.requester else None)
    return (name, address) if address and _is_address(address) else None


def _requester_keys(ticket: Ticket) -> set[str]:
    keys = {ticket.requester_key} if ticket.requester_key else set()
    return keys | ({one.addr_key for one in ticket.requester.addresses} if ticket.requester else set())


def _take(mailboxes: Iterable[Mailbox], taken: set[str], gone: Collection[str]) -> list[Mailbox]:
    """Those that are nobody's yet, in order."""
    kept = []
    for name, address in mailboxes:
        key = fold_addr_spec(address)
        if key not in taken and key not in gone:
            taken.add(key)
            kept.append((name, address))
    return kept


def _split(text: str, field: str) -> list[str]:
    if len(text) > _TYPED_MOST:
        raise RecipientsRefused(
            f"These are more addresses than a reply can have; at most {MOST}.", field=field
        )
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return [item.strip() for item in _ITEM.findall(text) if item.strip()]


def _mailbox(item: str, field: str) -> Mailbox:
    named = _NAMED.fullmatch(item)
    name, address = "", item
    if named is not None:
        quoted = named["quoted"]
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else named["plain"].strip()
        address = named["address"]
    try:
        checked("this name", name)
        address = read_addr_spec(address)
        return name, ascii_addr_spec("this field", address)
    except ValueError as error:
        sentence = str(error)
        if "not ASCII" in sentence:
            sentence = (
                f"{address} has letters before the @ that most mail servers cannot deliver to. "
                "Ask for another address."
            )
        elif sentence.startswith("control character"):
            sentence = "The name before an address has a control character in it. Type it anew."
        raise RecipientsRefused(sentence[:1].upper() + sentence[1:], field=field) from error


def _refuse_unreachable(session: Session, mailboxes: list[Mailbox], own: frozenset[str], field: str) -> None:
    gone = undeliverable(session, [address for _, address in mailboxes])
    for _, address in mailboxes:
        key = fold_addr_spec(address)
        if is_among(own, key):
            raise RecipientsRefused(
                f"{address} is an address of this service desk itself: the mail would come back. Remove it.",
                field=field,
            )
        if key in gone:
            raise RecipientsRefused(
                f"Mail to {address} could not be delivered: a report said the address does not exist. "
                "Correct it, or allow it again: on its user's page, or in the outbox at the message that "
                "could not be delivered.",
                field=field,
            )


def _is_address(address: str) -> bool:
    try:
        return bool(ascii_addr_spec("address", read_addr_spec(address)))
    except ValueError:
        return False


def _is_harmless(letter: str) -> bool:
    return letter.isprintable()
