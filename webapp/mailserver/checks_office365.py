"""The stages of Test Connection for Office365: token, account, then inbox and archive, or From.

Strictly read-only: nothing is marked, moved or made, and nothing is sent unless `send` is given.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from .base import ServerSettings
from .checks import Check, Foresee, Found, Send, look_ahead
from .errors import Stage
from .graph import GraphMailbox
from .graph_send import GraphTransport
from .remedy import plural


class Office365Checks:
    """The stages of one test over one session; `ends_at` (monotonic) caps them all together."""

    def __init__(
        self,
        settings: ServerSettings,
        ends_at: float,
        foresee: Foresee | None,
        send: Send | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self._mailbox = GraphMailbox(settings, ends_at=ends_at)
        self._transport = GraphTransport(settings, ends_at=ends_at)
        self.session = self._mailbox.session if settings.receives else self._transport.session
        self._foresee, self._send = foresee, send
        self._ends_at, self._cancelled = ends_at, cancelled

    def plan(self) -> dict[Stage, Check]:
        common = {
            Stage.SETTINGS: self._check_settings,
            Stage.TOKEN: self._get_token,
            Stage.ACCOUNT: self._who_am_i,
        }
        if self.settings.receives:
            last = {Stage.FORESEE: self._look_ahead} if self._foresee else {}
            return common | {Stage.INBOX: self._inbox, Stage.ARCHIVE: self._archive} | last
        last = {Stage.SEND: self._send_one} if self._send else {}
        return common | {Stage.FROM: self._sender} | last

    def _check_settings(self) -> Found:
        self.session.check_settings()
        mailbox = self.settings.mailbox.strip()
        of = f"mailbox {mailbox}" if mailbox else "the account's own mailbox"
        return Found(f"Office365, {of}, {urlsplit(self.settings.graph_base).hostname}")

    def _get_token(self) -> Found:
        self.session.fetch_token()
        return Found("Microsoft gave a token for the connected account")

    def _who_am_i(self) -> Found:
        account = self.session.account()
        name = f"{account.display_name} <{account.address}>" if account.display_name else account.address
        return Found(f"signed in as {name}")

    def _inbox(self) -> Found:
        state = self._mailbox.open_inbox(read_only=True)
        unread = len(self._mailbox.list_unread()) if state.unread is None else state.unread
        return Found(f"{plural(state.total, 'message')}, {unread} unread")

    def _archive(self) -> Found:
        archive = self._mailbox.find_archive()
        state = "exists" if archive.exists else "will be created"
        return Found(f'folder "{archive.path}" {state}')

    def _look_ahead(self) -> Found:
        assert self._foresee is not None
        return look_ahead(self._foresee, self._mailbox, self._ends_at, self._cancelled)

    def _sender(self) -> Found:
        self._transport.learn_addresses()
        self._transport.check_sender(self.settings.from_address)
        return Found(f"{self.settings.from_address} is one of this mailbox's own addresses")

    def _send_one(self) -> Found:
        assert self._send is not None
        delivered = self._send(self._transport)
        return Found(f"Microsoft accepted a test message for {delivered.recipient}", detail=delivered)
