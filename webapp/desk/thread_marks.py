"""What mail of this desk carries so that an answer finds its ticket, as far as it is a setting.

The keyed Message-ID always is there. Beside it: the tag in the subject, and the address answers go to.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from webapp.desk.addresses import incoming_addresses, is_a_persons, read_addr_spec, sending_addresses
from webapp.desk.stored_setting import StoredSetting
from webapp.mail.address import fold_addr_spec
from webapp.mail.field_lines import ascii_addr_spec
from webapp.mail.reply_address import make_reply_address
from webapp.mail.ticket_tag import TicketTags, read_form

MOST_FORMER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadMarks:
    tag_form: str = "[{prefix}-{number}]"
    tag_prefix: str = "T"
    former_tags: tuple[str, ...] = ()  # forms used before, filled in; the oldest first
    answers_to: str = ""  # addr-spec in ASCII; "": the From address
    plus_address: bool = False  # answers go to an address that names the ticket

    @property
    def tags(self) -> TicketTags:
        return TicketTags(self.tag_form.replace("{prefix}", self.tag_prefix), self.former_tags)

    def reply_to(self, key: bytes, from_addr: str, ticket_id: int) -> str:
        """The addr-spec for Reply-To, "" where the From address is as good. `key` as for Message-IDs."""
        base = self.answers_to or from_addr
        wanted = (make_reply_address(key, base, ticket_id) if self.plus_address else None) or base
        return "" if wanted == from_addr else wanted


class MarksRefused(Exception):
    """Not saved; the message is a sentence, `field` the setting it is about."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


STORED = StoredSetting("thread_marks", ThreadMarks)
load, save = STORED.load, STORED.save


def our_addresses(session: Session) -> frozenset[str]:
    """Comparison keys of all addresses of this desk: what is sent there comes back as mail to it."""
    return incoming_addresses(session) | outgoing_keys(session)


def outgoing_keys(session: Session) -> frozenset[str]:
    """Of those this desk sends with, and the one answers go to."""
    address = load(session).answers_to
    return sending_addresses(session) | frozenset({fold_addr_spec(address)} if address else ())


def read(
    session: Session, *, tag_form: str, tag_prefix: str, answers_to: str, plus_address: bool
) -> ThreadMarks:
    """What somebody entered, with the forms used until now. Raises MarksRefused."""
    before = load(session)
    prefix = tag_prefix.strip()
    try:
        whole = read_form(tag_form, prefix)
    except ValueError as error:
        field = "tag_prefix" if str(error).startswith("Enter 1 to 10") else "tag_form"
        raise MarksRefused(str(error), field=field) from error
    former = [one for one in (*before.former_tags, before.tags.current) if one.lower() != whole.lower()]
    return ThreadMarks(
        tag_form=tag_form.strip(),
        tag_prefix=prefix,
        former_tags=tuple(dict.fromkeys(former))[-MOST_FORMER:],
        answers_to=_read_address(session, answers_to),
        plus_address=plus_address,
    )


def _read_address(session: Session, text: str) -> str:
    if not text.strip():
        return ""
    try:
        address = ascii_addr_spec("this field", read_addr_spec(text))
    except ValueError as error:
        sentence = str(error)
        if "not ASCII" in sentence:
            sentence = "Letters before the @ must be ASCII: most mail servers cannot deliver there otherwise."
        raise MarksRefused(sentence[:1].upper() + sentence[1:], field="answers_to") from error
    if is_a_persons(session, address):
        raise MarksRefused(
            f"{address} is a person's address. Answers must arrive in the incoming mailbox: enter its "
            "address or an alias of it.",
            field="answers_to",
        )
    return address
