"""What a reply's entry shows besides its text: recipients, files, and what became of each mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from webapp.desk import reply_recipients
from webapp.desk.delivery_reports import events_by_entry
from webapp.models import Delivery, DeliveryEvent, DeliveryState, Entry, Row
from webapp.outbound import outbox
from webapp.outbound.by_hand import RESENDABLE
from webapp.views import current
from webapp.views.mail_files import File, Place, list_files
from webapp.views.mail_shown import Recipients

SOON = timedelta(minutes=2)  # what waits longer than that waits for something
_SOON = (DeliveryState.QUEUED, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class OneDelivery:
    delivery: Delivery
    events: list[DeliveryEvent]
    can_resend: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What a reply's entry shows besides its text."""

    entry_id: int
    number: int
    deliveries: tuple[OneDelivery, ...]
    recipients: Recipients
    files: tuple[File, ...]

    files_not_listed = 0
    decorations: tuple[File, ...] = ()

    @property
    def pictures(self) -> list[File]:
        return [file for file in self.files if file.thumbnail]

    @property
    def other_files(self) -> list[File]:
        return [file for file in self.files if not file.thumbnail]

    @property
    def again_seconds(self) -> int:
        """When a page that shows this should look again; 0 once nothing changes by itself."""
        waiting = [one.delivery for one in self.deliveries if one.delivery.state in outbox.WAITING]
        if not waiting:
            return 0
        soon = current.now() - SOON
        return 2 if any(one.state in _SOON and one.queued_at > soon for one in waiting) else 30


def sent_replies(session: Session, entries: Sequence[Entry]) -> dict[int, Sent]:
    """By entry; `entries` are replies."""
    ids = [entry.id for entry in entries]
    found, events = outbox.deliveries_of(session, ids), events_by_entry(session, ids)
    on = outbox.is_on(session, Row.OUTGOING)
    return {
        entry.id: Sent(
            entry_id=entry.id,
            number=entry.ticket_id,
            deliveries=tuple(
                OneDelivery(
                    one,
                    [event for event in events.get(entry.id, ()) if event.delivery_id == one.id],
                    on and one.state in RESENDABLE,
                )
                for one in found.get(entry.id, ())
            ),
            recipients=_recipients(entry),
            files=tuple(
                list_files(
                    [(file, Place(entry.ticket_id, file.id)) for file in entry.attachments],
                    has_formatted=False,
                )
            ),
        )
        for entry in entries
    }


def _recipients(entry: Entry) -> Recipients:
    people = entry.recipients or {}
    to, cc = (
        tuple(reply_recipients.written((name, address)) for name, address in people.get(field, ()))
        for field in ("to", "cc")
    )
    return Recipients(to, cc, ())
