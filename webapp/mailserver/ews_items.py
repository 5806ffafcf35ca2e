"""The items of the folder that is open, by key: which ids they have now, and what can be had of them.

A key is the item's search key, which stays; its id changes with each move, so it is remembered for the
session and asked for again where it leads nowhere any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from exchangelib.errors import EWSError

from .errors import Stage, UnexpectedServer
from .ews_calls import AT_ONCE, Answer, find_items, look_at_items
from .ews_errors import GONE, code_of, is_about_the_item
from .ews_session import EwsSession
from .ews_xml import Element, FolderRef, Item, either, has_key, is_key

T = TypeVar("T")

KEYS_AT_ONCE = 50  # terms of one condition

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Got:
    """What was asked for, by key. `missed` is gone; `poison` (key -> why) the server cannot hand out."""

    items: dict[str, Item] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    poison: dict[str, str] = field(default_factory=dict)


class Items:
    """Of one folder at a time: see `enter`."""

    def __init__(self, session: EwsSession) -> None:
        self._session = session
        self._here = FolderRef()
        self._ids: dict[str, tuple[str, ...]] = {}  # by key, as last seen; several: copies

    def enter(self, folder_id: str) -> None:
        """From now on it is about this folder."""
        self._here, self._ids = FolderRef(id=folder_id), {}

    def find(self, stage: Stage, condition: Callable[[], Element] | None) -> list[str]:
        """Keys, oldest first; what has no time of receipt comes last."""
        session = self._session
        dated: dict[str, None] = {}
        undated: dict[str, None] = {}
        for item in session.ask(stage, lambda: find_items(session.account, self._here, condition)):
            if isinstance(item, EWSError):
                raise session.failed(item, stage)
            key = self._remember(item)
            (dated if item.received_at else undated)[key] = None
        return [*dated, *(key for key in undated if key not in dated)]

    def locate(self, keys: Iterable[str], stage: Stage) -> dict[str, list[Item]]:
        """The items that are in the folder now, by key; the ids known are asked for first."""
        wanted = dict.fromkeys(keys)
        found = self._look({key: ids for key in wanted if (ids := self._ids_of(key))}, stage)
        missing = [key for key in wanted if key not in found and is_key(key)]
        found |= self._look(self._search(missing, stage), stage)
        for key, items in found.items():
            self._ids[key] = tuple(item.id for item in items)
        return found

    def get(self, keys: Sequence[str], call: Callable[..., Iterator[Answer]]) -> Got:
        """What `call` brings for each key."""
        unknown = [key for key in keys if not self._ids_of(key)]
        if unknown:
            self.locate(unknown, Stage.FETCH)
        got = self._get_known(keys, call)
        if got.missed and self.locate(got.missed, Stage.FETCH):  # moved and back, or one copy of two is left
            again = self._get_known(got.missed, call)
            got = Got(got.items | again.items, again.missed, got.poison | again.poison)
        return got

    def ask(self, stage: Stage, count: int, call: Callable[..., Iterator[T]], *args: object) -> list[T]:
        """The answers to a call, one for each of `count` elements."""
        session = self._session
        answers = session.ask(stage, lambda: call(session.account, *args))
        if len(answers) != count:
            session.close()
            raise UnexpectedServer(f"{len(answers)} answers for {count} items", stage=stage)
        return answers

    def _remember(self, item: Item) -> str:
        """The item's key. Without a search key, which every Exchange gives, its id has to do."""
        key = item.key or item.id
        known = self._ids.get(key, ())
        if item.id not in known:
            self._ids[key] = (*known, item.id)
        return key

    def _ids_of(self, key: str) -> tuple[str, ...]:
        return self._ids.get(key, () if is_key(key) else (key,))

    def _look(self, ids: dict[str, tuple[str, ...]], stage: Stage) -> dict[str, list[Item]]:
        """Which of these ids are of items in the folder."""
        found: dict[str, list[Item]] = {}
        pairs = [(key, one) for key, several in ids.items() for one in several]
        for some in portions(pairs, AT_ONCE):
            answers = self.ask(stage, len(some), look_at_items, [one for _, one in some])
            for (key, _), answer in zip(some, answers, strict=True):
                if isinstance(answer, Item):
                    if answer.parent_id == self._here.id:
                        found.setdefault(key, []).append(answer)
                elif is_about_the_item(answer):
                    logger.warning(
                        "the Exchange server does not show a message (%s): %s", code_of(answer), key
                    )
                elif code_of(answer) not in GONE:
                    raise self._session.failed(answer, stage)
        return found

    def _search(self, keys: Sequence[str], stage: Stage) -> dict[str, tuple[str, ...]]:
        """Ids by key: of those not seen in this session, or moved away and back by somebody."""
        found: dict[str, tuple[str, ...]] = {}
        for some in portions(keys, KEYS_AT_ONCE):
            for item in self._find_keys(some, stage):
                if item.key in some:
                    found[item.key] = (*found.get(item.key, ()), item.id)
        return found

    def _find_keys(self, keys: Sequence[str], stage: Stage) -> Iterator[Item]:
        session = self._session

        def condition() -> Element:
            return either(*map(has_key, keys))

        for item in session.ask(stage, lambda: find_items(session.account, self._here, condition)):
            if isinstance(item, EWSError):
                raise session.failed(item, stage)
            yield item

    def _get_known(self, keys: Sequence[str], call: Callable[..., Iterator[Answer]]) -> Got:
        asked = [(key, ids[0]) for key in keys if (ids := self._ids_of(key))]
        got = Got()
        if not asked:
            return got
        answers = self.ask(Stage.FETCH, len(asked), call, [one for _, one in asked])
        for (key, _), answer in zip(asked, answers, strict=True):
            if isinstance(answer, Item):
                got.items[key] = answer
            elif code_of(answer) in GONE:
                got.missed.append(key)
            elif is_about_the_item(answer):
                got.poison[key] = code_of(answer)
            else:
                raise self._session.failed(answer, Stage.FETCH)
        return got


def portions(values: Sequence[T] | Collection[T], size: int) -> Iterator[list[T]]:
    waiting = iter(values)
    while some := list(islice(waiting, size)):
        yield some
