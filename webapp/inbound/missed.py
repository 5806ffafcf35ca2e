"""Messages that somebody opened before the parser saw them: read in the inbox, and unknown to the ledger.

The parser takes in what is unread, so such a message would wait for ever without anybody noticing. It is
not taken in by itself, either: whoever opened it may have dealt with it. It is shown, and a person decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import Database
from webapp.inbound import ledger
from webapp.inbound.batches import understand_header
from webapp.inbound.parser_process import ParserProcess
from webapp.mail.message import InboundMessage
from webapp.mailserver.base import Mailbox, RemoteMessage
from webapp.models import Inbound, MailboxIdentity, MissedMessage, MissedState

LOOK_EVERY = timedelta(minutes=5)
NEW_AT_ONCE = 200  # the newest; the rest is found by the passes after
UNDECIDED = (MissedState.FOUND, MissedState.WANTED)
IN_THE_INBOX = (*UNDECIDED, MissedState.DISMISSED)


# What the page shows and does.


def list_found(session: Session, mailbox_id: int) -> list[MissedMessage]:
    """Those nobody has decided about, the newest first."""
    query = sa.select(MissedMessage).filter_by(mailbox_id=mailbox_id, state=MissedState.FOUND)
    return list(session.scalars(query.order_by(MissedMessage.received_at.desc(), MissedMessage.id.desc())))


def want(session: Session, ids: Collection[int]) -> int:
    """The next run takes these in as if they were unread; how many that are."""
    return _decide(session, ids, (MissedState.FOUND, MissedState.DISMISSED), MissedState.WANTED)


def dismiss(session: Session, ids: Collection[int]) -> int:
    """These are left alone and shown no more; how many that are."""
    return _decide(session, ids, UNDECIDED, MissedState.DISMISSED)


# What a run does.


def wanted_keys(session: Session, mailbox_id: int, epoch: str) -> list[str]:
    query = sa.select(MissedMessage.remote_key).filter_by(
        mailbox_id=mailbox_id, epoch=epoch, state=MissedState.WANTED
    )
    return list(session.scalars(query))


def mark_processed(session: Session, mailbox_id: int, epoch: str, keys: Sequence[str]) -> None:
    """They have ledger rows now, because a person wanted it or made them unread again."""
    session.execute(
        sa.update(MissedMessage)
        .where(
            MissedMessage.mailbox_id == mailbox_id,
            MissedMessage.epoch == epoch,
            MissedMessage.remote_key.in_(keys),
        )
        .values(state=MissedState.PROCESSED)
    )


def look(
    mailbox: Mailbox,
    database: Database,
    parser: ParserProcess,
    *,
    mailbox_id: int,
    epoch: str,
    cutoff: datetime | None,
    now: datetime,
) -> None:
    """Find what was missed since the first run (or the cut-off, whichever is later), if it is time to.

    Raises MailServerError.
    """
    with database.reading() as session:
        identity = session.get_one(MailboxIdentity, mailbox_id)
    since = max(filter(None, (identity.first_run_at, cutoff)), default=None)
    if identity.first_run_at is None or since is None or not _is_time(identity.missed_looked_at, now):
        return
    keys = mailbox.list_read(since=since)
    with database.reading() as session:
        unknown = _newest_unknown(session, mailbox_id, epoch, keys)
        undecided = _undecided(session, mailbox_id)
    listed = [message for message in mailbox.look_up(unknown) if message.received_at >= since]
    heads = {
        one.key: understand_header(parser, one) for one in mailbox.fetch_headers([m.key for m in listed])
    }
    here = mailbox.still_in_inbox([key for _, of_epoch, key in undecided if of_epoch == epoch])
    gone = [row_id for row_id, of_epoch, key in undecided if of_epoch == epoch and key not in here]
    with database.writing() as session:
        for message in listed:
            if message.key in heads:
                _write_down(session, mailbox_id, epoch, message, heads[message.key], now)
        _mark_gone(session, gone)
        if len(unknown) < NEW_AT_ONCE:  # all of them were looked at
            _mark_not_met_again(session, mailbox_id, epoch)
        mark_looked(session, mailbox_id, now)


def mark_looked(session: Session, mailbox_id: int, now: datetime) -> None:
    """The next look is due LOOK_EVERY later, also after one that failed."""
    session.execute(
        sa.update(MailboxIdentity).where(MailboxIdentity.id == mailbox_id).values(missed_looked_at=now)
    )


def _decide(session: Session, ids: Collection[int], before: Iterable[MissedState], after: MissedState) -> int:
    done = session.execute(
        sa.update(MissedMessage)
        .where(MissedMessage.id.in_(ids), MissedMessage.state.in_(list(before)))
        .values(state=after)
        .returning(MissedMessage.id)
    )
    return len(done.all())


def _is_time(looked_at: datetime | None, now: datetime) -> bool:
    """Also when the clock was put back: then the last look lies ahead."""
    return looked_at is None or not timedelta(0) <= now - looked_at < LOOK_EVERY


def _newest_unknown(session: Session, mailbox_id: int, epoch: str, keys: Sequence[str]) -> list[str]:
    """Keys with neither a ledger row nor a row here."""
    unknown: list[str] = []
    for end in range(len(keys), 0, -ledger.AT_ONCE):
        some = list(keys[max(end - ledger.AT_ONCE, 0) : end])
        query = sa.select(MissedMessage.remote_key).where(
            MissedMessage.mailbox_id == mailbox_id,
            MissedMessage.epoch == epoch,
            MissedMessage.remote_key.in_(some),
        )
        known = ledger.recorded_keys(session, mailbox_id, epoch, some) | set(session.scalars(query))
        unknown += [key for key in reversed(some) if key not in known]
        if len(unknown) >= NEW_AT_ONCE:
            break
    return unknown[:NEW_AT_ONCE]


def _undecided(session: Session, mailbox_id: int) -> list[tuple[int, str, str]]:
    columns = sa.select(MissedMessage.id, MissedMessage.epoch, MissedMessage.remote_key)
    rows = session.execute(
        columns.where(MissedMessage.mailbox_id == mailbox_id, MissedMessage.state.in_(UNDECIDED))
    )
    return [(row.id, row.epoch, row.remote_key) for row in rows]


def _write_down(
    session: Session, mailbox_id: int, epoch: str, listed: RemoteMessage, head: InboundMessage, now: datetime
) -> None:
    """A row: new, or the one it had under an earlier epoch with what was decided about it."""
    same = (MissedMessage.mailbox_id == mailbox_id, MissedMessage.received_at == listed.received_at,
            MissedMessage.size == listed.size, MissedMessage.epoch != epoch,
            MissedMessage.state.in_(IN_THE_INBOX))  # fmt: skip
    if row := session.scalar(sa.select(MissedMessage).where(*same).limit(1)):
        row.epoch, row.remote_key = epoch, listed.key
        session.flush()
        return
    session.add(
        MissedMessage(
            mailbox_id=mailbox_id, epoch=epoch, remote_key=listed.key, size=listed.size,
            received_at=listed.received_at, found_at=now, subject=head.subject[:500],
            from_addr=(head.sender.addr_spec or "")[:320] or None,
            from_name=(head.sender.display_name or head.sender.written)[:320],
            state=MissedState.PROCESSED if _was_processed(session, mailbox_id, listed) else MissedState.FOUND,
        )
    )  # fmt: skip
    session.flush()


def _was_processed(session: Session, mailbox_id: int, listed: RemoteMessage) -> bool:
    """Whether somebody put it back into the inbox, read, after it was processed: MOVE keeps the time."""
    same = sa.exists().where(
        Inbound.mailbox_id == mailbox_id,
        Inbound.received_at == listed.received_at,
        Inbound.size == listed.size,
    )
    return bool(session.scalar(sa.select(same)))


def _mark_gone(session: Session, ids: list[int]) -> None:
    """Those that left the inbox."""
    for start in range(0, len(ids), ledger.AT_ONCE):
        some = MissedMessage.id.in_(ids[start : start + ledger.AT_ONCE])
        _set_gone(session, some)


def _mark_not_met_again(session: Session, mailbox_id: int, epoch: str) -> None:
    """Those of an earlier epoch that are under no key in the inbox any more."""
    _set_gone(session, MissedMessage.mailbox_id == mailbox_id, MissedMessage.epoch != epoch)


def _set_gone(session: Session, *which: sa.ColumnElement[bool]) -> None:
    session.execute(
        sa.update(MissedMessage)
        .where(MissedMessage.state.in_(UNDECIDED), *which)
        .values(state=MissedState.GONE)
    )
