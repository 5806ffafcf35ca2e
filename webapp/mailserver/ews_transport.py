"""`Transport` over EWS: CreateItem with the message's own MIME, which says to whom it goes.

An Exchange has no envelope and answers once for a whole message: what cannot be delivered comes back later
as a report. No copy is kept in Sent Items; the service desk has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from exchangelib.errors import EWSError

from .base import SendResult, ServerSettings
from .errors import MailServerError, SenderRefused, Stage, UnexpectedServer
from .ews import inbox_of
from .ews_calls import get_folders, resolve_address, send_message
from .ews_errors import GONE, NO_FOLDER, UNFINISHED, code_of, translated
from .ews_session import EwsSession
from .ews_xml import Folder, FolderRef
from .recipients import Mailing, from_addresses, mailings

# An address that leads to no mailbox that this account may open.
_NOT_OURS = GONE | NO_FOLDER | {"ErrorAccessDenied", "ErrorNonExistentMailbox", "ErrorMailboxLogonFailed"}
_NO_NAME = {"ErrorNameResolutionNoResults", "ErrorNameResolutionMultipleResults"}


class EwsTransport:
    """Sends as the mailbox that is opened, from `open` to `close`."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self.session = EwsSession(settings, ends_at=ends_at)
        self._inbox_id = ""
        self._own: set[str] = set()  # addresses found to be those of this mailbox

    def open(self) -> None:
        try:
            self.session.begin()
            self.open_mailbox()
        except BaseException:
            self.close()
            raise

    def open_mailbox(self) -> None:
        """Whose mailbox this is stands in the answer to signing in."""
        (answer,), self.session.inbox_answer = self.session.inbox_answer, []
        self._inbox_id = inbox_of(answer, self.session).id

    def check_sender(self, addr_spec: str) -> None:
        """An address is one's own if it opens the same inbox; Exchange itself would not always refuse."""
        self._check_sender(addr_spec, Stage.FROM)

    def send(
        self,
        raw: bytes,
        *,
        sender: str,
        recipients: Sequence[str],
        before_final_dot: Callable[[frozenset[str]], None] | None = None,
    ) -> SendResult:
        for address in {sender, *from_addresses(raw)}:
            self._check_sender(address, Stage.SEND)
        accepted: set[str] = set()
        for mailing in mailings(raw, recipients):
            try:
                self._hand_over(mailing, before_final_dot)
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

    def _hand_over(self, mailing: Mailing, before_final_dot: Callable[[frozenset[str]], None] | None) -> None:
        """One message. Once it has gone out whole, only a clear answer tells what became of it."""
        session = self.session
        session.check_open(Stage.SEND)
        if before_final_dot is not None:
            try:
                before_final_dot(frozenset(mailing.recipients))
            except BaseException:
                session.close()
                raise
        try:
            answers = session.ask(Stage.SEND, lambda: send_message(session.account, mailing.raw))
        except MailServerError as error:
            error.uncertain = session.wire.handed_over
            raise
        if len(answers) != 1:
            session.close()
            lost = UnexpectedServer(f"{len(answers)} answers for one message", stage=Stage.SEND)
            lost.uncertain = True
            raise lost
        (answer,) = answers
        if isinstance(answer, EWSError):
            refused = session.failed(answer, Stage.SEND)
            refused.uncertain = code_of(answer) in UNFINISHED
            raise refused

    def _check_sender(self, addr_spec: str, stage: Stage) -> None:
        self.session.check_open(stage)
        address = addr_spec.strip().casefold()
        if address in self._own:
            return
        answer = self._inbox_of(address, stage)
        if isinstance(answer, EWSError) and code_of(answer) == "ErrorNonPrimarySmtpAddress":
            answer = self._inbox_of(self._primary_of(address, stage), stage)
        if isinstance(answer, Folder) and answer.id == self._inbox_id:
            self._own.add(address)
            return
        self.close()
        if isinstance(answer, EWSError) and code_of(answer) not in _NOT_OURS:
            raise translated(answer, stage)
        raise SenderRefused(f"{addr_spec} is no address of this mailbox", stage=stage)

    def _inbox_of(self, address: str, stage: Stage) -> Folder | EWSError:
        session, ref = self.session, FolderRef(name="inbox", mailbox=address)
        (answer,) = session.ask(stage, lambda: get_folders(session.account, [ref]))
        return answer

    def _primary_of(self, address: str, stage: Stage) -> str:
        """Some servers open a mailbox by its primary address alone, and say what others lead to."""
        session = self.session
        for answer in session.ask(stage, lambda: resolve_address(session.account, address)):
            if isinstance(answer, str) and answer:
                return answer
            if isinstance(answer, EWSError) and code_of(answer) not in _NO_NAME:
                raise session.failed(answer, stage)
        session.close()
        raise SenderRefused(f"{address} leads to no mailbox", stage=stage)
