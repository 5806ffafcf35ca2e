"""What people do about deliveries: send again, give up, try now, have seen it.

Each is one conditional UPDATE on the state the person saw, so a second click, or the same page in a second
tab, does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import Delivery, DeliveryState, Row, UndeliverableAddress
from webapp.outbound import outbox, trouble
from webapp.outbound.wake import wake_after_commit

RESENDABLE = (DeliveryState.FAILED, DeliveryState.NOT_SENT, DeliveryState.UNCERTAIN)
STOPPABLE = outbox.WITHDRAWABLE


class CannotResend(Exception):
    """It is not sent again; the text says why, for people."""


def resend(
    session: Session,
    delivery_id: int,
    *,
    now: datetime,
    by: str,
    despite_doubt: bool = False,
    seen_attempts: int | None = None,
) -> Delivery:
    """Queue it anew, as the same message. Raises CannotResend.

    `seen_attempts` is how often it had been tried when the person looked: where it has been tried since,
    they have to look again.
    """
    delivery = session.get(Delivery, delivery_id)
    if delivery is None:
        raise CannotResend(f"There is no delivery {delivery_id} in the outbox.")
    _check(session, delivery, despite_doubt=despite_doubt)
    if seen_attempts not in (None, delivery.attempts):
        raise CannotResend("It has been tried again since this page was shown. Look at it once more first.")
    if not _queue(session, [Delivery.id == delivery_id, Delivery.state == delivery.state], now, by):
        raise CannotResend("It is being sent again already.")
    session.refresh(delivery)
    return delivery


def resend_failed(session: Session, *, since: datetime, now: datetime, by: str) -> int:
    """All that failed since then, except for addresses known not to exist; how many."""
    return len(_queue(session, _failed_since(session, since), now, by))


def count_failed(session: Session, *, since: datetime) -> int:
    """How many those are."""
    query = sa.select(sa.func.count()).select_from(Delivery).where(*_failed_since(session, since))
    return session.scalar(query) or 0


def give_up(session: Session, delivery_id: int, *, now: datetime, by: str) -> bool:
    """Stop trying; False where nothing was waiting any more, or it is just being sent.

    A person can send it again; "resend all that failed" does not.
    """
    return _change(
        session,
        [Delivery.id == delivery_id, Delivery.state.in_(STOPPABLE)],
        state=DeliveryState.NOT_SENT,  # not FAILED: what a person stopped is not resent with what failed
        error=f"Given up by {by} before it could be sent.",
        next_try_at=None,
        settled_at=now,
        attention=False,
    )


def try_now(session: Session, delivery_id: int, *, now: datetime) -> bool:
    """Try one that waits at once, and ask its mail server even if that is failing."""
    delivery = session.get(Delivery, delivery_id)
    waits = [Delivery.id == delivery_id, Delivery.state.in_(STOPPABLE)]
    if delivery is None or not _change(session, waits, next_try_at=now):
        return False
    trouble.ask_at_once(session, Row(delivery.row), now)
    wake_after_commit(session)
    return True


def ask_server_now(session: Session, row: Row, *, now: datetime) -> bool:
    """Ask a failing mail server again at once; False where it is not failing."""
    wake_after_commit(session)
    return trouble.ask_at_once(session, row, now)


def dismiss(session: Session, delivery_id: int) -> bool:
    """A person has seen to it: it wants no attention any more."""
    return _change(session, [Delivery.id == delivery_id, Delivery.attention.is_(True)], attention=False)


def _check(session: Session, delivery: Delivery, *, despite_doubt: bool) -> None:
    if delivery.state is DeliveryState.SENT:
        raise CannotResend("It was sent: the mail server took it.")
    if delivery.state not in RESENDABLE:
        raise CannotResend("It is waiting to be sent already.")
    if delivery.state is DeliveryState.UNCERTAIN and not despite_doubt:
        raise CannotResend("It may have arrived already and would then arrive twice.")
    if delivery.message.from_addr == outbox.NOBODY:
        raise CannotResend(
            "It was written before this mail server row was set up, so it names no sender. Send it anew from "
            "where it was written."
        )
    if delivery.recipient_key in (dead := outbox.undeliverable(session, [delivery.recipient_key])):
        raise CannotResend(outbox.address_sentence(dead[delivery.recipient_key]))
    if not outbox.is_on(session, Row(delivery.row)):
        label = outbox.LABELS[Row(delivery.row)]
        raise CannotResend(f"{label} is off, so nothing can be sent. Turn it on first.")


def _failed_since(session: Session, since: datetime) -> list[sa.ColumnElement[bool]]:
    on = [row.value for row in outbox.LABELS if outbox.is_on(session, row)]
    return [
        Delivery.state == DeliveryState.FAILED,
        Delivery.settled_at >= since,
        Delivery.row.in_(on),
        Delivery.recipient_key.not_in(sa.select(UndeliverableAddress.addr_key)),
    ]


def _queue(
    session: Session, conditions: Sequence[sa.ColumnElement[bool]], now: datetime, by: str
) -> Sequence[int]:
    done = session.execute(
        sa.update(Delivery)
        .where(*conditions)
        .values(
            state=DeliveryState.QUEUED,
            queued_at=now,
            next_try_at=now,
            settled_at=None,
            attention=False,
            error=f"Sent again by {by}.",
            at_final_dot=False,
            repeated_after_doubt=False,
            claimed_by=None,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    wake_after_commit(session)
    return done.scalars().all()


def _change(session: Session, conditions: Sequence[sa.ColumnElement[bool]], **values: Any) -> bool:
    done = session.execute(
        sa.update(Delivery)
        .where(*conditions)
        .values(**values)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return done.first() is not None
