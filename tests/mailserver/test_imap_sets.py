"""Sequence sets and many keys."""

from __future__ import annotations

import tracemalloc
from array import array

from hypothesis import given
from hypothesis import strategies as st

from webapp.mailserver.imap_sets import Keys, read_set, uid_sets

UIDS = st.sets(st.integers(1, 2**32 - 1) | st.integers(1, 300), max_size=400)


@given(UIDS)
def test_a_set_is_read_as_it_was_written(uids: set[int]) -> None:
    written = list(uid_sets(map(str, uids)))
    assert [uid for part in written for uid in read_set(part)] == sorted(uids)


def test_runs_are_written_as_ranges() -> None:
    assert list(uid_sets(["3", "1", "2", "7", "9", "10"])) == ["1:3,7,9:10"]
    assert list(uid_sets([])) == []


def test_a_command_line_stays_short() -> None:
    sets = list(uid_sets(str(2 * n + 4_000_000_000) for n in range(5_000)))
    assert len(sets) > 5
    assert all(len(text) < 8_000 for text in sets)


def test_copyuid_may_count_down() -> None:
    assert list(read_set("5:3,9")) == [5, 4, 3, 9]


@given(st.lists(st.integers(1, 1000), max_size=50))
def test_keys_are_sorted_and_single(uids: list[int]) -> None:
    keys = Keys(uids)
    expected = [str(uid) for uid in sorted(set(uids))]
    assert list(keys) == expected
    assert [keys[n] for n in range(len(keys))] == expected
    assert keys[1:3] == expected[1:3]
    assert list(reversed(keys)) == expected[::-1]
    assert all(key in keys for key in expected)


def test_a_million_keys_are_small() -> None:
    tracemalloc.start()
    keys = Keys.joined([array("I", range(500_001, 1_000_001)), array("I", range(1, 500_001))])
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 10_000_000
    assert (len(keys), keys[0], keys[-1]) == (1_000_000, "1", "1000000")


def test_windows_that_overlap() -> None:
    assert list(Keys.joined([array("I", [5, 6]), array("I", [3, 4, 5])])) == ["3", "4", "5", "6"]
