"""Charts made on the server: where each bar of an SVG stands, and the words that say the same.

Everything is a plain `<rect>` with a class, so the page's policy needs no exception for styles, and nothing
is told by colour alone: bars differ in place and shape too, have a title each, and stand beside a table.
Lengths are in the chart's own units (its viewBox); the style sheet stretches it to the width of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Flask

from webapp.models import Disposition, PollRun
from webapp.views.filters import count, number, seconds
from webapp.views.queries.mail_activity import RUNS_SHOWN, HourCounts
from webapp.views.queries.mail_state import messages_of
from webapp.views.shell import desk_zone

SLOT = 10.0  # the width of an hour
BAR = 8.0
STACK = 100.0  # the height of the fullest hour
GAP = 1.5  # between two parts of one bar
SMALLEST = 3.0  # one message among a thousand must still be seen
MARK = 6.0  # height of the mark over an hour in which something failed
HEAD = 12.0  # the room for marks
HOURS_A_TICK = 6
SLOW = timedelta(seconds=30)
# A run's bar in parts of the strip's height, each from its top: low, high, high with a hole, a thin line.
RUN_SHAPES = {
    "ok": ((0.5, 0.5),),
    "slow": ((0.0, 1.0),),
    "failed": ((0.0, 0.6), (0.75, 0.25)),
    "running": ((0.9, 0.1),),
}


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of the chart and the outcomes it stands for."""

    name: str  # its class
    label: str
    one: str
    many: str
    outcomes: tuple[Disposition, ...]


HELD = "held"  # told only where there is any: many desks hold nothing
# From the bottom up.
SERIES = (
    Series("ticket", "New tickets", "new ticket", "new tickets", (Disposition.TICKET, Disposition.CLAIM)),
    Series("update", "Updates", "update", "updates", (Disposition.UPDATE,)),
    Series(HELD, "Held", "held", "held", (Disposition.HELD,)),
    Series(
        "ignored",
        "Ignored",
        "ignored",
        "ignored",
        (Disposition.IGNORED, Disposition.REPORT, Disposition.DUPLICATE),
    ),
    Series("failed", "Failed", "failed", "failed", (Disposition.QUARANTINED,)),
)


