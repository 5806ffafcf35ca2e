"""How a row's Microsoft account stands, in words: on the row, and above every page where mail is cut off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk.microsoft_connections import ROW_NAMES, find, find_pending
from webapp.desk.microsoft_tokens import STATES_THAT_WAIT
from webapp.mailserver import microsoft_errors
from webapp.mailserver.base import MailProtocol
from webapp.mailserver.errors import AppMisconfigured, MailServerError, ServerTimeout, SignInNeeded, Stage
from webapp.models import ConnectionState, MailServer, MicrosoftConnection, Row

WARN_DAYS, URGENT_DAYS = 30, 7
# One answer that did not come is no news.
UNREACHABLE_FOR = timedelta(minutes=10)
# Mail waits where it is: nothing is lost, and nothing has to be done about it afterwards.
WAITING = {
    Row.OUTGOING: "Mail to be sent waits in the outbox.",
    Row.INVOICE: "Invoices to be sent wait in the outbox.",
    Row.INCOMING: "Mail waits unread in the mailbox.",
}


@dataclass(frozen=True, slots=True)
class AccountState:
    """Word, icon and tone as of a row; `said` are Microsoft's own words, where it said something."""

    key: str  # none | pending | connected | needs_reconnect | misconfigured | unreachable
    word: str
    icon: str
    tone: str
    sentence: str = ""
    cure: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class AccountTrouble:
    """What administrators are told on every page. `since` None: nothing has failed yet."""

    row: Row
    tone: str
    headline: str
    sentence: str
    since: datetime | None = None

    @property
    def cuts_off(self) -> bool:
        return self.since is not None


NONE = AccountState("none", "Not connected", "circle-dot", "quiet", "This row has no Microsoft account yet.")
_WORDS = {
    ConnectionState.CONNECTED: ("Connected", "circle-check", "good"),
    ConnectionState.NEEDS_RECONNECT: ("Needs reconnect", "triangle-alert", "bad"),
    ConnectionState.MISCONFIGURED: ("App registration refused", "triangle-alert", "bad"),
    ConnectionState.UNREACHABLE: ("Microsoft not reachable", "info", "doubt"),
}
_KINDS: dict[ConnectionState, type[MailServerError]] = {
    ConnectionState.NEEDS_RECONNECT: SignInNeeded,
    ConnectionState.MISCONFIGURED: AppMisconfigured,
    ConnectionState.UNREACHABLE: ServerTimeout,
}


def state_of(held: MicrosoftConnection | None, waiting: MicrosoftConnection | None) -> AccountState:
    """The confirmed account's state; while there is none, that of the one that waits."""
    if held is None:
        if waiting is None:
            return NONE
        sentence = f"{waiting.address} signed in. Nothing is used before you say yes."
        return AccountState("pending", "Waits for your answer", "info", "doubt", sentence)
    word, icon, tone = _WORDS[held.state]
    if held.state is ConnectionState.CONNECTED:
        return AccountState(held.state.value, word, icon, tone)
    error = _KINDS[held.state]("", stage=Stage.TOKEN, server_said=held.problem)
    sentence, cure = microsoft_errors.words_of(error)
    if held.problem and not microsoft_errors.code_of(held.problem):
        return AccountState(held.state.value, word, icon, tone, held.problem, cure)  # it is our own sentence
    return AccountState(held.state.value, word, icon, tone, sentence, cure, held.problem)


def is_cut_off(session: Session, stored: MailServer) -> bool:
    """Whether the row's mail waits for a person, whatever its last test and its last run say."""
    if stored.protocol != MailProtocol.OFFICE365:
        return False
    held = find(session, Row(stored.row))
    return held is None or held.state in STATES_THAT_WAIT


def secret_warning(stored: MailServer, today: date) -> AccountTrouble | None:
    """30 days before the client secret expires, in earnest 7 days before."""
    expires = stored.client_secret_expires_on
    if stored.protocol != MailProtocol.OFFICE365 or expires is None:
        return None
    days = (expires - today).days
    if days > WARN_DAYS:
        return None
    row = Row(stored.row)
    told = f"{expires.day} {expires:%B %Y}"
    tone = "bad" if days <= URGENT_DAYS else "doubt"
    if days < 0:
        headline = f"The client secret of {ROW_NAMES[row]} expired on {told}."
    elif days == 0:
        headline = f"The client secret of {ROW_NAMES[row]} expires today."
    else:
        left = "tomorrow" if days == 1 else f"in {days} days, on {told}"
        headline = f"The client secret of {ROW_NAMES[row]} expires {left}."
    sentence = "Create a new one in the Entra admin center and enter it with its date; without it mail stops."
    return AccountTrouble(row, tone, headline, sentence)


def troubles(session: Session, *, now: datetime, today: date) -> tuple[AccountTrouble, ...]:
    """Of the rows that are on: what cuts them off from Microsoft, and what soon will."""
    rows = session.scalars(
        sa.select(MailServer).where(MailServer.active, MailServer.protocol == MailProtocol.OFFICE365.value)
    )
    found = []
    for stored in sorted(rows, key=lambda stored: list(Row).index(Row(stored.row))):
        cut_off = _trouble_of(session, Row(stored.row), now)
        warning = secret_warning(stored, today)
        found += [trouble for trouble in (cut_off, warning) if trouble is not None]
    return tuple(found)


def _trouble_of(session: Session, row: Row, now: datetime) -> AccountTrouble | None:
    held = find(session, row)
    state = state_of(held, find_pending(session, row))
    if held is None:
        return AccountTrouble(
            row,
            "bad",
            f"{ROW_NAMES[row]} has no Microsoft account.",
            "Connect one, or turn the row off.",
            now,
        )
    if held.state is ConnectionState.CONNECTED:
        return None
    if held.state is ConnectionState.UNREACHABLE and now - held.state_since < UNREACHABLE_FOR:
        return None
    headline = f"{ROW_NAMES[row]}: {state.sentence}"
    return AccountTrouble(row, state.tone, headline, f"{state.cure} {WAITING[row]}", held.state_since)
