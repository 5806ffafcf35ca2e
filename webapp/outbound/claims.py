"""One try of a message, as the database sees it: claimed, at the final dot, settled; and what a crash left.

Every step is one conditional UPDATE that names the claim, so it does nothing for whoever has lost it. Two
workers, in one process or in many, never send the same delivery.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from webapp.models import Delivery, DeliveryState, OutgoingKind, OutgoingMessage, Row
from webapp.outbound.outcome import (
    ALERT_GIVE_UP_AFTER,
    AUTOMATIC_GIVE_UP_AFTER,
    BACK_OFF,
    GIVE_UP_AFTER,
    REPEAT_AFTER,
    Outcome,
    Result,
    back_off,
)
from webapp.outbound.worker import is_gone

# Twice what one message may take (`deliver.OPEN_SECONDS`, `HAND_OVER_SECONDS`): a worker that lives is not
# robbed. One that is all the same cannot mark the final dot any more.
LEASE = timedelta(minutes=20)
# A message is due in one of these; UNCERTAIN only where it is to be repeated.
DUE = (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.UNCERTAIN)

NOBODY_CONFIRMED = "The mail server never confirmed this message: it may have arrived all the same."
REPEATED_SOON = "It is sent once more in 15 minutes, as the same message, which many mail programs show once."
NOT_REPEATED = (
    "It was written automatically and is not sent again by itself. Ask the recipient, or resend it."
)
STAYS_UNCERTAIN = (
    "It was sent once more, and that was not confirmed either. Ask the recipient whether it came."
)
TOO_OLD = "The mail server could not be reached, or did not take this, for 48 hours."
TOO_OLD_AUTOMATIC = "Not sent within 24 hours: automatic mail that late confuses more than it tells."
TOO_OLD_ALERT = "Not sent within 4 hours: what was wrong may be right by now. If not, another is written."
INTERRUPTED = "The service desk was stopped while sending this; it had not been handed over yet."


class ClaimLost(Exception):
    """Another worker has taken this message over. Nothing may be sent of it any more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is ours to send now, to those recipients of it that are due."""

    token: str
    outgoing_id: int
    kind: OutgoingKind
    raw: bytes = field(repr=False)
    recipients: Mapping[int, str]  # id of the delivery -> addr-spec


def find_due(session: Session, row: Row, now: datetime, *, to_claim: bool = False) -> int | None:
    """The message that has been due longest, of the first state that has one.

    `to_claim`, in a writing session: none that another worker is just claiming, where the database can tell.
    """
    for state in DUE:
        query = (
            sa.select(Delivery.outgoing_id)
            .where(Delivery.row == row.value, Delivery.state == state, Delivery.next_try_at <= now)
            .order_by(Delivery.next_try_at)
            .limit(1)
        )
        if to_claim:
            query = query.with_for_update(skip_locked=True)
        if (found := session.scalar(query)) is not None:
            return found
    return None


def claim(session: Session, outgoing_id: int, token: str, now: datetime) -> Claim | None:
    """Take what is due of this message; None where another worker was quicker.

    A delivery that is UNCERTAIN, and is to be repeated, is marked as such until it is settled.
    """
    taken = session.execute(
        sa.update(Delivery)
        .where(Delivery.outgoing_id == outgoing_id, Delivery.state.in_(DUE), Delivery.next_try_at <= now)
        .values(
            state=DeliveryState.SENDING,
            claimed_by=token,
            claimed_at=now,
            at_final_dot=False,
            repeated_after_doubt=Delivery.state == DeliveryState.UNCERTAIN,
        )
        .returning(Delivery.id, Delivery.recipient)
        .execution_options(synchronize_session=False)
    ).all()
    if not taken:
        return None
    message = session.get_one(OutgoingMessage, outgoing_id, options=[undefer(OutgoingMessage.compressed)])
    recipients = {row.id: row.recipient for row in sorted(taken)}
    return Claim(token, outgoing_id, message.kind, zlib.decompress(message.compressed), recipients)


def mark_final_dot(session: Session, mine: Claim, accepted: frozenset[str]) -> None:
    """The dot is about to leave for those the server accepted. Raises ClaimLost: it must not, then."""
    ids = [delivery_id for delivery_id, to in mine.recipients.items() if to in accepted]
    marked = session.execute(
        sa.update(Delivery)
        .where(
            Delivery.id.in_(ids),
            Delivery.claimed_by == mine.token,
            Delivery.state == DeliveryState.SENDING,
        )
        .values(at_final_dot=True)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    ).all()
    if len(marked) != len(ids):
        raise ClaimLost(f"message {mine.outgoing_id} was taken over by another worker")


def settle(session: Session, mine: Claim, outcomes: Mapping[int, Outcome], now: datetime) -> None:
    """Write what became of each. Where the claim was lost nothing is, except that a 250 ends a doubt."""
    for delivery in session.scalars(
        sa.select(Delivery)
        .where(Delivery.id.in_(outcomes), Delivery.claimed_by == mine.token)
        .with_for_update()
    ):
        outcome = outcomes[delivery.id]
        if delivery.state is DeliveryState.SENDING or (
            delivery.state is DeliveryState.UNCERTAIN and outcome.result is Result.SENT
        ):
            _write(delivery, mine.kind, outcome, now)


def has_abandoned(session: Session, now: datetime) -> bool:
    return any(True for _ in _abandoned(session, now))


def recover(session: Session, now: datetime) -> list[str]:
    """What workers that died left in the middle: before the dot it is due again, at the dot uncertain.

    Returns of each delivery the mail server row that sends it.
    """
    rows = []
    found = list(_abandoned(session, now))
    for delivery_id, claimed_by in found:
        query = sa.select(Delivery, OutgoingMessage.kind).join(OutgoingMessage).with_for_update(of=Delivery)
        still = session.execute(
            query.where(
                Delivery.id == delivery_id,
                Delivery.state == DeliveryState.SENDING,
                Delivery.claimed_by == claimed_by,
            )
        ).one_or_none()
        if still is not None:
            delivery, kind = still
            rows.append(delivery.row)
            doubt = delivery.at_final_dot
            result = Result.UNCERTAIN if doubt else Result.UNTRIED
            _write(delivery, kind, Outcome(result, "", "" if doubt else INTERRUPTED), now)
            if not doubt:
                delivery.claimed_by = None  # whoever claimed it must not mark the dot any more
    return rows


def is_misdated(session: Session, row: Row, now: datetime) -> bool:
    """Whether something waits for longer than anything does: it was put off by a clock that was wrong."""
    return session.scalar(sa.select(sa.exists().where(*_misdated(row, now)))) is True


def bring_forward(session: Session, row: Row, now: datetime) -> None:
    """Try it now, instead of when that clock would have been right."""
    session.execute(sa.update(Delivery).where(*_misdated(row, now)).values(next_try_at=now))


def has_too_old(session: Session, row: Row, now: datetime) -> bool:
    return session.scalar(_too_old(row, now).limit(1)) is not None


def drop_too_old(session: Session, row: Row, now: datetime) -> None:
    """What waited for too long is not sent any more; a person can send it again."""
    query = sa.select(Delivery, OutgoingMessage.kind).join(OutgoingMessage).with_for_update(of=Delivery)
    waiting = query.where(Delivery.id.in_(_too_old(row, now)), Delivery.state.in_(DUE))
    for delivery, kind in session.execute(waiting).all():
        if delivery.state is DeliveryState.UNCERTAIN:
            _end(delivery, DeliveryState.UNCERTAIN, now, f"{NOBODY_CONFIRMED} {TOO_OLD}", attention=True)
        elif kind is OutgoingKind.ALERT:
            _end(delivery, DeliveryState.NOT_SENT, now, TOO_OLD_ALERT)
        elif kind.is_automatic and now - delivery.queued_at < GIVE_UP_AFTER:
            _end(delivery, DeliveryState.NOT_SENT, now, TOO_OLD_AUTOMATIC)
        else:
            _fail(delivery, now, f"{TOO_OLD} {delivery.error}".strip())


def _abandoned(session: Session, now: datetime) -> Iterator[tuple[int, str]]:
    """Claims of processes that have ended, and those nobody can be working on any more."""
    query = sa.select(Delivery.id, Delivery.claimed_by, Delivery.claimed_at).where(
        Delivery.state == DeliveryState.SENDING
    )
    for row in session.execute(query):
        if row.claimed_by is None or row.claimed_at is None:
            continue
        if abs(now - row.claimed_at) > LEASE or is_gone(row.claimed_by):
            yield row.id, row.claimed_by


def _misdated(row: Row, now: datetime) -> list[sa.ColumnElement[bool]]:
    latest = now + max(BACK_OFF)
    return [Delivery.row == row.value, Delivery.state.in_(DUE), Delivery.next_try_at > latest]


def _too_old(row: Row, now: datetime) -> sa.Select[Any]:
    automatic = [kind for kind in OutgoingKind if kind.is_automatic]
    waited, kind = Delivery.queued_at, OutgoingMessage.kind
    return (
        sa.select(Delivery.id)
        .join(OutgoingMessage)
        .where(
            Delivery.row == row.value,
            Delivery.state.in_(DUE),
            Delivery.next_try_at.is_not(None),
            sa.or_(
                waited <= now - GIVE_UP_AFTER,
                sa.and_(waited <= now - AUTOMATIC_GIVE_UP_AFTER, kind.in_(automatic)),
                sa.and_(waited <= now - ALERT_GIVE_UP_AFTER, kind == OutgoingKind.ALERT),
            ),
        )
    )


def _write(delivery: Delivery, kind: OutgoingKind, outcome: Outcome, now: datetime) -> None:
    repeating = delivery.repeated_after_doubt
    delivery.server_words = outcome.words or delivery.server_words
    delivery.error = outcome.sentence
    if outcome.result is not Result.UNTRIED:
        delivery.attempts += 1
    match outcome.result:
        case Result.SENT:
            delivery.server_words = outcome.words
            _end(delivery, DeliveryState.SENT, now, "")
        case Result.UNCERTAIN:
            _doubt(delivery, kind, now, repeating=repeating)
        case Result.REFUSED if not repeating:
            _fail(delivery, now, outcome.sentence)
        case Result.REFUSED:
            sentence = f"{NOBODY_CONFIRMED} Sent once more, it was refused: {outcome.sentence}"
            _end(delivery, DeliveryState.UNCERTAIN, now, sentence, attention=True)
        case Result.LATER | Result.UNTRIED:
            delay = back_off(delivery.attempts) if outcome.result is Result.LATER else timedelta()
            _wait(delivery, now, now + delay, outcome.sentence, repeating=repeating)


def _doubt(delivery: Delivery, kind: OutgoingKind, now: datetime, *, repeating: bool) -> None:
    if kind.is_automatic:
        sentence = f"{NOBODY_CONFIRMED} {NOT_REPEATED}"
    elif repeating:
        sentence = f"{NOBODY_CONFIRMED} {STAYS_UNCERTAIN}"
    else:
        delivery.state, delivery.next_try_at = DeliveryState.UNCERTAIN, now + REPEAT_AFTER
        delivery.error = f"{NOBODY_CONFIRMED} {REPEATED_SOON}"
        return
    _end(delivery, DeliveryState.UNCERTAIN, now, sentence, attention=True)


def _wait(delivery: Delivery, now: datetime, until: datetime, sentence: str, *, repeating: bool) -> None:
    """Until the next try, if that is not too late. What is in doubt stays so, and is still to be repeated."""
    if repeating:
        if until - delivery.queued_at > GIVE_UP_AFTER:
            _end(delivery, DeliveryState.UNCERTAIN, now, f"{NOBODY_CONFIRMED} {TOO_OLD}", attention=True)
            return
        delivery.repeated_after_doubt = False
        delivery.state, delivery.error = DeliveryState.UNCERTAIN, f"{NOBODY_CONFIRMED} {sentence}"
    elif until - delivery.queued_at > GIVE_UP_AFTER:
        _fail(delivery, now, f"{TOO_OLD} {sentence}")
        return
    else:
        delivery.state = DeliveryState.DEFERRED if delivery.attempts else DeliveryState.QUEUED
    delivery.next_try_at = until


def _fail(delivery: Delivery, now: datetime, sentence: str) -> None:
    _end(delivery, DeliveryState.FAILED, now, sentence, attention=True)


def _end(
    delivery: Delivery, state: DeliveryState, now: datetime, sentence: str, *, attention: bool = False
) -> None:
    values: dict[str, Any] = {
        "state": state,
        "error": sentence,
        "attention": attention,
        "next_try_at": None,
        "settled_at": now,
    }
    for name, value in values.items():
        setattr(delivery, name, value)
