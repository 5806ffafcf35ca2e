"""Which automatic mail the desk sends, to whom, and its wording."""

from __future__ import annotations

import enum
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from webapp.mail import template
from webapp.mail.template import Template, TemplateRefused
from webapp.models import OutgoingKind, Setting

NAME = "notifications"
MAX_SUBJECT, MAX_TEXT, MAX_HTML = 300, 5_000, 50_000
_PARTS = ("subject", "text", "html")

logger = logging.getLogger(__name__)


class Event(enum.StrEnum):
    """What a mail is sent about; the values are those of OutgoingKind."""

    ACKNOWLEDGEMENT = "acknowledgement"
    CLOSED = "closed"
    OPENED = "opened"
    UPDATED = "updated"
    ASSIGNED = "assigned"

    @property
    def kind(self) -> OutgoingKind:
        return OutgoingKind(self.value)


@dataclass(frozen=True, slots=True)
class Wording:
    """Subject, text and HTML as templates; an empty `html` is made from the text."""

    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """An event as the settings page tells it."""

    title: str
    to_customer: bool
    when: str
    default: Wording
    on: bool = False  # before anybody has said so

    @property
    def variables(self) -> Mapping[str, str]:
        return CUSTOMER_VARIABLES if self.to_customer else STAFF_VARIABLES


CUSTOMER_VARIABLES = {
    "ticket": "the ticket's number, such as T-1042",
    "subject": "the ticket's subject",
    "requester": "the requester's name",
    "company": "the requester's company",
    "status": "Open, Waiting or Closed",
    "assignee": "the technician who has the ticket",
    "desk": "the service desk's name, as set under Replies",
}
STAFF_VARIABLES = CUSTOMER_VARIABLES | {
    "sender": "who wrote the newest message",
    "text": "the newest message's text, shortened",
    "link": "the ticket's web address",
}

EVENTS: dict[Event, About] = {
    Event.ACKNOWLEDGEMENT: About(
        "Acknowledgement to the requester",
        True,
        "A mail has opened a ticket. Never for automatic mail, mailing lists, mail older than 24 hours, "
        "blocked senders, or a sender that could not be verified; at most one an hour and four a day to one "
        "address, and 60 an hour in all.",
        Wording(
            "Re: {subject}",
            "Hello {requester},\n\nwe have received your message. Its number is {ticket}.\n"
            "We will answer you as soon as we can. If you have something to add, please answer this mail.\n\n"
            "{desk}",
        ),
    ),
    Event.CLOSED: About(
        "Ticket closed, to the requester",
        True,
        "Somebody sets a ticket to Closed. Not when a reply closes it: the reply says what there is to say.",
        Wording(
            "{subject}",
            "Hello {requester},\n\nyour request {ticket} is closed now.\n"
            "If something is left to do, please answer this mail.\n\n{desk}",
        ),
    ),
    Event.ASSIGNED: About(
        "Ticket assigned, to the technician",
        False,
        "Somebody else gives a technician a ticket.",
        Wording(
            "Assigned to you: {subject}",
            "{ticket} is yours now: {subject}\n\nRequester: {requester}\nCompany: {company}\n"
            "Status: {status}\nOpen the ticket: {link}\n\n{text}",
        ),
        on=True,
    ),
    Event.UPDATED: About(
        "Ticket updated, to the technician",
        False,
        "A customer's mail was added to a ticket. It goes to the technician who has the ticket.",
        Wording(
            "Updated: {subject}",
            "{sender} wrote to {ticket}: {subject}\n\nCompany: {company}\nStatus: {status}\n"
            "Open the ticket: {link}\n\n{text}",
        ),
        on=True,
    ),
    Event.OPENED: About(
        "Ticket opened, to all technicians",
        False,
        "A mail has opened a ticket. It goes to every technician and administrator, which is many mails on a "
        "busy desk.",
        Wording(
            "New: {subject}",
            "{sender} opened {ticket}: {subject}\n\nCompany: {company}\nOpen the ticket: {link}\n\n{text}",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSettings:
    on: frozenset[Event] = frozenset(event for event, about in EVENTS.items() if about.on)
    unknown_senders: bool = False  # customers' mail also to those the directory does not know
    pool_updates: bool = False  # what comes to a ticket that nobody has is told to everybody
    wordings: Mapping[Event, Wording] = field(default_factory=dict)  # those that differ from the default

    def wording(self, event: Event) -> Wording:
        return self.wordings.get(event, EVENTS[event].default)


@dataclass(frozen=True, slots=True)
class Checked:
    """A wording whose templates were read."""

    subject: Template
    text: Template
    html: Template | None


class WordingRefused(Exception):
    """Not saved; the message is a sentence, `field` is subject, text or html."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


def load(session: Session) -> NotificationSettings:
    """What is saved; what this version does not know is left out, what is missing has its default."""
    row = session.get(Setting, NAME)
    saved = _as_dict(row.value if row else None)
    switched = _as_dict(saved.get("on"))
    return NotificationSettings(
        on=frozenset(event for event in Event if switched.get(event.value, EVENTS[event].on)),
        unknown_senders=bool(saved.get("unknown_senders", False)),
        pool_updates=bool(saved.get("pool_updates", False)),
        wordings={
            Event(name): Wording(*(str(_as_dict(wording).get(part, "")) for part in _PARTS))
            for name, wording in _as_dict(saved.get("wordings")).items()
            if name in list(Event)
        },
    )


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def save(session: Session, settings: NotificationSettings) -> None:
    session.merge(Setting(name=NAME, value=as_json(settings)))


def as_json(settings: NotificationSettings) -> dict[str, Any]:
    return {
        "on": {event.value: event in settings.on for event in Event},
        "unknown_senders": settings.unknown_senders,
        "pool_updates": settings.pool_updates,
        "wordings": {
            event.value: {part: getattr(one, part) for part in _PARTS}
            for event, one in settings.wordings.items()
        },
    }


def check(event: Event, wording: Wording) -> Checked:
    """Raises WordingRefused."""
    known = EVENTS[event].variables
    for name, most in (("subject", MAX_SUBJECT), ("text", MAX_TEXT), ("html", MAX_HTML)):
        if len(getattr(wording, name)) > most:
            raise WordingRefused(f"At most {most:,} characters fit. Shorten it.", field=name)
    for name in ("subject", "text"):
        if not getattr(wording, name).strip():
            raise WordingRefused("Write something: a mail without it is taken for junk.", field=name)
    if any(letter in wording.subject for letter in "\r\n"):
        raise WordingRefused("A subject is one line. Remove the line break.", field="subject")
    subject = _read("subject", wording.subject, known)
    text = _read("text", wording.text, known)
    html = _read("html", wording.html, known) if wording.html.strip() else None
    return Checked(subject, text, html)


def checked_wording(settings: NotificationSettings, event: Event) -> Checked:
    """The event's wording, the default where what was saved is none any more."""
    try:
        return check(event, settings.wording(event))
    except WordingRefused as refused:
        logger.error("the wording of %s cannot be used, the default is: %s", event.value, refused)
        return check(event, EVENTS[event].default)


def _read(name: str, text: str, known: Mapping[str, str]) -> Template:
    try:
        return template.read_html(text, known) if name == "html" else template.read(text, known)
    except TemplateRefused as refused:
        raise WordingRefused(str(refused), field=name) from refused
