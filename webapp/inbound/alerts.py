"""One mail to the administrators when incoming mail stops coming in, and one when it does again.

`MailboxIdentity.alerted_at` says that people were told, `alert_claimed_at` that somebody is telling them
right now. The claim is made by a conditional UPDATE before anything is sent, so that two processes do not
tell twice; where nothing could be sent it is given back, and the claim of a process that was ended
meanwhile runs out. It is over once mail has come in for a while: what comes and goes is one failure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import mail_servers, options
from webapp.inbound.liveness import Trouble, find_trouble, patience
from webapp.instance import Instance
from webapp.mailserver.base import ServerSettings, Transport
from webapp.mailserver.connect import open_transport
from webapp.mailserver.errors import MailServerError
from webapp.mailserver.remedies import explain
from webapp.models import Account, MailboxIdentity, MailServer, PollRun, Role, Row
from webapp.outbound.notice import send_notice
from webapp.vault import VaultError

TIMEOUT_SECONDS = 20.0
CLAIM_FOR = timedelta(minutes=10)
WORKS_AFTER = timedelta(minutes=15)  # without a failed run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _News:
    """What is to be told, and of which mailbox: the one that fails, or the one people were told of."""

    mailbox_id: int
    trouble: Trouble | None  # None: it is over
    alerted_at: datetime | None
    address: str


@dataclass(frozen=True, slots=True)
class _Way:
    """How the administrators are reached."""

    settings: ServerSettings
    recipients: list[str]
    loop_key: bytes


class NotTold(Exception):
    """There is news, and it could not be sent; the message says why.

    `was_tried`: the mail server was asked, and should not be asked again too soon. `permanent`: nor will it
    help before a person has changed something.
    """

    def __init__(self, news: _News, why: str, *, was_tried: bool = False, permanent: bool = False) -> None:
        what = "is failing" if news.trouble else "works again"
        super().__init__(f"incoming mail {what}: {why}")
        self.was_tried, self.permanent = was_tried, permanent


def tell(
    instance: Instance,
    *,
    now: datetime,
    connect: Callable[[ServerSettings], Transport] = open_transport,
) -> bool:
    """Tell the administrators what has changed since they were told last; whether a mail went out.

    Raises NotTold when there is something to tell and it could not be.
    """
    news = _find_news(instance, now)
    if news is None:
        return False
    way = _find_way(instance, news)
    if not _claim(instance, news, now):
        return False
    subject, text = _words(news, now)
    try:
        told = send_notice(
            way.settings,
            way.recipients,
            subject=subject,
            text=text,
            loop_key=way.loop_key,
            now=now,
            connect=connect,
        )
    except (MailServerError, ValueError) as error:
        if getattr(error, "uncertain", False):  # it may have arrived, and one is enough
            _mark_told(instance, news, now)
        else:
            _give_back(instance, news)
        raise _not_told(news, error, way.settings) from error
    except BaseException:
        _give_back(instance, news)
        raise
    _mark_told(instance, news, now)
    logger.info("%d of %d administrators were told: %s", told, len(way.recipients), subject)
    return True


def _not_told(news: _News, error: MailServerError | ValueError, settings: ServerSettings) -> NotTold:
    if isinstance(error, MailServerError):
        return NotTold(news, explain(error, settings).sentence, was_tried=True, permanent=error.permanent)
    return NotTold(news, str(error), was_tried=True, permanent=True)


def _find_news(instance: Instance, now: datetime) -> _News | None:
    with instance.database.reading() as session:
        row = mail_servers.load(session, Row.INCOMING)
        told = _told_of(session)
        if row is not None and row.active:
            return _news_of(instance, session, row, told, now)
    if told:
        _forget(instance)
    return None


def _news_of(
    instance: Instance, session: Session, row: MailServer, told: list[MailboxIdentity], now: datetime
) -> _News | None:
    """Of the mailbox the row names. What people were told of another one is over when this one works."""
    mailbox = mail_servers.mailbox_of(session, row)
    if mailbox is None:
        return None
    trouble = find_trouble(
        row, mailbox, now=now, patience=patience(instance.settings), up_since=instance.uptime.since
    )
    address = row.from_address or row.username
    if trouble is not None:
        return _News(mailbox.id, trouble, None, address) if mailbox.alerted_at is None else None
    if told and _works(session, mailbox, told, now):
        return _News(told[0].id, None, told[0].alerted_at, address)
    return None


def _told_of(session: Session) -> list[MailboxIdentity]:
    """The mailboxes people know to be failing."""
    query = sa.select(MailboxIdentity).where(MailboxIdentity.alerted_at.is_not(None))
    return list(session.scalars(query.order_by(MailboxIdentity.id)))


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


def _find_way(instance: Instance, news: _News) -> _Way:
    """Raises NotTold where there is none."""
    with instance.database.reading() as session:
        outgoing = mail_servers.load(session, Row.OUTGOING)
        recipients = _administrators(session)
    if outgoing is None or not outgoing.active:
        raise NotTold(news, "Outgoing email is not active")
    if not recipients:
        raise NotTold(news, "there is no administrator")
    try:
        wanted = mail_servers.stored_draft(instance.vault, outgoing)
    except VaultError as error:
        raise NotTold(news, f"the password of Outgoing email cannot be read. {error}") from error
    with instance.database.writing() as session:
        loop_key = options.make_loop_key(session, instance.vault)
    settings = mail_servers.server_settings(wanted, instance.settings)
    return _Way(replace(settings, timeout=min(settings.timeout, TIMEOUT_SECONDS)), recipients, loop_key)


def _administrators(session: Session) -> list[str]:
    query = sa.select(Account.email).where(Account.enabled, Account.role == Role.ADMINISTRATOR)
    return list(session.scalars(query.order_by(Account.id)))


def _claim(instance: Instance, news: _News, now: datetime) -> bool:
    """Whether it is ours to tell: nobody has, and nobody is about to.

    A claim from the future was made before the clock was put back.
    """
    alerted, claimed = MailboxIdentity.alerted_at, MailboxIdentity.alert_claimed_at
    unchanged = alerted.is_(None) if news.alerted_at is None else alerted == news.alerted_at
    free = sa.or_(claimed.is_(None), claimed <= now - CLAIM_FOR, claimed > now)
    with instance.database.writing() as session:
        done = session.execute(
            sa.update(MailboxIdentity)
            .where(MailboxIdentity.id == news.mailbox_id, unchanged, free)
            .values(alert_claimed_at=now)
            .returning(MailboxIdentity.id)
        )
        return done.first() is not None


def _give_back(instance: Instance, news: _News) -> None:
    with instance.database.writing() as session:
        session.execute(
            sa.update(MailboxIdentity)
            .where(MailboxIdentity.id == news.mailbox_id)
            .values(alert_claimed_at=None)
        )


def _mark_told(instance: Instance, news: _News, now: datetime) -> None:
    if news.trouble is None:
        _forget(instance)
        return
    with instance.database.writing() as session:
        session.execute(
            sa.update(MailboxIdentity)
            .where(MailboxIdentity.id == news.mailbox_id)
            .values(alerted_at=now, alert_claimed_at=None)
        )


def _forget(instance: Instance) -> None:
    """No failure is open any more: it is over, or nobody wants the mail."""
    with instance.database.writing() as session:
        session.execute(
            sa.update(MailboxIdentity)
            .where(MailboxIdentity.alerted_at.is_not(None))
            .values(alerted_at=None, alert_claimed_at=None)
        )


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
