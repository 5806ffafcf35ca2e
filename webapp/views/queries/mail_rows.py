"""The three mail server rows as the configuration page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import mail_servers
from webapp.models import Disposition, Inbound, MailboxIdentity, MailServer, PollRun, Row
from webapp.views.queries import mail_state

LABELS = {
    Row.OUTGOING: "Outgoing email settings",
    Row.INVOICE: "Invoice email settings",
    Row.INCOMING: "Incoming email settings",
}
SECURITY = {"implicit": "SSL/TLS", "starttls": "STARTTLS"}
OFF_SENTENCES = {
    Row.OUTGOING: "Not active. Nothing is sent to customers by email.",
    Row.INVOICE: "Not active. Invoices are not sent by email.",
    Row.INCOMING: "Not active. Mail in the inbox is left alone.",
}


TODAY_WORDS = {
    Disposition.TICKET: ("new ticket", "new tickets"),
    Disposition.UPDATE: ("update", "updates"),
    Disposition.CLAIM: ("naming another ticket", "naming another ticket"),
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
FAILING = RowState("Failing", "triangle-alert", "bad")
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
    mailbox: MailboxIdentity | None = None
    last_run: PollRun | None = None
    next_run_at: datetime | None = None
    today: dict[Disposition, int] | None = None


def load_rows(session: Session, *, midnight: datetime, interval: int) -> list[RowView]:
    return [load_row(session, row, midnight=midnight, interval=interval) for row in Row]


def load_row(session: Session, row: Row, *, midnight: datetime, interval: int) -> RowView:
    stored = mail_servers.load(session, row)
    if stored is None or row is not Row.INCOMING:
        return RowView(row, LABELS[row], _state(stored, None), stored, _summary(stored))
    mailbox = mail_servers.mailbox_of(session, stored)
    run = mail_state.last_run(session, mailbox) if mailbox else None
    return RowView(
        row=row,
        label=LABELS[row],
        state=_state(stored, mailbox),
        stored=stored,
        summary=_summary(stored),
        mailbox=mailbox,
        last_run=run,
        next_run_at=mail_state.next_run(mail_state.load(session), run, interval),
        today=_today(session, midnight),
    )


def _state(stored: MailServer | None, mailbox: MailboxIdentity | None) -> RowState:
    if stored is None or not stored.host:
        return NOT_SET_UP
    if not stored.active:
        return NOT_ACTIVE
    if mailbox is not None and mailbox.failing_since is not None:
        return FAILING
    if stored.last_test_passed is False:
        return TEST_FAILED
    polled = mailbox is not None and mailbox.last_success_at is not None
    return ACTIVE if stored.last_test_passed or polled else NOT_TESTED


def _summary(stored: MailServer | None) -> str:
    if stored is None or not stored.host:
        return ""
    security = SECURITY[stored.tls_mode] if stored.use_ssl else "no SSL"
    parts = [stored.protocol.upper(), f"{stored.host}:{stored.port}", security]
    if stored.row == Row.INCOMING.value:
        return " · ".join([*parts, stored.username])
    return " · ".join([*parts, f"From {stored.from_address}" if stored.from_address else "no From yet"])


def _today(session: Session, midnight: datetime) -> dict[Disposition, int]:
    counted = session.execute(
        sa.select(Inbound.disposition, sa.func.count())
        .where(Inbound.recorded_at >= midnight)
        .group_by(Inbound.disposition)
    )
    return {disposition: number for disposition, number in counted}
