"""The incoming row says at once that a run failed, and "Failing since" once it is more than a hiccup."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.instance import Instance

PAGE = "/settings/service-desk/mail"
ERROR, CURE = "The server did not answer in time.", "Check the network of this machine."


@pytest.mark.parametrize(
    ("values", "lasting"),
    [
        ({"failures": 1}, False),
        ({"failures": 2}, True),
        ({"failures": 1, "needs_a_person": True}, True),
        ({"failures": 1, "failing_since": datetime.now(UTC) - timedelta(minutes=16)}, True),
    ],
)
def test_last_run_failed_or_failing_since(
    alice: Browser, instance: Instance, values: dict[str, Any], lasting: bool
) -> None:
    told = {"failing_since": datetime.now(UTC), "last_error": ERROR, "last_cure": CURE} | values
    with instance.database.writing() as session:
        make.make_incoming(session)
        make.make_run(session, make.make_mailbox(session, **told))
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", alice.get(PAGE).text))
    assert ("Active, last run failed" in page) is not lasting
    assert bool(re.search(r"Failing since \d\d:\d\d", page)) is lasting
    assert ERROR in page
    assert ("Incoming mail has failed since" in page) is lasting  # the banner says the same
    assert f"What to do: {CURE}" in page
