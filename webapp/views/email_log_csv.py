"""The email log as a file for a spreadsheet, made while it is sent: a log of years fits into no memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from webapp.database import Database
from webapp.views.queries import email_log as queries
from webapp.views.queries.email_log import LogFilter, LogRow
from webapp.views.words import OUTCOME_CHOICES, outcome_of, placement_of

BYTE_ORDER_MARK = "\ufeff"  # without it a spreadsheet takes UTF-8 for something else
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def rows_as_csv(database: Database, wanted: LogFilter, zone: ZoneInfo) -> Iterator[str]:
    """Head and rows, newest first. Times are in `zone`, which the head names, with their offset."""
    yield BYTE_ORDER_MARK + _line(_head(zone))
    with database.reading() as session:
        for chunk in queries.export_chunks(session, wanted):
            yield "".join(_line(_cells(row, zone)) for row in chunk)


def _head(zone: ZoneInfo) -> list[str]:
    return [
        "ID", f"Received ({zone.key})", f"Processed ({zone.key})", "From", "Name", "Subject", "Outcome",
        "Why", "Rule", "What it saw", "Ticket", "Company", "Where it is", "Message-ID", "Size (bytes)",
    ]  # fmt: skip


def _cells(row: LogRow, zone: ZoneInfo) -> list[str]:
    inbound = row.inbound
    return [
        str(inbound.id),
        _time(inbound.received_at, zone),
        _time(inbound.recorded_at, zone),
        inbound.from_addr or "",
        inbound.from_name,
        inbound.subject,
        OUTCOME_CHOICES[inbound.disposition],
        outcome_of(inbound).reason,
        inbound.rule,
        inbound.saw,
        f"T-{row.ticket.id}" if row.ticket else "",
        row.ticket.company.name if row.ticket and row.ticket.company else "",
        placement_of(inbound),
        inbound.message_id or "",
        str(inbound.size),
    ]


def _time(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _line(cells: list[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerow([without_formula(cell) for cell in cells])
    return out.getvalue()


def without_formula(cell: str) -> str:
    """A cell that a spreadsheet would run begins with an apostrophe: its text was written by a stranger."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell
