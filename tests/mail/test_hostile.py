"""Hostile mail is read within the limits, in bounded time, and the rest of it is understood."""

from __future__ import annotations

import time

import pytest

from tests.mail.bounds import assert_within_limits
from tests.mail.hostile import HOSTILE
from webapp.mail.parse import parse

LONGEST = 4.0  # CPU seconds; bench/hostile.py has the exact figures


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_read_within_the_limits(kind: str) -> None:
    raw = HOSTILE[kind]()
    begin = time.process_time()
    message = parse(raw)
    assert time.process_time() - begin < LONGEST
    assert not [defect for defect in message.defects if "not understood:" in defect]
    assert_within_limits(message)
    if raw.startswith(b"From: Ann Lee") and "From fields" not in kind:
        assert message.sender.addr_spec == "ann@acme.test"


def test_there_are_many() -> None:
    assert len(HOSTILE) >= 50
