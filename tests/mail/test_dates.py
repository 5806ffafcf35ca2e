from __future__ import annotations

from datetime import UTC, datetime

import pytest

from webapp.mail.dates import parse_date

NOON = datetime(2024, 3, 5, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "Tue, 5 Mar 2024 12:00:00 +0000",
        "Tue, 05 Mar 2024 13:00:00 +0100",
        "Tue, 05 Mar 2024 13:00:00 +0100 (CET)",
        "5 Mar 2024 12:00 GMT",
        "Tue, 5 Mar 24 07:00:00 EST",
        "Tue,5 Mar 2024 12:00:00 GMT",
        "Tue Mar  5 12:00:00 2024",
        "Tue, 5 Mar 2024 12:00:00",
        "2024-03-05 12:00:00",
        "2024-03-05T12:00:00Z",
        "2024-03-05T13:00:00+01:00",
        "2024/03/05 13:00:00 +0100",
        "Di, 5 März 2024 13:00:00 +0100",
        "5 mars 2024 12:00:00",
        "Tuesday, March 5, 2024 12:00 PM",
        "05-Mar-2024 12:00:00 +0000",
        "Tue, 5 Mar 2024 12.00.00 +0000",
        "Tue, 5 Mar 2024 12:00:00 GMT+0000",
    ],
)
def test_dialects(value: str) -> None:
    assert parse_date(value) == NOON


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "0",
        "99999999999999999999",
        "Tue, 45 Foo 2024 99:99:99",
        "\x00",
        "1 1 1 1 1 1",
        "9" * 5000,
    ],
)
def test_no_date(value: str) -> None:
    assert parse_date(value) is None


@pytest.mark.parametrize(
    "value", ["1 Jan 0001 00:00 +1200", "31 Dec 9999 23:59:59 -1200", "1 Jan 1970 00:00 +9999"]
)
def test_the_edges_of_time_do_not_raise(value: str) -> None:
    parsed = parse_date(value)
    assert parsed is None or parsed.tzinfo is UTC
