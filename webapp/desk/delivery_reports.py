"""What delivery reports said afterwards about messages this desk sent."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import Delivery, DeliveryEvent, OutgoingMessage


def events_by_entry(session: Session, entry_ids: Collection[int]) -> dict[int, list[DeliveryEvent]]:
    """The events about what these entries sent, oldest first; entries without one are left out."""
    query = (
        sa.select(OutgoingMessage.entry_id, DeliveryEvent)
        .join(Delivery, Delivery.outgoing_id == OutgoingMessage.id)
        .join(DeliveryEvent, DeliveryEvent.delivery_id == Delivery.id)
        .where(OutgoingMessage.entry_id.in_(entry_ids))
        .order_by(DeliveryEvent.id)
    )
    found: dict[int, list[DeliveryEvent]] = {}
    for entry_id, event in session.execute(query):
        if entry_id is not None:
            found.setdefault(entry_id, []).append(event)
    return found
