"""A delivery report about a message of ours becomes an event on that very delivery (RFC 3464, RFC 8098)."""

from __future__ import annotations

import re
from datetime import datetime

import sqlalchemy as sa

from webapp.desk.undeliverable import mark_undeliverable
from webapp.inbound.case import Facts
from webapp.mail.address import fold_addr_spec
from webapp.mail.message import InboundMessage, Report
from webapp.models import Delivery, DeliveryEvent

# RFC 3463 section 3.2: the recipient's address itself is bad. 5.1.7 and 5.1.8 are about the sender's.
_NO_SUCH_ADDRESS = re.compile(r"5\.1\.(?:0|1|2|3|4|6|10)", re.ASCII)
_WORDS = 2000


def record(
    connection: sa.Connection, message: InboundMessage, facts: Facts, inbound_id: int, now: datetime
) -> None:
    """The event, in the transaction of the report's ledger row. A message makes one event at most."""
    report, found = message.report, facts.reported
    assert report is not None
    assert found is not None
    events = DeliveryEvent.__table__
    if connection.scalar(sa.select(sa.exists().where(DeliveryEvent.inbound_id == inbound_id))):
        return
    done = connection.execute(
        sa.insert(events).values(  # type: ignore[arg-type]  # it is a Table
            delivery_id=found.delivery_id,
            inbound_id=inbound_id,
            at=now,
            action=report.action[:40] or report.kind[:40],
            status=report.status[:20],
            words=message.body_text.strip()[:_WORDS],
        )
    )
    if is_failure(report):  # "sent" is not the end of it: a person should look
        failed = sa.update(Delivery).where(Delivery.id == found.delivery_id)
        connection.execute(failed.values(attention=True))
    if says_no_such_address(report):
        assert done.inserted_primary_key is not None
        event_id = int(done.inserted_primary_key[0])
        key = fold_addr_spec(found.recipient)
        why = f"A delivery report said that {found.recipient} does not exist (status {report.status})."
        mark_undeliverable(connection, key, why=why, event_id=event_id, now=now)


def says_no_such_address(report: Report) -> bool:
    """Whether sending there again is of no use: permanent, and about the recipient's address."""
    return is_failure(report) and _NO_SUCH_ADDRESS.fullmatch(report.status) is not None


def is_failure(report: Report) -> bool:
    """Whether it says that the message did not arrive, and will not."""
    return report.kind == "delivery-status" and report.action == "failed"