@dataclass(frozen=True, slots=True)
class Rect:
    """One `<rect>`; `kind` is its class."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """What stands over one slot: its rectangles, and the same in words."""

    title: str
    rects: tuple[Rect, ...]


@dataclass(frozen=True, slots=True)
class Activity:
    """The chart of the last hours. `ticks` are the times below it, each with the slots it reaches over."""

    width: float
    height: float
    slot: float
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]  # hour in words, and a number for each series
    totals: str
    top: int  # messages in the fullest hour

    @property
    def is_empty(self) -> bool:
        return self.top == 0


@dataclass(frozen=True, slots=True)
class RunMark:
    """One run of the strip: `state` is one of RUN_SHAPES."""

    run: PollRun
    state: str
    x: float  # of its slot
    bar: Bar


@dataclass(frozen=True, slots=True)
class RunStrip:
    slots: int  # room for as many runs as are shown at most
    height: float
    marks: tuple[RunMark, ...]
    summary: str

    @property
    def notable(self) -> list[RunMark]:
        """Those a person may want to read about: not the quiet ones, of which there is one a minute."""
        return [mark for mark in self.marks if mark.state != "ok" or messages_of(mark.run)]


def init_app(app: Flask) -> None:
    app.jinja_env.globals |= {"chart_series": SERIES}


def activity(hours: Sequence[HourCounts]) -> Activity:
    """The stacked bars of these hours; what failed is on top, and marked in a lane of its own above all."""
    stacks = [_by_series(hour.counts) for hour in hours]
    top = max((sum(stack) for stack in stacks), default=0)
    names = _hour_names(hours)
    return Activity(
        width=SLOT * len(hours),
        height=HEAD + STACK,
        slot=SLOT,
        bars=tuple(
            Bar(_told(name, stack), tuple(_stack(position, stack, top)))
            for position, (name, stack) in enumerate(zip(names, stacks, strict=True))
        ),
        ticks=_ticks(hours),
        rows=tuple(zip(names, stacks, strict=True)),
        totals=_sentence(tuple(map(sum, zip(*stacks, strict=True))) if stacks else (0,) * len(SERIES)),
        top=top,
    )


def run_strip(runs: Sequence[PollRun]) -> RunStrip:
    """One bar a run, the newest at the right; its state shows in its shape."""
    marks = tuple(_run_mark(position, run) for position, run in enumerate(runs))
    found = [mark.state for mark in marks]
    parts = [f"{found.count(state):,} {state}" for state in RUN_SHAPES if state in found]
    return RunStrip(
        slots=RUNS_SHOWN,
        height=STACK,
        marks=marks,
        summary=f"Last {count(len(runs), 'run')}: {', '.join(parts)}.",
    )


def state_of(run: PollRun) -> str:
    if run.error:
        return "failed"
    if run.finished_at is None:
        return "running"
    return "slow" if run.finished_at - run.started_at > SLOW else "ok"


def _by_series(counts: Mapping[Disposition, int]) -> tuple[int, ...]:
    return tuple(sum(counts.get(kind, 0) for kind in series.outcomes) for series in SERIES)


def _stack(position: int, stack: Sequence[int], top: int) -> list[Rect]:
    """The parts of one hour from the bottom up."""
    x, bottom = position * SLOT + (SLOT - BAR) / 2, HEAD + STACK
    rects = []
    for series, value in zip(SERIES, stack, strict=True):
        if not value:
            continue
        height = max(value / top * (STACK - 4 * (SMALLEST + GAP)), SMALLEST)
        rects.append(Rect(series.name, x, round(bottom - height, 2), BAR, round(height, 2)))
        bottom -= height + GAP
        if series.name == "failed":
            rects.append(Rect("failed mark", x, 0, BAR, MARK))
    return rects


def _run_mark(position: int, run: PollRun) -> RunMark:
    state, x, width = state_of(run), position * SLOT + 1.5, SLOT - 3
    rects = tuple(Rect(state, x, STACK * top, width, STACK * height) for top, height in RUN_SHAPES[state])
    return RunMark(run, state, position * SLOT, Bar(_run_in_words(run, state), rects))


def _run_in_words(run: PollRun, state: str) -> str:
    local = run.started_at.astimezone(desk_zone())
    told = f"{state.capitalize()}: {local.day} {local:%b, %H:%M}, {count(messages_of(run), 'message')}"
    if run.finished_at is not None:
        told += f", {seconds(run.finished_at - run.started_at)}"
    return f"{told}. {run.error}" if run.error else told


def _hour_names(hours: Sequence[HourCounts]) -> list[str]:
    """09:00 to 10:00; where the clocks are changed in between each says on which side of that it is."""
    offsets = {hour.begin.utcoffset() for hour in hours} | {hour.end.utcoffset() for hour in hours}
    mark = " %Z" if len(offsets) > 1 else ""
    return [f"{hour.begin:%H:%M{mark}} to {hour.end:%H:%M{mark}}" for hour in hours]


def _ticks(hours: Sequence[HourCounts]) -> tuple[tuple[str, int], ...]:
    """The clock at 0, 6, 12 and 18, and nothing said before the first of them."""
    ticks: list[tuple[str, int]] = []
    for hour in hours:
        if _strikes(hour.begin):
            ticks.append((f"{hour.begin:%H:%M}", 1))
        else:
            label, slots = ticks.pop() if ticks else ("", 0)
            ticks.append((label, slots + 1))
    return tuple(ticks)


def _strikes(at: datetime) -> bool:
    return at.hour % HOURS_A_TICK == 0 and at.minute == 0 and at.second == 0 and at.microsecond == 0


def _told(name: str, stack: Sequence[int]) -> str:
    return f"{name}: {_sentence(stack) if any(stack) else 'no messages'}"


def _sentence(stack: Sequence[int]) -> str:
    """41 new tickets, 18 updates, 12 ignored, 2 failed."""
    return ", ".join(
        f"{number(value)} {series.one if value == 1 else series.many}"
        for series, value in zip(SERIES, stack, strict=True)
        if value or series.name != HELD
    )
