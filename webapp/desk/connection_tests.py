"""Test Connection as a job: watched stage by stage, stopped. One test a row at a time.

A test is kept without its password. Whether settings are those that were tested, the password too, is
answered by a mark of it: keyed, with a key that is nowhere but in this process.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from webapp.desk import options
from webapp.desk.jobs import Job, Jobs
from webapp.instance import Instance
from webapp.mailserver.base import MailProtocol, ServerSettings
from webapp.mailserver.checks import Delivered, Foresee, Foreseen, Send, Takes
from webapp.mailserver.details import technical_details
from webapp.mailserver.diagnosis import StageResult, StageState, diagnose, stages
from webapp.mailserver.errors import Stage
from webapp.mailserver.remedy import LABELS, QuickFix, Remedy
from webapp.models import Row
from webapp.outbound.test_message import test_message_to

TESTS_A_MINUTE = 6
KEPT_TESTS = 30
_MARK_KEY = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Line:
    """One stage as shown. `state`: waiting, running, ok, warning, failed or skipped."""

    label: str
    state: str
    elapsed_ms: int | None = None
    fact: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a test that passed found out, in sentences without a full stop; what was not asked is empty.

    `warnings` are the facts of stages that passed with a warning.
    """

    inbox: str = ""
    move: str = ""
    archive: str = ""
    sender: str = ""
    foreseen: Foreseen | None = None
    delivered: Delivered | None = None
    warnings: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Those there are, in order."""
        sent = f"the server accepted a test message for {self.delivered.recipient}" if self.delivered else ""
        return tuple(filter(None, (self.inbox, self.move, self.archive, self.sender, sent)))


@dataclass(slots=True, eq=False)
class ConnectionTest(Job):
    """One test, running or ended. `settings` are those tested but for the password, which is not kept."""

    row: Row
    settings: ServerSettings
    stages: tuple[Stage, ...]  # all this test has, done or not
    _password_mark: bytes = field(repr=False)
    results: list[StageResult] = field(default_factory=list, init=False)
    details: str = field(default="", init=False, repr=False)  # once it ended: plain text to copy for support

    @property
    def where(self) -> str:
        """What is tested, in few words."""
        if self.settings.protocol is MailProtocol.OFFICE365:
            return f"Office365, {self.settings.mailbox or 'the mailbox of the connected account'}"
        return f"{self.settings.host or 'no host'}:{self.settings.port}"

    @property
    def failure(self) -> StageResult | None:
        return next((result for result in self.results if result.state is StageState.FAILED), None)

    @property
    def remedy(self) -> Remedy | None:
        return self.failure.remedy if self.failure else None

    @property
    def quick_fix(self) -> QuickFix | None:
        """A cure that is one click, where it is certain."""
        return self.remedy.quick_fix if self.remedy else None

    @property
    def passed(self) -> bool:
        is_through = len(self.results) == len(self.stages)
        return is_through and not (self.stopped or self.crashed or self.failure)

    @property
    def sentence(self) -> str:
        """How it ended, in one line."""
        if self.crashed:
            return "The test itself broke. The log has the details."
        return self.remedy.sentence if self.remedy else ""

    @property
    def takes(self) -> Takes | None:
        """What the server said of the size of messages; None: it was not asked, or not heard."""
        return next((result.detail for result in self.results if isinstance(result.detail, Takes)), None)

    @property
    def summary(self) -> Summary | None:
        """What was found, once the test has passed."""
        if not self.passed:
            return None
        facts = {result.stage: result.fact for result in self.results}
        details = [result.detail for result in self.results]
        return Summary(
            inbox=f"Inbox: {facts[Stage.INBOX]}" if Stage.INBOX in facts else "",
            move=facts.get(Stage.MOVE, ""),
            archive=facts.get(Stage.ARCHIVE, ""),
            sender=f"This account {facts[Stage.FROM]}" if Stage.FROM in facts else "",
            foreseen=next((detail for detail in details if isinstance(detail, Foreseen)), None),
            delivered=next((detail for detail in details if isinstance(detail, Delivered)), None),
            warnings=tuple(r.fact for r in self.results if r.state is StageState.WARNING),
        )

    def lines(self) -> list[Line]:
        """Every stage the test has, done or not."""
        done = list(self.results)
        lines = [Line(result.label, result.state.value, result.elapsed_ms, result.fact) for result in done]
        left = [LABELS[stage] for stage in self.stages[len(done) :]]
        first = "running" if self.running else "skipped"
        rest = "waiting" if self.running else "skipped"
        return lines + [Line(label, first if number == 0 else rest) for number, label in enumerate(left)]

    def is_of(self, settings: ServerSettings) -> bool:
        """Whether just these settings were tested, the password too."""
        is_same = hmac.compare_digest(self._password_mark, _mark(settings.password))
        return is_same and _without_password(settings) == self.settings


class ConnectionTests(Jobs[ConnectionTest]):
    """The tests of this process."""

    def __init__(self, *, a_minute: int = TESTS_A_MINUTE) -> None:
        super().__init__("tests", a_minute=a_minute, kept=KEPT_TESTS)

    def start(
        self,
        row: Row,
        settings: ServerSettings,
        at_end: Callable[[ConnectionTest], None],
        *,
        foresee: Foresee | None = None,
        send: Send | None = None,
    ) -> ConnectionTest:
        """Begin a test; one still running on the same row is stopped. Raises TooManyJobs.

        `foresee` and `send` add a last stage: see `diagnose`. `at_end` is called unless the test was stopped,
        and is done before anybody is told that the test has ended.
        """
        planned = stages(settings, foresees=foresee is not None, sends=send is not None)
        test = ConnectionTest(row, _without_password(settings), planned, _mark(settings.password))

        def work() -> None:
            _look(test, settings, foresee, send)
            if not test.stopped:
                at_end(test)

        return self.begin(test, work, replaces=lambda other: other.row is row)

    def running_rows(self) -> frozenset[Row]:
        """The rows that are being tested now; a test that was told to stop does not count any more."""
        return frozenset(test.row for test in self.running() if not test.stopped)


def sending(
    instance: Instance, settings: ServerSettings, recipient: str, *, row_label: str, now: datetime
) -> Send:
    """What makes a test send a message to `recipient` at its end: `start(..., send=sending(...))`."""
    with instance.database.writing() as session:
        key = options.make_loop_key(session, instance.vault)
    return test_message_to(recipient, settings, row_label=row_label, loop_key=key, now=now)


def _look(test: ConnectionTest, settings: ServerSettings, foresee: Foresee | None, send: Send | None) -> None:
    try:
        for result in diagnose(settings, cancelled=lambda: test.stopped, foresee=foresee, send=send):
            test.results.append(result)
    finally:  # the password is needed once more: to be taken out of what servers said
        test.details = technical_details(settings, test.results)
        for result in test.results:
            _forget_trace(result.error)


def _forget_trace(error: Exception | None) -> None:
    """An error that is kept keeps the frames it came through, and these the password."""
    if error is not None:
        error.__traceback__ = error.__cause__ = error.__context__ = None


def _without_password(settings: ServerSettings) -> ServerSettings:
    return replace(settings, password="")


def _mark(password: str) -> bytes:
    return hashlib.blake2b(password.encode(), key=_MARK_KEY).digest()
