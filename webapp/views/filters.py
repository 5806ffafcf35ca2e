"""How times, sizes and numbers read on a page. Times are in the desk's zone, named once in the footer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import Flask
from markupsafe import Markup

from webapp.mailserver.base import UNKNOWN_TIME
from webapp.views.current import now
from webapp.views.shell import desk_zone

KILO = 1000


def init_app(app: Flask) -> None:
    app.jinja_env.filters |= {
        "moment": moment,
        "clock": clock,
        "age": age,
        "ago": ago,
        "seconds": seconds,
        "size": size,
        "number": number,
        "count": count,
    }


def moment(at: datetime) -> Markup:
    """23 Nov 2026, 11:53, with the exact UTC time behind it; words where the mail server told no time."""
    if at == UNKNOWN_TIME:
        return Markup("time not known")
    local = at.astimezone(desk_zone())
    return _time(at, f"{local.day} {local:%b %Y, %H:%M}")


def clock(at: datetime) -> Markup:
    """Only the time where it is today's, else with the date."""
    local, today = at.astimezone(desk_zone()), now().astimezone(desk_zone())
    if local.date() == today.date():
        return _time(at, f"{local:%H:%M}")
    if local.year == today.year:
        return _time(at, f"{local.day} {local:%b, %H:%M}")
    return moment(at)


def ago(at: datetime) -> Markup:
    """5 min ago within the last day, the date before that."""
    passed = now() - at
    if timedelta(0) <= passed < timedelta(days=1):
        return _time(at, f"{age(passed)} ago" if passed >= timedelta(minutes=1) else "just now")
    return moment(at)


def age(duration: timedelta) -> str:
    """12 min, 3 h, 2 days."""
    minutes = int(duration.total_seconds()) // 60
    if minutes < 60:
        return f"{max(minutes, 0)} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"


def seconds(duration: timedelta) -> str:
    """87 ms, 1.3 s."""
    total = duration.total_seconds()
    return f"{round(total * 1000)} ms" if total < 1 else f"{total:.1f} s"


def size(octets: int) -> str:
    """512 bytes, 240 KB, 1.9 MB (of 1000)."""
    if octets < KILO:
        return f"{octets} bytes" if octets != 1 else "1 byte"
    if octets < KILO * KILO:
        return f"{octets / KILO:.1f} KB" if octets < 10 * KILO else f"{octets / KILO:.0f} KB"
    return f"{octets / KILO / KILO:.1f} MB"


def number(value: int) -> str:
    """12,345."""
    return f"{value:,}"


def count(value: int, one: str, many: str | None = None) -> str:
    """1 message, 2 messages."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def _time(at: datetime, text: str) -> Markup:
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M:%S}", text
    )
