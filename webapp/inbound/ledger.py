"""The ledger's rows as the poll reads and changes them; each function is one small question or step."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.inbound.returned import Returned, find_returned, key_of
from webapp.mailserver.base import RemoteMessage
from webapp.models import Disposition, Inbound, MailboxIdentity, Placement

AT_ONCE = 500  # keys in one question; SQLite takes 32,766 parameters, older ones 999


@dataclass(frozen=True, slots=True)
class PendingMove:
    """A message whose effect is committed and which is still to be moved."""

    inbound_id: int
    key: str
    folder: str
    ignored: bool


@dataclass(frozen=True, slots=True)
class VoidRow:
    """A row whose key says nothing any more (UIDVALIDITY changed) and whose message is to be met again."""

    inbound_id: int
    sha256: str
    received_at: datetime
    folder: str
    ignored: bool
    left: bool  # it stays in the inbox on purpose

    def move(self, key: str) -> PendingMove | None:
        """What is still to be done once the message has its new key."""
        return None if self.left else PendingMove(self.inbound_id, key, self.folder, self.ignored)


def find_or_make_mailbox(
    session: Session, protocol: str, host: str, port: int, account: str
) -> MailboxIdentity:
    identity = session.scalar(
        sa.select(MailboxIdentity).filter_by(protocol=protocol, host=host, port=port, account=account)
    )
    if identity is None:
        identity = MailboxIdentity(
            protocol=protocol, host=host, port=port, account=account, failures=0, epoch_generation=0
        )
        session.add(identity)
        session.flush()
    return identity


def epoch_name(epoch: str, generation: int) -> str:
    """The server's epoch, and ours where the server gave a known key to another message."""
    return f"{epoch}#{generation}" if generation else epoch


def pending_moves(session: Session, mailbox_id: int, epoch: str) -> list[PendingMove]:
    query = sa.select(Inbound.id, Inbound.remote_key, Inbound.folder, Inbound.disposition).where(
        Inbound.mailbox_id == mailbox_id,
        Inbound.epoch == epoch,
        Inbound.placement == Placement.PENDING_MOVE,
    )
    return [
        PendingMove(row.id, key_of(row.remote_key), row.folder, row.disposition is Disposition.IGNORED)
        for row in session.execute(query.order_by(Inbound.id))
    ]


@dataclass(frozen=True, slots=True)
class Sorted:
    """Listed messages held against the ledger."""

    new: list[RemoteMessage]
    back: list[int]  # ledger rows marked as moved whose message is still in the inbox
    other: bool  # a known key is another message now: the epoch is void
    returned: dict[str, Returned] = field(default_factory=dict)  # of the new ones, by key


def sort_for_ever(
    session: Session, mailbox_id: int, epoch: str, listed: list[RemoteMessage], now: datetime
) -> Sorted:
    """The same where a key is never another message: known and moved, it was put back since.

    What was moved a moment ago is passed over, and so is what comes back without end.
    """
    known = recorded_keys(session, mailbox_id, epoch, [message.key for message in listed])
    returned = find_returned(session, mailbox_id, epoch, known, now)
    new = [message for message in listed if message.key not in known or message.key in returned]
    return Sorted(new, [], False, returned)


def sort_listed(session: Session, mailbox_id: int, epoch: str, listed: list[RemoteMessage]) -> Sorted:
    """Which listed messages the ledger does not know yet. Left and pending ones are passed over."""
    query = sa.select(Inbound.id, Inbound.remote_key, Inbound.size, Inbound.received_at, Inbound.placement)
    keys = [message.key for message in listed]
    rows = session.execute(
        query.where(Inbound.mailbox_id == mailbox_id, Inbound.epoch == epoch, Inbound.remote_key.in_(keys))
    )
    known = {row.remote_key: row for row in rows}
    result = Sorted([], [], False)
    for message in listed:
        row = known.get(message.key)
        if row is None:
            result.new.append(message)
        elif (row.size, row.received_at) != (message.size, message.received_at):
            return Sorted([], [], True)
        elif row.placement in (Placement.ARCHIVED, Placement.GONE):
            result.back.append(row.id)
    return result


