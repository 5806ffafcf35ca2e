"""Test Connection: the adapters' own steps, one after the other, each with what it found.

The first failure ends it; what comes after was not reached. What each stage does stands in `checks`.
"""

from __future__ import annotations

import enum
import errno
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from . import probe, tls
from .base import MailProtocol, ServerSettings, TlsMode
from .checks import Checks, Delivered, Foresee, Send, Takes, TestPlan, checks_for
from .checks import Foreseen as Foreseen
from .errors import ConnectionFailed, MailServerError, ServerTimeout, Stage, StartTlsNotOffered
from .remedies import explain
from .remedy import IMPLICIT_PORT, LABELS, Findings, Remedy
from .words import LIMIT

LONGEST_SECONDS = 60.0
NOT_REACHED = "not reached"
_CANCEL_POLL_SECONDS = 0.1


class StageState(enum.StrEnum):
    """How a stage ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage of the test, ended. `fact` is one line of text, not HTML.

    `detail` is what a stage found out: what will happen, which test message was accepted, what size fits.
    """

    stage: Stage
    label: str
    state: StageState
    elapsed_ms: int = 0
    fact: str = ""
    error: MailServerError | None = None
    remedy: Remedy | None = None
    detail: Foreseen | Delivered | Takes | None = None


def diagnose(
    settings: ServerSettings,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    foresee: Foresee | None = None,
    send: Send | None = None,
) -> Iterator[StageResult]:
    """Yield a result as each stage ends; all stages are yielded, in order.

    `foresee` (receiving) is given the inbox, opened read-only, and says what would become of the unread
    messages; `send` (sending) is given the open transport and sends a test message. All together it takes at
    most the stages' number times the timeout, and never over a minute. Once `cancelled()` is true the running
    stage ends at once.
    """
    count = len(stages(settings, foresees=foresee is not None, sends=send is not None))
    ends_at = time.monotonic() + min(count * settings.timeout, LONGEST_SECONDS)
    checks = checks_for(settings, ends_at, foresee=foresee, send=send, cancelled=cancelled)
    canceller = _Canceller(cancelled)
    canceller.watch(checks.session)
    try:
        yield from _run(checks, canceller)
    finally:
        canceller.end()
        checks.session.close()


def stages(settings: ServerSettings, *, foresees: bool = False, sends: bool = False) -> tuple[Stage, ...]:
    """The stages a test of these settings has."""
    match settings.protocol:
        case MailProtocol.OFFICE365:
            common = [Stage.SETTINGS, Stage.TOKEN, Stage.ACCOUNT]
        case MailProtocol.EXCHANGE:
            common = [*_CONNECTING, Stage.SIGN_IN]
        case MailProtocol.IMAP | MailProtocol.SMTP:
            common = [*_CONNECTING, Stage.GREETING, Stage.SIGN_IN]
    if not settings.receives:
        return (*common, Stage.FROM, *[Stage.SEND] * sends)
    own_move = [Stage.MOVE] * (settings.protocol is MailProtocol.IMAP)
    return (*common, Stage.INBOX, *own_move, Stage.ARCHIVE, *[Stage.FORESEE] * foresees)


_CONNECTING = (Stage.SETTINGS, Stage.DNS, Stage.CONNECT, Stage.TLS)


class _Abortable(Protocol):
    def abort(self) -> None: ...


class _Canceller:
    """Ends the running step once `cancelled` says so: it is asked ten times a second, in a thread."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self._watched: list[_Abortable] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="mail-test-cancel", daemon=True)
        self._thread.start()

    @property
    def stopped(self) -> bool:
        return self._stopped or self._cancelled()

    def watch(self, connection: _Abortable) -> None:
        """A connection to abort; one that comes too late is aborted at once."""
        with self._lock:
            self._watched.append(connection)
            if self._stopped:
                connection.abort()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_CANCEL_POLL_SECONDS):
            if self._cancelled():
                with self._lock:
                    self._stopped = True
                    for connection in self._watched:
                        connection.abort()
                return


def _run(checks: TestPlan, canceller: _Canceller) -> Iterator[StageResult]:
    waiting = list(checks.plan().items())
    while waiting:
        left = [stage for stage, _ in waiting]
        stage, check = waiting.pop(0)
        if canceller.stopped:
            yield from _skipped(left)
            return
        started = time.monotonic()
        try:
            found = check()
        except MailServerError as error:
            elapsed_ms = _milliseconds_since(started)
            remedy = explain(error, checks.settings, _look_further(error, checks, canceller))
            if canceller.stopped:
                yield from _skipped(left)
            else:
                yield from _failed(error, elapsed_ms, left, remedy)
            return
        except Exception:  # what becomes of a step whose connection was cut under it is no news
            if not canceller.stopped:
                raise
            yield from _skipped(left)
            return
        state = StageState.WARNING if found.warning else StageState.OK
        elapsed_ms = _milliseconds_since(started)
        yield StageResult(stage, LABELS[stage], state, elapsed_ms, found.fact[:LIMIT], detail=found.detail)


def _failed(
    error: MailServerError, elapsed_ms: int, left: list[Stage], remedy: Remedy
) -> Iterator[StageResult]:
    """The stage that failed may be a later one: with STARTTLS the greeting comes before the encryption."""
    failed = error.stage if error.stage in left else left[0]
    for stage in left:
        if stage is failed:
            state = StageState.FAILED
            yield StageResult(stage, LABELS[stage], state, elapsed_ms, remedy.sentence, error, remedy)
        else:
            yield from _skipped([stage])


def _skipped(left: list[Stage]) -> Iterator[StageResult]:
    for stage in left:
        yield StageResult(stage, LABELS[stage], StageState.SKIPPED, fact=NOT_REACHED)


def _look_further(error: MailServerError, checks: TestPlan, canceller: _Canceller) -> Findings:
    """What makes a cure certain: ports are asked, never judged by their number. IMAP and SMTP only."""
    if not isinstance(checks, Checks) or canceller.stopped or not checks.addresses:
        return Findings()
    port = checks.settings.port
    usual = IMPLICIT_PORT[checks.settings.protocol]
    is_silent = isinstance(error, ServerTimeout) and error.stage is Stage.GREETING
    is_shut = isinstance(error, ConnectionFailed) and error.errno == errno.ECONNREFUSED
    elsewhere = isinstance(error, StartTlsNotOffered) or (is_shut and error.stage is Stage.CONNECT)
    in_clear = checks.settings.tls_mode is not TlsMode.IMPLICIT
    return Findings(
        starts_with_tls=in_clear and is_silent and _probe(port, checks, canceller, verify=False),
        verified_port=usual
        if elsewhere and port != usual and _probe(usual, checks, canceller, verify=True)
        else 0,
        offers_starttls=checks.offers_starttls,
    )


def _probe(port: int, checks: Checks, canceller: _Canceller, *, verify: bool) -> bool:
    seconds = min(checks.settings.timeout, checks.ends_at - time.monotonic())
    if seconds <= 0:
        return False
    context = tls.verifying_context(checks.settings.ca_file) if verify else tls.looking_context()
    host = checks.session.line.host
    return probe.answers_tls(host, checks.addresses, port, context, seconds=seconds, watch=canceller.watch)


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
