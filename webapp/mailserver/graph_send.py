"""`Transport` over Microsoft Graph v1.0 (Office365): the message goes out as the MIME that it is.

Graph has no envelope: it sends to whom the message names, as whom it names. Both are checked here first, so
that nothing is sent as somebody this account is not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from .base import SendResult, ServerSettings
from .errors import (
    ConnectionFailed,
    MailServerError,
    MessageRefused,
    SenderRefused,
    Stage,
)
from .graph_large import send_in_parts
from .graph_session import GraphSession
from .recipients import Mailing, from_addresses, mailings

# Graph takes 4 MB a request, and base64 makes 4 octets of 3. From about 2.2 MB of MIME on it was seen to
# answer 200 and to send nothing: well below that.
LARGEST_AT_ONCE = 2_000_000
_ACCEPTED = 202

Hook = Callable[[frozenset[str]], None]


class GraphTransport:
    """Sends as one mailbox in Exchange Online, from `open` to `close`."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self.session = GraphSession(settings, ends_at=ends_at)
        self._settings = settings
        self._own: frozenset[str] = frozenset()

    def open(self) -> None:
        try:
            self.session.begin()
            self.learn_addresses()
        except BaseException:
            self.close()
            raise

    def learn_addresses(self) -> None:
        """Whom this account may send as. A shared mailbox's aliases cannot be read: only its address."""
        account = self.session.account()
        mailbox = self._settings.mailbox.strip()
        self._own = frozenset(map(str.casefold, (mailbox,) if mailbox else account.addresses))

    def check_sender(self, addr_spec: str) -> None:
        self._check_open(Stage.FROM)
        self._check_own(addr_spec, Stage.FROM)

    def send(
        self,
        raw: bytes,
        *,
        sender: str,
        recipients: Sequence[str],
        before_final_dot: Callable[[frozenset[str]], None] | None = None,
    ) -> SendResult:
        """One message for those it names, and one for each recipient it does not name."""
        self._check_open(Stage.SEND)
        for addr_spec in {sender, *from_addresses(raw)}:
            self._check_own(addr_spec, Stage.SEND)
        accepted: set[str] = set()
        for mailing in mailings(raw, recipients):
            try:
                self._send(mailing, before_final_dot)
            except MailServerError as error:
                error.delivered = frozenset(accepted)
                raise
            accepted.update(mailing.recipients)
        return SendResult(frozenset(accepted), {})

    def abort(self) -> None:
        self.session.abort()

    def close(self) -> None:
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self, stage: Stage) -> None:
        if not self._own or not self.session.wire.healthy:
            self.close()
            raise ConnectionFailed("the session is not open", stage=stage)

    def _check_own(self, addr_spec: str, stage: Stage) -> None:
        """Exchange Online refuses some addresses and silently replaces others: neither may happen."""
        if addr_spec.strip().casefold() not in self._own:
            self.close()
            raise SenderRefused(f"{addr_spec} is not an address of this mailbox", stage=stage)

    def _send(self, mailing: Mailing, hook: Hook | None) -> None:
        commit = partial(_tell, hook, frozenset(mailing.recipients))
        if len(mailing.raw) > LARGEST_AT_ONCE:
            send_in_parts(self.session, mailing.raw, LARGEST_AT_ONCE, commit)
            return
        answer = self.session.call(
            "POST",
            f"{self.session.root}/sendMail",
            Stage.SEND,
            body=base64.b64encode(mailing.raw),
            expect=range(200, 300),
            commit=commit,
        )
        check_accepted(self.session, answer.status)


def check_accepted(session: GraphSession, status: int) -> None:
    """202 and nothing else: with 200 Graph has thrown the message away."""
    if status != _ACCEPTED:
        session.close()
        raise MessageRefused(
            f"HTTP {status} where only 202 says that the message is taken",
            stage=Stage.SEND,
            server_said=f"HTTP {status} instead of 202 Accepted",
        )


def _tell(hook: Hook | None, recipients: frozenset[str]) -> None:
    if hook is not None:
        hook(recipients)
