"""Test Connection: the adapters' own steps, one after the other, each with what it found.

Strictly read-only. On IMAP: STATUS, EXAMINE, LIST; no SELECT, no flags, no CREATE. On SMTP: MAIL and
RSET, so nothing is sent. The first failure ends it; what comes after was not reached.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from .base import MailProtocol, ServerSettings, TlsMode
from .errors import InvalidSettings, MailServerError, ServerTimeout, Stage
from .imap import ImapMailbox
from .remedies import explain
from .remedy import LABELS, Remedy, day
from .session import Session
from .smtp import SmtpTransport
from .words import LIMIT

LONGEST_SECONDS = 60.0
CERTIFICATE_WARNING_DAYS = 14
NOT_REACHED = "not reached"
_CANCEL_POLL_SECONDS = 0.1
_MODES = {TlsMode.IMPLICIT: "SSL/TLS", TlsMode.STARTTLS: "STARTTLS", TlsMode.NONE: "no encryption"}


class StageState(enum.StrEnum):
    """How a stage ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage of the test, ended. `fact` is one line of text, not HTML."""

    stage: Stage
    label: str
    state: StageState
    elapsed_ms: int = 0
    fact: str = ""
    error: MailServerError | None = None
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What a stage that passed found out."""

    fact: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """The stages of one test, in order, over one session."""

    session: Session
    checks: dict[Stage, Callable[[], _Found]]


