"""`Transport` over SMTP submission (RFC 6409, RFC 5321)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from .base import SendResult, ServerSettings
from .envelope import Envelope, size_limit
from .errors import (
    MailServerError,
    MessageRefused,
    RecipientsRefused,
    SenderRefused,
    SignInRequired,
    Stage,
)
from .smtp_session import Client, Reply, SmtpSession

_LINE_END = re.compile(rb"\r\n|\r|\n")
_DOT = re.compile(rb"^\.", re.MULTILINE)


class SmtpTransport:
    """One connection to a submission server, from `open` to `close`."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self.session = SmtpSession(settings, ends_at=ends_at)
        self._final_dot_sent = False

    def open(self) -> None:
        try:
            self.session.begin()
        except BaseException:
            self.close()
            raise

    @property
    def largest_octets(self) -> int | None:
        """What the server said it takes (SIZE, RFC 1870); None where it names no limit."""
        return size_limit(self.session.extensions)

    def check_sender(self, addr_spec: str) -> None:
        with self.session.step(Stage.FROM) as client:
            self._mail(client, Envelope(addr_spec, (), b"", self.session.extensions), Stage.FROM)
            client.ask("RSET")

    def send(
        self,
        raw: bytes,
        *,
        sender: str,
        recipients: Sequence[str],
        before_final_dot: Callable[[frozenset[str]], None] | None = None,
    ) -> SendResult:
        self._final_dot_sent = False
        try:
            with self.session.step(Stage.SEND) as client:
                # A line end that only some servers take for one hides a second message (SMTP smuggling).
                octets = _LINE_END.sub(b"\r\n", raw)
                envelope = Envelope(sender, tuple(recipients), octets, self.session.extensions)
                self._mail(client, envelope, Stage.SEND)
                result = self._recipients(client, envelope)
                self._data(client, octets, partial(_tell, before_final_dot, result.accepted))
                return result
        except MailServerError as error:
            error.uncertain = self._final_dot_sent
            raise

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

    def _mail(self, client: Client, envelope: Envelope, stage: Stage) -> None:
        """MAIL, with the extensions this message makes use of."""
        address = envelope.on_the_wire(envelope.sender)
        if address is None:
            raise SenderRefused("the sender is not an address this server can take", stage=stage)
        if envelope.is_too_large:
            raise MessageRefused(f"{len(envelope.octets)} octets are too many", stage=stage, reply_code=552)
        client.command_encoding = "utf-8" if envelope.needs_utf8 else "ascii"
        try:
            client.ask("MAIL", " ".join([f"FROM:<{address}>", *envelope.parameters()]))
        except Reply as reply:
            raise self.session.refusal(reply, stage, _mail_refusal(reply.code, stage)) from None

    def _recipients(self, client: Client, envelope: Envelope) -> SendResult:
        """RCPT for each. A recipient that is refused does not keep the others from theirs."""
        accepted: set[str] = set()
        refused: dict[str, str] = {}
        for recipient in envelope.recipients:
            address = envelope.on_the_wire(recipient)
            if address is None:
                refused[recipient] = "553 5.1.3 not an address this server can take"
                continue
            try:
                client.ask("RCPT", f"TO:<{address}>", hoped_for=(250, 251))
                accepted.add(recipient)
            except Reply as reply:
                if reply.code == 421:  # the server ends the session
                    raise
                refused[recipient] = self.session.words_of(reply)
        if not accepted:
            permanent = all(words.startswith("5") for words in refused.values())
            raise RecipientsRefused("every recipient was refused", refused=refused, permanent=permanent)
        return SendResult(frozenset(accepted), refused)

    def _data(self, client: Client, octets: bytes, before_final_dot: Callable[[], None]) -> None:
        """DATA. Once the final dot is on its way, only the reply tells what became of the message."""
        try:
            client.ask("DATA", hoped_for=(354,))
            client.send(_DOT.sub(b"..", octets))
            if not octets.endswith(b"\r\n"):
                client.send(b"\r\n")
            with self.session.line.pause():
                before_final_dot()
            self._final_dot_sent = True
            client.send(b".\r\n")
            reply = client.getreply()
            self._final_dot_sent = reply[0] <= 0
            client.hear(reply, (250,))
        except Reply as reply:
            raise self.session.refusal(reply, Stage.SEND, MessageRefused) from None


def _tell(hook: Callable[[frozenset[str]], None] | None, accepted: frozenset[str]) -> None:
    if hook is not None:
        hook(accepted)


def _mail_refusal(code: int, stage: Stage) -> type[MailServerError]:
    if code == 530:
        return SignInRequired
    return MessageRefused if code == 552 and stage is Stage.SEND else SenderRefused
