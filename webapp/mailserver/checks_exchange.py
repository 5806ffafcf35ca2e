"""The stages of Test Connection for Exchange: the way there, sign-in, then inbox and archive, or From.

Strictly read-only: folders are asked about and items listed; nothing is marked, moved or made, and nothing is
sent unless `send` is given.
"""

from __future__ import annotations

from collections.abc import Callable

from . import ews_address
from .base import ServerSettings
from .checks import Check, Foresee, Found, Send, encryption, look_ahead
from .errors import InvalidSettings, Stage
from .ews import EwsMailbox
from .ews_session import Door
from .ews_transport import EwsTransport
from .remedy import plural

# The first two numbers of a build, and from which third one on a newer product has them too.
_PRODUCTS = {"15.0": "Exchange 2013", "15.1": "Exchange 2016", "15.2": "Exchange 2019"}
_SUBSCRIPTION_EDITION = 2562


class ExchangeChecks:
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
        self._mailbox = EwsMailbox(settings, ends_at=ends_at)
        self._transport = EwsTransport(settings, ends_at=ends_at)
        self.session = self._mailbox.session if settings.receives else self._transport.session
        self._foresee, self._send = foresee, send
        self._ends_at, self._cancelled = ends_at, cancelled
        self._door: Door | None = None

    def plan(self) -> dict[Stage, Check]:
        common = {
            Stage.SETTINGS: self._check_settings,
            Stage.DNS: self._look_up,
            Stage.CONNECT: self._connect,
            Stage.TLS: self._encrypt,
            Stage.SIGN_IN: self._sign_in,
        }
        if self.settings.receives:
            last = {Stage.FORESEE: self._look_ahead} if self._foresee else {}
            return common | {Stage.INBOX: self._inbox, Stage.ARCHIVE: self._archive} | last
        last = {Stage.SEND: self._send_one} if self._send else {}
        return common | {Stage.FROM: self._sender} | last

    def _check_settings(self) -> Found:
        self.session.check_settings()
        if not self.settings.receives and not self.settings.from_address:
            raise InvalidSettings("from_address is missing", stage=Stage.SETTINGS, field="from_address")
        return Found(f"Exchange, {ews_address.endpoint(self.settings)}, {self._whose()}")

    def _look_up(self) -> Found:
        self._door = self.session.door()
        return Found("found " + ", ".join(self._door.resolve()))

    def _connect(self) -> Found:
        assert self._door is not None
        return Found(f"{self._door.connect()} port {self._door.settings.port}")

    def _encrypt(self) -> Found:
        """The first connection has told all it can; signing in makes one of its own."""
        assert self._door is not None
        self._door.secure()
        facts = self._door.tls_facts()
        self._door.close()
        return encryption(facts)

    def _sign_in(self) -> Found:
        mechanism = self.session.sign_in()
        return Found(f"signed in ({mechanism})" + product(self.session.build))

    def _inbox(self) -> Found:
        state = self._mailbox.open_inbox(read_only=True)
        unread = len(self._mailbox.list_unread()) if state.unread is None else state.unread
        return Found(f"{self._whose()}: {plural(state.total, 'message')}, {unread} unread")

    def _archive(self) -> Found:
        archive = self._mailbox.find_archive()
        state = "exists" if archive.exists else "will be created"
        return Found(f'folder "{archive.path}" {state}')

    def _look_ahead(self) -> Found:
        assert self._foresee is not None
        return look_ahead(self._foresee, self._mailbox, self._ends_at, self._cancelled)

    def _sender(self) -> Found:
        self._transport.open_mailbox()
        self._transport.check_sender(self.settings.from_address)
        return Found(f"{self.settings.from_address} is an address of this mailbox")

    def _send_one(self) -> Found:
        assert self._send is not None
        delivered = self._send(self._transport)
        return Found(f"the server accepted a test message for {delivered.recipient}", detail=delivered)

    def _whose(self) -> str:
        mailbox = self.settings.mailbox.strip()
        return f"mailbox {mailbox}" if mailbox else "the account's own mailbox"


def product(build: str) -> str:
    """to Exchange 2019 (15.2.1544.9); empty where the server does not say."""
    major, _, rest = build.partition(".")
    minor, _, third = rest.partition(".")
    name = _PRODUCTS.get(f"{major}.{minor}", "Exchange")
    number = third.partition(".")[0]
    if name == "Exchange 2019" and number.isdigit() and int(number) >= _SUBSCRIPTION_EDITION:
        name = "Exchange Server SE"
    return f" to {name} ({build})" if build else ""
