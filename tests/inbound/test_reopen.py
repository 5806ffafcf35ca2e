"""A reply and the status of its ticket: waiting is over, closed stays closed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.factories import make_raw
from tests.inbound.conftest import Desk
from webapp.models import Ticket, TicketStatus


@pytest.mark.parametrize(
    ("before", "after", "tickets"),
    [
        (TicketStatus.WAITING, TicketStatus.OPEN, 1),
        (TicketStatus.OPEN, TicketStatus.OPEN, 1),
        (TicketStatus.CLOSED, TicketStatus.CLOSED, 2),
    ],
)
def test_a_reply_ends_the_waiting(
    desk: Desk, before: TicketStatus, after: TicketStatus, tickets: int
) -> None:
    desk.deliver(make_raw(message_id="first@acme.test"))
    desk.poll()
    with desk.instance.database.writing() as session:
        session.execute(sa.update(Ticket).values(status=before))
    desk.deliver(make_raw(headers={"In-Reply-To": "<first@acme.test>"}))
    desk.poll()
    found = desk.tickets()
    assert found[0].status is after
    assert len(found) == tickets
