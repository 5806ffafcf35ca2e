"""The three mail server rows as the configuration page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import mail_hints, mail_servers, microsoft_state
from webapp.desk.mail_form import values_of
from webapp.desk.mail_protocols import PROTOCOL_LABELS
from webapp.inbound.liveness import is_lasting
from webapp.mailserver.base import MailProtocol
from webapp.models import Disposition, Inbound, MailboxIdentity, MailServer, PollRun, Row
from webapp.views.queries import mail_activity, mail_state
from webapp.views.queries.mail_activity import HourCounts

LABELS = {
    Row.OUTGOING: "Outgoing email settings",
    Row.INVOICE: "Invoice email settings",
    Row.INCOMING: "Incoming email settings",
}
SECURITY = {"implicit": "SSL/TLS", "starttls": "STARTTLS"}
OFF_SENTENCES = {
    Row.OUTGOING: "Nothing is sent to customers by email.",
    Row.INVOICE: "Invoices are not sent by email.",
    Row.INCOMING: "Mail in the inbox is left alone.",
}
TODAY_WORDS = {
    Disposition.TICKET: ("new ticket", "new tickets"),
    Disposition.UPDATE: ("update", "updates"),
    Disposition.CLAIM: ("naming another ticket", "naming another ticket"),
    Disposition.HELD: ("held for a decision", "held for a decision"),
    Disposition.IGNORED: ("ignored", "ignored"),
    Disposition.REPORT: ("delivery report", "delivery reports"),
    Disposition.DUPLICATE: ("skipped", "skipped"),
    Disposition.QUARANTINED: ("failed", "failed"),
}


@dataclass(frozen=True, slots=True)
class RowState:
    """Word, icon and colour together: never colour alone."""

    word: str
    icon: str
    tone: str


NOT_SET_UP = RowState("Not set up", "circle-dot", "quiet")
NOT_ACTIVE = RowState("Not active", "circle-slash", "quiet")
TESTING = RowState("Testing", "loader-circle", "quiet")
FAILING = RowState("Failing", "triangle-alert", "bad")
LAST_RUN_FAILED = RowState("Active, last run failed", "triangle-alert", "doubt")  # a hiccup, or its beginning
CUT_OFF = RowState("Active, cut off from Microsoft", "triangle-alert", "bad")
TEST_FAILED = RowState("Active, last test failed", "triangle-alert", "doubt")
NOT_TESTED = RowState("Active, not tested", "info", "doubt")
ACTIVE = RowState("Active", "circle-check", "good")


@dataclass(frozen=True, slots=True)
class RowView:
    row: Row
    label: str
    state: RowState
    stored: MailServer | None
    summary: str  # protocol, server, security, account
    hints: tuple[str, ...] = ()
    mailbox: MailboxIdentity | None = None
    last_run: PollRun | None = None
    next_run_at: datetime | None = None
    today: dict[Disposition, int] | None = None
    last_day: list[HourCounts] | None = None  # None: nothing came in

    @property
    def failing_since(self) -> datetime | None:
        return self.mailbox.failing_since if self.state is FAILING and self.mailbox else None

    @property
    def works(self) -> bool:
        """A test of these settings has passed, or the mailbox is being read with them."""
        return self.state is ACTIVE or bool(self.stored and self.stored.last_test_passed)

    @property
    def last_run_failed(self) -> bool:
        return self.state is LAST_RUN_FAILED


def load_row(
    session: Session, row: Row, *, now: datetime, midnight: datetime, zone: ZoneInfo, interval: int
) -> RowView:
    """`midnight` is when today began, in the desk's zone."""
    stored = mail_servers.load(session, row)
    if stored is None or not stored.is_set_up:
        return RowView(row, LABELS[row], NOT_SET_UP, stored, "")
    found = tuple(mail_hints.hints_of(session, values_of(stored)).values())
    cut_off = stored.active and microsoft_state.is_cut_off(session, stored)
    if row is not Row.INCOMING:
        state = CUT_OFF if cut_off else _state(stored, None, now)
        return RowView(row, LABELS[row], state, stored, _summary(stored), found)
    mailbox = mail_servers.mailbox_of(session, stored)
    run = mail_state.last_run(session, mailbox) if mailbox else None
    return RowView(
        row=row,
        label=LABELS[row],
        state=CUT_OFF if cut_off else _state(stored, mailbox, now),
        stored=stored,
        summary=_summary(stored),
        hints=found,
        mailbox=mailbox,
        last_run=run,
        next_run_at=mail_state.next_run(mail_state.load(session), run, interval),
        today=_today(session, midnight),
        last_day=mail_activity.last_24_hours(session, now, zone) if run else None,
    )


def _state(stored: MailServer, mailbox: MailboxIdentity | None, now: datetime) -> RowState:
    if not stored.active:
        return NOT_ACTIVE
    if mailbox is not None and mailbox.failing_since is not None:
        return FAILING if is_lasting(mailbox, now) else LAST_RUN_FAILED
    if stored.last_test_passed is False:
        return TEST_FAILED
    polled = mailbox is not None and mailbox.last_success_at is not None
    return ACTIVE if stored.last_test_passed or polled else NOT_TESTED


def _summary(stored: MailServer) -> str:
    protocol = MailProtocol(stored.protocol)
    parts = [PROTOCOL_LABELS[protocol]]
    if protocol is not MailProtocol.OFFICE365:
        security = SECURITY[stored.tls_mode] if stored.use_ssl else "no SSL"
        parts += [f"{stored.host}:{stored.port}", security]
    if stored.row == Row.INCOMING.value:
        return " · ".join(filter(None, [*parts, stored.address or "no mailbox yet"]))
    return " · ".join([*parts, f"From {stored.from_address}" if stored.from_address else "no From yet"])


def _today(session: Session, midnight: datetime) -> dict[Disposition, int]:
    counted = session.execute(
        sa.select(Inbound.disposition, sa.func.count())
        .where(Inbound.recorded_at >= midnight)
        .group_by(Inbound.disposition)
    )
    numbers = {disposition: number for disposition, number in counted}
    return {kind: numbers[kind] for kind in TODAY_WORDS if kind in numbers}
