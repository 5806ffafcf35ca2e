"""Turning a row on: what is asked first, and which of the waiting messages the email parser may take.

A mailbox that has been in use is full of unread mail nobody thinks of any more. So turning Incoming on asks,
with nothing chosen beforehand: messages from now on, all of them, or those from a date. The answer becomes
the row's cut-off, which is compared with the server's time of receipt (INTERNALDATE), never with ours.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from webapp.desk.mail_fields import read_moment
from webapp.desk.mail_form import FormErrors, MailServerValues
from webapp.desk.mail_protocols import CLASSIC
from webapp.desk.mail_servers import Draft
from webapp.models import Row

Mailbox = tuple[str, str, int, str]

LOOK_BACK = timedelta(days=1)
LOOK_BACK_BLIND = timedelta(minutes=15)
CHOOSE_SENTENCE = "Choose which messages become tickets."
DATE_SENTENCE = "Enter a date and a time."


class Choice(enum.StrEnum):
    """Which of the unread messages the parser takes."""

    FROM_NOW = "now"
    ALL = "all"
    FROM_DATE = "date"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What stands between a person and a row that is on."""

    step: bool  # the activation step: which messages (incoming only)
    question: str = ""  # to be answered with yes
    hint: str = ""  # said, not asked

    @property
    def needed(self) -> bool:
        return self.step or bool(self.question)


def needs_confirmation(
    before: MailServerValues | None, wanted: MailServerValues, *, last_test_passed: bool | None
) -> Confirmation:
    """What is asked before `wanted` is saved. `before`: the row as saved, None where it never was.

    `last_test_passed` speaks of the wanted values; None: they were not tested. An active incoming row that is
    pointed at another mailbox is asked about like one that is turned on: its inbox is another one, too. So is
    one whose date goes away or gets earlier: what was left alone until now would all be taken.
    """
    if not wanted.active:
        return Confirmation(step=False)
    turned_on = before is None or not before.active
    moved = before is None or mailbox_of(before) != mailbox_of(wanted)
    step = wanted.row is Row.INCOMING and (turned_on or moved or _takes_older(before, wanted))
    if not turned_on and not step:
        return Confirmation(step=False)
    if last_test_passed is False:
        return Confirmation(step, question="The last test failed. Turn on anyway?")
    return Confirmation(step, hint="" if last_test_passed else "Not tested yet.")


def preselected(values: MailServerValues) -> Choice | None:
    """The choice that is made already: only a date that is set; else a person has to choose."""
    return Choice.FROM_DATE if values.cutoff_enabled and values.cutoff_at else None


def choose_cutoff(
    choice: str, moment: str, *, zone: ZoneInfo, newest: datetime | None, inbox_seen: bool, now: datetime
) -> datetime | None:
    """The cut-off a choice means, in UTC; None: no date limit.

    `choice` and `moment` as the form sent them; `moment` is ISO 8601 in the desk's zone (of a doubled hour
    the first is meant) and read only for FROM_DATE. `newest`, `inbox_seen` and `now` as in `from_now`.
    Raises FormErrors for `choice` or `cutoff_at`.
    """
    match choice:
        case Choice.FROM_NOW:
            return from_now(newest, inbox_seen=inbox_seen, now=now)
        case Choice.ALL:
            return None
        case Choice.FROM_DATE if not moment.strip():
            raise FormErrors({"cutoff_at": DATE_SENTENCE})
        case Choice.FROM_DATE:
            try:
                return read_moment(moment.strip(), zone)
            except ValueError as error:
                raise FormErrors({"cutoff_at": str(error)}) from error
        case _:
            raise FormErrors({"choice": CHOOSE_SENTENCE})


def from_now(newest: datetime | None, *, inbox_seen: bool, now: datetime) -> datetime:
    """The cut-off of "only messages from now on", on the mail server's clock.

    `newest`: when the newest unread message of the preview was received (`Preview.newest`). `inbox_seen`:
    there was a preview at all; without one `newest` None says nothing. `now` is our clock.

    A message that arrives after the preview is stamped by the server's clock, which may be behind ours: a
    cut-off of "now" would leave it alone, unread, for ever. So the line is drawn on the server's clock: one
    second after the newest message that was seen. What was seen is before it, what comes is after it, and
    how far the server's clock is behind does not matter. (INTERNALDATE counts in whole seconds. A message
    of the very second of the newest,
    listed after the preview, would be missed; nobody answers the question within that second.)

    Two bounds. Where the newest is older than a day, or there is none, the line is one day ago: nothing seen
    is newer, so nothing seen is taken, and a server may be wrong by a day (a time zone taken for another)
    before anything is missed. Where the newest is in our future, the server is ahead or the time was invented
    (APPEND takes any, and one message is enough): a line there would leave everything alone that comes until
    then, so it is drawn at our own clock, less 15 minutes. That may take some of the messages seen, and
    misses
    none. The line is never later than our own clock.

    Without a preview (the server could not be reached, and the row is turned on anyway) it is 15 minutes ago:
    nothing is known, and a day's mail would be a surprise.
    """
    now = now.replace(microsecond=0)
    if not inbox_seen or (newest is not None and newest > now):
        return now - LOOK_BACK_BLIND
    if newest is None or newest < now - LOOK_BACK:
        return now - LOOK_BACK
    return min(newest.replace(microsecond=0) + timedelta(seconds=1), now)


def apply_choice(wanted: Draft, cutoff: datetime | None) -> Draft:
    """The draft, turned on, with the cut-off that was chosen; without one a date set before stays noted."""
    values = replace(wanted.values, active=True, cutoff_enabled=cutoff is not None)
    return replace(wanted, values=replace(values, cutoff_at=cutoff) if cutoff else values)


def changes_of(cutoff: datetime | None) -> Mapping[str, str]:
    """The same as the form's fields, for `mail_servers.draft`."""
    if cutoff is None:
        return {"active": "true", "cutoff_enabled": "false"}
    return {"active": "true", "cutoff_enabled": "true", "cutoff_at": cutoff.isoformat()}


def without_cutoff(wanted: Draft) -> Draft:
    """The draft to preview before the question is asked: it shows what all unread messages would become."""
    return replace(wanted, values=replace(wanted.values, cutoff_enabled=False))


def mailbox_of(values: MailServerValues) -> Mailbox:
    """Protocol, host, port and account: another of them is another inbox.

    Another Microsoft account is nothing an edited row says: whoever confirms one turns the row off.
    """
    if values.protocol in CLASSIC:
        return (values.protocol, values.host, values.port, values.username)
    return (values.protocol, values.host, values.port, values.address.casefold())


def _takes_older(before: MailServerValues | None, wanted: MailServerValues) -> bool:
    """Whether messages that were too old until now are not any more."""
    was = before.cutoff_at if before and before.cutoff_enabled else None
    will_be = wanted.cutoff_at if wanted.cutoff_enabled else None
    return was is not None and (will_be is None or will_be < was)
