"""One mail to the administrators when incoming mail stops coming in, and one when it does again.

`MailboxIdentity.alerted_at` says that people are told. It is written in the transaction that puts the mail
into the outbox, on the condition that it is what was read: two processes do not tell twice. It is over once
mail has come in for a while: what comes and goes is one failure. That Outgoing itself fails is told by no
mail: the banner of every page says so.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import mail_servers, options
from webapp.inbound.liveness import Trouble, find_trouble, patience
from webapp.instance import Instance
from webapp.mail import compose
from webapp.mail.field_lines import ascii_addr_spec
from webapp.mail.loop_token import loop_token
from webapp.models import (
    Account,
    Delivery,
    DeliveryState,
    MailboxIdentity,
    MailServer,
    OutgoingKind,
    OutgoingMessage,
    PollRun,
    Role,
    Row,
)
from webapp.outbound import outbox
from webapp.outbound.outbox import Outgoing
from webapp.outbound.outcome import ALERT_GIVE_UP_AFTER

BY = "parser"
CAUSE = "incoming-mail"
WORKS_AFTER = timedelta(minutes=15)  # without a failed run
WITHDRAWN = "Not sent: incoming mail works again."
# Who has it, may have it, or is still to get it.
_REACHED = (DeliveryState.SENT, DeliveryState.UNCERTAIN, DeliveryState.SENDING)
_WAITING = (DeliveryState.QUEUED, DeliveryState.DEFERRED)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _News:
    """What is to be told, and of which mailbox: the one that fails, or the one people were told of."""

    mailbox_id: int
    trouble: Trouble | None  # None: it is over
    alerted_at: datetime | None
    address: str

    @property
    def what(self) -> str:
        return "incoming mail is failing" if self.trouble else "incoming mail works again"


class NotTold(Exception):
    """There is news, and it cannot be told; the message says why."""


class Alerts:
    """The looks of one process, once a minute; why nobody can be told is logged once."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._said = ""

    def look(self, now: datetime) -> None:
        try:
            tell(self._instance, now=now)
        except NotTold as why:
            if str(why) != self._said:
                logger.warning("administrators are not told that %s", why)
            self._said = str(why)
        else:
            self._said = ""


def tell(instance: Instance, *, now: datetime) -> int:
    """Write what has changed since the administrators were told last; how many mails are in the outbox now.

    Raises NotTold when there is something to tell and it cannot be.
    """
    with instance.database.reading() as session:
        if _find_news(session, instance, now) is None and not _is_unwanted(session):
            return 0
    with instance.database.writing() as session:
        if _is_unwanted(session):
            _forget(session, now)
            return 0
        news = _find_news(session, instance, now)
        return 0 if news is None else _tell(session, instance, news, now)


def _is_unwanted(session: Session) -> bool:
    """Whether people know of a failure, and nobody wants the mail any more."""
    row = mail_servers.load(session, Row.INCOMING)
    return (row is None or not row.active) and bool(_told_of(session))


def _find_news(session: Session, instance: Instance, now: datetime) -> _News | None:
    """Of the mailbox the row names. What people were told of another one is over when this one works."""
    row = mail_servers.load(session, Row.INCOMING)
    mailbox = mail_servers.mailbox_of(session, row) if row is not None and row.active else None
    if row is None or mailbox is None:
        return None
    trouble = find_trouble(
        row, mailbox, now=now, patience=patience(instance.settings), up_since=instance.uptime.since
    )
    address = row.address
    if trouble is not None:
        news = _News(mailbox.id, trouble, mailbox.alerted_at, address)
        return news if mailbox.alerted_at is None or _reached_nobody(session, mailbox, now) else None
    told = _told_of(session)
    if told and _works(session, mailbox, told, now):
        return _News(told[0].id, None, told[0].alerted_at, address)
    return None


def _told_of(session: Session) -> list[MailboxIdentity]:
    """The mailboxes people know to be failing."""
    query = sa.select(MailboxIdentity).where(MailboxIdentity.alerted_at.is_not(None))
    return list(session.scalars(query.order_by(MailboxIdentity.id)))


def _reached_nobody(session: Session, mailbox: MailboxIdentity, now: datetime) -> bool:
    """Whether the mail about this failure has come to nothing, and is to be written anew with today's words:
    it was too late for it when Outgoing worked again, or every address was refused.
    """
    assert mailbox.alerted_at is not None
    if now - mailbox.alerted_at < ALERT_GIVE_UP_AFTER:
        return False
    return not _recipients(session, mailbox.alerted_at, (*_REACHED, *_WAITING))


def _recipients(session: Session, since: datetime, states: tuple[DeliveryState, ...]) -> set[str]:
    """Whose alert, written since then, is in one of these states; addresses as compared."""
    query = sa.select(Delivery.recipient_key).join(OutgoingMessage).where(*_alerts_since(since))
    return set(session.scalars(query.where(Delivery.state.in_(states))))


def _alerts_since(since: datetime | sa.ScalarSelect[Any]) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        OutgoingMessage.kind == OutgoingKind.ALERT,
        OutgoingMessage.cause_key == CAUSE,
        OutgoingMessage.created_at >= since,
    )