def diagnose(
    settings: ServerSettings, *, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[StageResult]:
    """Yield a result as each stage ends; all stages are yielded, in order.

    All together it takes at most the stages' number times the timeout, and never over a minute.
    """
    plan = _plan(settings)
    try:
        with _abort_when(cancelled, plan.session) as is_cancelled:
            yield from _run(plan, settings, is_cancelled)
    finally:
        plan.session.close()


def stages(protocol: MailProtocol) -> tuple[Stage, ...]:
    """The stages a test of this protocol has."""
    common = (Stage.SETTINGS, Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.GREETING, Stage.SIGN_IN)
    if protocol is MailProtocol.IMAP:
        return (*common, Stage.INBOX, Stage.MOVE, Stage.ARCHIVE)
    return (*common, Stage.FROM)


def _run(plan: _Plan, settings: ServerSettings, is_cancelled: Callable[[], bool]) -> Iterator[StageResult]:
    waiting = list(plan.checks.items())
    while waiting:
        stage, check = waiting.pop(0)
        if is_cancelled():
            yield from _skipped([stage, *(stage for stage, _ in waiting)])
            return
        started = time.monotonic()
        try:
            found = check()
        except MailServerError as error:
            elapsed_ms = _milliseconds_since(started)
            left = [stage, *(stage for stage, _ in waiting)]
            if is_cancelled():
                yield from _skipped(left)
            else:
                yield from _failed(error, elapsed_ms, left, plan.session, settings)
            return
        state = StageState.WARNING if found.warning else StageState.OK
        yield StageResult(stage, LABELS[stage], state, _milliseconds_since(started), found.fact[:LIMIT])


def _failed(
    error: MailServerError, elapsed_ms: int, left: list[Stage], session: Session, settings: ServerSettings
) -> Iterator[StageResult]:
    """The stage that failed may be a later one: with STARTTLS the greeting comes before the encryption."""
    failed = error.stage if error.stage in left else left[0]
    remedy = explain(error, settings, expects_tls=_expects_tls(error, session))
    for stage in left:
        if stage is failed:
            state = StageState.FAILED
            yield StageResult(stage, LABELS[stage], state, elapsed_ms, remedy.sentence, error, remedy)
        else:
            yield from _skipped([stage])


def _skipped(left: list[Stage]) -> Iterator[StageResult]:
    for stage in left:
        yield StageResult(stage, LABELS[stage], StageState.SKIPPED, fact=NOT_REACHED)


def _expects_tls(error: MailServerError, session: Session) -> bool:
    """A port that sends no greeting may be waiting for a handshake: ask it, do not guess from its number."""
    in_clear = session.settings.tls_mode is not TlsMode.IMPLICIT
    is_silent = isinstance(error, ServerTimeout) and error.stage is Stage.GREETING
    return in_clear and is_silent and session.answers_tls()


def _plan(settings: ServerSettings) -> _Plan:
    count = len(stages(settings.protocol))
    ends_at = time.monotonic() + min(count * settings.timeout, LONGEST_SECONDS)
    if settings.protocol is MailProtocol.IMAP:
        mailbox = ImapMailbox(settings, ends_at=ends_at)
        return _Plan(mailbox.session, {**_common_checks(mailbox.session), **_imap_checks(mailbox)})
    transport = SmtpTransport(settings, ends_at=ends_at)
    return _Plan(
        transport.session, {**_common_checks(transport.session), **_smtp_checks(transport, settings)}
    )


def _common_checks(session: Session) -> dict[Stage, Callable[[], _Found]]:
    return {
        Stage.SETTINGS: lambda: _settings(session),
        Stage.DNS: lambda: _Found("found " + ", ".join(session.resolve())),
        Stage.CONNECT: lambda: _Found(f"{session.connect()} port {session.settings.port}"),
        Stage.TLS: lambda: _encryption(session),
        Stage.GREETING: lambda: _Found(" · ".join(filter(None, [session.greet(), session.abilities()]))),
        Stage.SIGN_IN: lambda: _sign_in(session),
    }


def _imap_checks(mailbox: ImapMailbox) -> dict[Stage, Callable[[], _Found]]:
    return {
        Stage.INBOX: lambda: _inbox(mailbox),
        Stage.MOVE: lambda: _move(mailbox),
        Stage.ARCHIVE: lambda: _archive(mailbox),
    }


def _smtp_checks(transport: SmtpTransport, settings: ServerSettings) -> dict[Stage, Callable[[], _Found]]:
    def sender() -> _Found:
        transport.check_sender(settings.from_address)
        return _Found(f"may send as {settings.from_address}")

    return {Stage.FROM: sender}


def _settings(session: Session) -> _Found:
    settings = session.settings
    session.check_settings()
    if settings.protocol is MailProtocol.SMTP and not settings.from_address:
        raise InvalidSettings("from_address is missing", stage=Stage.SETTINGS, field="from_address")
    where = f"{settings.host} port {settings.port}"
    return _Found(f"{settings.protocol.upper()}, {where}, {_MODES[settings.tls_mode]}")


def _encryption(session: Session) -> _Found:
    session.secure()
    facts = session.tls_facts()
    if facts is None:
        return _Found("not encrypted: the password travels in clear", warning=True)
    certificate = facts.certificate
    days = (certificate.not_after - datetime.now(UTC)).days
    return _Found(
        f"{facts.version.replace('TLSv', 'TLS ')} ({facts.cipher}), certificate for {certificate.subject} "
        f"from {certificate.issuer}, valid until {day(certificate.not_after)} ({days} days)",
        warning=days < CERTIFICATE_WARNING_DAYS,
    )


def _sign_in(session: Session) -> _Found:
    mechanism = session.sign_in()
    return _Found(f"signed in ({mechanism})" if mechanism else "not required")


def _inbox(mailbox: ImapMailbox) -> _Found:
    state = mailbox.open_inbox(read_only=True)
    unread = len(mailbox.list_unread()) if state.unread is None else state.unread
    return _Found(f"{state.total} messages, {unread} unread")


def _move(mailbox: ImapMailbox) -> _Found:
    mailbox.check_move()
    return _Found("the server can move messages")


def _archive(mailbox: ImapMailbox) -> _Found:
    archive = mailbox.find_archive()
    return _Found(f'folder "{archive.path}" {"exists" if archive.exists else "will be created"}')


@contextmanager
def _abort_when(cancelled: Callable[[], bool], session: Session) -> Iterator[Callable[[], bool]]:
    """End the running step once `cancelled` says so: it is asked ten times a second, in a thread."""
    ended = threading.Event()
    stop = threading.Event()

    def watch() -> None:
        while not ended.wait(_CANCEL_POLL_SECONDS):
            if cancelled():
                stop.set()
                session.line.abort()
                return

    watcher = threading.Thread(target=watch, name="mail-test-cancel", daemon=True)
    watcher.start()
    try:
        yield lambda: stop.is_set() or cancelled()
    finally:
        ended.set()
        watcher.join()


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
