"""Mail that somebody opened before the parser saw it, as the email log shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import MissedMessage, MissedState

SHOWN = 50
FEW = 10  # up to here all are chosen at first: whoever opened a few by mistake wants them processed


@dataclass(frozen=True, slots=True)
class MissedMail:
    """The newest of those nobody has decided about, and how many there are."""

    newest: Sequence[MissedMessage]
    total: int

    @property
    def are_few(self) -> bool:
        return self.total <= FEW


def load(session: Session, mailbox_id: int) -> MissedMail:
    newest = session.scalars(
        sa.select(MissedMessage)
        .where(*_undecided(mailbox_id))
        .order_by(MissedMessage.received_at.desc(), MissedMessage.id.desc())
        .limit(SHOWN)
    ).all()
    counted = sa.select(sa.func.count()).select_from(MissedMessage).where(*_undecided(mailbox_id))
    return MissedMail(newest, session.scalar(counted) or 0)


def ids_up_to(session: Session, mailbox_id: int, last: int | None = None) -> list[int]:
    """All of them, oldest row first; `last` leaves out those found since it was the newest row."""
    query = sa.select(MissedMessage.id).where(*_undecided(mailbox_id)).order_by(MissedMessage.id)
    if last is not None:
        query = query.where(MissedMessage.id <= last)
    return list(session.scalars(query))


def _undecided(mailbox_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return MissedMessage.mailbox_id == mailbox_id, MissedMessage.state == MissedState.FOUND
