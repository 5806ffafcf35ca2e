"""Automatic mail about tickets: who is told what, written to the outbox in the caller's transaction.

Nothing is written while Outgoing is off: a desk that does not send shall not fill its outbox. What is capped
is counted in the outbox itself, under a lock that every process takes, so that two of them keep to one cap.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import (
    brake,
    notice_rules,
    notice_wording,
    notification_settings,
    options,
    reply_settings,
    sender_lists,
    thread_marks,
    ticket_work,
)
from webapp.desk.notice_rules import Arrived, Desk
from webapp.desk.notice_wording import Said
from webapp.desk.notification_settings import EVENTS, Checked, Event, NotificationSettings
from webapp.instance import Instance
from webapp.mail.address import fold_addr_spec
from webapp.mail.field_lines import ascii_addr_spec, one_line
from webapp.mail.loop_token import loop_token
from webapp.mail.notification import Notification, compose
from webapp.mail.reply_token import make_message_id, reply_key
from webapp.models import (
    Account,
    MailServer,
    OutgoingKind,
    OutgoingMessage,
    Row,
    Setting,
    Ticket,
    TicketNotice,
)
from webapp.outbound import outbox
from webapp.outbound.outbox import Outgoing

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TO_ONE_SENDER_AN_HOUR, TO_ONE_SENDER_A_DAY, ACKNOWLEDGEMENTS_AN_HOUR = 1, 4, 60
TO_ONE_TECHNICIAN_AN_HOUR = 60  # notices about mail: a loop through a technician's mailbox ends here
BY = "parser"
_ABOUT_MAIL = (OutgoingKind.OPENED, OutgoingKind.UPDATED)
_NOT_TOLD = (TicketNotice.CLAIM, TicketNotice.UNVERIFIED, TicketNotice.QUARANTINE)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cause:
    """What a mail is sent about, and the message that caused it, if one did."""

    event: Event
    now: datetime
    by: str
    inbound_id: int | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    sender: str = ""
    text: str = ""


def begin(session: Session, instance: Instance) -> Notices | None:
    """None where nothing is sent: every event is off, or Outgoing is. A writing session.

    None, too, where our own settings cannot be read, with a word in the log: that must stop nobody's mail.
    """
    try:
        settings = notification_settings.load(session)
        if not settings.on or not outbox.is_on(session, Row.OUTGOING):
            return None
        return Notices(session, instance, settings)
    except sa.exc.DBAPIError:
        raise
    except Exception:
        logger.exception("nobody is notified of anything")
        return None


def tell_assigned(
    session: Session, instance: Instance, ticket: Ticket, *, actor: Account, now: datetime
) -> None:
    """After somebody has given the ticket to its assignee, in the same transaction."""
    if notices := begin(session, instance):
        safely(session, lambda: notices.assigned(ticket, actor=actor, now=now))


def tell_closed(
    session: Session, instance: Instance, ticket: Ticket, *, actor: Account, now: datetime
) -> None:
    """After somebody has closed the ticket, in the same transaction."""
    if notices := begin(session, instance):
        safely(session, lambda: notices.closed(ticket, actor=actor, now=now))


def safely(session: Session, write: Callable[[], None]) -> None:
    """In a savepoint of its own: a notice that fails must cost nobody a ticket. Raises where the database
    fails."""
    try:
        with session.begin_nested():
            write()
    except (sa.exc.OperationalError, sa.exc.InterfaceError):
        raise
    except Exception:
        logger.exception("a notice could not be written")


class Notices:
    """The notices of one transaction."""

    def __init__(self, session: Session, instance: Instance, settings: NotificationSettings) -> None:
        self._session, self._instance, self._settings = session, instance, settings
        self._server = session.get_one(MailServer, Row.OUTGOING.value)
        self._wordings: dict[Event, Checked] = {}
        self._marks = thread_marks.load(session)
        self._desk_name = reply_settings.load(session).desk_name
        self._desk = Desk(
            own_keys=sender_lists.own_addresses(session), unknown_senders=settings.unknown_senders
        )

    def concern(self, mail: Arrived) -> bool:
        """Whether anything that is on is about such a message; asked before a savepoint is made for it."""
        events = (Event.ACKNOWLEDGEMENT, Event.OPENED) if mail.is_new_ticket else (Event.UPDATED,)
        return any(self._is_on(event) for event in events)

    def mail_arrived(self, mail: Arrived, now: datetime) -> None:
        """A message has opened a ticket or was added to one."""
        if mail.is_new_ticket and self._is_on(Event.ACKNOWLEDGEMENT):
            self._acknowledge(mail, now)
        event = Event.OPENED if mail.is_new_ticket else Event.UPDATED
        if not self._is_on(event) or mail.is_internal or notice_rules.why_not_now(mail.received_at, now):
            return
        ticket = self._ticket(mail.ticket_id)
        if ticket is None or brake.is_braked(ticket, now):
            return
        told = [one for one in self._concerned(event, ticket) if fold_addr_spec(one.email) != mail.sender_key]
        cause = _cause_of(mail, event, now)
        self._tell(ticket, self._below_cap(told, now), cause)

    def assigned(self, ticket: Ticket, *, actor: Account, now: datetime) -> None:
        """Somebody has given the ticket to its assignee."""
        to = ticket.assignee
        if to is None or to.id == actor.id or not to.enabled or not self._is_on(Event.ASSIGNED):
            return
        sender, text = notice_wording.newest_mail(self._session, ticket)
        self._tell(ticket, [to], Cause(Event.ASSIGNED, now, actor.email, sender=sender, text=text))

    def closed(self, ticket: Ticket, *, actor: Account, now: datetime) -> None:
        """Somebody has closed the ticket."""
        if not self._is_on(Event.CLOSED) or self.why_requester_is_not_told(ticket, now):
            return
        address = _requester_address(ticket)
        assert address is not None
        cause = Cause(Event.CLOSED, now, actor.email)
        self._send(ticket, address, cause, is_stranger=not _is_known(ticket))

    def why_requester_is_not_told(self, ticket: Ticket, now: datetime) -> str:
        """ "" where the requester gets mail about what the desk has done."""
        address = _requester_address(ticket)
        if address is None or ticket.merged_into_id is not None:
            return "nobody is to be told"
        if ticket.notice in _NOT_TOLD:
            return "the sender is in doubt"
        if brake.is_braked(ticket, now):
            return "another machine may be answering"
        if self._count(Event.CLOSED, now - HOUR, OutgoingMessage.ticket_id == ticket.id):
            return "it was told within the hour"
        key = fold_addr_spec(address)
        is_listed = key in sender_lists.listed(self._session, {key})
        reason = notice_rules.why_no_mail_to(key, self._desk, is_known=_is_known(ticket), is_listed=is_listed)
        return reason or ("it does not exist" if outbox.undeliverable(self._session, [key]) else "")

    def _acknowledge(self, mail: Arrived, now: datetime) -> None:
        if notice_rules.why_not_acknowledged(mail, self._desk, now):
            return
        key, address = mail.sender_key, mail.message.sender.addr_spec
        if key is None or address is None or outbox.undeliverable(self._session, [key]):
            return
        if self._is_capped(key, now):
            return
        ticket = self._ticket(mail.ticket_id)
        if ticket is not None and not brake.is_braked(ticket, now):
            cause = _cause_of(mail, Event.ACKNOWLEDGEMENT, now)
            self._send(ticket, address, cause, is_stranger=not mail.is_known)

    def _is_capped(self, key: str, now: datetime) -> bool:
        """Whether this sender, or the desk, has had enough. The lock makes two processes count one by one."""
        self._session.execute(
            sa.select(Setting.name).where(Setting.name == notification_settings.NAME).with_for_update()
        )
        event, to_sender = Event.ACKNOWLEDGEMENT, OutgoingMessage.cause_key == key[:320]
        return (
            self._count(event, now - HOUR) >= ACKNOWLEDGEMENTS_AN_HOUR
            or self._count(event, now - HOUR, to_sender) >= TO_ONE_SENDER_AN_HOUR
            or self._count(event, now - DAY, to_sender) >= TO_ONE_SENDER_A_DAY
        )

    def _count(self, event: Event, since: datetime, *conditions: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).where(
            OutgoingMessage.kind == event.kind, OutgoingMessage.created_at > since, *conditions
        )
        return self._session.scalar(query) or 0

    def _concerned(self, event: Event, ticket: Ticket) -> list[Account]:
        if event is Event.UPDATED and ticket.assignee is not None:
            return [ticket.assignee] if ticket.assignee.enabled else []
        if event is Event.UPDATED and not self._settings.pool_updates:
            return []
        return ticket_work.assignable(self._session)

    def _below_cap(self, accounts: Collection[Account], now: datetime) -> list[Account]:
        if not accounts:
            return []
        query = (
            sa.select(OutgoingMessage.cause_key, sa.func.count())
            .where(OutgoingMessage.kind.in_(_ABOUT_MAIL), OutgoingMessage.created_at > now - HOUR)
            .group_by(OutgoingMessage.cause_key)
        )
        had = {key: number for key, number in self._session.execute(query)}
        return [
            one for one in accounts if had.get(fold_addr_spec(one.email)[:320], 0) < TO_ONE_TECHNICIAN_AN_HOUR
        ]

    def _tell(self, ticket: Ticket, accounts: Iterable[Account], cause: Cause) -> None:
        """Each account a mail of its own: what answers it is proven to come from that account."""
        accounts = list(accounts)
        gone = outbox.undeliverable(self._session, [fold_addr_spec(one.email) for one in accounts])
        for account in accounts:
            key = fold_addr_spec(account.email)
            if key not in self._desk.own_keys and key not in gone:
                self._send(ticket, account.email, cause, account=account)

    def _send(
        self,
        ticket: Ticket,
        address: str,
        cause: Cause,
        *,
        account: Account | None = None,
        is_stranger: bool = False,
    ) -> None:
        """One mail to one address, into the outbox."""
        try:
            to = ascii_addr_spec("To", address)
        except ValueError:
            return  # letters before the @ that most servers cannot deliver to
        said = self._said(ticket, cause, is_stranger=is_stranger)
        self._enqueue(ticket, to, cause, self._composed(ticket, to, cause, said, account))

    def _said(self, ticket: Ticket, cause: Cause, *, is_stranger: bool) -> Said:
        values = notice_wording.values_of(
            ticket, desk=self._desk_name, public_url=self._instance.settings.public_url,
            sender=cause.sender, text=cause.text, is_stranger=is_stranger, tags=self._marks.tags,
        )  # fmt: skip
        wording = self._wording(cause.event)
        return notice_wording.fill(wording, values, ticket_id=ticket.id, tags=self._marks.tags)

    def _composed(
        self, ticket: Ticket, to: str, cause: Cause, said: Said, account: Account | None
    ) -> Outgoing:
        """What is made for an account speaks for it when it is answered: it goes there and nowhere else."""
        from_addr = ascii_addr_spec("From", self._server.from_address)
        key = reply_key(self._loop_key)
        message_id = make_message_id(
            key, ticket.id, from_addr.rpartition("@")[2], account_id=account.id if account else None
        )
        raw = compose(
            Notification(
                sender=(one_line(self._desk_name), from_addr),
                to=(one_line(account.name) if account else "", to),
                reply_to=self._marks.reply_to(key, from_addr, ticket.id),
                subject=said.subject,
                text=said.text,
                html=said.html,
                message_id=message_id,
                loop_token=loop_token(self._loop_key, message_id),
                date=cause.now,
                is_answer=cause.event is Event.ACKNOWLEDGEMENT,
                in_reply_to=cause.in_reply_to,
                references=cause.references,
            )
        )
        return Outgoing(raw=raw, message_id=message_id, from_addr=from_addr, subject=said.subject)

    def _enqueue(self, ticket: Ticket, to: str, cause: Cause, message: Outgoing) -> None:
        outbox.enqueue(
            self._session,
            message,
            [to],
            row=Row.OUTGOING,
            kind=cause.event.kind,
            created_by=cause.by,
            now=cause.now,
            ticket_id=ticket.id,
            inbound_id=cause.inbound_id,
            cause_key=fold_addr_spec(to)[:320],
        )

    @cached_property
    def _loop_key(self) -> bytes:
        return options.make_loop_key(self._session, self._instance.vault)

    def _wording(self, event: Event) -> Checked:
        """Read once a transaction: one message may be told to many."""
        if event not in self._wordings:
            self._wordings[event] = notification_settings.checked_wording(self._settings, event)
        return self._wordings[event]

    def _ticket(self, ticket_id: int) -> Ticket | None:
        """As the statements of this transaction have left it."""
        return self._session.get(Ticket, ticket_id, populate_existing=True)

    def _is_on(self, event: Event) -> bool:
        return event in self._settings.on


def _cause_of(mail: Arrived, event: Event, now: datetime) -> Cause:
    message = mail.message
    answers = not EVENTS[event].to_customer
    own = () if answers or not message.message_id else (message.message_id,)
    return Cause(
        event,
        now,
        BY,
        inbound_id=mail.inbound_id,
        in_reply_to=own[0] if own else None,
        references=(*message.references, *own) if own else (),
        sender=message.sender.display_name or message.sender.addr_spec or message.sender.written,
        text=message.reply_text or message.body_text,
    )


def _is_known(ticket: Ticket) -> bool:
    """Whether the requester is of the directory, or of the desk itself."""
    return ticket.requester_id is not None or ticket.requester_account_id is not None


def _requester_address(ticket: Ticket) -> str | None:
    return ticket.requester_address or (ticket.requester.email if ticket.requester else None) or None
