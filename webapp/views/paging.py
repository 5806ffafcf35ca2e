"""Pages of a list as real links: which one is asked for, and where the others are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import request, url_for

PAGE_SIZE = 50
NO_FILTERS = ("page", "seen")
LAST_PAGE = 100_000  # keeps an offset within what every database counts with

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list. Whether there is a next one is known by asking for one item more."""

    items: Sequence[Item]
    number: int
    has_next: bool

    @property
    def first(self) -> int:
        return (self.number - 1) * PAGE_SIZE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.items) - 1


def page_number() -> int:
    """The page asked for; anything that is no page is the first."""
    text = request.args.get("page", "1")
    return min(max(int(text), 1), LAST_PAGE) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def offset(number: int) -> int:
    return (number - 1) * PAGE_SIZE


def make_page(found: Sequence[Item], number: int) -> Page[Item]:
    """`found` is up to PAGE_SIZE + 1 items from `offset(number)` on."""
    return Page(found[:PAGE_SIZE], number, len(found) > PAGE_SIZE)


def page_link(number: int, endpoint: str = "", **more: str) -> str:
    """This list with its filters, at another page; `endpoint` where a form was answered with the page."""
    values: dict[str, Any] = dict(request.view_args or {})
    values |= {name: text for name, text in request.args.items() if name not in NO_FILTERS and text}
    page = number if number > 1 else None
    return url_for(endpoint or str(request.endpoint), **(values | more), page=page)


def filter_text(name: str) -> str:
    """A filter as typed, without what no database column holds."""
    return "".join(filter(str.isprintable, request.args.get(name, ""))).strip()[:200]
