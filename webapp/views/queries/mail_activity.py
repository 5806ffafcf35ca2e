"""What the parser did of late: messages an hour, and the last runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.models import Disposition, Inbound, PollRun
from webapp.models.base import UtcDateTime

DAY = timedelta(days=1)
RUNS_SHOWN = 60


@dataclass(frozen=True, slots=True)
class HourCounts:
    """One hour of the desk's clock, and how many messages became what in it.

    `begin` and `end` are aware, in the desk's zone. The first and the last hour of a span are mostly cut
    short, and so is one in which the clocks are changed by half an hour.
    """

    begin: datetime
    end: datetime
    counts: Mapping[Disposition, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def last_24_hours(session: Session, now: datetime, zone: ZoneInfo) -> list[HourCounts]:
    """The 24 hours up to `now`, oldest first: 24 or 25 hours of the clock, whatever the clocks did."""
    spans = list(_clock_hours(now - DAY, now, zone))
    counted = _count(session, spans)
    return [HourCounts(begin, end, counted.get(n, {})) for n, (begin, end) in enumerate(spans)]


def totals(hours: Sequence[HourCounts]) -> dict[Disposition, int]:
    """All of them together, every outcome named."""
    return {kind: sum(hour.counts.get(kind, 0) for hour in hours) for kind in Disposition}


def last_runs(session: Session, mailbox_id: int) -> list[PollRun]:
    """The last 60 looks into this mailbox, oldest first."""
    newest = (
        sa.select(PollRun)
        .where(PollRun.mailbox_id == mailbox_id)
        .order_by(PollRun.id.desc())
        .limit(RUNS_SHOWN)
    )
    return list(session.scalars(newest))[::-1]


def _clock_hours(begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Cut where the desk's clock strikes. Counted in UTC, as a local clock jumps twice a year."""
    begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    while begin < end:
        local = begin.astimezone(zone)
        into_hour = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        stop = min(begin + timedelta(hours=1) - into_hour, end)
        yield local, stop.astimezone(zone)
        begin = stop


def _count(session: Session, spans: Sequence[tuple[datetime, datetime]]) -> dict[int, dict[Disposition, int]]:
    """One look into the index for each span and outcome: no message is read, and none is sorted."""
    span = _table("span", [("begin", UtcDateTime()), ("end", UtcDateTime())], spans)
    kinds = _table("kind", [("name", Inbound.disposition.type)], [(kind,) for kind in Disposition])
    number = (
        sa.select(sa.func.count())
        .where(
            Inbound.disposition == kinds.c.name,
            Inbound.recorded_at >= span.c.begin,
            Inbound.recorded_at < span.c.end,
        )
        .correlate(span, kinds)
        .scalar_subquery()
    )
    query = sa.select(span.c.number, kinds.c.name, number).select_from(span.join(kinds, sa.true()))
    found: dict[int, dict[Disposition, int]] = {}
    for position, kind, count in session.execute(query):
        if count:
            found.setdefault(position, {})[kind] = count
    return found


def _table(
    name: str, columns: Sequence[tuple[str, sa.types.TypeEngine[Any]]], rows: Sequence[tuple[object, ...]]
) -> sa.CTE:
    """Rows of our own as a table of this one query, numbered from 0."""
    told = [sa.column(column, kind) for column, kind in columns]
    numbered = [(number, *row) for number, row in enumerate(rows)]
    return sa.values(sa.column("number", sa.Integer), *told, name=name).data(numbered).cte(name)
