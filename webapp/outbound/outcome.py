"""What one try means for each recipient, and for the mail server that was asked. Pure: no I/O.

Before the final dot a message has not been taken and may be sent again. After it only the answer tells
(RFC 5321 section 6.1): without one the outcome is uncertain, and a second try may be a second copy.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta

from webapp.mailserver.base import ServerSettings
from webapp.mailserver.errors import (
    AuthenticationFailed,
    MailServerError,
    MessageRefused,
    RecipientsRefused,
    ServerBusy,
    SignInRequired,
    Stage,
)
from webapp.mailserver.remedies import explain

BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240))
GIVE_UP_AFTER = timedelta(hours=48)
# Automatic mail that comes a day late ("your ticket was opened") confuses more than it tells.
AUTOMATIC_GIVE_UP_AFTER = timedelta(hours=24)
ALERT_GIVE_UP_AFTER = timedelta(hours=4)  # whether it is still so is looked at then
REPEAT_AFTER = timedelta(minutes=15)  # a person's message nobody confirmed

# How long all mail of a row waits while its server fails, and while it refuses to sign us in: a sign-in
# that is repeated and repeated locks the account.
SERVER_BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15))
LONGEST_WAIT = 3600.0  # seconds; what a server may ask for at most (Retry-After)
SIGN_IN_BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (30, 60, 120, 240))


class Result(enum.Enum):
    SENT = enum.auto()
    LATER = enum.auto()  # tried in vain, to be tried again
    REFUSED = enum.auto()
    UNCERTAIN = enum.auto()
    UNTRIED = enum.auto()  # the server could not be asked: no try of this message


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one try, for one recipient: what happened, the server's words, and ours."""

    result: Result
    words: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The server fails for every message alike. `locks`: asking again too soon may lock the account.

    `wait`: how long it asked to be left alone.
    """

    sentence: str
    cure: str
    words: str
    locks: bool
    wait: timedelta = timedelta(0)


SENT = Outcome(Result.SENT)
# "Later" that is about the server and not about this message: SMTP's 421, and HTTP's two.
SERVERS_OWN = frozenset({421, 429, 503})


def of_refused(recipient: str, words: str) -> Outcome:
    """One recipient, by the first digit of what the server said (RFC 5321 section 4.2.1).

    Exchange and Office365 give no digits: a recipient they name as refused is refused.
    """
    if words and not words.startswith("4"):
        sentence = f"The mail server refused {recipient}. Check the address, then send this again."
        return Outcome(Result.REFUSED, words, sentence)
    return Outcome(Result.LATER, words, f"The mail server asked to try {recipient} again later.")


def of_failed_send(error: MailServerError, settings: ServerSettings) -> Outcome:
    """A message that was handed over in vain, for all recipients the server had accepted."""
    remedy = explain(error, settings)
    told = f"{remedy.sentence} {remedy.cure}"
    if error.uncertain:
        return Outcome(Result.UNCERTAIN, error.server_said, told)
    result = Result.REFUSED if isinstance(error, MessageRefused) else Result.LATER
    return Outcome(result, error.server_said, told)


def of_failed_open(error: MailServerError, settings: ServerSettings) -> Outcome:
    return Outcome(Result.UNTRIED, error.server_said, explain(error, settings).sentence)


def trouble_of(error: MailServerError, settings: ServerSettings) -> Trouble | None:
    """Whether this failure is the server's, or the row's, and not this message's alone."""
    if isinstance(error, RecipientsRefused | MessageRefused) and not error.uncertain:
        return None
    wait = min(error.retry_after, LONGEST_WAIT) if isinstance(error, ServerBusy) else 0.0
    own_word = wait or error.reply_code in SERVERS_OWN
    if isinstance(error, ServerBusy) and error.stage is Stage.SEND and not own_word:
        return None
    remedy = explain(error, settings)
    locks = isinstance(error, AuthenticationFailed | SignInRequired)
    return Trouble(remedy.sentence, remedy.cure, error.server_said, locks, timedelta(seconds=wait))


def back_off(attempts: int) -> timedelta:
    """Until the next try of a message that was tried so often."""
    return BACK_OFF[min(max(attempts, 1), len(BACK_OFF)) - 1]


def server_back_off(failures: int, *, locks: bool) -> timedelta:
    """Until a server that failed so often, one time after another, is asked again."""
    delays = SIGN_IN_BACK_OFF if locks else SERVER_BACK_OFF
    return delays[min(max(failures, 1), len(delays)) - 1]