def _works(session: Session, mailbox: MailboxIdentity, told: list[MailboxIdentity], now: datetime) -> bool:
    """Whether its runs have gone well for a while, since the last one that failed and since we told."""
    if mailbox.failing_since is not None:
        return False
    own = sa.select(sa.func.max(PollRun.finished_at)).where(PollRun.mailbox_id == mailbox.id)
    last_failed = session.scalar(own.where(PollRun.error != ""))
    after = max(time for time in (last_failed, *(one.alerted_at for one in told)) if time is not None)
    good_since = session.scalar(
        sa.select(sa.func.min(PollRun.finished_at)).where(
            PollRun.mailbox_id == mailbox.id, PollRun.error == "", PollRun.finished_at > after
        )
    )
    return good_since is not None and now - good_since >= WORKS_AFTER


def _tell(session: Session, instance: Instance, news: _News, now: datetime) -> int:
    outgoing = mail_servers.load(session, Row.OUTGOING)
    if news.trouble is None:
        known_by = _known_by(session)
        _forget(session, now)
        recipients = [one for one in _administrators(session) if one.email_key in known_by]
        if outgoing is None or not outgoing.active:
            return 0  # the page says that it works; a mail of days later would say nothing
    else:
        recipients = _administrators(session)
        if outgoing is None or not outgoing.active:
            raise NotTold(f"{news.what}: Outgoing email is not active")
        if not recipients:
            raise NotTold(f"{news.what}: there is no administrator")
        if not _mark_told(session, news, now):
            return 0
    return _write(session, instance, news, outgoing, recipients, now)


def _known_by(session: Session) -> set[str]:
    """Who has heard of the failures that are open."""
    times = [one.alerted_at for one in _told_of(session) if one.alerted_at is not None]
    return _recipients(session, min(times), _REACHED) if times else set()


def _administrators(session: Session) -> list[Account]:
    query = sa.select(Account).where(Account.enabled, Account.role == Role.ADMINISTRATOR)
    return list(session.scalars(query.order_by(Account.id)))


def _mark_told(session: Session, news: _News, now: datetime) -> bool:
    """Whether it is ours to tell: nobody has since it was looked at."""
    alerted = MailboxIdentity.alerted_at
    unchanged = alerted.is_(None) if news.alerted_at is None else alerted == news.alerted_at
    done = session.execute(
        sa.update(MailboxIdentity)
        .where(MailboxIdentity.id == news.mailbox_id, unchanged)
        .values(alerted_at=now)
        .returning(MailboxIdentity.id)
    )
    return done.first() is not None


def _forget(session: Session, now: datetime) -> None:
    """No failure is open any more: it is over, or nobody wants the mail. What waits is not sent."""
    since = sa.select(sa.func.min(MailboxIdentity.alerted_at)).scalar_subquery()
    query = sa.select(OutgoingMessage.id).where(*_alerts_since(since))
    outbox.withdraw(session, query, now=now, sentence=WITHDRAWN)
    session.execute(
        sa.update(MailboxIdentity).where(MailboxIdentity.alerted_at.is_not(None)).values(alerted_at=None)
    )


def _write(
    session: Session,
    instance: Instance,
    news: _News,
    outgoing: MailServer,
    recipients: list[Account],
    now: datetime,
) -> int:
    """A message to each; an address no mail can be written to keeps nobody from theirs. Raises NotTold."""
    loop_key = options.make_loop_key(session, instance.vault)
    subject, text = _words(news, now)
    number, why = 0, ""
    for to in recipients:
        try:
            message = _compose(outgoing.from_address, to.email, subject, text, loop_key, now)
        except ValueError as error:
            why = str(error)
            continue
        outbox.enqueue(
            session, message, [to.email], row=Row.OUTGOING, kind=OutgoingKind.ALERT, created_by=BY, now=now,
            cause_key=CAUSE,
        )  # fmt: skip
        number += 1
    if recipients and not number:
        raise NotTold(f"{news.what}: {why}")
    logger.info("%d of %d administrators are told that %s", number, len(recipients), news.what)
    return number


def _compose(sender: str, to: str, subject: str, text: str, loop_key: bytes, now: datetime) -> Outgoing:
    """Raises ValueError for an address that no message can be written to."""
    from_addr = ascii_addr_spec("From", sender)
    message_id = f"alert.{secrets.token_hex(12)}@{from_addr.rpartition('@')[2]}"
    raw = compose.automatic_message(
        from_addr,
        to,
        message_id=message_id,
        loop_token=loop_token(loop_key, message_id),
        now=now,
        subject=subject,
        text=text,
    )
    return Outgoing(raw=raw, message_id=message_id, from_addr=from_addr, subject=subject)


def _words(news: _News, now: datetime) -> tuple[str, str]:
    """Subject and text."""
    if news.trouble is None:
        return (
            "Incoming mail works again",
            f"The service desk reads {news.address} again. Nothing was lost: mail that waited in the inbox "
            f"is being taken in now.\n\nThis was noticed at {now:%Y-%m-%d %H:%M} UTC.\n",
        )
    trouble = news.trouble
    return (
        "Incoming mail is failing",
        f"The service desk has not been able to read {news.address} since {trouble.since:%Y-%m-%d %H:%M} UTC."
        f"\n\n{trouble.sentence}\n{trouble.cure}\n\n"
        "Mail waits unread in the inbox and is taken in as soon as this is put right. The service desk keeps "
        "trying and will tell you when it works again.\n",
    )
