"""Whether incoming mail comes in, judged from outside the runs: a run that hangs reports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from webapp.config import Settings
from webapp.inbound.poll import deadline_seconds
from webapp.models import MailboxIdentity, MailServer

FAILED_RUNS = 2  # one failed run is a hiccup of the network
FAILING_FOR = timedelta(minutes=15)
MISSED_INTERVALS = 3
NO_RUN = "The email parser has not finished a run since then."
NO_RUN_CURE = "Restart the service desk. If this comes back, the log says what it was doing."


@dataclass(frozen=True, slots=True)
class Trouble:
    """Incoming mail does not come in: since when, and what people should know."""

    since: datetime
    sentence: str
    cure: str


def patience(settings: Settings) -> timedelta:
    """How long nothing may be heard of a run: one may go on until its deadline, and a few may be late.

    Who restarts the program while a large message comes in has it begin again.
    """
    seconds = deadline_seconds(settings.max_message_mb) + MISSED_INTERVALS * settings.poll_interval
    return timedelta(seconds=seconds)


def find_trouble(
    row: MailServer,
    mailbox: MailboxIdentity | None,
    *,
    now: datetime,
    patience: timedelta,
    up_since: datetime,
) -> Trouble | None:
    """What is wrong with an active row's mailbox; None while all is well, or may well be.

    `patience`: how long a run may keep us waiting. `up_since`: when this process began to watch, or the
    machine woke; before that nobody may have been there to poll.
    """
    if mailbox is not None and mailbox.failing_since and is_lasting(mailbox, now):
        return Trouble(mailbox.failing_since, mailbox.last_error, mailbox.last_cure)
    last = mailbox.last_success_at if mailbox is not None else None
    expected_since = max(filter(None, (last, row.updated_at, up_since)))
    if now - expected_since > patience and (mailbox is None or mailbox.failing_since is None):
        return Trouble(last or expected_since, NO_RUN, NO_RUN_CURE)
    return None


def is_lasting(mailbox: MailboxIdentity, now: datetime) -> bool:
    """Whether it is more than a hiccup: two runs failed, it takes long, or only a person can help."""
    if mailbox.failing_since is None:
        return False
    is_old = now - mailbox.failing_since >= FAILING_FOR
    return mailbox.failures >= FAILED_RUNS or is_old or mailbox.needs_a_person
