"""A delivery report about a message of ours becomes an event of each delivery named (RFC 3464, RFC 8098)."""

from __future__ import annotations

import re
from datetime import datetime

import sqlalchemy as sa

from webapp.desk.undeliverable import mark_undeliverable
from webapp.inbound.case import Facts, ReportedDelivery
from webapp.mail.address import fold_addr_spec
from webapp.mail.message import InboundMessage, RecipientOutcome
from webapp.models import Delivery, DeliveryEvent

# RFC 3463 section 3.2: the recipient's address itself is bad. 5.1.7 and 5.1.8 are about the sender's.
_NO_SUCH_ADDRESS = re.compile(r"5\.1\.(?:0|1|2|3|4|6|10)", re.ASCII)
_WORDS = 2000


def record(
    connection: sa.Connection, message: InboundMessage, facts: Facts, inbound_id: int, now: datetime
) -> None:
    """An event for each delivery, in the transaction of the report's ledger row; none where it made some."""
    report, found = message.report, facts.reported
    assert report is not None
    assert found is not None
    if connection.scalar(sa.select(sa.exists().where(DeliveryEvent.inbound_id == inbound_id))):
        return
    words = message.body_text.strip()[:_WORDS]
    for one in found.deliveries:
        event_id = _insert_event(connection, one, report.kind, words, inbound_id, now)
        if is_failure(report.kind, one.outcome):  # "sent" is not the end of it: a person should look
            failed = sa.update(Delivery).where(Delivery.id == one.delivery_id)
            connection.execute(failed.values(attention=True))
        if says_no_such_address(report.kind, one.outcome):
            status = one.outcome.status
            why = f"A delivery report said that {one.recipient} does not exist (status {status})."
            key = fold_addr_spec(one.recipient)
            mark_undeliverable(connection, key, why=why, event_id=event_id, now=now)


def _insert_event(
    connection: sa.Connection, one: ReportedDelivery, kind: str, words: str, inbound_id: int, now: datetime
) -> int:
    done = connection.execute(
        sa.insert(DeliveryEvent.__table__).values(  # type: ignore[arg-type]  # it is a Table
            delivery_id=one.delivery_id,
            inbound_id=inbound_id,
            at=now,
            action=one.outcome.action[:40] or kind[:40],
            status=one.outcome.status[:20],
            words=words,
        )
    )
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def says_no_such_address(kind: str, outcome: RecipientOutcome) -> bool:
    """Whether sending there again is of no use: permanent, and about the recipient's address."""
    return is_failure(kind, outcome) and _NO_SUCH_ADDRESS.fullmatch(outcome.status) is not None


def is_failure(kind: str, outcome: RecipientOutcome) -> bool:
    """Whether a report of this kind says that the message did not arrive, and will not."""
    return kind == "delivery-status" and outcome.action == "failed"