def raise_epoch(session: Session, mailbox_id: int) -> None:
    """From now on every key is new; equal messages are recognised by their octets."""
    session.execute(
        sa.update(MailboxIdentity)
        .where(MailboxIdentity.id == mailbox_id)
        .values(epoch_generation=MailboxIdentity.epoch_generation + 1)
    )


def recorded_keys(session: Session, mailbox_id: int, epoch: str, keys: Collection[str]) -> set[str]:
    """Which of these have a row, wherever their message is."""
    found: set[str] = set()
    listed = list(keys)
    for start in range(0, len(listed), AT_ONCE):
        query = sa.select(Inbound.remote_key).where(
            Inbound.mailbox_id == mailbox_id,
            Inbound.epoch == epoch,
            Inbound.remote_key.in_(listed[start : start + AT_ONCE]),
        )
        found.update(session.scalars(query))
    return found


def void_moves(session: Session, mailbox_id: int, epoch: str) -> list[VoidRow]:
    """Messages of an earlier epoch that were processed and never seen to leave the inbox."""
    pending = Inbound.placement == Placement.PENDING_MOVE
    return _void_rows(session, mailbox_id, epoch, pending)


def void_rows_of(
    session: Session, mailbox_id: int, epoch: str, digests: Collection[str]
) -> dict[tuple[str, datetime], VoidRow]:
    """Rows of an earlier epoch whose message may be one of these, by octets and time of receipt."""
    waiting = Inbound.placement.in_([Placement.PENDING_MOVE, Placement.LEFT])
    rows = _void_rows(session, mailbox_id, epoch, sa.and_(Inbound.sha256.in_(digests), waiting))
    return {(row.sha256, row.received_at): row for row in reversed(rows)}


def rebind(session: Session, row: VoidRow, epoch: str, key: str, *, size: int) -> PendingMove | None:
    """A message met again under a new epoch: its row gets the new key. Returns what is still to be moved.

    And the size as it is listed now: where a server estimates it, another estimate was why the epoch ended.
    """
    session.execute(
        sa.update(Inbound).where(Inbound.id == row.inbound_id).values(epoch=epoch, remote_key=key, size=size)
    )
    return row.move(key)


def retarget(session: Session, mailbox_id: int, *, archive: str, ignored: str | None) -> None:
    """What is still to be moved goes where mail goes now: its first folder may be gone for good."""
    is_ignored = Inbound.disposition == Disposition.IGNORED
    for condition, folder in ((~is_ignored, archive), (is_ignored, ignored)):
        if folder is not None:
            session.execute(
                sa.update(Inbound)
                .where(
                    Inbound.mailbox_id == mailbox_id, Inbound.placement == Placement.PENDING_MOVE, condition,
                    Inbound.folder != folder,
                )
                .values(folder=folder)
            )  # fmt: skip


def mark_pending(session: Session, inbound_ids: Collection[int]) -> None:
    session.execute(
        sa.update(Inbound).where(Inbound.id.in_(inbound_ids)).values(placement=Placement.PENDING_MOVE)
    )


def mark_placed(session: Session, placed: Iterable[tuple[int, Placement]], now: datetime) -> None:
    """Say where each message is now: ARCHIVED or GONE."""
    by_placement: dict[Placement, list[int]] = {}
    for inbound_id, placement in placed:
        by_placement.setdefault(placement, []).append(inbound_id)
    for placement, ids in by_placement.items():
        for start in range(0, len(ids), AT_ONCE):
            session.execute(
                sa.update(Inbound)
                .where(Inbound.id.in_(ids[start : start + AT_ONCE]))
                .values(placement=placement, placed_at=now)
            )


def _void_rows(
    session: Session, mailbox_id: int, epoch: str, condition: sa.ColumnElement[bool]
) -> list[VoidRow]:
    query = sa.select(
        Inbound.id,
        Inbound.sha256,
        Inbound.received_at,
        Inbound.folder,
        Inbound.disposition,
        Inbound.placement,
    ).where(Inbound.mailbox_id == mailbox_id, Inbound.epoch != epoch, condition)
    return [
        VoidRow(
            row.id, row.sha256, row.received_at, row.folder,
            ignored=row.disposition is Disposition.IGNORED, left=row.placement is Placement.LEFT,
        )
        for row in session.execute(query.order_by(Inbound.id))
    ]  # fmt: skip
