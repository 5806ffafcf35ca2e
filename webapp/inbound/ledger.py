"""The ledger's rows as the poll reads and changes them; each function is one small question or step."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.inbound.facts import Identity
from webapp.mailserver.base import RemoteMessage
from webapp.models import Disposition, Inbound, MailboxIdentity, Placement


@dataclass(frozen=True, slots=True)
class PendingMove:
    """A message whose effect is committed and which is still to be moved."""

    inbound_id: int
    key: str
    folder: str
    ignored: bool


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
        PendingMove(row.id, row.remote_key, row.folder, row.disposition is Disposition.IGNORED)
        for row in session.execute(query.order_by(Inbound.id))
    ]


@dataclass(frozen=True, slots=True)
class Sorted:
    """Listed messages held against the ledger."""

    new: list[RemoteMessage]
    back: list[int]  # ledger rows marked as moved whose message is still in the inbox
    other: bool  # a known key is another message now: the epoch is void


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
    """Which of these have a row by now: another process may have been here since they were listed."""
    query = sa.select(Inbound.remote_key).where(
        Inbound.mailbox_id == mailbox_id, Inbound.epoch == epoch, Inbound.remote_key.in_(keys)
    )
    return set(session.scalars(query))


def has_void_moves(session: Session, mailbox_id: int, epoch: str) -> bool:
    """Whether messages of an earlier epoch were processed and never seen to leave the inbox."""
    pending = sa.exists().where(
        Inbound.mailbox_id == mailbox_id, Inbound.placement == Placement.PENDING_MOVE, Inbound.epoch != epoch
    )
    return bool(session.scalar(sa.select(pending)))


def rebind(session: Session, mailbox_id: int, epoch: str, key: str, identity: Identity) -> bool:
    """A message already processed but not yet moved, met again under a new epoch, gets its new key.

    True when there was such a row; the message is then moved and nothing else happens.
    """
    row = session.execute(
        sa.select(Inbound.id)
        .where(
            Inbound.sha256 == identity.sha256,
            Inbound.received_at == identity.received_at,
            Inbound.mailbox_id == mailbox_id,
            Inbound.epoch != epoch,
            Inbound.placement == Placement.PENDING_MOVE,
        )
        .order_by(Inbound.id)
        .limit(1)
    ).first()
    if row is None:
        return False
    session.execute(sa.update(Inbound).where(Inbound.id == row.id).values(epoch=epoch, remote_key=key))
    return True


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
        session.execute(
            sa.update(Inbound).where(Inbound.id.in_(ids)).values(placement=placement, placed_at=now)
        )
