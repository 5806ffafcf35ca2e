"""A batch of messages becomes rows: judged one by one, each in a savepoint, all in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk.notifications import Notices
from webapp.failpoints import failpoint
from webapp.inbound import ledger, notices
from webapp.inbound.apply import Applied, Destination, apply
from webapp.inbound.case import Policy
from webapp.inbound.facts import FactsReader
from webapp.inbound.judging import DATABASE_FAILED, Judged, for_a_person, judge
from webapp.inbound.ledger import PendingMove
from webapp.inbound.received import Received
from webapp.inbound.runs import Counts
from webapp.logs import fields
from webapp.models import Disposition

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Taken:
    """What one batch came to: counted, and what is to be moved now."""

    counts: Counts = field(default_factory=Counts)
    moves: list[PendingMove] = field(default_factory=list)
    not_recorded: list[str] = field(default_factory=list)  # keys without a row; the log says why
    told: list[str] = field(default_factory=list)  # a line for the log each, once it is committed


@dataclass(frozen=True, slots=True)
class Rules:
    """What messages are judged by."""

    policy: Policy
    loop_key: bytes | None
    wanted: frozenset[str] = frozenset()  # keys a person asked for, whatever their date


def take_in(
    session: Session,
    batch: Sequence[Received],
    rules: Rules,
    to: Destination,
    clock: Callable[[], datetime],
    telling: Notices | None = None,
) -> Taken:
    """The batch's rows, in the caller's transaction; `telling` writes mail about them, None writes none."""
    keys = [received.ledger_key for received in batch]
    recorded = ledger.recorded_keys(session, to.mailbox_id, to.epoch, keys)
    new = [one for one in batch if one.ledger_key not in recorded]  # else another process did it
    void = ledger.void_rows_of(session, to.mailbox_id, to.epoch, {one.identity.sha256 for one in new})
    reader = FactsReader(session, [(one.message, one.identity) for one in new], loop_key=rules.loop_key)
    taken = Taken()
    for received in new:
        known_as = (received.identity.sha256, received.identity.received_at)
        if row := void.pop(known_as, None):
            move = ledger.rebind(session, row, to.epoch, received.key, size=received.size)
        else:
            move = _take_in(session, reader, received, rules, to, clock, taken, telling)
        if move is not None:
            taken.moves.append(move)
    return taken


class NotRecorded(Exception):
    """A message could not be written down, not even for a person to look at; it is in the inbox, unread."""


def _take_in(
    session: Session,
    reader: FactsReader,
    received: Received,
    rules: Rules,
    to: Destination,
    clock: Callable[[], datetime],
    taken: Taken,
    telling: Notices | None,
) -> PendingMove | None:
    """One message: its effect and its row, and whether it is to be moved now."""
    applied = _judge_or_quarantine(session, reader, received, rules, to, clock, taken, telling)
    failpoint("in_tx")
    if applied is None:
        return None
    reader.remember(received.identity, applied.inbound_id, applied.ticket_id, applied.entry_message_id)
    taken.told.append(
        fields(
            "message",
            inbound=applied.inbound_id,
            key=received.key,
            octets=received.size,
            disposition=applied.disposition.value,
            rule=applied.rule,
            ticket=applied.ticket_id,
        )
    )
    name = applied.disposition.value
    setattr(taken.counts, name, getattr(taken.counts, name) + 1)
    if not applied.folder:
        return None
    ignored = applied.disposition is Disposition.IGNORED
    return PendingMove(applied.inbound_id, received.key, applied.folder, ignored)


def _judge_or_quarantine(
    session: Session,
    reader: FactsReader,
    received: Received,
    rules: Rules,
    to: Destination,
    clock: Callable[[], datetime],
    taken: Taken,
    telling: Notices | None,
) -> Applied | None:
    """In a savepoint each: what fails here must not undo the neighbours, nor stop the queue for ever."""
    policy = replace(rules.policy, cutoff=None) if received.key in rules.wanted else rules.policy
    try:
        with session.begin_nested():
            return _apply(session, judge(reader, received, policy), to, clock(), telling)
    except DATABASE_FAILED:
        raise
    except Exception as error:
        if isinstance(error, sa.exc.IntegrityError) and _is_recorded(session, received, to):
            return None  # the unique keys: another process was quicker
        logger.exception("message %s of %s could not be processed", received.key, to.epoch)
        judged = for_a_person(received, error)
    try:
        with session.begin_nested():
            return _apply(session, judged, to, clock(), telling)
    except DATABASE_FAILED:
        raise
    except Exception:
        logger.exception("message %s of %s could not be recorded", received.key, to.epoch)
        taken.not_recorded.append(received.key)
        return None


def _is_recorded(session: Session, received: Received, to: Destination) -> bool:
    return bool(ledger.recorded_keys(session, to.mailbox_id, to.epoch, [received.ledger_key]))


def _apply(
    session: Session, judged: Judged, to: Destination, now: datetime, telling: Notices | None
) -> Applied | None:
    if judged.decision.disposition is None:
        return None
    applied = apply(session, judged.received, judged.facts, judged.decision, to, now=now)
    if telling is not None:
        notices.tell(session, telling, judged, applied, now)
    return applied
