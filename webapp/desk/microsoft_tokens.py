"""Access tokens of a confirmed Microsoft account, for the mail of its row.

A token in the sealed cache that is still good is handed out without asking anybody. Else one thread of one
process renews it under the connection's lock, and stores what came back before it is used: Microsoft may
have voided the refresh token that was sent. A refusal is remembered, and Microsoft asked at most once an
interval: whoever asks meanwhile gets the same answer from here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from webapp.desk.microsoft_registration import other_mailbox, scopes_for, to_ask_again
from webapp.desk.renewal_lock import renewal_lock
from webapp.instance import Instance
from webapp.mailserver import microsoft_oauth
from webapp.mailserver.base import TokenSource
from webapp.mailserver.errors import (
    AppMisconfigured,
    ConnectionFailed,
    MailServerError,
    SignInNeeded,
    Stage,
)
from webapp.mailserver.microsoft_oauth import AppRegistration
from webapp.models import ConnectionState, MicrosoftConnection, Row
from webapp.vault import VaultError

if TYPE_CHECKING:
    from webapp.mailserver.https import HttpsSession

STATES_THAT_WAIT = (ConnectionState.NEEDS_RECONNECT, ConnectionState.MISCONFIGURED)

logger = logging.getLogger(__name__)


def token_source(
    instance: Instance,
    row: Row,
    registration: AppRegistration,
    *,
    mailbox: str = "",
    timeout: float = 30.0,
) -> TokenSource | None:
    """Where the row's tokens come from; asks nobody yet.

    None: nobody has confirmed an account for this row, or it belongs to another app registration, or nobody
    gave it the permission this mailbox needs.
    """
    with instance.database.reading() as session:
        held = session.scalar(_confirmed(row))
    if held is None or not is_of(held, registration):
        return None
    needed = scopes_for(row, shared=bool(other_mailbox(held.addresses, mailbox)))
    if microsoft_oauth.missing_scopes(needed, held.scopes):
        return None
    return ConnectionTokens(instance, row, held.user_id, registration, timeout)


def is_of(held: MicrosoftConnection, registration: AppRegistration) -> bool:
    """Whether the sign-in was made with this registration; its refresh token is of no use to another."""
    return (held.authority, held.client_id) == (registration.authority, registration.client_id)


@dataclass(slots=True)
class ConnectionTokens:
    """The TokenSource of one row's account. One for each session with Graph."""

    instance: Instance
    row: Row
    user_id: str
    registration: AppRegistration
    timeout: float
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _after_refusal: set[str] = field(default_factory=set, repr=False)

    def access_token(self, *, refused: str = "", claims_challenge: str = "") -> str:
        """See `TokenSource`."""
        if refused and refused in self._after_refusal:
            raise self._give_up("Microsoft Graph refuses a token that was renewed a moment ago.")
        held = self._load()
        token = self._usable(held, refused, claims_challenge)
        if not token:
            with renewal_lock(self.instance, held.id, wait=self.timeout):
                held = self._load()  # somebody may have been quicker
                token = self._usable(held, refused, claims_challenge) or self._renew(held, claims_challenge)
        if refused:
            self._after_refusal.add(token)
        return token

    def _load(self) -> MicrosoftConnection:
        with self.instance.database.reading() as session:
            held = session.scalar(_confirmed(self.row))
        if held is None or held.user_id != self.user_id:
            raise SignInNeeded("another account was connected, or none is", stage=Stage.TOKEN)
        if self._has_to_wait(held):
            kind = SignInNeeded if held.state is ConnectionState.NEEDS_RECONNECT else AppMisconfigured
            raise kind("refused a moment ago", stage=Stage.TOKEN, server_said=held.problem)
        return held

    def _has_to_wait(self, held: MicrosoftConnection) -> bool:
        """A time further off than any wait was written before the clock was put back."""
        if held.state not in STATES_THAT_WAIT or held.tried_with != self.registration.mark:
            return False
        due_at, now = held.next_try_at, self.clock()
        return due_at is not None and now < due_at <= now + self._interval

    @property
    def _interval(self) -> timedelta:
        return timedelta(seconds=self.instance.settings.poll_interval)

    def _usable(self, held: MicrosoftConnection, refused: str, claims_challenge: str) -> str:
        token = microsoft_oauth.held_token(self._cache_of(held))
        asks_for_more = bool(claims_challenge and not refused)
        return "" if token == refused or asks_for_more else token

    def _cache_of(self, held: MicrosoftConnection) -> str:
        try:
            return self.instance.vault.unseal(held.cache_sealed)
        except VaultError as error:
            logger.error("the sign-in of %s at Microsoft: %s", self.row, error)
            raise self._give_up(
                f"The stored sign-in cannot be decrypted: the keys in {self.instance.vault.source} are not "
                "those it was saved with."
            ) from None

    def _renew(self, held: MicrosoftConnection, claims_challenge: str) -> str:
        try:
            token, cache = self._ask_microsoft(held, claims_challenge)
        except SignInNeeded as refusal:
            self._remember(held, ConnectionState.NEEDS_RECONNECT, refusal)
            raise
        except AppMisconfigured as refusal:
            self._remember(held, ConnectionState.MISCONFIGURED, refusal)
            raise
        except MailServerError as failure:
            self._remember(held, ConnectionState.UNREACHABLE, failure)
            raise
        self._store(held, cache)
        return token

    def _ask_microsoft(self, held: MicrosoftConnection, claims_challenge: str) -> tuple[str, str]:
        with closing(open_http(self.instance, self.timeout)) as http:
            return microsoft_oauth.renew(
                self.registration,
                self._cache_of(held),
                scopes=to_ask_again(held.scopes),
                http=http,
                claims_challenge=claims_challenge,
            )

    def _store(self, held: MicrosoftConnection, cache: str) -> None:
        """Before the token is used. Raises ConnectionFailed where the account was changed meanwhile."""
        now = self.clock()
        values: dict[str, object] = {
            "cache_sealed": self.instance.vault.seal(cache),
            "version": held.version + 1,
            "renewed_at": now,
        }
        if held.state is not ConnectionState.CONNECTED:
            values |= {"state": ConnectionState.CONNECTED, "state_since": now, "problem": ""}
            values |= {"tried_with": "", "next_try_at": None}
        if not self._write(held, values):
            raise ConnectionFailed("the account was changed meanwhile", stage=Stage.TOKEN)
        logger.info("the sign-in of %s at Microsoft was renewed", self.row)

    def _remember(
        self,
        held: MicrosoftConnection,
        state: ConnectionState,
        failure: MailServerError | None,
        words: str = "",
    ) -> None:
        """A person who has to come is not forgotten because Microsoft cannot be reached for a while."""
        if state is ConnectionState.UNREACHABLE and held.state in STATES_THAT_WAIT:
            return
        now = self.clock()
        values: dict[str, object] = {
            "state": state,
            "problem": words or (failure.server_said if failure else ""),
        }
        values |= {"tried_with": self.registration.mark, "next_try_at": now + self._interval}
        if state is not held.state:
            values["state_since"] = now
            logger.warning("the sign-in of %s at Microsoft: %s", self.row, state)
        self._write(held, values)

    def _give_up(self, words: str) -> SignInNeeded:
        with self.instance.database.reading() as session:
            held = session.scalar(_confirmed(self.row))
        if held is not None:
            self._remember(held, ConnectionState.NEEDS_RECONNECT, None, words)
        return SignInNeeded("a person has to sign in again", stage=Stage.TOKEN, server_said=words)

    def _write(self, held: MicrosoftConnection, values: dict[str, object]) -> bool:
        """Whether the record was still as it was read."""
        with self.instance.database.writing() as session:
            done = session.execute(
                sa.update(MicrosoftConnection)
                .where(MicrosoftConnection.id == held.id, MicrosoftConnection.version == held.version)
                .values(**values)
                .returning(MicrosoftConnection.id)
            )
            return done.first() is not None


def open_http(instance: Instance, timeout: float) -> HttpsSession:
    """What talks to Microsoft's sign-in; all of it together ends within `timeout` seconds."""
    from webapp.mailserver.https import HttpsSession, Wire  # requests: only where a row needs it

    wire = Wire(timeout, ends_at=time.monotonic() + timeout)
    return HttpsSession(wire, instance.settings.mail_ca_file or None, stage=Stage.TOKEN)


def _confirmed(row: Row) -> sa.Select[MicrosoftConnection]:
    return sa.select(MicrosoftConnection).where(
        MicrosoftConnection.row == row.value, MicrosoftConnection.confirmed
    )
