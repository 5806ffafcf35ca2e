"""Facts and decision about one message: the one way in which run, preview and `mail explain` judge."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import sqlalchemy as sa

from webapp.inbound.case import Decision, Earlier, Facts, Policy
from webapp.inbound.decide import decide, quarantine
from webapp.inbound.facts import FactsReader
from webapp.inbound.reading import quarantined
from webapp.inbound.received import Received
from webapp.models import TicketNotice

DATABASE_FAILED = (sa.exc.OperationalError, sa.exc.InterfaceError)  # and not the message

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judged:
    """A message, what is known about it, and what is to become of it."""

    received: Received  # a stub where the message broke the judging
    facts: Facts
    decision: Decision


def judge(reader: FactsReader, received: Received, policy: Policy) -> Judged:
    """Raises whatever the message makes our own code raise, and SQLAlchemy's errors."""
    facts = reader.gather(received.message, received.identity)
    if back := received.returned:
        earlier = Earlier(back.inbound_id, back.ticket_id, "put back into the inbox after it was processed")
        facts = replace(facts, earlier=earlier)
    decision = decide(
        received.message,
        received.identity.received_at,
        policy,
        facts,
        unreadable=received.notice is TicketNotice.QUARANTINE,
    )
    return Judged(received, facts, decision)


def judge_or_quarantine(reader: FactsReader, received: Received, policy: Policy) -> Judged:
    """As a run judges that writes nothing. Raises where the database fails, not the message."""
    try:
        return judge(reader, received, policy)
    except DATABASE_FAILED:
        raise
    except Exception as error:
        logger.exception("message %s could not be judged", received.key)
        return for_a_person(received, error)


def for_a_person(received: Received, error: Exception) -> Judged:
    """What becomes of a message that broke the processing: a ticket with the message attached."""
    received = quarantined(received, f"could not be processed: {type(error).__name__}")
    return Judged(received, Facts(), quarantine(received.message.defects[-1]))
